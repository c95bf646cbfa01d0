"""Runs the table of ``flow``: the state is stored before it is acted upon, and reported before it is left.

One thread calls ``step`` again and again; ``request``, ``cancel`` and ``status`` may come from others at any time. All
that touches the world is behind ``Effects``; time, jitter and the durable record are handed in. Whatever goes wrong in
an effect becomes an event of the table, so nothing but a mistake in this file can leave ``step``.
"""

import contextlib
import random
import threading
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any, Final

from firmware.ahead import discard, make_room
from firmware.errors import FirmwareError, ReleaseRefused, StateError, TransportError
from firmware.flow import CANCELABLE, FINAL, MEANING, RESUME, TABLE, Event, State, follow
from firmware.interfaces import Cancel, Effects, GateAnswer, Limits, UpdateRecord
from firmware.itself import Result
from firmware.state import ITEMS_MAX, STORES_MAX, TEXT_MAX, Component, Deployment, Past, Progress, StateFile, Wanted
from firmware.telling import component_standing, record_of, standing
from firmware.work import STATE_LOST, Work, require_clean

__all__ = ["Cancel", "Deployment", "Effects", "Engine", "GateAnswer", "Limits", "UpdateRecord", "Wanted"]

STORES_BACK: Final = 8
"""Stores that going back may take on top of STORES_MAX: the guard itself must not stop the way back."""

NETWORK: Final = "network"
"""What ``waiting_for`` says between two tries."""
_NETWORK: Final = frozenset({State.VERIFYING, State.FETCHING})
_REASON_STANDS: Final = frozenset({State.COMMITTING, State.ROLLING_BACK})
"""What the probation found is what is reported, whatever the last steps meet on their way."""


def _never_recorded(_key: str) -> bool:
    return False


def _nothing_known() -> tuple[bool, Deployment | None]:
    return False, None


