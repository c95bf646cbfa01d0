"""May the till be touched now? Idle needs positive proof; what cannot be seen is unknown, and unknown is not idle.

A forced action or a deadline overrides unknown, never known busy, and the merchant is warned before (agent.notice).
Of several tills on one host those must be idle that the component serves, all of them unless it names some (agent.served).
"""

import math
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from agent.clock import from_rfc3339
from agent.notice import Notices
from agent.observations import LineUse, LinkState
from agent.owner import Owner
from agent.till import Till, WatchedDevice
from agent.window import Window
from firmware.engine import GateAnswer
from firmware.state import Deployment

OWNER_LIMIT_S = 5.0
NO_PROOF = "proof of idle"
CHECK_LIMIT_S = 10.0
NOT_OURS = "another program's line"
NOT_SEEN = "device not seen"
HEARD = (LinkState.UP, LinkState.BAUD_MISMATCH)
JUST_USED = "in use a moment ago"
PRINTS = "the till prints"
OPEN_COMMAND = "the till has stopped inside a command"
NO_KEEPER = "the line keeper tells nothing"
NOT_FOLLOWED = "what the till prints cannot be followed"


class Use(StrEnum):
    """What is known about one till's use right now."""

    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece: ``why`` is a word or two for ``waiting_for``."""

    use: Use
    why: str


def till_evidence(till: Till, now: float, idle_s: float) -> list[Evidence]:
    """What the devices of one till say; the owner's thread calls this. A line that is not ours can hide a sale."""
    found = []
    for subject, device in till.subjects():
        if device.config.mode == "line":
            found.append(_shared(subject, device.use, now, idle_s))
            continue
        if device.config.mode != "owned":
            found.append(Evidence(Use.UNKNOWN, f"{subject}: {NOT_OURS}"))
            continue
        if device.health.kind == "reader":
            found.append(_reader(subject, device))
        quiet_s = now - device.last_active
        if quiet_s < idle_s:
            found.append(Evidence(Use.BUSY, f"{subject}: {JUST_USED}"))
        elif device.health.kind == "printer" and device.health.link in HEARD:
            found.append(Evidence(Use.IDLE, f"{subject}: quiet"))
        elif device.health.kind == "printer":
            found.append(Evidence(Use.UNKNOWN, f"{subject}: {NOT_SEEN}"))
    return found


def _shared(subject: str, use: LineUse | None, now: float, idle_s: float) -> Evidence:
    """Idle needs no byte and no open command for ``idle_s``; printing is known busy, whatever insists.

    A byte that has just passed stays known, whether it could be followed or not, and though its keeper has gone since.
    """
    if use is not None and now - use.last < idle_s:
        return Evidence(Use.BUSY, f"{subject}: {PRINTS}")
    if use is None or use.state == "unknown":
        return Evidence(Use.UNKNOWN, f"{subject}: {NO_KEEPER}")
    if use.state == "wire":
        return Evidence(Use.UNKNOWN, f"{subject}: {NOT_FOLLOWED}")
    if use.state == "open":
        return Evidence(Use.BUSY, f"{subject}: {OPEN_COMMAND}")
    if use.state == "printing":
        return Evidence(Use.BUSY, f"{subject}: {PRINTS}")
    return Evidence(Use.IDLE, f"{subject}: quiet")


def _reader(subject: str, device: WatchedDevice) -> Evidence:
    card = device.health.readings.value("card")
    if card in ("present", "powered", "mute"):
        return Evidence(Use.BUSY, f"{subject}: card in the reader")
    if card == "absent":
        return Evidence(Use.IDLE, f"{subject}: no card")
    return Evidence(Use.UNKNOWN, f"{subject}: {NOT_SEEN}")


def weigh(evidence: Sequence[Evidence], *, insist: bool) -> GateAnswer:
    """Busy beats unknown, unknown beats idle; no evidence at all is unknown. ``insist`` overrides unknown alone."""
    for use in (Use.BUSY, Use.UNKNOWN):
        reasons = [e.why for e in evidence if e.use is use]
        if reasons and not (use is Use.UNKNOWN and insist):
            return GateAnswer(open=False, waiting_for=reasons[0])
    if not any(e.use is Use.IDLE for e in evidence) and not insist:
        return GateAnswer(open=False, waiting_for=NO_PROOF)
    return GateAnswer(open=True)


