"""One owner at a time: whoever holds the lock writes the journal and the deployment's state."""

import fcntl
import os
from pathlib import Path

from agent.errors import NotAvailable
from agent.identity import become_owner


class OwnerLock:
    """The flock on ``var/lib/posagent/lock``. The kernel drops it with the process, so a killed owner leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> None:
        """Become the owner; root does so as the user whose state it is.

        Raises:
            NotAvailable: another process is, or the state folder cannot be written (now: a disk may be mounted anew).
        """
        try:
            become_owner(self._path.parent)
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotAvailable(
                f"{self._path.parent}: {os.strerror(error.errno or 0)}",
                code="state_folder",
                remedy="run it as the user that owns the state folder, or choose another one with --root",
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise NotAvailable(
                "another posagent process works on this till",
                code="owned",
                remedy="wait until it has ended, or stop it",
            ) from None
        self._fd = fd

    def release(self) -> None:
        """Let the next one in. May be called twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
