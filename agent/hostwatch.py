"""Looks after the host: disk, clock, the ways to the acquirers and the centre. Periodic, on apscheduler's thread.

The same checks make up the host's part of a self-test.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from agent import hostchecks
from agent.clock import Clock
from agent.config.model import Config
from agent.hostchecks import Check
from agent.knowntime import KnownTime
from agent.owner import Owner
from agent.paths import Paths
from agent.periodic import Periodic

log = logging.getLogger(__name__)

EVERY_S = 60.0
NETWORK_LIMIT_S = 4.0
NETWORK = "host.network"
Results = Mapping[str, Mapping[str, str] | None]
FAULTS = {"host.center": "host.center_unreachable", "host.disk": "host.disk_full"}
"""Check id to fault id, where they differ."""


class HostWatch:
    """Runs the host's checks every EVERY_S seconds and tells the owner; ``run`` does it now, for a self-test."""

    def __init__(self, config: Config, paths: Paths, clock: Clock, owner: Owner) -> None:
        self._config = config
        self._paths = paths
        self._clock = clock
        self._owner = owner
        self._since = (clock.mono(), clock.wall())
        self._scheduler: Periodic | None = None

    def start(self, chores: Sequence[tuple[float, Callable[[], object]]] = ()) -> None:
        """Begin; ``chores`` are other periodic works (seconds, what) for the same thread."""
        self._scheduler = Periodic(self._clock)
        self._scheduler.every(EVERY_S, self.look, at_once=True)
        for every_s, chore in chores:
            self._scheduler.every(every_s, chore)
        self._scheduler.start()

    def stop(self) -> None:
        """End the thread; a check under way is bounded by itself."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def run(self) -> list[Check]:
        """All checks that this configuration asks for, with fault ids as ids; tells the owner as well."""
        checks = [hostchecks.disk(self._existing_folder(), self._clock.mono), self._clock_check()]
        checks += [c for c in (self._center(),) if c is not None]
        checks = [replace(c, id=FAULTS.get(c.id, c.id)) for c in checks]
        networks, reached = self._networks()
        results = {**results_of(checks), **reached}
        self._owner.inbox.post(lambda: self._owner.host_checked(results))
        return checks + networks

    def look(self) -> None:
        """Check now; never raises."""
        try:
            self.run()
        except Exception:  # the next look must come whatever this one met
            log.exception("host checks failed")

    def _clock_check(self) -> Check:
        found = hostchecks.clock_sanity(self._clock, since=self._since, wrong=clock_wrong(self._paths, self._clock))
        # A step is told once; from then on the clock is judged from where it stands now.
        self._since = (self._clock.mono(), self._clock.wall())
        return found

    def _networks(self) -> tuple[list[Check], Results]:
        """Each till's way to its own acquirers: one till's dead line says nothing of another's."""
        wanted = [(t, t.money.acquirer) for t in self._config.terminals if "network" in t.money.needs and t.money.acquirer]
        found: dict[tuple[tuple[str, int], ...], Check] = {}
        for _, acquirers in wanted:
            if acquirers not in found:
                hosts = [f"{host}:{port}" for host, port in acquirers]
                found[acquirers] = hostchecks.network(NETWORK, hosts, self._clock.mono, timeout_s=NETWORK_LIMIT_S)
        if not found:
            return [], {}
        bad = [t.id for t, acquirers in wanted if found[acquirers].outcome == "fail"]
        first = next((c for c in found.values() if c.outcome == "fail"), None)
        if first is None:
            return list(found.values()), results_of(list(found.values()))
        return list(found.values()), {NETWORK: {"why": first.text, "detail": first.detail, "terminals": ", ".join(bad)}}

    def _center(self) -> Check | None:
        center = self._config.center
        url = center.ddi or center.otlp if center is not None else None
        if center is None or url is None:
            return None
        if self._config.enrolment is not None and center.ca is not None and not center.ca.exists():
            return None  # the enrolment brings it; that there is none yet is a fault of its own
        parts = urlsplit(url)
        return hostchecks.network(
            "host.center",
            [f"{parts.scheme}://{parts.netloc}"],
            self._clock.mono,
            ca=center.ca,
            timeout_s=NETWORK_LIMIT_S,
        )

    def _existing_folder(self) -> Path:
        folder = self._paths.state
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return folder


def clock_wrong(paths: Paths, clock: Clock) -> str:
    """Why this clock cannot be right, by when the program was made and when the centre last signed; empty while it can."""
    return KnownTime(paths, clock).wrong()


def results_of(checks: Sequence[Check]) -> Results:
    """Fault id to evidence or None; what could not be checked is left out, so that it stays as it was."""
    return {
        c.id: {"why": c.text, "detail": c.detail} if c.outcome == "fail" else None
        for c in checks
        if c.outcome in ("pass", "fail")
    }
