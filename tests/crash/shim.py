"""The Python side of ``shim.c``: builds it, sets it up for one run, and reads what it saw."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
FLAGS = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
MODES = ("count", "before", "after", "half", "nospace", "trace")
FOREVER = 1 << 40
_PIDS, _TEXT = 1024, 1024


class _Control(ctypes.Structure):
    """``struct control``, up to its mutex."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("mode", "target", "span", "operations", "halves", "growing")),
        *((name, ctypes.c_long) for name in ("refused", "fired", "unsupported", "npids")),
        ("pids", ctypes.c_int * _PIDS),
        *((name, ctypes.c_char * _TEXT) for name in ("prefix", "trace", "what")),
    )


def compiler() -> str | None:
    """The C compiler, if this machine has one."""
    return shutil.which("gcc") or shutil.which("cc")


def build(folder: Path) -> Path:
    """Compile the shim into ``folder``."""
    library = folder / "shim.so"
    if not library.exists():
        subprocess.run([compiler() or "cc", *FLAGS, "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


@lru_cache
def loaded(library: Path) -> ctypes.CDLL:
    """The library in this process (where it was not preloaded it stands between nobody and nothing)."""
    return ctypes.CDLL(str(library))


@dataclass(frozen=True)
class Seen:
    """What one run did below the folder. ``fired``: the number of the operation at which it was killed, or 0."""

    operations: int
    halves: int
    growing: int
    refused: int
    fired: int
    unsupported: int
    what: str
    pids: tuple[int, ...]


@dataclass(frozen=True)
class Control:
    """The control block of one run, a file outside the watched folder."""

    path: Path

    @classmethod
    def make(
        cls, path: Path, library: Path, watched: Path, mode: str, target: int = 0, span: int = FOREVER, trace: Path | None = None
    ) -> "Control":
        """``target``: the operation (for half: the write, for nospace: the operation that needs space), from 1."""
        if loaded(library).crash_create(os.fsencode(path)):
            raise OSError(f"no control block at {path}")
        block = _Control.from_buffer_copy(path.read_bytes())
        block.mode, block.target, block.span = MODES.index(mode), target, span
        block.prefix, block.trace = os.fsencode(watched.resolve()), os.fsencode(trace) if trace else b""
        with path.open("r+b") as file:
            file.write(bytes(block))
        return cls(path)

    def seen(self) -> Seen:
        """The state of things, also while the run is under way."""
        block = _Control.from_buffer_copy(self.path.read_bytes())
        counts = (block.operations, block.halves, block.growing, block.refused, block.fired, block.unsupported)
        return Seen(*counts, block.what.decode("utf-8", "replace"), tuple(block.pids[: min(block.npids, _PIDS)]))


@dataclass(frozen=True)
class Operation:
    """One line of a trace. ``data`` are the bytes of a write; ``other`` the second path, or where a link leads."""

    kind: str
    number: int
    ino: int
    offset: int
    length: int
    mode: int
    path: str
    other: str
    data: bytes


def read_trace(path: Path) -> Iterator[Operation]:
    """The operations of a traced run, in their order."""
    raw, place = path.read_bytes(), 0
    while place < len(raw):
        end = raw.index(b"\n", place)
        kind, number, ino, offset, length, mode, first, second = raw[place:end].decode().split("\t")
        size = int(length) if kind == "write" else 0
        place = end + 1 + size
        data = raw[end + 1 : place]
        yield Operation(kind, int(number), int(ino), int(offset), int(length), int(mode, 8), first, second, data)
