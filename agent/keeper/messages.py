"""What daemon and keeper say to each other, one packet each (SOCK_SEQPACKET), first byte its kind. Both sides use this file.

daemon to keeper: ASK number wire · keeper to daemon: HELLO, USE, LINE words; HEARD bytes; LEFT, REFUSED number.
Words are ``name=value`` with blanks between, ASCII; a name that one side does not know is passed over.
"""

import os
import socket

ASK, HELLO, USE, LINE, HEARD, LEFT, REFUSED = b"?", b"h", b"u", b"l", b"a", b"w", b"n"
MAX_PACKET = 8192
SUFFIX = ".sock"


def words(**values: object) -> bytes:
    """``name=value`` for each; blanks inside a value become underscores."""
    return " ".join(f"{name}={str(value).replace(' ', '_')}" for name, value in values.items()).encode("ascii", "replace")


def read_words(data: bytes) -> dict[str, str]:
    """The other way."""
    pairs = (word.partition("=") for word in data.decode("ascii", "replace").split())
    return {name: value for name, _, value in pairs}


def number(text: str | None) -> int:
    """A number that the other side said; 0 for anything else."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else 0


def abstract_name(port: str) -> str:
    """The name in the kernel's own space under which the keeper of ``port`` is found; raises OSError where it is not there."""
    return f"\0posagent-line/{os.stat(port).st_rdev:x}"  # noqa: PTH116  (pathlib costs the keeper memory)


def connect(path: str) -> socket.socket:
    """The keeper behind ``path``: its link, or the port that it holds. Raises OSError where there is none."""
    beside = path + SUFFIX
    if os.path.exists(beside):
        return _connected(beside)
    found = _connected(abstract_name(path))
    if _peer_uid(found) not in (0, os.getuid()):
        found.close()
        raise PermissionError("the keeper of this port belongs to somebody else")
    return found


def _connected(name: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        with reachable(name) as short:
            found.connect(short)
    except OSError:
        found.close()
        raise
    return found


def _peer_uid(link: socket.socket) -> int:
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], "little")


class reachable:  # noqa: N801  (used as a context, like contextlib's)
    """A short name for a socket: the kernel takes 107 bytes, and a folder's name may have more."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._folder = -1

    def __enter__(self) -> str:
        if self._name.startswith("\0"):
            return self._name
        folder, _, last = self._name.rpartition("/")
        self._folder = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{last}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)
