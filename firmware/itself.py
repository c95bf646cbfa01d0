"""What is different where this program is the component: it is proved, and left, by the process that the launcher starts.

Every function may run in any process at any moment after a kill, so each looks at three things first: what the pointer names,
what runs (``Own.running``), and what the launcher would not run (``Own.passed_over``). See docs/decisions/0017.
"""

from dataclasses import dataclass
from typing import Final

from firmware.errors import InstallFailed, ReleaseRefused
from firmware.flow import Event
from firmware.interfaces import Effects, Own
from firmware.state import Deployment, Progress, Wanted


@dataclass(frozen=True, slots=True)
class Result:
    """The event, and for LATER: when to look again (None: the engine's own pace) and what is waited for."""

    event: Event
    delay_s: float | None = None
    code: str = ""
    reason: str = ""
    waiting_for: str = ""


DONE: Final = Result(Event.DONE)
RESTART_S: Final = 5.0
"""How soon a restart that was asked for is asked for again: a daemon ends within 3 s."""
RESTARTING: Final = Result(Event.LATER, RESTART_S, waiting_for="restart")
FOR_THE_SERVICE: Final = Result(Event.LATER, RESTART_S, waiting_for="posagent run")


def own_of(effects: Effects, deployment: Deployment) -> Own | None:
    """This program, where the deployment is about it."""
    own = effects.own
    return own if own is not None and any(item.component == own.component for item in deployment.items) else None


def running(effects: Effects, component: str) -> str | None:
    """What the pointer names; of this program what the launcher runs, which may be the release before."""
    own, pointed = effects.own, effects.current(component)
    return own.running() or pointed if own is not None and own.component == component else pointed


def require_launcher(own: Own) -> None:
    """Raise InstallFailed (no_launcher) where nobody would start the new release."""
    if not own.running():
        raise InstallFailed("posagent was not started by its launcher: it cannot update itself", code="no_launcher")


def rehearse(own: Own, deployment: Deployment) -> None:
    """Let the release that lies there say whether it may run here. Raises ReleaseRefused (self_test_failed)."""
    item = _item(own, deployment)
    if own.running() == item.version:
        return
    seen = own.rehearse(item.version)
    if not seen.healthy:
        raise ReleaseRefused(f"{item.component} {item.version} cannot run here: {seen.reason}", code="self_test_failed")


def proved_elsewhere(own: Own, deployment: Deployment) -> Result | None:
    """What follows in a process that is not the release on probation; None in the one that is."""
    item = _item(own, deployment)
    if not own.serves():
        return FOR_THE_SERVICE
    if own.running() == item.version:
        return None
    if own.passed_over() == item.version:
        why = f"{item.component} {item.version} did not stay alive: the launcher runs {own.running()} again"
        return Result(Event.WORSE, 0.0, "not_alive", why)
    own.restart()
    return RESTARTING


def may_go_back(own: Own, item: Wanted, pointed: str | None) -> bool:
    """Whether the pointer of ``item`` is ours to move: who moved this program's elsewhere meanwhile (dpkg) has the last word."""
    return item.component != own.component or pointed == item.version


def back_at(own: Own, effects: Effects, progress: Progress) -> Result:
    """DONE where the release runs that the pointer names: the end is told by the one who is the end."""
    pointed, runs = effects.current(own.component), own.running()
    if pointed == runs:
        return DONE
    if pointed == own.passed_over():
        # The old one does not start either: stay with what runs, and say so.
        effects.switch(own.component, runs)
        progress.code = "rollback_failed"
        progress.reason = f"{progress.reason}; going back failed too: {own.component} {pointed} does not start any more"
        return Result(Event.EXHAUSTED)
    own.restart()
    return RESTARTING


def _item(own: Own, deployment: Deployment) -> Wanted:
    return next(item for item in deployment.items if item.component == own.component)
