"""What this machine itself costs: figures that no implementation can go below."""

import contextlib
import os
import pty
import sqlite3
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path

_ECHO = "import os,sys\nwhile True: os.write(int(sys.argv[1]), os.read(int(sys.argv[1]), 64))"
_ASB = b"\x10\x00\x00\x00"


class Floors:
    """Both floors, taken one by one between the things that are measured: what the machine does meanwhile meets all alike."""

    def __init__(self, line: int, link: sqlite3.Connection) -> None:
        self._line, self._link = line, link
        self.trips: list[float] = []
        self.commits: list[float] = []

    def take(self) -> None:
        """One sample of each."""
        self.trips.append(_trip(self._line))
        self.commits.append(_commit(self._link))


@contextlib.contextmanager
def floors(folder: Path) -> Iterator[Floors]:
    """``folder`` is on the disk that is measured."""
    with _echoing_pty() as line, _database(folder) as link:
        yield Floors(line, link)


@contextlib.contextmanager
def _echoing_pty() -> Iterator[int]:
    """A raw pty with another process at its other end that sends back what it gets."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    echo = subprocess.Popen([sys.executable, "-S", "-E", "-c", _ECHO, str(theirs)], pass_fds=[theirs])
    try:
        for _ in range(10):  # the first ones wait for the interpreter
            _trip(ours)
        yield ours
    finally:
        echo.kill()
        echo.wait()
        os.close(ours)
        os.close(theirs)


def _trip(line: int) -> float:
    """Seconds for four bytes there and back."""
    time.sleep(0.002)
    begun = time.perf_counter()
    os.write(line, _ASB)
    got = b""
    while len(got) < len(_ASB):
        got += os.read(line, 64)
    return time.perf_counter() - begun


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / "floor.sqlite"
    link = sqlite3.connect(path, isolation_level=None)
    try:
        link.execute("PRAGMA journal_mode = WAL")
        link.execute("PRAGMA synchronous = FULL")
        link.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, body TEXT)")
        yield link
    finally:
        link.close()
        for file in folder.glob("floor.sqlite*"):
            file.unlink()


def _commit(link: sqlite3.Connection) -> float:
    """Seconds of one durable commit of one record's size (WAL, synchronous FULL)."""
    time.sleep(0.002)
    begun = time.perf_counter()
    link.execute("BEGIN IMMEDIATE")
    link.execute("INSERT INTO record (body) VALUES (?)", ("x" * 900,))
    link.execute("COMMIT")
    return time.perf_counter() - begun
