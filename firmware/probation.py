"""Does the new version stay? The rule, without clocks or processes.

Only what the release can have caused counts against it: its own check, and a device that answered before and is silent
now. Paper, a cable, noise or a reading that is unknown extend the probation within a bound and never undo a release.
For a release of this program itself more counts at that bound: a device that is not read any more, which is this program's work,
and a lifeline (the way to the centre) that has not come back: what nobody can reach any more nobody can mend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from firmware.confirm import Outcome
from firmware.flow import Event

HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
ABSENT: Final = "absent"
"""No version ran before, so there was nothing to ask."""
NOISY: Final = frozenset({"link.noise", "reader.bad_checksum", "reader.nak_storm", "reader.echo_mismatch"})
"""A line that was so before falls silent by itself."""
LIFELINE: Final = "/"
"""What the subjects of lifelines begin with; a device's begins with its till's id."""


@dataclass(frozen=True, slots=True)
class ProbationLimits:
    """All in seconds but ``health_tries``: a till application may need a moment to come up.

    A check that hangs gets no second try: it had its time (confirm.TIMEOUT_S), and the till runs what hangs meanwhile.

    ``min_s`` exceeds the 6 s in which the agent finds a silent device (issue 2, "Done when").
    """

    min_s: float = 10.0
    max_s: float = 600.0
    poll_s: float = 1.0
    silent_s: float = 3.0
    health_tries: int = 3
    health_retry_s: float = 1.0
    own_min_s: float = 120.0
    """``min_s`` for a release of this program: what the launcher asks of a start that was good (agent.starts.GOOD_S)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """DONE, WORSE or LATER (then ask again after ``delay_s``), and why."""

    event: Event
    delay_s: float = 0.0
    code: str = ""
    reason: str = ""


def worse(before: str, after: Outcome) -> bool:
    """Whether a component's own check says less than before: unhealthy now, unless it was unhealthy already."""
    return not after.healthy and before != UNHEALTHY


def hung(after: Outcome) -> bool:
    """Whether the check did not end in its time."""
    return after.code == "timeout"


class Probation:
    """One probation, from ``started`` (monotonic seconds). Feed it what is seen; it says what follows.

    ``own``: it is a release of this program itself.
    """

    def __init__(
        self,
        limits: ProbationLimits,
        before: Mapping[str, str],
        devices: Mapping[str, str],
        started: float,
        *,
        own: bool = False,
    ) -> None:
        self._own = own
        self._limits, self._before, self._devices, self._started = limits, before, devices, started
        self._passes = 0
        self._fails = 0
        self._silent_since: dict[str, float] = {}
        self._lost = ""
        self._once_well: set[str] = set()
        self._min_s = max(limits.min_s, limits.own_min_s) if own else limits.min_s

    def wants_check(self, now: float) -> bool:
        """Whether the components' own checks are to be run now: once at the start, once more before the commit."""
        return self._passes == 0 or (self._passes == 1 and now - self._started >= self._min_s)

    def checked(self, outcomes: Mapping[str, Outcome]) -> Verdict | None:
        """Take the outcomes of the checks; None means that they speak for the release."""
        bad = {name: seen for name, seen in outcomes.items() if worse(self._before.get(name, ABSENT), seen)}
        if not bad:
            self._passes, self._fails = self._passes + 1, 0
            return None
        self._fails += 1
        name, seen = next((pair for pair in bad.items() if hung(pair[1])), next(iter(bad.items())))
        code, reason = f"health_check_{seen.code}", f"{name}: {seen.reason}"
        if hung(seen) or self._fails >= self._limits.health_tries:
            return Verdict(Event.WORSE, 0.0, code, reason)
        return Verdict(Event.LATER, self._limits.health_retry_s, code, reason)

    def judge(self, devices: Mapping[str, str], now: float) -> Verdict:
        """Compare the devices with what they were before the switch, and decide."""
        limits, age = self._limits, now - self._started
        silent, unsettled = self._compare(devices, now)
        if silent and now - self._silent_since[silent] >= limits.silent_s:
            return Verdict(Event.WORSE, 0.0, "device_silent", f"{silent} answered before and is silent now")
        if silent or age < self._min_s:
            return Verdict(Event.LATER, limits.poll_s)
        if unsettled and age < limits.max_s:
            return Verdict(Event.LATER, limits.poll_s, "probation_extended", f"waits for {unsettled}")
        if self._lost:
            code = "center_lost" if self._lost.startswith(LIFELINE) else "device_lost"
            why = f"{self._lost.removeprefix(LIFELINE)} was well before and has not been once in {age:.0f} s"
            return Verdict(Event.WORSE, 0.0, code, why)
        if self.wants_check(now):
            return Verdict(Event.LATER, 0.0)
        if unsettled:
            return Verdict(Event.DONE, 0.0, "unsettled", f"kept although {unsettled}: no fault of the release")
        return Verdict(Event.DONE)

    def _compare(self, devices: Mapping[str, str], now: float) -> tuple[str, str]:
        """The first device that fell silent, and the first that cannot be judged (each empty when there is none)."""
        silent, unsettled, self._lost = "", "", ""
        for subject, was in sorted(self._devices.items()):
            seen = devices.get(subject, "unknown")
            answered = was != "unknown" and was not in NOISY and not was.endswith(".silent")
            fell_silent = answered and seen.endswith(".silent")
            if not fell_silent:
                self._silent_since.pop(subject, None)
            if seen == "ok":
                self._once_well.add(subject)
            if fell_silent:
                self._silent_since.setdefault(subject, now)
                silent = silent or subject
            elif was == "ok" and seen != "ok":
                if self._own and subject not in self._once_well and (subject.startswith(LIFELINE) or seen == "unknown"):
                    self._lost = self._lost or subject
                unsettled = unsettled or f"{subject} ({seen})"
        return silent, unsettled
