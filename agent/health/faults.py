"""Faults over time: raised and cleared with evidence, under one incident each, flapping folded."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agent.health.readings import Moment

FOLD_S = 60.0
"""A fault that comes back within this many seconds belongs to the same incident."""
FLAPS = 5
"""So many raises within FOLD_S make it flapping: from then on it is reported once it has not changed for STEADY_S."""
STEADY_S = 20.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is there. ``stale``: it was there when the line was lost, and nothing has told since."""

    id: str
    incident: str
    since: str
    evidence: Mapping[str, str]
    times: int = 1
    stale: bool = False


@dataclass(frozen=True, slots=True)
class FaultRaised:
    """``fault`` has come, or has come back."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class FaultCleared:
    """``fault`` has gone; ``evidence`` is what shows it."""

    fault: Fault
    evidence: Mapping[str, str]


@dataclass(slots=True)
class _Incident:
    id: str
    raised_at: deque[float] = field(default_factory=lambda: deque(maxlen=FLAPS))
    times: int = 0
    gone_at: float = 0.0
    """when it was there last; while it is there, of the time before"""
    told: bool = False
    """what was reported last: there, or gone"""
    settles_at: float | None = None
    """while it flaps: when what is true then is reported"""


class FaultBook:
    """The active faults of one device, always what is true now; only the reports of a flapping one are folded.

    ``new_incident`` gives incident ids, so that tests can name them.
    """

    def __init__(self, new_incident: Callable[[], str]) -> None:
        self._new_incident = new_incident
        self._active: dict[str, Fault] = {}
        self._incidents: dict[str, _Incident] = {}

    def active(self) -> list[Fault]:
        """In the order in which they came."""
        return list(self._active.values())

    def update(
        self, present: Mapping[str, Mapping[str, str]], asked: set[str], moment: Moment
    ) -> list[FaultRaised | FaultCleared]:
        """Compare what is there now with what was; faults outside ``asked`` become stale and nothing else."""
        changes: list[FaultRaised | FaultCleared] = []
        for fault_id, evidence in present.items():
            changes += self._there(fault_id, evidence, moment)
        for fault in self.active():
            if fault.id in present:
                continue
            if fault.id not in asked:
                self._active[fault.id] = replace(fault, stale=True)
            else:
                changes += self._gone(fault, moment)
        return changes + self._settled(moment)

    def lately(self, fault_id: str, now: float) -> bool:
        """Whether the fault is there, or was within the last FOLD_S seconds."""
        incident = self._incidents.get(fault_id)
        return fault_id in self._active or (incident is not None and now - incident.gone_at <= FOLD_S)

    def next_timer(self) -> float | None:
        """When a flapping fault may be reported as what it is then."""
        return min((i.settles_at for i in self._incidents.values() if i.settles_at is not None), default=None)

    def _there(self, fault_id: str, evidence: Mapping[str, str], moment: Moment) -> list[FaultRaised | FaultCleared]:
        before = self._active.get(fault_id)
        if before is not None:
            self._active[fault_id] = replace(before, evidence=evidence, stale=False)
            return []
        incident = self._incidents.get(fault_id)
        if incident is None or moment.mono - incident.raised_at[-1] > FOLD_S:
            incident = self._incidents[fault_id] = _Incident(self._new_incident())
        incident.times += 1
        incident.raised_at.append(moment.mono)
        fault = self._active[fault_id] = Fault(fault_id, incident.id, moment.wall, evidence, incident.times)
        if self._flaps(incident, moment):
            return []
        incident.told = True
        return [FaultRaised(fault)]

    def _gone(self, fault: Fault, moment: Moment) -> list[FaultRaised | FaultCleared]:
        del self._active[fault.id]
        incident = self._incidents[fault.id]
        incident.gone_at = moment.mono
        if self._flaps(incident, moment):
            return []
        incident.told = False
        return [FaultCleared(fault, {"times": str(incident.times)})]

    def _flaps(self, incident: _Incident, moment: Moment) -> bool:
        often = len(incident.raised_at) == FLAPS and moment.mono - incident.raised_at[0] <= FOLD_S
        if often or incident.settles_at is not None:
            incident.settles_at = moment.mono + STEADY_S
        return incident.settles_at is not None

    def _settled(self, moment: Moment) -> list[FaultRaised | FaultCleared]:
        changes: list[FaultRaised | FaultCleared] = []
        for fault_id, incident in self._incidents.items():
            if incident.settles_at is None or incident.settles_at > moment.mono:
                continue
            incident.settles_at = None
            fault = self._active.get(fault_id)
            if fault is not None and not incident.told:
                changes.append(FaultRaised(fault))
            elif fault is None and incident.told:
                gone = Fault(fault_id, incident.id, moment.wall, {}, incident.times)
                changes.append(FaultCleared(gone, {"times": str(incident.times)}))
            incident.told = fault is not None
        return changes
