"""What outlives the keeper: descriptors in the service manager's store (sd_notify(3), FDSTORE), and its state in memory.

Without a service manager nothing outlives it: the pseudo-terminal goes with the process (docs/decisions/0018).
"""

import array
import contextlib
import marshal
import os
import socket
from typing import Any

FORMAT = 1
FIRST = 3
"""SD_LISTEN_FDS_START"""
MAX_STATE = 1 << 20


def inherited() -> dict[str, int]:
    """Descriptors that the service manager kept for us, by name."""
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    if not count.isdigit() or pid != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, int] = {}
    for offset, name in zip(range(int(count)), names, strict=False):
        os.set_inheritable(FIRST + offset, False)
        if name in found:
            os.close(found[name])  # what nobody looks after would hold the port's lock against ourselves
        found[name] = FIRST + offset
    return found


class Store:
    """Speaks to the service manager, where there is one."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")

    @property
    def there(self) -> bool:
        """Somebody keeps what we give."""
        return self._address.startswith(("/", "@"))

    def say(self, state: str, *descriptors: int) -> None:
        """One notice, with descriptors to go with it."""
        if not self.there:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.sendmsg([state.encode()], rights, 0, address)

    def keep(self, name: str, descriptor: int) -> None:
        """Keep it until the unit is stopped for good."""
        self.say(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", descriptor)

    def drop(self, name: str) -> None:
        """Keep it no longer."""
        self.say(f"FDSTOREREMOVE=1\nFDNAME={name}")


class Memory:
    """A file of memory with the last word of the keeper before: how it ended, and where the stream stood."""

    def __init__(self, descriptor: int | None) -> None:
        self.fresh = descriptor is None
        self.descriptor = os.memfd_create("posagent-line") if descriptor is None else descriptor

    def read(self) -> tuple[Any, ...] | None:
        """What was written last; None where there is nothing that can be read."""
        try:
            found = marshal.loads(os.pread(self.descriptor, MAX_STATE, 0))  # noqa: S302  (our own, in our own memory)
        except (OSError, ValueError, EOFError, TypeError):
            return None
        return found if isinstance(found, tuple) and found and found[0] == FORMAT else None

    def write(self, *values: Any) -> None:
        """Replace it."""
        data = marshal.dumps((FORMAT, *values))
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, data, 0)
