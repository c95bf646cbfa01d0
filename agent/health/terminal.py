"""Can this till take money now? Yes, no or unknown, with the reasons and with what was checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.health.catalogue import severity_of
from agent.health.device import DeviceHealth, DeviceState


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that the site says the till needs: its state and the faults that speak against it."""

    name: str
    state: DeviceState
    faults: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """``answer`` is yes, no or unknown; a known blocking fault beats everything that is unknown."""

    answer: str
    reasons: tuple[str, ...]
    checked: tuple[str, ...]


def device_need(name: str, device: DeviceHealth | None) -> Need:
    """A need for a device of this till; one that is not configured is unknown, because nobody looks at it."""
    if device is None:
        return Need(name, DeviceState.UNKNOWN)
    relevant = [f.id for f in device.faults() if not f.stale and severity_of(f.id).matters]
    return Need(name, device.state(), relevant)


def verdict(needs: Sequence[Need]) -> Verdict:
    """Sum up. ``reasons`` are fault ids: the blocking ones, or else those that leave it unknown."""
    checked = tuple(n.name for n in needs if n.state is not DeviceState.UNKNOWN)
    failed = [n for n in needs if n.state is DeviceState.FAILED]
    unknown = [n for n in needs if n.state is DeviceState.UNKNOWN]
    if failed:
        return Verdict("no", _reasons(failed), checked)
    if unknown:
        return Verdict("unknown", _reasons(unknown), checked)
    return Verdict("yes", (), checked)


def _reasons(needs: Sequence[Need]) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    for need in needs:
        for fault in need.faults:
            seen[fault] = None
    return tuple(seen)


def silent_faults(devices: Mapping[str, DeviceHealth], now: float) -> dict[str, str]:
    """Subject to ``ok``, ``unknown`` or the first fault that matters: what an update compares before and after.

    The line comes first, and a good moment of a noisy one is no proof of a good one: it stays ``link.noise`` for a while.
    """
    answers: dict[str, str] = {}
    for subject, device in devices.items():
        faults = [f.id for f in device.faults() if not f.stale and severity_of(f.id).matters]
        line = [fault for fault in faults if fault.startswith("link.") or fault.endswith(".silent")]
        noise = ["link.noise"] if device.noisy_lately(now) else []
        calm = "unknown" if device.state() is DeviceState.UNKNOWN else "ok"
        answers[subject] = [*line, *noise, *faults, calm][0]
    return answers
