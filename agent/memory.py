"""What the next start should know of each device: who it was, and counters that do not begin anew with the daemon."""

import logging
import threading
from pathlib import Path
from typing import Any

from firmware.errors import FirmwareError
from firmware.files import TwinFile

log = logging.getLogger(__name__)

FORMAT = 1
Remembered = dict[str, dict[str, Any]]


class Memory:
    """``statistics.json`` in two copies. A damaged one is a fresh start and a line in the log, never an error.

    ``store`` may be called from any thread.
    """

    def __init__(self, path: Path) -> None:
        self._file = TwinFile(path)
        self._last: Remembered = {}
        self._lock = threading.Lock()

    def load(self, *, heal: bool = True) -> Remembered:
        """Subject to ``identity``, ``statistics``, and what else ``DeviceHealth.remember`` gave.

        ``heal`` is for the owner of the state folder: who only looks may meet a store of the owner half done.
        """
        try:
            found = self._file.load() or {}
            if heal:
                self._file.heal()
        except FirmwareError as error:
            log.warning("counters begin anew: %s", error)
            return {}
        devices = found.get("devices") if found.get("format") == FORMAT else None
        self._last = {str(s): _clean(d) for s, d in devices.items()} if isinstance(devices, dict) else {}
        return self._last

    def kept(self) -> Remembered:
        """What is on the disk."""
        return self._last

    def store(self, devices: Remembered) -> None:
        """Keep them, durable on return; nothing is written while nothing changed."""
        with self._lock:
            if devices == self._last:
                return
            try:
                self._file.store({"format": FORMAT, "devices": devices})
                self._last = devices
            except FirmwareError as error:
                log.warning("counters not kept: %s", error)


def _clean(device: Any) -> dict[str, Any]:
    found = device if isinstance(device, dict) else {}
    identity = found.get("identity")
    statistics = found.get("statistics")
    return {
        **found,
        "identity": {str(k): str(v) for k, v in identity.items()} if isinstance(identity, dict) else {},
        "statistics": {str(k): v for k, v in statistics.items() if isinstance(v, int) and v >= 0}
        if isinstance(statistics, dict)
        else {},
    }
