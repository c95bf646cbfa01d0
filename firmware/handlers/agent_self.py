"""This program itself: releases side by side, and two links outside of them that the launcher reads (docs/decisions/0015).

``/opt/posagent/releases/<version>/``, ``/opt/posagent/current → releases/<version>`` and ``previous``, which is what the launcher
runs when ``current`` does not start. They are two renames, in an order that leaves the release that is known to start in one of
them at every moment: forward ``previous`` first, back to what ``previous`` names ``current`` first.
"""

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from firmware.errors import InstallFailed, ReleaseRefused, one_line
from firmware.files import disk_failure, fsync_dir, read_bounded
from firmware.handlers import safe_name
from firmware.handlers.app_slots import AppSlots, remove_tree

PROGRAM: Final = "bin/posagent"
PYTHON_LINK: Final = "bin/python"
PYTHON: Final = "/usr/bin/python3"
TOLD: Final = "release.json"
CURRENT: Final = "current"
PREVIOUS: Final = "previous"
_TOLD_MAX: Final = 4096


class AgentSelf(AppSlots):
    """The releases in ``folder``, the pointers beside it. ``running`` is the version that does this, empty without a launcher."""

    def __init__(self, folder: Path, running: str = "") -> None:
        super().__init__(folder)
        self._home, self._running = folder.parent, running
        self.links: Mapping[str, str] = {}

    def check(self, folder: Path, validate: Sequence[str]) -> None:
        """See Handler. An archive holds no link: the one to Python is made here, as the running release has it.

        Codes: not_an_agent, wrong_python, and those of AppSlots.
        """
        told = _told(folder)
        python = "{}.{}".format(*sys.version_info)
        if told.get("python", python) != python:
            named = one_line(told["python"], 20)
            raise ReleaseRefused(f"the release is made for Python {named}, this machine has {python}", code="wrong_python")
        if not os.access(folder / PROGRAM, os.X_OK):
            raise ReleaseRefused(f"the release has no program {PROGRAM}: it cannot be started", code="not_an_agent")
        link = folder / PYTHON_LINK
        if not os.path.lexists(link):
            target = self._python()
            link.symlink_to(target)
            self.links = {PYTHON_LINK: target}
        super().check(folder, validate)

    def current(self) -> str | None:
        """See Handler."""
        return self._named(CURRENT)

    def switch(self, version: str | None) -> None:
        """See Handler. What is left becomes ``previous``. Raises InstallFailed (not_staged)."""
        if version is None:
            raise InstallFailed("posagent cannot be without a release of itself", code="not_staged")
        if not self._is_there(version):
            raise InstallFailed(f"{self.release(version)} is not there: it was removed by hand?", code="not_staged")
        current = self.current()
        left = self._running if self._running != version and self._known(self._running) else current
        back = self._previous() == version
        if version != current:
            if not back and left is not None:
                self._point(PREVIOUS, left)
            self._point(CURRENT, version)
        if back and left not in (None, version):
            self._point(PREVIOUS, str(left))

    def prune(self, keep: Collection[str]) -> None:
        """See Handler. ``previous`` names one of ``keep`` afterwards, or nothing: never what was left as bad."""
        current = self.current()
        back = sorted(version for version in keep if version != current and self._known(version))
        kept = {*keep, current, self._running}
        try:
            if self._previous() not in back and os.path.lexists(self._home / PREVIOUS):
                if back:
                    self._point(PREVIOUS, back[-1])
                else:
                    (self._home / PREVIOUS).unlink()
                    fsync_dir(self._home)
            for entry in list(os.scandir(self._folder)):
                if entry.name not in kept and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    if entry.is_dir(follow_symlinks=False):
                        remove_tree(Path(entry.path))
                    else:
                        Path(entry.path).unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_failure(error, self._folder) from error

    def _previous(self) -> str | None:
        """One that is damaged is none: it is only ever replaced."""
        try:
            return self._named(PREVIOUS)
        except InstallFailed:
            return None

    def _named(self, name: str) -> str | None:
        pointer = self._home / name
        try:
            folder, _, version = str(pointer.readlink()).partition("/")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InstallFailed(f"{pointer} is not the link it should be: {error.strerror}", code="pointer_damaged") from error
        try:
            if folder == self._folder.name:
                return safe_name(version)
        except ReleaseRefused:
            pass
        raise InstallFailed(f"{pointer} leads elsewhere than to {self._folder.name}", code="pointer_damaged")

    def _point(self, name: str, version: str) -> None:
        pointer, fresh = self._home / name, self._home / f".{name}.new"
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(f"{self._folder.name}/{version}")
            fresh.replace(pointer)
            fsync_dir(self._home)
        except OSError as error:
            raise disk_failure(error, pointer) from error

    def _known(self, version: str) -> bool:
        try:
            return bool(version) and self._is_there(version)
        except ReleaseRefused:
            return False

    def _python(self) -> str:
        """What the running release's link names: Debian's, unless a test or a site has another one."""
        try:
            target = str((self.release(self._running) / PYTHON_LINK).readlink())
        except (OSError, ReleaseRefused):
            return PYTHON
        return target if target.startswith("/") else PYTHON


def _told(folder: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(read_bounded(folder / TOLD, _TOLD_MAX))
    except (OSError, ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("version"), str):
        raise ReleaseRefused(f"the release has no {TOLD} that says what it is", code="not_an_agent")
    return told


def open_handler(folder: Path) -> AgentSelf:
    """The releases of this program in ``folder``, which the package has made."""
    return AgentSelf(folder, os.environ.get("POSAGENT_RELEASE", ""))
