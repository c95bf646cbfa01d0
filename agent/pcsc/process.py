"""pcscd's process as /proc shows it: is there one, and how much of a processor does it take?"""

import os
from dataclasses import dataclass
from pathlib import Path

from agent.ports.holders import MAX_PROCESSES


@dataclass(frozen=True, slots=True)
class Busy:
    """pcscd ``pid`` has used ``cpu_s`` seconds of processor since it began."""

    pid: int
    cpu_s: float


def pcscd(proc: Path = Path("/proc")) -> Busy | None:
    """The process, or None where none can be seen."""
    try:
        pids = [name for name in os.listdir(proc) if name.isdigit()][:MAX_PROCESSES]
    except OSError:
        return None
    for pid in pids:
        try:
            if (proc / pid / "comm").read_text(encoding="utf-8", errors="replace").strip() == "pcscd":
                fields = (proc / pid / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                return Busy(int(pid), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        except (OSError, ValueError, IndexError):
            continue
    return None
