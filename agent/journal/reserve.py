"""A piece of disk held back for bad days: a file that is deleted when the disk is full, so that faults still fit."""

import os
from pathlib import Path

RESERVE_BYTES = 1024 * 1024


class Reserve:
    """``size`` bytes beside the journal. Nothing here raises: without it the journal is poorer, not dead."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size

    @property
    def held(self) -> bool:
        """Whether the whole reserve is there."""
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def free(self) -> bool:
        """Give the space back to the file system; True where there was any to give."""
        held = self.held
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        return held

    def take(self) -> None:
        """Take the reserve again, but only where three times as much is free, so that it never causes the shortage."""
        try:
            disk = os.statvfs(self._path.parent)
            if self.held or disk.f_bavail * disk.f_frsize < 3 * self._size:
                return
            with open(self._path, "wb", opener=_private) as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
