"""Ports that went away together, because what they hang on did: one incident, not one for each. Pure: time is passed in.

A hub counts as lost when at least two ports hang on it, all that do are gone, and they went within WINDOW_S. Of the hubs for
which that holds the one is told that explains the most ports; of two that explain the same the nearer one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

WINDOW_S = 1.0
"""News of a port that shares a hub waits so long for those of its neighbours."""
SETTLES_S = 10.0
"""After the first port is back: the others are found by the kernel, opened again and asked. Who is away then is so by itself."""

Chain = tuple[str, ...]


@dataclass(slots=True)
class Lost:
    """A hub that is gone, with all that hangs on it. ``back_at`` is when it counts as back, once a port of it is."""

    name: str
    subjects: set[str] = field(default_factory=set)
    back_at: float | None = None


class Hubs:
    """What hangs on what, and what is gone. ``there`` asks the system whether a port that has not been heard of is there."""

    def __init__(self, there: Callable[[str], bool]) -> None:
        self._there = there
        self._chains: dict[str, Chain] = {}
        self._gone: dict[str, float] = {}
        self._judge_at: float | None = None
        self.lost: list[Lost] = []

    def hangs_on(self, subject: str, chain: Chain) -> None:
        """``subject`` is ``<till>/<device>``; ``chain`` its USB device and the hubs above, nearest first."""
        if chain:
            self._chains[subject] = chain

    def shared(self, subject: str) -> bool:
        """Another port hangs on one of its hubs, so that news of it may be news of the hub."""
        mine = set(self._chains.get(subject, ()))
        return any(other != subject and not mine.isdisjoint(chain) for other, chain in self._chains.items())

    def gone(self, subject: str, now: float) -> None:
        """The port went away."""
        self._gone.setdefault(subject, now)
        hub = self.under(subject)
        if hub is None and self.shared(subject):
            self._judge_at = self._judge_at or now + WINDOW_S

    def back(self, subject: str, now: float) -> None:
        """The port is there."""
        self._gone.pop(subject, None)
        chain = self._chains.get(subject, ())
        for hub in self.lost:
            if hub.name in chain or subject in hub.subjects:  # it may have been plugged in elsewhere, on another hub
                hub.back_at = hub.back_at or now + SETTLES_S

    def under(self, subject: str) -> Lost | None:
        """The lost hub that it hangs on."""
        chain = self._chains.get(subject, ())
        return next((hub for hub in self.lost if hub.name in chain), None)

    def next_timer(self) -> float | None:
        """When ``settle`` has something to say."""
        due = [self._judge_at, *(hub.back_at for hub in self.lost)]
        return min((at for at in due if at is not None), default=None)

    def settle(self, now: float) -> None:
        """Time has passed: hubs are found lost, and back."""
        self.lost = [hub for hub in self.lost if hub.back_at is None or hub.back_at > now]
        if self._judge_at is not None and self._judge_at <= now:
            self._judge_at = None
            self._find(now)

    def _find(self, now: float) -> None:
        below = self._below()
        lately = {s for s, at in self._gone.items() if now - at <= 2 * WINDOW_S}
        depth = {hub: place for chain in self._chains.values() for place, hub in enumerate(chain)}
        found = [hub for hub, subjects in below.items() if subjects & lately and self._all_gone(subjects)]
        for hub in sorted(found, key=lambda hub: (-len(below[hub]), depth[hub])):
            if any(below[hub] <= below[known.name] for known in self.lost):
                continue
            self.lost = [known for known in self.lost if not below[known.name] < below[hub]]
            self.lost.append(Lost(hub, set(below[hub])))

    def _below(self) -> Mapping[str, set[str]]:
        below: dict[str, set[str]] = {}
        for subject, chain in self._chains.items():
            for hub in chain:
                below.setdefault(hub, set()).add(subject)
        return below

    def _all_gone(self, subjects: set[str]) -> bool:
        away = len(subjects & set(self._gone))
        return away > 1 and all(subject in self._gone or not self._there(subject) for subject in subjects)
