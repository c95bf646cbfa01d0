"""A question to a chip card reader and back: ours against libccid, its driver alone and through pcscd, on simulated readers.

Each side has a simulated reader of its own (the same program), because a line has one owner; they take turns, so that what the
machine does meanwhile meets all alike. Ours is what the daemon runs: port, framing, checks, events.
"""

from __future__ import annotations

import contextlib
import os
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.ports.serial_port import SerialPort
from protocols.events import Answered
from protocols.readers.ccid import PROTOCOL
from simulator.control import call
from tests.benchmarks import house, libccid, report
from tests.benchmarks.stats import spread
from tests.peers import pcscd_daemon
from tests.peers.pcsc_client import Pcsc

ROUNDS = 400
LIMIT_S = 5.0
_SLOT = bytes.fromhex("0306 65 00000000 00 00 000000 60")
_ANSWER = len(_SLOT) + 13
"""the echo, and a slot status without data"""


@dataclass(slots=True)
class Readers:
    """Seconds by subject; ``missing`` says why a peer is not among them."""

    slot: dict[str, list[float]] = field(default_factory=dict)
    reset: dict[str, list[float]] = field(default_factory=dict)
    exchange: dict[str, list[float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


class Ours:
    """Port and protocol as in a pump, without its thread."""

    def __init__(self, path: Path) -> None:
        self._port = SerialPort(str(path), PROTOCOL.line)
        self._connection = PROTOCOL.connection()

    def ask(self, *queries: str) -> None:
        """All of them, one after the other, to the last answer."""
        for query in queries:
            self._connection.ask(query, time.monotonic())
        answers = 0
        while answers < len(queries):
            out = self._connection.data_to_send()
            if out:
                self._port.write(out)
            data = self._port.read(LIMIT_S)
            if not data:
                raise RuntimeError(f"no answer to {queries}")
            answers += sum(isinstance(event, Answered) for event in self._connection.receive_data(data, time.monotonic()))

    def close(self) -> None:
        """Give the line back."""
        self._port.close()


def measure(folder: Path, rounds: int = ROUNDS) -> Readers:
    """``rounds`` of each question to each side."""
    found = Readers()
    with contextlib.ExitStack() as stack, house.terminals(folder, 4, "ccid") as tills:
        for till in tills:
            call(till, {"set": ["reader.card", "ok"]})
        subjects = _subjects(stack, folder, [till / "reader" for till in tills], found)
        for _ in range(rounds):
            for kind, name, ask in subjects:
                time.sleep(0.001)
                begun = time.perf_counter()
                ask()
                getattr(found, kind).setdefault(name, []).append(time.perf_counter() - begun)
    return found


Subject = tuple[str, str, Callable[[], object]]


def _subjects(stack: contextlib.ExitStack, folder: Path, readers: list[Path], found: Readers) -> list[Subject]:
    bare = stack.enter_context(_bare(readers[0]))
    ours = Ours(readers[1])
    stack.callback(ours.close)
    ours.ask("card_notices", "power_on")
    subjects: list[Subject] = [
        ("slot", "floor", bare),
        ("slot", "posagent", lambda: ours.ask("slot_status")),
        ("exchange", "posagent", lambda: ours.ask("select_mf")),
        ("reset", "posagent", lambda: ours.ask("power_off", "power_on")),
    ]
    why = libccid.missing()
    if why is None:
        driver = stack.enter_context(libccid.driver(readers[2], folder))
        subjects += [("slot", "libccid", driver.presence), ("reset", "libccid", driver.reset)]
    else:
        found.missing.append(f"libccid's driver was not measured: {why}.")
    why = pcscd_daemon.missing()
    if why is None:
        subjects.append(("exchange", "libccid through pcscd", _through_pcscd(stack, folder, readers[3])))
    else:
        found.missing.append(f"pcscd was not measured: {why}.")
    return subjects


def _through_pcscd(stack: contextlib.ExitStack, folder: Path, reader: Path) -> Callable[[], object]:
    daemon = stack.enter_context(pcscd_daemon.running(str(reader), folder, quiet=True))
    client: Pcsc = stack.enter_context(pcscd_daemon.connected(daemon))
    card = client.connect(client.readers()[0])
    return lambda: card.transmit("00 A4 00 00 02 3F 00")


@contextlib.contextmanager
def _bare(path: Path) -> Iterator[Callable[[], object]]:
    """Write the question, read until as many bytes are there as the answer has; nothing is looked at."""
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)

    def ask() -> None:
        os.write(line, _SLOT)
        heard = 0
        while heard < _ANSWER:
            heard += len(os.read(line, 4096))

    try:
        yield ask
    finally:
        os.close(line)


ROWS = (("slot", "slot status"), ("reset", "power off and on, with the ATR"), ("exchange", "SELECT, T=0"))


def table(found: Readers) -> str:
    """Milliseconds; the ratio is ours to theirs at p50."""
    rows = []
    for kind, what in ROWS:
        samples: dict[str, list[float]] = getattr(found, kind)
        ours = spread(samples["posagent"])
        for name, values in samples.items():
            one = spread(values)
            ratio = "" if name == "posagent" else f"{ours.p50 / one.p50:.2f}"
            rows.append([f"{what}: {name}", str(one.count), *(f"{1000 * s:.2f}" for s in (one.p50, one.p99, one.worst)), ratio])
    return report.table(("ms", "n", "p50", "p99", "worst", "ours ÷ it, p50"), rows)
