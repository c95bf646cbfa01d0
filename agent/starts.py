"""What the launcher counts and the daemon answers: ``var/lib/posagent/starts`` (docs/decisions/0015).

One line, ``boot version count given_up row``. After three starts in a row that nobody called good the launcher runs the other
release. This module never raises: a count that cannot be written must not stop a till.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from firmware.errors import FirmwareError
from firmware.files import read_bounded, write_durably

log = logging.getLogger(__name__)

GOOD_S: Final = 120.0
"""So long must the main loop have lived: a release that dies after a minute is none to stay with."""
_MAX_BYTES: Final = 1024


class Starts:
    """The counts of ``path``. Without the launcher (``environment`` has no POSAGENT_RELEASE) it does nothing."""

    def __init__(self, path: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._path = path
        self._release = environment.get("POSAGENT_RELEASE", "")
        self.given_up = environment.get("POSAGENT_GIVEN_UP", "")
        """the version that the launcher no longer runs, empty when there is none"""
        self._settled = not self._release

    def good(self) -> None:
        """The main loop has lived for GOOD_S, or a probation is passed: this release may stay."""
        self._settle(lambda _: 0)

    def forgive(self) -> None:
        """Somebody ended this run in order: it says nothing about the release."""
        self._settle(lambda count: max(0, count - 1))

    def try_again(self) -> None:
        """The pointer has moved: that a release was given up at an earlier try is no reason not to try it now."""
        try:
            boot, version, count, _, row = read_bounded(self._path, _MAX_BYTES).decode("ascii").split()
            write_durably(self._path, f"{boot} {version} {count} - {row}\n".encode("ascii"), 0o644)
        except (OSError, ValueError, FirmwareError) as error:
            log.warning("the launcher's count of starts is left as it is: %s", error)

    def _settle(self, change: Callable[[int], int]) -> None:
        if self._settled:
            return
        try:
            boot, version, count, given_up, row = read_bounded(self._path, _MAX_BYTES).decode("ascii").split()
            if version == self._release:
                line = f"{boot} {version} {change(int(count))} {given_up} {change(int(row))}\n"
                write_durably(self._path, line.encode("ascii"), 0o644)
            self._settled = True
        except (OSError, ValueError, FirmwareError) as error:
            log.warning("the launcher's count of starts is left as it is: %s", error)
