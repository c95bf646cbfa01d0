"""What each state of ``flow`` does: the work alone. When it is done, stored, reported or tried again is the engine's.

Every method may run again after a kill at any point of it, so each looks at the world first and does what is missing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from firmware import ahead
from firmware.confirm import Outcome
from firmware.errors import FirmwareError, InstallFailed, ReleaseRefused, StateError
from firmware.flow import Event, State
from firmware.interfaces import CLOCK_WRONG, HARDWARE_UNKNOWN, Effects, Own
from firmware.itself import (
    DONE,
    FOR_THE_SERVICE,
    Result,
    back_at,
    may_go_back,
    own_of,
    proved_elsewhere,
    rehearse,
    require_launcher,
    running,
)
from firmware.probation import ABSENT, HEALTHY, UNHEALTHY, Probation, ProbationLimits, hung, worse
from firmware.state import ITEMS_MAX, REVOKED_MAX, Component, Deployment, Progress, StateFile, Wanted

log = logging.getLogger(__name__)

STATE_LOST = "state_lost"
"""Code of a deployment whose state somebody took away."""
CLOCK_S = 5.0
"""How soon a clock that was wrong is looked at again: somebody may be setting it just now."""
WHOLE_S = 3600.0
"""So long a release that lies here counts as whole: a till with short breaks has no time to read it in each of them."""
LEARN_FIRST_S = 60.0
LEARN_MAX_S = 3600.0
"""Pauses between two looks at the repository while the clock is wrong, doubling from the first to the longest."""
HARDWARE_S = 15.0
HARDWARE_WAIT_S = 600.0
HARDWARE_PERSON_S = 10.0
"""How soon a device that has not said who it is is asked for again, and how long; somebody with a stick is told sooner."""


def _clock_wrong(why: str) -> Result:
    return Result(Event.LATER, CLOCK_S, CLOCK_WRONG, why, "clock")


def _pressed(progress: Progress) -> Deployment:
    """The deployment with what the signed manifests say of its urgency: the earliest deadline, no leave to wait, and the
    shortest bound for a hold."""
    deployment, facts = progress.deployment, progress.facts.values()
    named = (deployment.deadline, *(found.get("deadline") for found in facts))
    deadlines = sorted((text for text in named if text), key=datetime.fromisoformat)
    forced = deployment.forced or any(found.get("may_wait") is False for found in facts)
    holds = [3600.0 * hours for found in facts if (hours := found.get("max_hold_h")) is not None]
    return replace(deployment, deadline=deadlines[0] if deadlines else None, forced=forced, max_hold_s=min(holds, default=None))


_HASHES = frozenset({"sha256", "prefix"})


def require_clean(told: object, clean: Callable[[str], str]) -> None:
    """Raise ReleaseRefused (card_data) where a text in ``told`` (plain JSON) is not as ``clean`` would leave it.

    What is verified is stored with the deployment and shown, and a stolen key signs any number into a name. Hashes are spared.
    """
    if isinstance(told, Mapping):
        for key, value in told.items():
            require_clean(key, clean)
            if key not in _HASHES:
                require_clean(value, clean)
    elif isinstance(told, list | tuple):
        for value in told:
            require_clean(value, clean)
    elif isinstance(told, str) and clean(told) != told:
        raise ReleaseRefused("the release holds what looks like a card number: it must not reach the disk", code="card_data")


class Work:
    """The work of one StateFile's deployment. ``arrived(component, bytes)`` is told how a download moves."""

    def __init__(
        self,
        state: StateFile,
        effects: Effects,
        now: Callable[[], float],
        limits: ProbationLimits,
        arrived: Callable[[str, int], None],
        clean: Callable[[str], str] = str,
    ) -> None:
        """``clean`` takes out of a text what must never be stored: a release that says such a thing is refused."""
        self._clean = clean
        self._state, self._effects, self._now, self._limits, self._arrived = state, effects, now, limits, arrived
        self._probation: Probation | None = None
        self._damaged: set[str] = set()
        self._unknown_since: float | None = None
        self._learn_at, self._learn_pause_s = 0.0, 0.0
        self._whole_at: float | None = None
        self._of: Mapping[State, Callable[[Progress], Result]] = {
            State.RECEIVED: self._receive,
            State.VERIFYING: self._verify,
            State.FETCHING: self._fetch,
            State.STAGING: self._stage,
            State.WAITING: self._wait,
            State.CHECKING_BEFORE: self._check_before,
            State.SWITCHING: self._switch,
            State.PROBATION: self._prove,
            State.COMMITTING: self._commit,
            State.ROLLING_BACK: self._go_back,
        }

    def do(self, progress: Progress) -> Result:
        """Do the work of the deployment's state. Raises ReleaseRefused, TransportError, InstallFailed, StateError."""
        return self._of[progress.state](progress)

    def entered(self) -> None:
        """A state was entered anew: a probation starts from its beginning."""
        self._probation, self._unknown_since = None, None
        self._learn_at, self._learn_pause_s = 0.0, 0.0

    def see_components(self) -> None:
        """What runs is what the pointer names, whatever is remembered; nothing known where it is damaged."""
        for name in self._effects.components():
            component = self._state.components.setdefault(name, Component())
            old = component.version
            try:
                component.version = running(self._effects, name)
                self._damaged.discard(name)
            except FirmwareError as error:
                component.version = None
                if name not in self._damaged:
                    log.warning("%s: which version runs is not known, and no update of it can: %s", name, error)
                self._damaged.add(name)
            if component.version is None and old is not None and self._state.progress is None:
                component.previous = old  # the pointer was lost and not the release: it stays, and can be gone back to

    def adopt(self, progress: Progress) -> None:
        """After the commit: the new versions are the components' own."""
        for item in progress.deployment.items:
            component = self._state.components.setdefault(item.component, Component())
            old, facts = progress.previous.get(item.component), progress.facts.get(item.component)
            component.version = item.version
            if not progress.deployment.back:
                component.ready = None
            if facts is not None:
                kept = component.previous if component.previous != item.version else None
                component.previous = old if old not in (None, item.version) else kept
                component.release_counter = int(facts.get("release_counter", 0))
                component.health_check = tuple(facts.get("health_check") or ())

    def lay(self, progress: Progress) -> None:
        """After a download-only deployment: the new versions lie here."""
        ahead.lay(self._state, progress)

    def tidy(self, progress: Progress) -> None:
        """Clear away what neither runs nor is the way back. Never raises. Nothing where it is not known what that is."""
        if progress.code == STATE_LOST:
            return
        items, keep = progress.deployment.items, {}
        for item in items:
            seen = self._state.components.get(item.component, Component())
            keep[item.component] = ahead.kept(seen)
        try:
            self._effects.tidy(items, keep)
        except Exception:  # a deployment that cannot end would keep every later one out, at every start anew
            log.exception("nothing was cleared away after %s %s", progress.deployment.component, progress.deployment.version)

    def _todo(self, progress: Progress) -> list[Wanted]:
        items = progress.deployment.items
        return [item for item in items if self._effects.current(item.component) != item.version]

    def _receive(self, progress: Progress) -> Result:
        self._whole_at = None
        items = progress.deployment.items
        if not 1 <= len(items) <= ITEMS_MAX or len({item.component for item in items}) != len(items):
            raise ReleaseRefused(f"1 to {ITEMS_MAX} different components make a deployment", code="bad_deployment")
        if (own := self._own(progress)) is not None:
            require_launcher(own)
        if any(running(self._effects, item.component) != item.version for item in items):
            return DONE
        for item in items:
            self._require_whole(item)
        return Result(Event.CURRENT)

    def _require_whole(self, item: Wanted) -> None:
        """What runs already is a success only while it is what was signed. Raises ReleaseRefused (drift, not_kept)."""
        try:
            self._effects.recall(item)
        except InstallFailed as error:
            if error.code != "no_inventory":  # installed before lists were kept: nothing speaks against it
                raise

    def _verify(self, progress: Progress) -> Result:
        if progress.deployment.back:
            return self._recall(progress)
        patient = not progress.deployment.bundle  # somebody who holds a stick is told at once
        if self._effects.clock() and (why := self._clock_after_learning(progress)):
            if not patient:
                raise InstallFailed(why, code=CLOCK_WRONG)
            return _clock_wrong(why)
        try:
            return self._verify_all(progress)
        except ReleaseRefused as error:
            if error.code != HARDWARE_UNKNOWN:
                raise
            return self._ask_again(error, HARDWARE_WAIT_S if patient else HARDWARE_PERSON_S)
        except InstallFailed as error:
            if error.code != CLOCK_WRONG or not patient:
                raise
            return _clock_wrong(str(error))  # it was found out by what the centre has signed just now

    def _clock_after_learning(self, progress: Progress) -> str:
        """Why the clock is wrong, after a look (at times) whether a new root has taken back what speaks against it."""
        if self._now() >= self._learn_at:
            try:
                self._effects.learn(progress.deployment.items[0], progress.deployment.bundle)
            except FirmwareError as error:
                # What a till with a wrong clock finds expired or unreachable says nothing of the deployment.
                log.info("the repository was looked at for the clock's sake: %s", error)
            self._learn_pause_s = min(max(2 * self._learn_pause_s, LEARN_FIRST_S), LEARN_MAX_S)
            self._learn_at = self._now() + self._learn_pause_s
        return self._effects.clock()

    def _ask_again(self, error: ReleaseRefused, bound_s: float) -> Result:
        """A device that is just being switched on says who it is in a moment; unknown is not "fits", for good."""
        if self._unknown_since is None:
            self._unknown_since = self._now()
        left_s = self._unknown_since + bound_s - self._now()
        if left_s <= 0:
            raise error
        return Result(Event.LATER, min(HARDWARE_S, left_s, bound_s / 4), error.code, str(error), "who the devices are")

    def _verify_all(self, progress: Progress) -> Result:
        if len(progress.deployment.items) > 1:
            ordered = tuple(self._effects.arrange(progress.deployment.items))
            progress.deployment = replace(progress.deployment, items=ordered)
        facts = dict(progress.facts)
        for item in self._todo(progress):
            installed = self._state.components.setdefault(item.component, Component())
            found = dict(self._effects.verify(item, installed, progress.deployment.bundle))
            # Signed words, and they hold whatever becomes of this deployment.
            require_clean(found, self._clean)
            taken_back = dict.fromkeys((*installed.revoked, *found.pop("revoked", ())))
            installed.revoked = tuple(taken_back)[-REVOKED_MAX:]
            if installed.ready in installed.revoked:
                ahead.forget(installed)
            found["brought"] = ahead.lies_here(self._effects, installed, item, found)
            facts[item.component] = found
        progress.facts = facts  # replaced whole: another thread may be reading it
        if self._missing(progress):
            return DONE
        return Result(Event.BROUGHT if progress.deployment.download_only else Event.KEPT)

    def _recall(self, progress: Progress) -> Result:
        """A person wants the predecessor: only the one that was kept, that is whole, and that nobody has taken back."""
        facts = {}
        for item in progress.deployment.items:
            seen = self._state.components.get(item.component, Component())
            label = f"{item.component} {item.version}"
            if item.version != seen.previous:
                raise ReleaseRefused(f"{label} is not the version that ran here before", code="no_predecessor")
            if item.version in seen.revoked:
                raise ReleaseRefused(f"{label} has been taken back by its maker", code="revoked")
            facts[item.component] = dict(self._effects.recall(item))
        progress.facts = facts
        return Result(Event.KEPT)

    def _missing(self, progress: Progress) -> list[Wanted]:
        """What does not lie here unpacked."""
        return [item for item in self._todo(progress) if not progress.facts[item.component].get("brought")]

    def _with_room(self, progress: Progress, work: Callable[[], None]) -> None:
        """What was brought ahead of time gives way to what is to be installed."""
        try:
            work()
        except InstallFailed as error:
            if error.code != "disk_full" or not ahead.make_room(self._state, self._effects, progress.deployment.items):
                raise
            work()

    def _fetch(self, progress: Progress) -> Result:
        for item in self._missing(progress):

            def told(done: int, _of: int, name: str = item.component) -> None:
                self._arrived(name, done)

            self._with_room(progress, partial(self._effects.fetch, item, progress.facts[item.component], told))
        return DONE

    def _stage(self, progress: Progress) -> Result:
        missing = self._missing(progress)
        for item in missing:
            self._with_room(progress, partial(self._effects.stage, item, progress.facts[item.component]))
        if (own := self._own(progress)) is not None:
            rehearse(own, progress.deployment)  # now already: nobody should wait for the night to hear of it
        self._whole_at = self._now() if missing == self._todo(progress) else None
        if not progress.deployment.download_only:
            return DONE
        for item in self._todo(progress):
            self._require_whole(item)
        return Result(Event.BROUGHT)

    def _wait(self, progress: Progress) -> Result:
        # What lies here needs no time to be trusted; what was brought by a deployment does, up to the last moment.
        if not progress.deployment.back and (why := self._effects.clock()):
            return _clock_wrong(why)
        if (own := self._own(progress)) is not None and not own.serves():
            return FOR_THE_SERVICE
        answer = self._effects.gate(_pressed(progress))
        return DONE if answer.open else Result(Event.LATER, waiting_for=answer.waiting_for or "idle")

    def _check_before(self, progress: Progress) -> Result:
        if self._whole_at is None or self._now() - self._whole_at > WHOLE_S:
            for item in self._todo(progress):
                self._require_whole(item)  # it may have waited for days since it was unpacked
            self._whole_at = self._now()
        if (own := self._own(progress)) is not None:
            rehearse(own, progress.deployment)
        previous, before = {}, {}
        for item in progress.deployment.items:
            version = running(self._effects, item.component)
            previous[item.component] = version
            before[item.component] = ABSENT if version is None else self._health_word(item.component)
        progress.previous, progress.before = previous, before
        progress.devices_before = self._devices(progress)
        # Checks take up to half a minute each, and a sale may have begun meanwhile.
        return self._wait(progress)

    def _switch(self, progress: Progress) -> Result:
        for item in self._todo(progress):
            self._effects.switch(item.component, item.version)
        return DONE

    def _prove(self, progress: Progress) -> Result:
        moved = self._todo(progress)
        if moved:
            name = moved[0].component
            raise StateError(f"{name} was switched by somebody else during its probation", code="pointer_moved")
        own = self._own(progress)
        if own is not None and (elsewhere := proved_elsewhere(own, progress.deployment)) is not None:
            return elsewhere
        if self._probation is None:
            before, devices = progress.before or {}, progress.devices_before
            self._probation = Probation(self._limits, before, devices, self._now(), own=own is not None)
        probation, items = self._probation, progress.deployment.items
        verdict = None
        if probation.wants_check(self._now()):
            verdict = probation.checked(self._check_all(progress, items))
        verdict = verdict or probation.judge(self._devices(progress), self._now())
        return Result(verdict.event, verdict.delay_s, verdict.code, verdict.reason)

    def _commit(self, progress: Progress) -> Result:
        if self._todo(progress):
            # The way back was gone, but on a full disk nothing could be stored of it: what does not run is not committed.
            progress.code, progress.reason = "commit_failed", "it could not be committed, the previous version runs again"
            return Result(Event.EXHAUSTED)
        for item in progress.deployment.items:
            if item.component in progress.facts:
                self._effects.commit(item, progress.facts[item.component])
        return DONE

    def _go_back(self, progress: Progress) -> Result:
        own = self._own(progress)
        if own is not None and not own.serves():
            return FOR_THE_SERVICE
        for item in reversed(progress.deployment.items):
            old, seen = progress.previous.get(item.component, item.version), self._effects.current(item.component)
            if seen != old and (own is None or may_go_back(own, item, seen)):
                self._effects.switch(item.component, old)
        return DONE if own is None else back_at(own, self._effects, progress)

    def _own(self, progress: Progress) -> Own | None:
        return own_of(self._effects, progress.deployment)

    def _devices(self, progress: Progress) -> dict[str, str]:
        own = self._own(progress)
        return {**self._effects.device_health(), **(own.lifelines() if own is not None else {})}

    def _health_word(self, component: str) -> str:
        argv = self._state.components.get(component, Component()).health_check
        return HEALTHY if self._effects.health(component, argv).healthy else UNHEALTHY

    def _check_all(self, progress: Progress, items: Sequence[Wanted]) -> dict[str, Outcome]:
        """The check of each component, up to the first that makes it worse by hanging: the others change nothing then."""
        outcomes: dict[str, Outcome] = {}
        for item in items:
            seen = outcomes[item.component] = self._check_after(progress, item)
            if hung(seen) and worse((progress.before or {}).get(item.component, ABSENT), seen):
                break
        return outcomes

    def _check_after(self, progress: Progress, item: Wanted) -> Outcome:
        argv = progress.facts.get(item.component, {}).get("health_check") or ()
        return self._effects.health(item.component, tuple(argv))
