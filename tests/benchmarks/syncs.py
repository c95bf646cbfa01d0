"""How often each operation waits for the disk: counted, not timed, by the crash sweep's shim (tests/crash/shim.c).

The scenarios are the sweep's own, played once each, undisturbed, with the product's parts. fsync and fdatasync count as one kind.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.crash import shim
from tests.crash.scenarios import scenario
from tests.crash.stage import staged, workshop

HOUSE = Path(__file__).parents[2]
NAMES = {
    "install": "first install",
    "upgrade": "upgrade",
    "rollback": "upgrade whose check fails, and back",
    "recall": "`update rollback`",
    "floor": "refused (metadata learnt, floor raised)",
    "parameters": "parameter set",
    "set": "two components as a set",
    "stick": "upgrade from a stick",
    "hold": "`update hold`",
}
RECORDS = 20
LIMIT_S = 60.0
_JOURNAL = """
import sys
from pathlib import Path
from agent.clock import Clock
from agent.journal import Journal
clock = Clock()
journal = Journal(Path(sys.argv[1]), boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
for number in range(int(sys.argv[2])):
    assert journal.append("bench", "info", "host", {"number": number}).wait(30.0)
journal.close()
"""


@dataclass(frozen=True, slots=True)
class Waits:
    """Of one operation: how often it waited until the disk had what it wrote."""

    fsyncs: int
    syncfs: int


def measure(folder: Path, names: Mapping[str, str] = NAMES) -> dict[str, Waits] | str:
    """Operation, in words, to its waits (``names``: scenario to words); or why they were not counted."""
    if shim.compiler() is None:
        return "no C compiler for the counting shim"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Waits] = {}
    with workshop(folder) as shop, staged(shop) as stage:
        for name, words in names.items():
            chosen = scenario(name)
            place = stage.fresh(chosen.template)
            place.set_up(chosen)
            trace = place.folder / "trace"
            done = place.strike(chosen, place.control("trace", trace=trace))
            if done["code"]:
                raise RuntimeError(f"{name}: {place.said()}")
            found[words] = _count(trace)
            place.remove()
        found["one journal record"] = _journal(shop, stage.library)
    return found


def _journal(folder: Path, library: Path) -> Waits:
    """Of one record that somebody waits for: the difference between many and one, by their number."""
    few, many = (_records(folder, library, count) for count in (1, 1 + RECORDS))
    return Waits(round((many.fsyncs - few.fsyncs) / RECORDS), round((many.syncfs - few.syncfs) / RECORDS))


def _records(folder: Path, library: Path, count: int) -> Waits:
    place = folder / f"journal-{count}"
    place.mkdir()
    trace = folder / f"journal-{count}.trace"
    control = shim.Control.make(folder / f"journal-{count}.control", library, place, "trace", trace=trace)
    env = {**os.environ, "LD_PRELOAD": str(library), "CRASH_CONTROL": str(control.path), "PYTHONPATH": str(HOUSE)}
    command = [sys.executable, "-c", _JOURNAL, str(place / "journal.sqlite"), str(count)]
    subprocess.run(command, env=env, check=True, timeout=LIMIT_S)
    return _count(trace)


def _count(trace: Path) -> Waits:
    kinds = Counter(operation.kind for operation in shim.read_trace(trace))
    return Waits(kinds["fsync"], kinds["syncfs"])
