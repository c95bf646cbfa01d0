"""What a power cut would have left: the state folder as the disk had it after the n-th operation of a traced run.

The model is POSIX at its word, harsher than ext4. Bytes and mode of a file last once that file was fsynced, a name once
its folder was; syncfs makes everything last; nothing else does. Of what was not synced anything may be there, so each
cut is rebuilt in several ways:

``strict``  nothing that was not synced;
``names``   all names, but only the bytes that were synced (the classic file of length zero);
``data``    all bytes, but only the names that were synced;
``torn``    all names; of the bytes not synced, every second block of 512.

Not modelled: a disk that lies about a flush, and bits that rot. SQLite's ``-shm`` is left out of every rebuild: it is an
index in shared memory, which the first to open the journal makes anew.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.shim import Operation

WAYS = ("strict", "names", "data", "torn")
BLOCK = 512


@dataclass
class Node:
    """A file, folder or link, as the programs see it and as the disk has it."""

    kind: str
    data: bytearray = field(default_factory=bytearray)
    mode: int = 0o755
    names: dict[str, "Node"] = field(default_factory=dict)
    target: str = ""
    synced_data: bytes = b""
    synced_mode: int = 0o600
    synced_names: dict[str, "Node"] = field(default_factory=dict)
    _copies: dict[str, bytes] = field(default_factory=dict)
    """as they were last asked for: the same object again, so that it is kept and hashed once"""

    def changed(self) -> None:
        """The bytes are others now, or are synced."""
        self._copies.clear()

    def copy(self, way: str) -> bytes:
        """The bytes as that way of a cut leaves them."""
        if way in ("strict", "names"):
            return self.synced_data
        if way not in self._copies:
            self._copies[way] = self.torn() if way == "torn" else bytes(self.data)
        return self._copies[way]

    def reach(self, size: int) -> None:
        """At least so many bytes, zeros where there were none."""
        self.data.extend(bytes(max(0, size - len(self.data))))

    def sync(self) -> None:
        self.synced_data, self.synced_mode, self.synced_names = self.copy("data"), self.mode, dict(self.names)
        self._copies.pop("torn", None)

    def torn(self) -> bytes:
        """Every second block new, the others as they were synced (zeros where there was nothing)."""
        found = bytearray(self.data)
        for place in range(BLOCK, len(found), 2 * BLOCK):
            old = self.synced_data[place : place + BLOCK]
            size = min(BLOCK, len(found) - place)
            found[place : place + size] = old.ljust(size, b"\0")[:size]
        return bytes(found)


class Disk:
    """Follows a trace. Everything that lies in ``folder`` at the beginning is durable."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fspath(folder.resolve())
        self._nodes: dict[int, Node] = {}
        self.root = self._scan(folder)

    def apply(self, op: Operation) -> None:
        """One operation. Raises KeyError where the trace does not fit: then the model is wrong, not the agent."""
        match op.kind:
            case "create" | "mkdir":
                node = self._nodes[op.ino] = Node("file" if op.kind == "create" else "dir", mode=op.mode, synced_mode=op.mode)
                self._put(op.path, node)
            case "symlink":
                self._put(op.path, Node("link", target=op.other))
            case "rename":
                self._put(op.other, self._take(op.path))
            case "link":
                self._put(op.other, self._find(op.path))
            case "unlink" | "rmdir":
                self._take(op.path)
            case "syncfs":
                self._sync_all(self.root)
            case "utime":
                pass
            case _:
                self._change(self._nodes[op.ino], op)

    def _change(self, node: Node, op: Operation) -> None:
        if op.kind in ("write", "allocate", "truncate"):
            node.changed()
        match op.kind:
            case "write":
                node.reach(op.offset + op.length)
                node.data[op.offset : op.offset + op.length] = op.data[: op.length]
            case "allocate":
                node.reach(op.offset + op.length)
            case "truncate":
                del node.data[op.length :]
                node.reach(op.length)
            case "chmod":
                node.mode = op.mode
            case "fsync":
                node.sync()
            case other:
                raise KeyError(other)

    def files(self, way: str) -> dict[str, tuple[str, int, bytes]]:
        """Path → kind, mode and bytes (of a link: where it leads), as that way of a cut leaves them; ``live``: no cut."""
        found: dict[str, tuple[str, int, bytes]] = {}
        self._list(self.root, "", way, found)
        return found

    def _list(self, node: Node, path: str, way: str, found: dict[str, tuple[str, int, bytes]]) -> None:
        names = node.synced_names if way in ("strict", "data") else node.names
        for name, child in sorted(names.items()):
            below = f"{path}/{name}" if path else name
            if child.kind == "link":
                found[below] = ("link", 0, child.target.encode())
            elif child.kind == "file" and not name.endswith("-shm"):
                old = way in ("strict", "names")
                found[below] = ("file", child.synced_mode if old else child.mode, child.copy(way))
            elif child.kind == "dir":
                found[below] = ("dir", child.mode, b"")
                self._list(child, below, way, found)

    def _sync_all(self, node: Node) -> None:
        node.sync()
        for child in node.names.values():
            self._sync_all(child)

    def _scan(self, path: Path) -> Node:
        seen = path.lstat()
        if stat.S_ISLNK(seen.st_mode):
            return Node("link", target=os.readlink(path))
        node = Node("dir" if stat.S_ISDIR(seen.st_mode) else "file", mode=stat.S_IMODE(seen.st_mode))
        if node.kind == "dir":
            node.names = {entry.name: self._scan(entry) for entry in path.iterdir()}
        else:
            node.data = bytearray(path.read_bytes())
        node.sync()
        self._nodes[seen.st_ino] = node
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        parts = os.path.relpath(path, self._folder).split("/")
        node = self.root
        for part in parts[:-1]:
            node = node.names[part]
        return node, parts[-1]

    def _find(self, path: str) -> Node:
        parent, name = self._parent(path)
        return parent.names[name]

    def _put(self, path: str, node: Node) -> None:
        parent, name = self._parent(path)
        parent.names[name] = node

    def _take(self, path: str) -> Node:
        parent, name = self._parent(path)
        return parent.names.pop(name)


def found_in(folder: Path) -> dict[str, tuple[str, int, bytes]]:
    """A real folder in the form of ``Disk.files``."""
    return Disk(folder).files("live")


def rebuild(files: Iterable[tuple[str, tuple[str, int, bytes]]], folder: Path) -> None:
    """Make such a folder real."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, mode, data) in sorted(files):
        path = folder / name
        if kind == "link":
            path.symlink_to(data.decode())
        elif kind == "dir":
            path.mkdir(mode=0o700)
            path.chmod(mode | 0o700)
        else:
            path.write_bytes(data)
            path.chmod(mode)
