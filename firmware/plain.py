"""A release that is one file, signed as it is: its download becomes the release, and lies on the disk once.

No archive, so nothing to unpack: the file gets a second name inside the release's folder, and the first goes when the
deployment ends. Until then a kill finds the download again. It is not read once more when nobody can have changed it since
its hash was checked; whether that is so, the file system says (``Identity``).
"""

import hashlib
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

from firmware.errors import ReleaseRefused, one_line
from firmware.files import fsync_dir
from firmware.inventory import Listing
from firmware.staging import staged

MODE: Final = 0o644


class Identity(NamedTuple):
    """Which file this is, and when it was last written, renamed or linked: nobody can set ``ctime_ns`` (inode(7))."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> "Identity":
        """Of an open file. Raises OSError."""
        seen = os.fstat(descriptor)
        return cls(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def place(
    download: Path,
    release: Path,
    name: str,
    sha256: str,
    length: int,
    *,
    verified: Identity | None,
    listing: Listing,
    check: Callable[[Path], None],
) -> None:
    """Make the folder ``release`` with the one file ``name``; whole and durable on return, or not there at all.

    ``verified`` is what the download was when its hash was right; where it is anything else by now it is read again.
    ``check`` may say no. Costs five fsyncs. Raises ReleaseRefused (wrong_length, wrong_hash, bad_name), InstallFailed (disk_…).
    """
    with staged(release, listing) as staging:
        if not name or Path(name).name != name or name.startswith("."):
            raise ReleaseRefused(f"a file of a release may not be called {one_line(name, 80)!r}", code="bad_name")
        descriptor = os.open(download, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            _verify(file, sha256, length, verified)
            (staging / name).hardlink_to(download)
            if not os.path.samestat(os.fstat(descriptor), (staging / name).lstat()):
                raise ReleaseRefused("the file was exchanged while it was looked at", code="wrong_hash")
            os.fchmod(descriptor, MODE)
            os.fsync(descriptor)
        staging.chmod(0o755)
        check(staging)
        fsync_dir(staging)
        listing.file(name, MODE, length, sha256)


def _verify(file: FileIO, sha256: str, length: int, verified: Identity | None) -> None:
    seen = Identity.of(file.fileno())
    if seen.size != length:
        raise ReleaseRefused(f"the file has not the {length} bytes that are signed", code="wrong_length")
    if seen != verified and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        raise ReleaseRefused("the file is not the one that is signed", code="wrong_hash")
