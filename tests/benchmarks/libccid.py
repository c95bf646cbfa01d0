"""Debian's libccid for serial readers, called directly: the driver that pcscd loads, without pcscd around it (ifdhandler.h)."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libccidtwin.so")
_POWER_UP, _POWER_DOWN, _PRESENT = 500, 501, 615
_LOG = "void log_msg(int p, const char *f, ...) {} void log_xxd(int p, const char *m, const unsigned char *b, int n) {}"
"""What the driver wants of the program that loads it."""


def missing() -> str | None:
    """Why it cannot be measured here."""
    if not DRIVER.exists():
        return "libccid is not installed (apt-get install libccid)"
    return None if shutil.which("cc") else "there is no C compiler for the two functions that libccid wants of its program"


class Driver:
    """One open reader."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._atr = ctypes.create_string_buffer(64)

    def presence(self) -> None:
        """One GetSlotStatus."""
        code = self._library.IFDHICCPresence(ctypes.c_ulong(0))
        if code != _PRESENT:
            raise RuntimeError(f"IFDHICCPresence: {code}")

    def reset(self) -> None:
        """IccPowerOff, then IccPowerOn and the ATR."""
        for action in (_POWER_DOWN, _POWER_UP):
            size = ctypes.c_ulong(64)
            code = self._library.IFDHPowerICC(ctypes.c_ulong(0), ctypes.c_ulong(action), self._atr, ctypes.byref(size))
            if code:
                raise RuntimeError(f"IFDHPowerICC: {code}")


@contextlib.contextmanager
def driver(reader: Path, folder: Path) -> Iterator[Driver]:
    """The driver on ``reader``; ``folder`` takes the compiled functions."""
    source, built = folder / "log.c", folder / "log.so"
    source.write_text(_LOG)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(built), str(source)], check=True)
    ctypes.CDLL(str(built), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(DRIVER))
    code = library.IFDHCreateChannelByName(ctypes.c_ulong(0), f"{reader}:GemPCTwin".encode())
    if code:
        raise RuntimeError(f"IFDHCreateChannelByName: {code}")
    try:
        yield Driver(library)
    finally:
        library.IFDHCloseChannel(ctypes.c_ulong(0))
