"""One status question on a pty: the product's port and protocol against bare os.write and os.read of the same bytes.

The other end is one process that answers DLE EOT 1 to 4 at once. Ours and bare ones take turns, each second pair the
other way round, so that what else the machine does meets both. python-escpos asks by its own means where it is installed.
"""

import os
import pty
import subprocess
import sys
import time
import tty
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.ports.serial_port import SerialPort
from protocols.connection import LineSettings
from protocols.events import Answered, Event
from protocols.printers.escpos import EscposConnection

SWEEP = bytes.fromhex("10 04 01 10 04 02 10 04 03 10 04 04")
"""DLE EOT 1 to 4 (facts devices.md 1.2)"""
ANSWERS = 4
_PRINTER = """
import os, sys
line = int(sys.argv[1])
while True:
    asked = os.read(line, 64)
    os.write(line, b"\\x12" * asked.count(b"\\x10\\x04"))
"""
QUESTIONS, THEIRS = 2000, 10
WARM = 50
PAUSE_S = 0.0005


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Seconds per question. ``peer_why`` says why python-escpos has none."""

    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    peer_why: str = ""


def measure(questions: int = QUESTIONS) -> RoundTrips:
    """In turns."""
    found = RoundTrips()
    with _printer() as path:
        bare = os.open(path, os.O_RDWR | os.O_NOCTTY)
        port = SerialPort(path, LineSettings(115200))
        try:
            connection = EscposConnection()
            for number in range(questions + WARM):
                if number % 2:
                    ours, theirs = _ours(port, connection), _bare(bare)
                else:
                    theirs, ours = _bare(bare), _ours(port, connection)
                if number >= WARM:
                    found.bare.append(theirs)
                    found.ours.append(ours)
                time.sleep(PAUSE_S)
        finally:
            port.close()
            os.close(bare)
    with _printer() as path:
        why = _theirs(path, found.peer)
    return RoundTrips(found.bare, found.ours, found.peer, why)


@contextmanager
def _printer() -> Iterator[str]:
    """The path of a raw pty with a process behind it that answers."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    answering = subprocess.Popen([sys.executable, "-S", "-E", "-c", _PRINTER, str(ours)], pass_fds=[ours])
    try:
        yield path
    finally:
        answering.kill()
        answering.wait()
        os.close(ours)
        os.close(theirs)


def _bare(line: int) -> float:
    begun = time.perf_counter()
    os.write(line, SWEEP)
    got = 0
    while got < ANSWERS:
        got += len(os.read(line, 64))
    return time.perf_counter() - begun


def _ours(port: SerialPort, connection: EscposConnection) -> float:
    begun = time.perf_counter()
    connection.ask("status", time.monotonic())
    port.write(connection.data_to_send())
    events: list[Event] = []
    while not any(isinstance(event, Answered) for event in events):
        events = connection.receive_data(port.read(1.0), time.monotonic())
    return time.perf_counter() - begun


def _theirs(path: str, took: list[float]) -> str:
    """``is_online`` of python-escpos, which asks DLE EOT 1 and waits for up to 16 bytes or its time limit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a foreign library deprecates is not ours
        try:
            from escpos.printer import Serial
        except ImportError:
            return "python-escpos is not installed"
        printer = Serial(path, baudrate=115200, timeout=1, dsrdtr=False, profile="TM-T88V")
        try:
            printer.open()
            for _ in range(THEIRS):
                begun = time.perf_counter()
                printer.is_online()
                took.append(time.perf_counter() - begun)
        except Exception as error:  # a foreign library's trouble is a line below the table, not the end of the run
            return f"python-escpos: {type(error).__name__}"
        finally:
            printer.close()
    return ""
