"""A gateway: 32 devices on one daemon. What they cost while nothing happens, and how long a fault takes to the journal."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import floors, house, idle, latency

TILLS, ROUNDS = 16, 1
SETTLE_S, SECONDS = 8.0, 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """``seconds`` of idling, and one toggle of each kind on each till."""

    devices: int
    seconds: float
    idle: idle.Idle
    delays: latency.Latency


def measure(folder: Path, tills: int = TILLS, seconds: float = SECONDS, rounds: int = ROUNDS) -> Result:
    """All tills in one process beside the daemon, printer and reader each."""
    root = folder / "root"
    with ExitStack() as running:
        center = running.enter_context(house.center(folder / "center"))
        folders = running.enter_context(house.many_tills(folder, tills, "ccid"))
        house.configure(root, folders, center, reader=True)
        daemon = running.enter_context(house.daemon(root, limit_s=3 * house.START_S))
        house.pause(SETTLE_S)
        quiet = idle.watch({"ours": daemon.pid}, seconds)["ours"]
        floor = running.enter_context(floors.floors(folder))
        delays = latency.run(daemon, center, folders, floor, rounds)
    return Result(2 * tills, seconds, quiet, delays)
