"""What the daemon and its workers use of this machine, from /proc (proc(5)) and the clocks."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock

MAX_FILES = 100_000
"""Files of the state folder that are counted; more than that is too much in any case."""


@dataclass(frozen=True, slots=True)
class Usage:
    """``memory_mib`` resident, workers included; ``cpu_s`` and ``mono`` seconds; ``disk_mib`` of the state folder.

    ``moved`` counts bytes to and from the centre since the start, without those of the workers that fetch an update.
    """

    mono: float
    cpu_s: float
    memory_mib: float
    disk_mib: float
    descriptors: int
    moved: int


def read_usage(state: Path, clock: Clock, moved: int, proc: Path = Path("/proc")) -> Usage:
    """Now. What cannot be read counts as nothing: a limit is never broken by a guess."""
    own = proc / "self"
    memory = _resident_kib(own) + sum(_resident_kib(proc / str(pid)) for pid in _children(own))
    return Usage(clock.mono(), clock.cpu(), memory / 1024, _folder_bytes(state) / 2**20, _descriptors(own), moved)


def _resident_kib(process: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (process / "status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def _children(process: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in (process / "task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                yield from map(int, (task / "children").read_text("ascii").split())


def _descriptors(process: Path) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(process / "fd"))
    return 0


def _folder_bytes(folder: Path) -> int:
    """Blocks on the disk, releases left out: their size is the service centre's choice and signed."""
    total = seen = 0
    for place, folders, files in os.walk(folder):
        if Path(place) == folder and "releases" in folders:
            folders.remove("releases")
        for name in files:
            seen += 1
            if seen > MAX_FILES:
                return total
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_blocks * 512
    return total