class Engine:
    """The owner of one StateFile and of the one deployment in it."""

    def __init__(
        self,
        state: StateFile,
        effects: Effects,
        record: Callable[[UpdateRecord], None],
        now: Callable[[], float],
        *,
        recorded: Callable[[str], bool] = _never_recorded,
        limits: Limits | None = None,
        jitter: Callable[[], float] = random.random,
        clean: Callable[[str], str] = str,
        remembered: Callable[[], tuple[bool, Deployment | None]] = _nothing_known,
    ) -> None:
        """``record`` returns once durable (and raises otherwise). ``recorded`` tells after a restart whether a key is
        already in the journal; with it every step is recorded exactly once. ``jitter`` gives 0 to 1.
        ``clean`` takes out of a text what must never be stored or shown, whoever wrote it. ``remembered`` is asked where no
        state is stored: whether the journal knows of deployments, and of one that has no end."""
        self._state, self._effects, self._record, self._recorded = state, effects, record, recorded
        self._now, self._limits, self._jitter = now, limits or Limits(), jitter
        self._work = Work(state, effects, now, self._limits.probation, self._moved, clean)
        self._clean, self._remembered = clean, remembered
        self._lock = threading.RLock()
        self._wake_at = self._entered = now()
        self._stored, self._resumed, self._cancel = True, False, False
        self._announced: set[State] = set()
        self._tries = 0
        self._arrived: dict[str, int] = {}
        self._waiting_for = ""

    # -- from any thread ---------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Load the state and decide where to go on; once, before anything else. Raises StateError, InstallFailed."""
        with self._lock:
            self._state.load()
            if self._state.fresh:
                self._missed()
            self._work.see_components()
            self._state.history = [replace(past, reason=self._clean(past.reason)) for past in self._state.history]
            if self._state.progress is not None:
                self._because(self._state.progress, self._state.progress.code, self._state.progress.reason)
                self._state.progress.state = RESUME[self._state.progress.state]
                self._resumed, self._stored = True, False
                self._show(self._state.progress)

    def _missed(self) -> None:
        """No state at all: on a new till, or where somebody took it away. What was under way then ends, told as it is."""
        known, lost = self._remembered()
        if lost is not None:
            reason = "the state of the update was taken away while it was under way: whether the new version is good is not known"
            self._state.progress = Progress(lost, State.FAILED, code=STATE_LOST, reason=reason)
        elif known:
            with contextlib.suppress(FirmwareError):
                self._state.store()

    def request(self, deployment: Deployment) -> bool:
        """Take a deployment; durable when True. False: another one is under way, or this one has already ended.

        Asking again brings ``forced`` and ``deadline`` up to date. Raises InstallFailed, ReleaseRefused (card_data).
        """
        with self._lock:
            progress = self._state.progress
            if progress is not None:
                return self._again(progress, deployment)
            if self._state.finished(deployment.id):
                return False
            require_clean(astuple(deployment), self._clean)
            # One component too many is kept: the refusal of the rest is a report like any other.
            self._state.progress = Progress(replace(deployment, items=deployment.items[: ITEMS_MAX + 1]))
            try:
                self._state.store()
            except FirmwareError:
                self._state.progress = None
                raise
            self._begin(self._state.progress)
            return True

    def make_room(self) -> None:
        """Where the disk is short and nothing is under way, what was brought ahead of time goes. Never raises."""
        with self._lock, contextlib.suppress(FirmwareError):
            if self._state.progress is None and self._effects.short() and make_room(self._state, self._effects, ()):
                self._state.store()

    def cancel(self, action_id: str) -> Cancel:
        """Take the deployment of that action back. ACCEPTED ends in canceled for certain; TOO_LATE is recorded."""
        with self._lock:
            progress = self._state.progress
            if progress is None or progress.deployment.action_id != action_id:
                known = any(past.action_id == action_id for past in self._state.history)
                return Cancel.FINISHED if known else Cancel.UNKNOWN
            if progress.state in FINAL:
                return Cancel.FINISHED
            accepted = progress.state in CANCELABLE
            self._cancel = self._cancel or accepted
        if not accepted:
            self._refuse_cancel(progress)
            return Cancel.TOO_LATE
        self._effects.stop()
        return Cancel.ACCEPTED

    def status(self) -> dict[str, Any]:
        """``{"components", "deployment"}`` of ``update status --json`` (architecture.md), and the table's own words."""
        with self._lock:
            progress = self._state.progress
            components = {name: component_standing(name, seen, progress) for name, seen in sorted(self._state.components.items())}
            return {"components": components, "deployment": progress and standing(progress, self._arrived, self._waiting_for)}

    def history(self) -> list[dict[str, str]]:
        """The deployments that ended, oldest first (at most HISTORY_MAX): ids, versions, final state and reason."""
        with self._lock:
            return [{name: getattr(past, name) for name in Past.__dataclass_fields__} for past in self._state.history]

    def outcome(self, deployment_id: str) -> Past | None:
        """How that deployment ended; None while it is under way, or where it was never taken (or long ago)."""
        with self._lock:
            return self._state.finished(deployment_id)

    def component(self, name: str) -> Component | None:
        """A copy of what is remembered of one component; None for a name that this machine does not have."""
        with self._lock:
            seen = self._state.components.get(name)
            return replace(seen) if seen is not None and name in self._effects.components() else None

    # -- the one thread ----------------------------------------------------------------------------------------------

    def step(self) -> float | None:
        """Do what can be done now. Returns the seconds until the next call makes sense, None when there is nothing."""
        with self._lock:
            progress, wait_s = self._state.progress, self._wake_at - self._now()
            if progress is None:
                return None
            if wait_s > 0 and not self._cancel:
                return wait_s
            if not self._store(progress):
                return self._later(self._limits.store_retry_s)
        if progress.state in FINAL:
            return self._finish(progress)
        # On the way back the report may wait, the way back may not.
        back = progress.state is State.ROLLING_BACK
        if not back and not self._announce(progress):
            return self._later(self._limits.store_retry_s)
        self._wake_at = self._now()
        event = self._run(progress)
        if back and event is not Event.LATER and not self._announce(progress):
            return self._later(self._limits.store_retry_s)
        return self._move(progress, event)

    def _run(self, progress: Progress) -> Event:
        """Do the state's work and turn whatever comes of it into an event."""
        bound = STORES_MAX + (STORES_BACK if progress.state is State.ROLLING_BACK else 0)
        if progress.stores > bound:
            self._because(progress, "loop", f"ended by force after {progress.stores} stores of its state")
            return Event.LOOP
        if self._cancel:
            return Event.CANCEL
        try:
            return self._take(progress, self._work.do(progress))
        except FirmwareError as error:
            return self._event_of(progress, error)
        except Exception as error:  # noqa: BLE001 (the boundary: a mistake of ours must not leave a till half updated)
            return self._event_of(progress, StateError(f"our own error: {error!r}", code="internal"))

    def _take(self, progress: Progress, result: Result) -> Event:
        self._waiting_for = self._clean(result.waiting_for)
        if progress.state not in _REASON_STANDS:
            self._because(progress, result.code, result.reason)
        if result.event is Event.LATER:
            self._later(self._limits.gate_poll_s if result.delay_s is None else result.delay_s)
        return result.event

    def _event_of(self, progress: Progress, error: FirmwareError) -> Event:
        if progress.state not in _REASON_STANDS:
            self._because(progress, error.code, str(error))
        # A stick that was pulled out does not come back by itself.
        if isinstance(error, TransportError) and progress.state in _NETWORK and not progress.deployment.bundle:
            return self._retry(error.retry_after_s)
        wished = Event.REFUSED if isinstance(error, ReleaseRefused) else Event.FAILED
        for event in (wished, Event.FAILED):
            if (progress.state, event) in TABLE:
                return event
        return self._retry_here(progress, error)

    def _retry(self, server_wish_s: float | None) -> Event:
        """The network: back off, doubling, with jitter so that a thousand tills do not come back as one."""
        limits = self._limits
        self._tries += 1
        if self._tries > limits.retry_count:
            return Event.EXHAUSTED
        delay_s = min(limits.retry_max_s, limits.retry_first_s * 2.0 ** min(self._tries - 1, 30))
        delay_s *= 0.75 + 0.5 * self._jitter()
        self._waiting_for = NETWORK
        self._later(max(delay_s, min(server_wish_s or 0.0, limits.retry_max_s)))
        return Event.LATER

    def _retry_here(self, progress: Progress, error: FirmwareError) -> Event:
        """This machine, in a state that cannot just fail: some tries, then the truth."""
        self._tries += 1
        if (progress.state, Event.EXHAUSTED) in TABLE and self._tries > self._limits.local_tries:
            if progress.state is State.ROLLING_BACK:
                self._because(progress, "rollback_failed", f"{progress.reason}; going back failed too: {error}")
            else:
                self._because(progress, error.code, str(error))
            return Event.EXHAUSTED
        self._later(self._limits.local_retry_s)
        return Event.LATER

    def _move(self, progress: Progress, event: Event) -> float:
        with self._lock:
            # An accepted cancel wins over whatever came of the state in the meantime.
            if self._cancel and progress.state in CANCELABLE:
                event = Event.CANCEL
                self._because(progress, "canceled", MEANING[State.CANCELED].text)
            target = follow(progress.state, event)
            if target is not progress.state:
                self._enter(progress, target)
            else:
                self._calm(progress)
            return max(0.0, self._wake_at - self._now())

    def _enter(self, progress: Progress, target: State) -> None:
        if target is State.WAITING and progress.state is State.CHECKING_BEFORE:
            progress.stores = max(0, progress.stores - 2)  # a till that is busy again is no loop
        else:
            self._wake_at, self._waiting_for = self._now(), ""
        progress.state, self._stored, self._tries, self._entered = target, False, 0, self._now()
        self._work.entered()
        if target is State.COMMITTED:
            self._work.adopt(progress)
        if target is State.DOWNLOADED:
            self._work.lay(progress)
        if target is State.ROLLED_BACK:
            discard(self._state, progress)
        if target in FINAL:
            self._cancel = False
        self._work.see_components()
        self._show(progress)

    def _calm(self, progress: Progress) -> None:
        """A state that was held for minutes without a restart is patience and no loop: count from anew."""
        if self._now() - self._entered >= self._limits.calm_s and progress.stores > 1:
            progress.stores, self._stored = 0, False
            self._store(progress)

    def _store(self, progress: Progress) -> bool:
        """Store what is not stored yet. When it fails only the way back goes on (the pointer tells the next start)."""
        if self._stored:
            return True
        try:
            self._state.store()
        except FirmwareError as error:
            self._because(progress, progress.code, progress.reason or str(error))
            return progress.state is State.ROLLING_BACK
        self._stored = True
        return True

    def _finish(self, progress: Progress) -> float | None:
        """A final state: report it (once), clear away, and only then forget the deployment."""
        if not self._announce(progress):
            return self._later(self._limits.store_retry_s)
        self._work.tidy(progress)
        with self._lock:
            try:
                self._state.finish()
            except FirmwareError:
                return self._later(self._limits.store_retry_s)
        return None

    # -- small things ------------------------------------------------------------------------------------------------

    def _begin(self, progress: Progress) -> None:
        self._wake_at = self._entered = self._now()
        self._stored, self._resumed, self._cancel, self._tries = True, False, False, 0
        self._announced.clear()
        self._arrived.clear()
        self._waiting_for = ""
        self._work.entered()
        self._effects.rearm()
        self._show(progress)

    def _again(self, progress: Progress, deployment: Deployment) -> bool:
        known = progress.deployment
        if known.id != deployment.id or progress.state in FINAL:
            return False
        fresh = replace(known, forced=deployment.forced, deadline=deployment.deadline, window=deployment.window)
        if fresh != known:
            progress.deployment, self._stored = fresh, False
        return True

    def _moved(self, component: str, arrived: int) -> None:
        """Bytes came: the link is bad perhaps, but this is not the same failure again."""
        if arrived > self._arrived.get(component, 0):
            self._tries, self._waiting_for = 0, ""
        self._arrived[component] = arrived
        with self._lock:
            if self._state.progress is not None:
                self._calm(self._state.progress)

    def _show(self, progress: Progress) -> None:
        for item in progress.deployment.items:
            if item.component in self._state.components:
                self._state.components[item.component].state = MEANING[progress.state].word

    def _because(self, progress: Progress, code: str, reason: str) -> None:
        progress.code, progress.reason = self._clean(code)[:TEXT_MAX], self._clean(reason)[:TEXT_MAX]

    def _later(self, seconds: float) -> float:
        self._wake_at = self._now() + seconds
        return seconds

    def _announce(self, progress: Progress) -> bool:
        """Record the state unless it is; False when the record could not be made durable (then nothing moves on)."""
        state = progress.state
        if not MEANING[state].reported or state in self._announced:
            return True
        step = record_of(progress)
        try:
            if not (self._resumed and self._recorded(step.key)):
                self._record(step)
        except Exception as error:  # noqa: BLE001 (the journal's failures are its own: here they only mean "not yet")
            self._because(progress, progress.code, progress.reason or f"cannot be recorded: {error}")
            return False
        self._announced.add(state)
        return True

    def _refuse_cancel(self, progress: Progress) -> None:
        self._record(
            replace(
                record_of(progress),
                key=f"{progress.deployment.id}/cancel",
                execution="closed",
                finished="failure",
                final=False,
                code="cancel_too_late",
                reason="already installing: it will end by itself",
                answers_cancel=True,
            )
        )
