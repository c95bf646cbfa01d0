"""The agent's own limits: what it uses is looked at, said when it is too much, and mended by a restart in order.

The service manager's own bounds (MemoryMax, TasksMax) lie above these: they kill without a word, this does not. Looked at
every EVERY_S seconds; a limit counts as broken after PATIENCE looks in a row. Memory, processor and descriptors are given back
by a restart; it waits until no update is under way and for at least UPTIME_S since the start, so that a limit that is too low
makes a slow till and not a dead one. Disk is no restart's business: it is reported, and the journal's own bound prunes.
Bytes to the centre are counted over a day (from the start on; a restart begins anew): while there were too many, reports are
gathered and go out every quarter of an hour, and nothing of them is lost.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping

from agent.clock import Clock
from agent.config.model import Limits
from agent.usage import Usage

log = logging.getLogger(__name__)

FAULT = "host.self_limits"
EVERY_S = 60.0
PATIENCE = 3
UPTIME_S = 1800.0
RESTARTS = ("memory_mib", "cpu_percent", "descriptors")
"""Limits that a restart mends."""
DESCRIPTORS = 256
"""Files and connections at once; 16 tills with two devices each need some 120. Not configurable: more is a leak."""

HOUR_S = 3600.0
HOURS = 24

Evidence = Mapping[str, str]


class SelfWatch:
    """``tell`` takes fault ids with evidence or None; ``busy`` says whether an update is under way; ``restart`` ends the run."""

    def __init__(
        self,
        limits: Limits,
        read: Callable[[], Usage],
        clock: Clock,
        *,
        tell: Callable[[Mapping[str, Evidence | None]], None],
        busy: Callable[[], bool],
        restart: Callable[[str, Evidence], None],
    ) -> None:
        self._limits = limits
        self._read = read
        self._clock = clock
        self._tell = tell
        self._busy = busy
        self._restart = restart
        self._begun = clock.mono()
        self._last: Usage | None = None
        self._rows: dict[str, int] = {}
        self._told = False
        self._day = _Day()
        self.saving = False
        """too much was sent within a day: who reports gathers from now on"""

    def look(self) -> None:
        """One look; the scheduler calls it every EVERY_S seconds."""
        now, before = self._read(), self._last
        self._last = now
        used = _used(now, before) | {"traffic_mib_per_day": self._day.add(now) / 2**20}
        bounds = _bounds(self._limits)
        self.saving = used["traffic_mib_per_day"] > bounds["traffic_mib_per_day"]
        self._rows = {name: self._rows.get(name, 0) + 1 for name, value in used.items() if value > bounds[name]}
        broken = sorted(name for name, row in self._rows.items() if row >= PATIENCE)
        evidence = {name: f"{used[name]:.0f} of {bounds[name]:g}" for name in broken}
        if broken or self._told:
            self._tell({FAULT: evidence or None})
            self._told = bool(broken)
        for name in broken:
            if name in RESTARTS and not self._busy() and now.mono - self._begun >= UPTIME_S:
                log.error("posagent uses too much (%s: %s) and starts anew", name, evidence[name])
                self._restart(name, evidence)
                return


def over(limits: Limits, now: Usage, before: Usage | None) -> Evidence:
    """Which limits are broken now; the processor's only where ``before`` is an earlier look."""
    used, bounds = _used(now, before), _bounds(limits)
    return {name: f"{value:.0f} of {bounds[name]:g}" for name, value in sorted(used.items()) if value > bounds[name]}


def _bounds(limits: Limits) -> Mapping[str, float]:
    return {
        "memory_mib": limits.memory_mib,
        "cpu_percent": limits.cpu_percent,
        "disk_mib": limits.disk_mib,
        "descriptors": DESCRIPTORS,
        "traffic_mib_per_day": limits.traffic_mib_per_day,
    }


class _Day:
    """Bytes within the last HOURS hours, to the hour."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=HOURS + 1)

    def add(self, now: Usage) -> int:
        if not self._marks or now.mono - self._marks[-1][0] >= HOUR_S:
            self._marks.append((now.mono, now.moved))
        while now.mono - self._marks[0][0] > HOURS * HOUR_S and len(self._marks) > 1:
            self._marks.popleft()
        return now.moved - self._marks[0][1]


def _used(now: Usage, before: Usage | None) -> dict[str, float]:
    used = {"memory_mib": now.memory_mib, "disk_mib": now.disk_mib, "descriptors": float(now.descriptors)}
    if before is not None and now.mono > before.mono:
        used["cpu_percent"] = 100 * (now.cpu_s - before.cpu_s) / (now.mono - before.mono)
    return used
