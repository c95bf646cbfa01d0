"""A pcscd of its own that knows the simulated reader only, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agent.pcsc import process
from tests.peers.pcsc_client import LIBRARY, Pcsc, PcscError

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libccidtwin.so")
SOCKET = Path("/run/pcscd/pcscd.comm")
WITHIN = 20.0
"""Seconds; an upper limit for a busy machine."""


def missing() -> str | None:
    """Why there can be no pcscd here."""
    if shutil.which("pcscd") is None or not DRIVER.exists():
        return "pcscd or libccid is not installed (apt-get install pcscd libccid)"
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"{LIBRARY} is not installed"
    if not os.access(SOCKET.parent if SOCKET.parent.exists() else SOCKET.parent.parent, os.W_OK):
        return f"{SOCKET.parent} may not be written, and pcscd knows no other place"
    return "another pcscd runs on this machine" if process.pcscd() is not None else None


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One test at a time: pcscd's place on a machine is compiled into it."""
    with (Path(tempfile.gettempdir()) / "posagent-tests-pcscd.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def running(reader: str, folder: Path, kind: str = "GemPCTwin", *, quiet: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """pcscd with ``reader`` (a path); unless ``quiet``, what it said is shown when the test fails."""
    configuration = folder / "readers"
    configuration.mkdir(exist_ok=True)
    (configuration / "twin").write_text(f'DEVICENAME {reader}:{kind}\nFRIENDLYNAME "GemPCTwin sim"\nLIBPATH {DRIVER}\n')
    log = folder / "pcscd.log"
    with log.open("ab") as output:
        command = ["pcscd", "--foreground", "--info", "--config", str(configuration)]
        daemon = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield daemon
    finally:
        daemon.terminate()
        try:
            daemon.wait(WITHIN)
        except subprocess.TimeoutExpired:
            daemon.kill()  # one that spins does not end by itself
            daemon.wait(WITHIN)
        for left in (SOCKET, SOCKET.with_name("pcscd.pid")):
            left.unlink(missing_ok=True)  # of one that was killed
        if not quiet:
            sys.stdout.write(log.read_text(errors="replace"))


def connected(daemon: subprocess.Popen[bytes]) -> Pcsc:
    """A context once pcscd offers its reader."""
    end = time.monotonic() + WITHIN
    while True:
        with contextlib.suppress(PcscError):
            context = Pcsc()
            with contextlib.suppress(PcscError):
                if context.readers():
                    return context
            context.__exit__()
        assert time.monotonic() < end, "pcscd does not offer the reader"
        assert daemon.poll() is None, "pcscd ended"
        time.sleep(0.05)
