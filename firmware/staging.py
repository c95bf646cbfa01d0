"""A folder that is made beside the releases and named when it is whole: one that carries a version's name therefore is."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from firmware.errors import FirmwareError
from firmware.files import disk_failure, fsync_dir
from firmware.inventory import Listing

_STAGING: Final = ".staging"
_GONE: Final = ".gone"


@contextlib.contextmanager
def staged(release: Path, listing: Listing | None) -> Iterator[Path]:
    """An empty folder, to be filled and made durable by the block; then it gets the name ``release``, durably.

    ``listing`` is durable before the name is given. If the block fails, nothing stays. OSErrors become InstallFailed
    (disk_…). Costs one fsync, and two for the listing.
    """
    staging = release.with_name(_STAGING)
    try:
        _remove(staging)
        staging.mkdir(mode=0o700)
        yield staging
        if listing is not None:
            listing.finish()
        _replace(staging, release)
        fsync_dir(release.parent)
    except OSError as error:
        _forget(staging)
        raise disk_failure(error, release) from error
    except FirmwareError:
        _forget(staging)
        raise
    finally:
        if listing is not None:
            listing.abandon()


def _replace(staging: Path, release: Path) -> None:
    """Give the staged folder its name. What has it already is a leftover that nothing points to (see engine)."""
    gone = release.with_name(_GONE)
    _remove(gone)
    with contextlib.suppress(FileNotFoundError):
        release.rename(gone)
    staging.rename(release)
    _remove(gone)


def _forget(staging: Path) -> None:
    with contextlib.suppress(OSError):
        _remove(staging)


def _remove(folder: Path) -> None:
    """Remove a folder of ours or what a killed run left under its name. A link is removed, never followed."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    elif folder.exists():
        shutil.rmtree(folder)
