"""One incident for a hub that drops, with its devices under it: the news of a lost port waits a moment for its neighbours.

What a till can do is judged at once; only the report of ``link.unplugged`` waits, where another port hangs on the same hub.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.health.faults import Fault, FaultCleared, FaultRaised
from agent.health.hubs import Chain, Hubs
from agent.observations import LinkState

FAULT = "host.usb_hub"
UNPLUGGED = "link.unplugged"
WITH_IT = (UNPLUGGED, "link.flapping")
"""What a port that comes and goes with its hub says of itself."""

News = tuple[str, FaultRaised | FaultCleared]
"""Subject, and what became of a fault of it."""


class Grouping:
    """Between the models and the record. All of it in the owner's thread."""

    def __init__(self, hubs: Hubs) -> None:
        self._hubs = hubs
        self._held: dict[tuple[str, str], FaultRaised] = {}
        self._untold: dict[tuple[str, str], FaultRaised] = {}
        """what is there and is told by the hub's incident"""
        self._never_told: set[tuple[str, str]] = set()
        """what is still there, and was the hub's doing: its end is no news either"""
        self._told: Mapping[str, str] | None = None

    def link(self, subject: str, state: LinkState, chain: Chain, now: float) -> None:
        """The line of ``subject`` is now ``state``; to be told before the model hears of it."""
        self._hubs.hangs_on(subject, chain)
        if state is LinkState.UNPLUGGED:
            self._hubs.gone(subject, now)
        else:
            self._hubs.back(subject, now)

    def passed(self, subject: str, change: FaultRaised | FaultCleared) -> list[News]:
        """What of it is to be recorded now."""
        key = (subject, change.fault.id)
        if change.fault.id not in WITH_IT:
            return [(subject, change)]
        if isinstance(change, FaultCleared):
            held = self._held.pop(key, None)
            if self._untold.pop(key, None) is not None or key in self._never_told:
                self._never_told.discard(key)
                return []
            return [(subject, change)] if held is None else [(subject, held), (subject, change)]
        self._never_told.discard(key)
        if self._hubs.under(subject) is not None:
            self._untold[key] = change
        elif self._hubs.shared(subject):
            self._held[key] = change
        else:
            return [(subject, change)]
        return []

    def next_timer(self) -> float | None:
        """When ``settle`` has something to do."""
        return self._hubs.next_timer()

    def settle(self, now: float) -> tuple[list[News], Mapping[str, Mapping[str, str] | None]]:
        """Time has passed: what is to be recorded of devices, and what is to be said of the host where that has changed."""
        self._hubs.settle(now)
        news: list[News] = []
        for key, change in list(self._held.items()):
            del self._held[key]
            if self._hubs.under(key[0]) is not None:
                self._untold[key] = change
            else:
                news.append((key[0], change))
        for key, change in list(self._untold.items()):
            if self._hubs.under(key[0]) is None:
                del self._untold[key]
                if key[1] == UNPLUGGED:
                    news.append((key[0], change))
                else:
                    self._never_told.add(key)
        evidence = self._evidence()
        if evidence == self._told:
            return news, {}
        self._told = evidence
        return news, {FAULT: evidence}

    def incidents(self, subject: str, faults: list[Fault], of_host: Callable[[], list[Fault]]) -> list[Fault]:
        """The faults of a device, those that its hub brought about under the hub's incident."""
        hub = next((f for f in of_host() if f.id == FAULT), None) if self._hubs.under(subject) is not None else None
        if hub is None:
            return faults
        return [replace(f, incident=hub.incident) if f.id in WITH_IT else f for f in faults]

    def _evidence(self) -> Mapping[str, str] | None:
        lost = self._hubs.lost
        if not lost:
            return None
        devices = sorted(subject for hub in lost for subject in hub.subjects)
        return {"hub": ", ".join(hub.name for hub in lost), "ports": str(len(devices)), "devices": ", ".join(devices)}
