"""From status bits on the line to a fault in the journal and at the centre.

The clock starts before the simulator is told, so its own control socket (a fraction of a millisecond, shown beside) is in
every figure. The journal's moment is when another process can read the record: SQLite in WAL mode with synchronous FULL shows
a commit only after its fsync. The centre stamps what it gets with the same monotonic clock.

A fault that comes five times in a minute is folded as flapping, by design. So many tills take turns that no fault comes a
sixth time, and no change is folded away.
"""

import random
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.control import call
from tests.benchmarks import floors, house

TILLS = 6
ROUNDS = 4
"""raises of one fault of one till; one more within a minute would be flapping"""
MEDIA = (
    ("printer.cover", "open", "closed", "printer.cover_open"),
    ("printer.paper", "end", "ok", "printer.paper_end"),
    ("printer.paper", "near_end", "ok", "printer.paper_near_end"),
    ("printer.cutter", "jam", "ok", "printer.cutter_jam"),
    ("printer.head", "hot", "ok", "printer.head_hot"),
)
LIMIT_S = 10.0
LOOK_S = 0.0002


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds, one per toggle."""

    control: list[float]
    journal: list[float]
    center: list[float]
    trips: list[float]
    """floor: to another process and back through a pty"""
    commits: list[float]
    """floor: one durable commit"""


@dataclass(frozen=True, slots=True)
class _Seen:
    begun: float
    seq: int


def measure(folder: Path) -> Latency:
    """TILLS * ROUNDS * len(MEDIA) * 2 toggles (240), each when the one before is in the journal."""
    root = folder / "root"
    with house.center(folder / "center") as center, house.terminals(folder, TILLS, "none") as tills:
        house.configure(root, tills, center, reader=False)
        with house.daemon(root) as daemon, floors.floors(folder) as floor:
            return run(daemon, center, tills, floor)


def run(daemon: house.Daemon, center: house.Center, tills: list[Path], floor: floors.Floors, rounds: int = ROUNDS) -> Latency:
    """Every fault of MEDIA comes and goes on every till, ``rounds`` times."""
    link = sqlite3.connect(f"file:{daemon.journal}?mode=ro", uri=True, isolation_level=None)
    control, journal, seen = [], [], []
    try:
        last = link.execute("SELECT max(seq) FROM record").fetchone()[0]
        for till, key, value, kind, fault in _toggles(tills, rounds):
            time.sleep(random.uniform(0.03, 0.09))  # anywhere between two polls
            floor.take()
            begun = time.monotonic()
            call(till, {"set": [key, value]})
            control.append(time.monotonic() - begun)
            last, found_at = _wait_for(link, last, kind, f"{till.name}/printer", fault)
            journal.append(found_at - begun)
            seen.append(_Seen(begun, last))
    finally:
        link.close()
    arrived = _arrivals(center, last)
    return Latency(control, journal, [arrived[one.seq] - one.begun for one in seen], floor.trips, floor.commits)


def _toggles(tills: list[Path], rounds: int) -> Iterator[tuple[Path, str, str, str, str]]:
    for _ in range(rounds):
        for key, bad, good, fault in MEDIA:
            for till in tills:
                yield till, key, bad, "fault.raised", fault
                yield till, key, good, "fault.cleared", fault


def _wait_for(link: sqlite3.Connection, after: int, kind: str, subject: str, fault: str) -> tuple[int, float]:
    end = time.monotonic() + LIMIT_S
    wanted = (after, kind, subject, fault)
    query = "SELECT seq FROM record WHERE seq > ? AND kind = ? AND subject = ? AND json_extract(body, '$.id') = ?"
    while (now := time.monotonic()) < end:
        row = link.execute(query, wanted).fetchone()
        if row is not None:
            return int(row[0]), time.monotonic()
        time.sleep(LOOK_S)
    raise house.NotReadyError(f"no {kind} of {fault} at {subject} within {LIMIT_S:g} s (now {now:.1f})")


def _arrivals(center: house.Center, last: int) -> dict[int, float]:
    def look() -> dict[int, float] | None:
        logs: list[dict[str, Any]] = center.records()["logs"]
        found = {int(log["seq"]): float(log["mono"]) for log in logs if not log["duplicate"]}
        return found if last in found else None

    return house.wait_for(look, "the centre did not get all records", LIMIT_S) or {}
