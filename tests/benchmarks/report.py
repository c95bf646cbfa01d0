"""The tables: the same for the terminal and for docs/benchmarks.md."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.benchmarks.idle import Idle, Result
from tests.benchmarks.latency import Latency
from tests.benchmarks.stats import Spread, spread

MIB = 1024
JOURNAL_AIM_S, CENTER_AIM_S = 0.010, 0.100
RSS_AIM_KIB, CPU_AIM = 38 * MIB, 0.0003


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when, and what else the machine was doing (load averages over one minute, before and after)."""

    when: str
    cores: int
    kernel: str
    python: str
    load: tuple[float, float]


def machine(load_before: float) -> Machine:
    """This one, now."""
    when = datetime.now(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
    load = (load_before, os.getloadavg()[0])
    return Machine(when, os.cpu_count() or 0, f"{platform.system()} {platform.release()}", platform.python_version(), load)


def heading(found: Machine) -> str:
    """One line."""
    return (
        f"{found.when}, {found.cores} cores, {found.kernel}, Python {found.python}; "
        f"load average {found.load[0]:.2f} before the run, {found.load[1]:.2f} after it."
    )


def latency_table(found: Latency) -> str:
    """Milliseconds; the ratio is to the sum of the two floors."""
    trip, commit = spread(found.trips), spread(found.commits)
    floor = (trip.p50 + commit.p50, trip.p99 + commit.p99)
    rows = [
        _row("status bits → fault in the journal, durable", spread(found.journal), floor, JOURNAL_AIM_S),
        _row("status bits → fault at the centre", spread(found.center), floor, CENTER_AIM_S),
        _row("of it: telling the simulator", spread(found.control), None, None),
        _row("floor: bare pty, there and back", trip, None, None),
        _row("floor: bare SQLite commit (WAL, FULL)", commit, None, None),
    ]
    return table(("ms", "n", "p50", "p99", "worst", "× floors, p50", "× floors, p99", "aim at p99"), rows)


def idle_table(found: Result) -> str:
    """The three trees side by side."""
    mender = found.mender if isinstance(found.mender, Idle) else None
    columns = [found.ours, found.bare, found.asking] + ([mender] if mender is not None else [])
    names = ("posagent", "bare Python", "bare asking") + (("mender-client",) if mender is not None else ())
    rows = [
        _cells("resident (RSS), MiB", [f"{c.rss_kib / MIB:.1f}" for c in columns]),
        _cells("highest RSS seen, MiB", [f"{c.rss_peak_kib / MIB:.1f}" for c in columns]),
        _cells("proportional (PSS), MiB", [f"{c.pss_kib / MIB:.1f}" for c in columns]),
        _cells("its own alone, MiB", [f"{c.private_kib / MIB:.1f}" for c in columns]),
        _cells("share of one core, %", [f"{100 * c.cpu_share:.4f}" for c in columns]),
        _cells("wake-ups per second", [f"{c.wakes_per_s:.2f}" for c in columns]),
        _cells("processes, threads", [f"{c.processes}, {c.threads}" for c in columns]),
    ]
    return table((f"idle for {found.seconds:.0f} s", *names), rows)


def idle_notes(found: Result) -> list[str]:
    """What belongs below the table."""
    traffic = found.traffic
    notes = [
        f"RSS is {_ratio(found.ours.rss_kib, found.bare.rss_kib)} of bare Python's; the aims are "
        f"{RSS_AIM_KIB // MIB} MiB ({met(found.ours.rss_kib <= RSS_AIM_KIB)}) and {100 * CPU_AIM:.2f} % of a core "
        f"({met(found.ours.cpu_share <= CPU_AIM)}).",
        f"Of the processor ours takes {_ratio(found.ours.cpu_share, found.asking.cpu_share)} what a bare Python takes that "
        "asks the same questions as often and does not look at the answers.",
        f"To the centre and back: {traffic.poll:.0f} bytes for a poll that finds nothing, {traffic.heartbeat:.0f} for a "
        f"heartbeat, {traffic.window} in the {found.seconds:.0f} s of the window. One of each every 300 s makes "
        f"{traffic.per_day / MIB:.0f} KiB a day (payload of TCP, without TLS).",
    ]
    if isinstance(found.mender, Idle):
        notes.append(
            f"RSS is {_ratio(found.ours.rss_kib, found.mender.rss_kib)} of the Mender client's. It waits for its poll "
            "with its server out of reach and looks at no device."
        )
    else:
        notes.append(f"Mender's daemon was not measured: {found.mender}.")
    return notes


def _row(name: str, found: Spread, floor: tuple[float, float] | None, aim_s: float | None) -> list[str]:
    ratios = ["", ""] if floor is None else [f"{found.p50 / floor[0]:.1f}", f"{found.p99 / floor[1]:.1f}"]
    aim = "" if aim_s is None else f"{1000 * aim_s:.0f}: {met(found.p99 <= aim_s)}"
    return [name, str(found.count), *(f"{1000 * s:.2f}" for s in (found.p50, found.p99, found.worst)), *ratios, aim]


def _cells(name: str, values: Sequence[str]) -> list[str]:
    return [name, *values]


def met(yes: bool) -> str:
    """How an aim is spoken of."""
    return "met" if yes else "missed"


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.2f} times" if other else "?"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown with straight columns; all but the first to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join(_line(row, widths) for row in (head, rule, *rows))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
    return "| " + " | ".join(cells) + " |"
