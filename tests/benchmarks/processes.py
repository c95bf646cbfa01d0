"""What the kernel says of a tree of processes: memory, processor time, wake-ups. All of proc(5)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a whole tree at one moment: KiB, seconds of processor, voluntary context switches, threads."""

    rss_kib: int
    pss_kib: int
    private_kib: int
    cpu_s: float
    switches: int
    threads: int
    processes: int


def tree(root: int) -> list[int]:
    """``root`` and all its descendants that live."""
    found = [root]
    for pid in found:
        for task in _folders(pid):
            try:
                found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
    return found


def usage(root: int) -> Usage:
    """Memory is what smaps_rollup says; time includes threads and children that have ended."""
    pids = tree(root)
    memory = [_memory(pid) for pid in pids]
    tasks = [task for pid in pids for task in _folders(pid)]
    return Usage(
        rss_kib=sum(m.get("Rss", 0) for m in memory),
        pss_kib=sum(m.get("Pss", 0) for m in memory),
        private_kib=sum(m.get("Private_Dirty", 0) + m.get("Private_Clean", 0) for m in memory),
        cpu_s=sum(cpu_s(pid) for pid in pids),
        switches=sum(_switches(task) for task in tasks),
        threads=len(tasks),
        processes=len(pids),
    )


def memory(root: int) -> tuple[int, int]:
    """KiB of ``root`` and its descendants, sums of RSS and of PSS; one that has just ended counts for nothing."""
    found = [_memory(pid) for pid in tree(root)]
    return sum(m.get("Rss", 0) for m in found), sum(m.get("Pss", 0) for m in found)


def cpu_s(pid: int) -> float:
    """User and system seconds of all threads, living and ended, to the nanosecond; plus children it has waited for."""
    clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) gives: the CPU clock of another process
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    waited_ticks = int(fields[13]) + int(fields[14])  # cutime, cstime: 10 ms each
    return time.clock_gettime(clock) + waited_ticks / 100


def switches_by_thread(pid: int) -> dict[str, int]:
    """Voluntary context switches since each thread began, by thread id."""
    return {task.name: _switches(task) for task in _folders(pid)}


def _folders(pid: int) -> Iterator[Path]:
    try:
        yield from (_PROC / str(pid) / "task").iterdir()
    except OSError:
        return


def _switches(task: Path) -> int:
    try:
        text = (task / "status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("voluntary_")), 0)


def _memory(pid: int) -> dict[str, int]:
    found = {}
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    for line in lines:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return found
