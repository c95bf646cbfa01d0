"""The host itself: network, centre, clock, disk. The same fault book as a device's, fed by checks instead of a line."""

from collections.abc import Callable, Mapping

from agent.health.device import DeviceState
from agent.health.faults import Fault, FaultBook, FaultCleared, FaultRaised
from agent.health.readings import Moment

Evidence = Mapping[str, str]


class HostHealth:
    """Faults of the host. A check that has not run yet is unknown, not passed."""

    def __init__(self, new_incident: Callable[[], str]) -> None:
        self._book = FaultBook(new_incident)
        self._results: dict[str, Evidence | None] = {}

    def update(self, results: Mapping[str, Evidence | None], moment: Moment) -> list[FaultRaised | FaultCleared]:
        """Fault id to evidence (it is there) or None (it is not)."""
        self._results.update(results)
        present = {fault_id: evidence for fault_id, evidence in results.items() if evidence is not None}
        still = {f.id: f.evidence for f in self._book.active() if f.id not in results}
        return self._book.update({**still, **present}, set(self._results), moment)

    def faults(self) -> list[Fault]:
        """Active faults, oldest first."""
        return self._book.active()

    def answer(self, fault_id: str) -> tuple[DeviceState, Evidence]:
        """What is known about one of them."""
        if fault_id not in self._results:
            return DeviceState.UNKNOWN, {}
        evidence = self._results[fault_id]
        return (DeviceState.OK, {}) if evidence is None else (DeviceState.FAILED, evidence)
