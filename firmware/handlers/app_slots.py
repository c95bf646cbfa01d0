"""A till application: one folder per version, and ``current``, a symbolic link to the one that runs.

``releases/<component>/1.0/``, ``…/1.1/``, ``…/current → 1.1``. The link is relative, so the folder may be moved as a
whole; replacing it is one rename, which POSIX makes atomic, and one fsync of the folder makes it last.
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from firmware.confirm import confirm
from firmware.errors import InstallFailed, ReleaseRefused
from firmware.files import disk_failure, fsync_dir, make_folder
from firmware.handlers import safe_name

POINTER: Final = "current"
_NEW_POINTER: Final = ".current.new"


class AppSlots:
    """The releases of one component in ``folder``."""

    links: Mapping[str, str] = MappingProxyType({})
    """See Handler."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def release(self, version: str) -> Path:
        """See Handler."""
        return self._folder / safe_name(version)

    def check(self, folder: Path, validate: Sequence[str]) -> None:
        """See Handler. Codes: validation_failed; of InstallFailed validator_missing."""
        if not validate:
            return
        seen = confirm(folder, validate, site=True)
        if seen.code == "missing":
            raise InstallFailed(seen.reason, code="validator_missing")
        if not seen.healthy:
            raise ReleaseRefused(f"the site's validation says no: {seen.reason}", code="validation_failed")

    def current(self) -> str | None:
        """See Handler. A pointer that is no link, or leads elsewhere, is InstallFailed (pointer_damaged)."""
        pointer = self._folder / POINTER
        try:
            target = str(pointer.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InstallFailed(f"{pointer} is not the link it should be: {error.strerror}", code="pointer_damaged") from error
        try:
            return safe_name(target)
        except ReleaseRefused as error:
            raise InstallFailed(f"{pointer} leads out of its folder", code="pointer_damaged") from error

    def switch(self, version: str | None) -> None:
        """See Handler. Raises InstallFailed (not_staged) when the version is not there."""
        if version is not None and not self._is_there(version):
            raise InstallFailed(f"{self.release(version)} is not there: it was removed by hand?", code="not_staged")
        pointer, fresh = self._folder / POINTER, self._folder / _NEW_POINTER
        try:
            if version is None:
                pointer.unlink(missing_ok=True)
            else:
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(version)
                fresh.replace(pointer)
            fsync_dir(self._folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise disk_failure(error, pointer) from error

    def prune(self, keep: Collection[str]) -> None:
        """See Handler."""
        kept = {*keep, self.current(), POINTER}
        try:
            for entry in list(os.scandir(self._folder)):
                if entry.name in kept:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_failure(error, self._folder) from error

    def _is_there(self, version: str) -> bool:
        release = self.release(version)
        return release.is_dir() and not release.is_symlink()


def remove_tree(folder: Path) -> None:
    """Remove a release. It is renamed first: half a release must never carry a version's name."""
    doomed = folder if folder.name.startswith(".") else folder.with_name(f".gone-{folder.name}")
    if doomed != folder:
        if doomed.exists():
            shutil.rmtree(doomed)
        folder.rename(doomed)
        fsync_dir(folder.parent)
    shutil.rmtree(doomed)


def open_handler(folder: Path) -> AppSlots:
    """Open the component's folder, and make it where we may: a daemon that has an installer only looks."""
    with contextlib.suppress(InstallFailed):
        make_folder(folder, 0o755)
    return AppSlots(folder)
