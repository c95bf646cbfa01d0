"""What stands beside our daemon in the same run: a bare interpreter, and the Mender client's daemon where it is installed."""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import house

MENDER = Path("/usr/bin/mender")
_SETTLE_S = 5.0
_SWEEP = bytes.fromhex("100401 100402 100403 100404")
"""DLE EOT 1 to 4"""
_SLOT = bytes.fromhex("0306 65 00000000 00 00 000000 60")
"""GetSlotStatus in GemPC Twin framing, bSeq 0"""
_ASKING = """
import os, select, sys, threading, time, tty
def ask(path, question, every):
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while True:
        poll.poll((every - time.monotonic() % every) * 1000)
        os.write(line, question)
        poll.poll(500)
        os.read(line, 4096)
for path, question, every in (sys.argv[1:4], sys.argv[4:7]):
    threading.Thread(target=ask, args=(path, bytes.fromhex(question), float(every)), daemon=True).start()
threading.Event().wait()
"""


@contextlib.contextmanager
def bare_python(folder: Path) -> Iterator[int]:
    """An interpreter that does nothing, with the virtual environment's site as ours has it; gives its pid."""
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with house.process(command, folder / "bare.log") as running:
        yield running.pid


@contextlib.contextmanager
def bare_asking(folder: Path, till: Path) -> Iterator[int]:
    """An interpreter that asks both devices of ``till`` as often as ours does and looks at no answer: the floor of asking."""
    questions = [str(till / "printer"), _SWEEP.hex(), "2.0", str(till / "reader"), _SLOT.hex(), "1.0"]
    with house.process([sys.executable, "-c", _ASKING, *questions], folder / "asking.log") as running:
        yield running.pid


@contextlib.contextmanager
def mender(folder: Path) -> Iterator[int | str]:
    """Mender's daemon, waiting five minutes for its next poll, its server a closed port of loopback; or why it is not here."""
    if not MENDER.exists():
        yield "Debian's mender-client is not installed (apt-get install mender-client)"
        return
    home = folder / "mender"
    home.mkdir()
    config = home / "mender.conf"
    every = {f"{what}PollIntervalSeconds": 300 for what in ("Update", "Inventory", "Retry")}
    config.write_text(json.dumps({"ServerURL": "https://127.0.0.1:9", "DBus": {"Enabled": False}, **every}))
    command = [MENDER, "--no-syslog", "--config", config, "--fallback-config", config, "--data", home, "daemon"]
    with house.process([str(a) for a in command], home / "log", stdout=None) as running:
        time.sleep(_SETTLE_S)
        if running.poll() is None:
            yield running.pid
        else:
            yield f"mender ended with {running.returncode}"
    shutil.rmtree(home, ignore_errors=True)