def with_site(evidence: Sequence[Evidence], site: Evidence) -> list[Evidence]:
    """Where the site's own check knows, it speaks for the lines that are not ours."""
    known = site.use is not Use.UNKNOWN
    return [*(e for e in evidence if not (known and e.why.endswith(NOT_OURS))), site]


class Gate:
    """Asks the owner's models, and the site's own check where one is configured. Called on the update's thread."""

    def __init__(
        self,
        owner: Owner,
        *,
        idle_s: float,
        idle_check: Sequence[str],
        now: Callable[[], float],
        wall: Callable[[], datetime],
        hold: Callable[[float | None], str],
        notices: Notices,
        window: Window | None = None,
        host: str = "",
        touches: Callable[[Deployment], Collection[str] | None] = lambda _: None,
    ) -> None:
        """``hold`` tells until when updates are held, for a release that no hold older than that many seconds stops.
        ``touches`` tells which tills an update is about; None is all. ``window`` is local time, ``host`` this machine's id,
        which spreads the tills over the window's beginning."""
        self._window = window
        self._host = host
        self._owner = owner
        self._idle_s = idle_s
        self._idle_check = tuple(idle_check)
        self._now = now
        self._wall = wall
        self._hold = hold
        self._notices = notices
        self._touches = touches

    def __call__(self, deployment: Deployment) -> GateAnswer:
        """Open, or what it waits for. A person at the till waits for nothing but a hold."""
        held = self._hold(deployment.max_hold_s)
        if held:
            return GateAnswer(open=False, waiting_for=f"hold until {held}")
        if deployment.person:
            return GateAnswer(open=True)
        insist = deployment.forced or self._overdue(deployment, 0.0)
        soon = insist or self._overdue(deployment, self._notices.notice_s)
        shut = self._window is not None and not insist and not self._window.is_open(self._wall().astimezone(), self._host)
        windowed = GateAnswer(open=False, waiting_for=f"window {self._window}")
        if shut and not soon:
            return windowed
        answer = self._weigh(deployment, insist=insist, soon=soon)
        return windowed if shut and answer.open else answer

    def _weigh(self, deployment: Deployment, *, insist: bool, soon: bool) -> GateAnswer:
        touched = self._touches(deployment)
        try:
            evidence = self._owner.inbox.ask(lambda: self._look(touched)).result(OWNER_LIMIT_S)
        except TimeoutError:  # busy or not is what nobody can tell now: forced or not, that is no proof and no failure
            return GateAnswer(open=False, waiting_for=NO_PROOF)
        if self._idle_check:
            evidence = with_site(evidence, self._site())
        answer = weigh(evidence, insist=False)
        if answer.open or not soon:
            return answer
        pressed = weigh(evidence, insist=True)
        if not pressed.open:
            return pressed
        # Nothing but the unknown is in the way, and it is about to be overridden.
        left_s = self._notices.left_s(deployment)
        if not insist:
            return answer
        if left_s <= 0:
            return pressed
        return GateAnswer(open=False, waiting_for=f"the time after the warning, {math.ceil(left_s)} s left")

    def _look(self, touched: Collection[str] | None) -> list[Evidence]:
        now = self._now()
        tills = [till for till in self._owner.tills if touched is None or till.id in touched]
        return [e for till in tills for e in till_evidence(till, now, self._idle_s)]

    def _site(self) -> Evidence:
        environment: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(
                self._idle_check,
                check=False,
                timeout=CHECK_LIMIT_S,
                env=environment,
                cwd=Path("/"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return Evidence(Use.UNKNOWN, "site's idle check")
        use = {0: Use.IDLE, 1: Use.BUSY}.get(done.returncode, Use.UNKNOWN)
        return Evidence(use, "site's idle check")

    def _overdue(self, deployment: Deployment, ahead_s: float) -> bool:
        """Whether the deadline will have passed in so many seconds."""
        if not deployment.deadline:
            return False
        try:
            return self._wall() >= from_rfc3339(deployment.deadline) - timedelta(seconds=ahead_s)
        except ValueError:
            return False
