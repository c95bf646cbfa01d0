"""Joins the deployment's engine to this till: settings, gate, health, journal; and to what the centre asks."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.centerwish import CenterWindow, of_action
from agent.clock import Clock
from agent.config.model import Config, Update
from agent.drift import EVERY_S, Drift
from agent.errors import AgentError, ConfigError, NotAvailable, UsageError
from agent.gate import Gate
from agent.health.terminal import silent_faults
from agent.hold import UNKNOWN, Hold, shown
from agent.hostwatch import clock_wrong
from agent.identity import effects_of
from agent.journal import Journal
from agent.knowntime import KnownTime, record_of
from agent.notice import KIND as NOTICE
from agent.notice import Notices
from agent.owner import Owner, device_states
from agent.paths import Paths
from agent.redact import holds_card_data, redact
from agent.served import ALL_AT_ONCE, takes_all, tills_of
from agent.stick import Sticks, receipt, require_readable
from agent.updates import Recorder, Updates, refused_body
from agent.updatesettings import settings_of
from agent.window import Window
from firmware.behind import behind
from firmware.effects import OWN_HANDLER
from firmware.engine import Engine
from firmware.errors import InstallFailed
from firmware.interfaces import Cancel, Limits, UpdateRecord
from firmware.probation import ProbationLimits
from firmware.state import Deployment, StateFile, Wanted
from protocols.center import ddi

if TYPE_CHECKING:
    from agent.selfupdate import SelfUpdate

log = logging.getLogger(__name__)

OWNER_LIMIT_S = 5.0
FAULT = "host.update_state"
HOLD_FAULT = "host.update_hold"
REVOKED = "host.release_revoked"
NOTHING: Mapping[str, Any] = {"components": {}, "deployment": None}


def _nobody() -> None:
    """Nobody wants to know."""


class Updating:
    """The update side of the daemon; where the configuration has no ``[update]``, an empty one."""

    def __init__(self, config: Config, paths: Paths, clock: Clock, owner: Owner, journal: Journal) -> None:
        self._config = config
        self._owner = owner
        self._clock = clock
        self._refused: set[str] = set()
        self.center_window = CenterWindow(clock.mono)
        self.on_ended: Callable[[], None] = _nobody
        """told when a deployment has ended: the centre may have the next one ready"""
        self._journal = journal
        self._paths = paths
        self._sticks = Sticks()
        self._tills = tuple(till.id for till in config.terminals)
        self._time = KnownTime(paths, clock)
        self._hold = Hold(paths.state / "hold.json", clock)
        self._hold.load()
        self._drift: Drift | None = None
        self.own: SelfUpdate | None = None
        """posagent itself, where the configuration has it as a component"""
        self._notices: Notices | None = None
        self._updates = self._build(config.update, paths) if config.update is not None else None

    def start(self, *, watch: bool = True) -> None:
        """Go on with what a kill or a power cut interrupted. ``watch``: look at once whether the releases are as installed."""
        if self._updates is not None:
            self._updates.start()
            self._tell_broken(self._updates)
            self._tell_revoked(self._updates)
            self._tell_hold()
        if watch and self._drift is not None:
            self._drift.soon()

    def stop(self) -> None:
        """End; the next start picks up what is under way."""
        if self._drift is not None:
            self._drift.stop()
        if self._updates is not None:
            self._updates.stop()

    def chores(self) -> list[tuple[float, Callable[[], object]]]:
        """What is to be done periodically: (every so many seconds, what)."""
        return [(EVERY_S, self._drift.soon), (EVERY_S, self._updates.make_room)] if self._drift and self._updates else []

    def status(self) -> Mapping[str, Any]:
        """``components`` and ``deployment`` of the contract, ``hold``: None or until when; ``notice``: None or when what the
        merchant was warned of may start; ``broken``: why nothing is known."""
        found = self._updates.status() if self._updates is not None else NOTHING
        held = self._hold.until()
        left_s = self._notices.starts_in_s() if self._notices is not None and found["deployment"] is not None else None
        starts = shown(self._clock.wall() + timedelta(seconds=left_s)) if left_s is not None else ""
        return {**found, "hold": {"until": held} if held else None, "notice": {"starts": starts} if starts else None}

    def report(self) -> Mapping[str, Any]:
        """``status``, and what takes a look at the disk: ``behind`` (firmware.behind) and ``last``, how the last one ended."""
        if self._updates is None:
            return self.status()
        now = None if clock_wrong(self._paths, self._clock) else self._clock.wall()
        told = {name: one.document() for name, one in behind(self._paths.trust_home, self._updates.running(), now).items()}
        return {**self.status(), "behind": told, "last": self._updates.last()}

    def require_state(self) -> None:
        """Raise AgentError where the state is damaged: nothing to show is not the same as nothing to do."""
        if self._updates is not None and self._updates.broken:
            raise AgentError(self._updates.broken, code=self._updates.broken_code)

    # -- what a person asks for --------------------------------------------------------------------------------------

    def hold(self, words: str) -> Mapping[str, Any]:
        """Install nothing until then: ``{"until", "capped"}``, durable and recorded. Raises UsageError, FirmwareError (disk)."""
        held, capped = self._hold.ask(words)
        self._tell_hold()
        self._journal.append("update.hold", "info", "host", {"until": held, "capped": capped})
        return {"until": held, "capped": capped}

    def release(self) -> bool:
        """End a hold; False when there was none. Raises FirmwareError (disk)."""
        released = self._hold.release()
        self._tell_hold()
        if released:
            self._journal.append("update.release", "info", "host", {})
        return released

    def time(self) -> Mapping[str, Any]:
        """What the clock shows and what speaks against it: KnownTime.facts()."""
        return self._time.facts()

    def confirm_time(self, seen: datetime) -> Mapping[str, Any]:
        """A person says that the clock is right: see KnownTime.confirm(). Durable and recorded."""
        before = self._time.facts()
        after = self._time.confirm(seen)
        self._journal.append("update.time_confirmed", "info", "host", record_of(before, after))
        return {**after, "was_wrong": before["wrong"]}

    def rollback(self, name: str) -> str:
        """Begin to go back to the kept predecessor of a component; the deployment's id, to be followed by ``outcome``.

        Raises ConfigError (no_update_section), UsageError (unknown_component), AgentError (no_predecessor, with exit code
        1), NotAvailable (held; busy: another deployment is under way).
        """
        updates = self._able()
        seen = updates.component(name)
        if seen is None:
            known = ", ".join(self._config.update.components) if self._config.update is not None else ""
            raise UsageError(f"no component {name[:80]!r}", code="unknown_component", remedy=f"this machine has: {known}")
        running = updates.status()["deployment"]
        if running is not None and running["rollback"] and running["component"] == name:
            return str(running["id"])
        if seen.previous is None:
            raise _refusal(f"{name}: no earlier version is kept here", "no_predecessor", "install a release instead")
        if held := self._hold.until():
            raise NotAvailable(f"updates are held until {held}", code="held", remedy="posagent update release ends the hold")
        self._require_service(name)
        wanted = Deployment(f"rollback-{uuid.uuid4()}", "", (Wanted(name, seen.previous),), person=True, back=True)
        if running is not None or not updates.request(wanted):
            raise NotAvailable("another update is under way", code="busy", remedy="wait for it: posagent update status")
        return wanted.id

    def install(self, path: str, component: str, version: str, descriptor: int | None) -> str:
        """Begin to install from a bundle; the deployment's id, to be followed by ``outcome``.

        ``path`` is absolute, component and version are its label, ``descriptor`` the open file where it was handed over.
        Raises ConfigError (no_update_section), UsageError (bundle_denied, bundle_unreadable), AgentError (card_data; exit
        code 1), NotAvailable (held; busy).
        """
        updates = self._able()
        if any(holds_card_data(text) for text in (component, version, path)):
            raise _refusal("a name in it looks like a card number", "card_data", "")  # it must not reach the disk
        require_readable(path, descriptor)
        running = updates.status()["deployment"]
        if running is not None and running["stick"] and (running["component"], running["version"]) == (component, version):
            self._sticks.keep(running["id"], path, descriptor)
            return str(running["id"])
        seen = updates.component(component)
        if (held := self._hold.until()) and (seen is None or seen.version != version):
            raise NotAvailable(f"updates are held until {held}", code="held", remedy="posagent update release ends the hold")
        self._require_service(component)
        wanted = Deployment(f"stick-{uuid.uuid4()}", "", (Wanted(component, version),), person=True, bundle=path)
        if running is None:
            self._sticks.keep(wanted.id, path, descriptor)
        if not updates.request(wanted):
            self._sticks.let_go(wanted.id)
            raise NotAvailable("another update is under way", code="busy", remedy="wait for it: posagent update status")
        return wanted.id

    def receipt(self, deployment_id: str) -> dict[str, Any] | None:
        """What became of a deployment that has ended, signed; None where it has not, or where it cannot be signed now."""
        updates = self._able()
        past = updates.outcome(deployment_id)
        if past is None:
            return None
        seen = updates.component(past.component)
        facts = {
            "terminal": self._config.host.id,
            "deployment": past.id,
            "component": past.component,
            "version": past.version,
            "outcome": past.state,
            "code": past.code,
            "reason": past.reason,
            "runs": seen.version if seen is not None else None,
            "time": self._clock.rfc3339(),
        }
        return receipt(facts, self._journal.chain(), self._journal.head(), self._paths.state / "keys")

    def outcome(self, deployment_id: str) -> Mapping[str, Any]:
        """``{"ended": None | {"state", "code", "reason"}, "status": …}`` of a deployment that a person follows."""
        past = self._able().outcome(deployment_id)
        ended = {"state": past.state, "code": past.code, "reason": past.reason} if past is not None else None
        return {"ended": ended, "status": self.status()}

    def _require_service(self, component: str) -> None:
        """A command that works alone ends, and nobody would watch the new posagent. Raises NotAvailable (no_service)."""
        if self.own is not None and component == self.own.component and not self.own.serves():
            message, remedy = "posagent updates itself only while its service runs", "systemctl start posagent, then again"
            raise NotAvailable(message, code="no_service", remedy=remedy)

    def _able(self) -> Updates:
        if self._updates is None:
            raise ConfigError("no [update] is configured", code="no_update_section")
        self.require_state()
        return self._updates

    # -- what hawkBit asks for (agent.sinks.hawkbit.Handler) ---------------------------------------------------------

    def on_deployment(self, deployment: ddi.Deployment) -> bool:
        """Take it, or refuse it for good where this till has no updates at all; False: another one is under way."""
        wanted = tuple(Wanted(chunk.name, chunk.version) for chunk in deployment.chunks)
        if self._updates is None or self._config.update is None or not wanted:
            return self._refuse(deployment, "no update is configured here" if wanted else "the deployment names nothing")
        if any(holds_card_data(text) for item in wanted for text in (item.component, item.version)):
            return self._refuse(deployment, "a name in it looks like a card number", "card_data")  # it must not reach the disk
        if takes_all([item.component for item in wanted], self._config.update.components, self._tills):
            return self._refuse(deployment, ALL_AT_ONCE, "all_tills")
        if not self.center_window.heard(deployment):
            return False
        if self._updates.broken:  # the centre must not wait for what cannot come
            return self._refuse(deployment, self._updates.broken, self._updates.broken_code)
        return self._updates.request(of_action(deployment))

    def on_cancel(self, action_id: str) -> str:
        """Take the action back."""
        return (self._updates.cancel(action_id) if self._updates is not None else Cancel.UNKNOWN).value

    def installed(self) -> Sequence[tuple[str, str]] | None:
        """What the deployment that was committed last brought, where it still runs; None while another one is under way."""
        if self._updates is None or self._updates.broken:
            return ()
        if self._updates.status()["deployment"] is not None:
            return None
        past = self._updates.committed()
        names, versions = (past.component.split("+"), [past.version]) if past is not None else ([], [])
        seen = self._updates.component(names[0]) if len(names) == 1 else None
        return [(names[0], versions[0])] if seen is not None and seen.version == versions[0] else ()

    def _refuse(self, deployment: ddi.Deployment, why: str, code: str = "not_configured") -> bool:
        if deployment.action_id not in self._refused:
            self._refused.add(deployment.action_id)
            body = refused_body(deployment.action_id, [(c.name, c.version) for c in deployment.chunks], code, why)
            self._journal.append("update.refused", "warning", "host", body)
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _build(self, update: Update, paths: Paths) -> Updates:
        settings = settings_of(self._config, paths)
        self._notices = Notices(
            update.notice_command,
            update.notice_s,
            update.notice_lang,
            self._clock.mono,
            lambda body: self._journal.append(NOTICE, "info", "host", body),
        )
        gate = Gate(
            self._owner,
            idle_s=update.idle_s,
            idle_check=update.idle_check,
            now=self._clock.mono,
            wall=self._clock.wall,
            hold=self._hold.until,
            notices=self._notices,
            window=Window.parse(update.window) if update.window else None,
            host=self._config.host.id,
            touches=lambda wanted: tills_of([i.component for i in wanted.items], update.components, self._tills),
        )
        if itself := next((name for name, one in update.components.items() if one.handler == OWN_HANDLER), ""):
            from agent.selfupdate import SelfUpdate

            self.own = SelfUpdate(itself, paths, self._config.limits)
        effects_type, runner = effects_of(paths)
        effects = effects_type(
            settings,
            gate=self.center_window.before(gate),
            device_health=self._health,
            wall=self._clock.rfc3339,
            clock=lambda: clock_wrong(paths, self._clock),
            by_hand=self._time.by_hand,
            opened=self._sticks.opened,
            devices=self._identities,
            child=runner(),
            own=self.own,
        )
        self._drift = Drift(effects, self._busy, self._tell, runner(), self._ran)
        recorder = Recorder(self._journal)
        engine = Engine(
            StateFile(paths.state / "deployment.json"),
            effects,
            lambda step: self._record(recorder, step),
            self._clock.mono,
            recorded=recorder.recorded,
            limits=Limits(probation=ProbationLimits(min_s=update.probation_s)),
            clean=redact,
            remembered=recorder.remembered,
        )
        return Updates(engine, effects.stop, self._ended)

    def _record(self, recorder: Recorder, step: UpdateRecord) -> None:
        recorder.record(step)
        if self._updates is not None:
            self._tell_revoked(self._updates)

    def _tell_revoked(self, updates: Updates) -> None:
        """A version that its maker has taken back runs: known as soon as the manifest that says so is verified."""
        seen = updates.running().items()
        taken = [f"{name} {one.version}" for name, one in seen if one.version is not None and one.version in one.revoked]
        self._tell({REVOKED: {"runs": ", ".join(taken)} if taken else None})

    def _tell_broken(self, updates: Updates) -> None:
        self._tell({FAULT: {"why": updates.broken} if updates.broken else None})

    def _tell_hold(self) -> None:
        """A hold that nobody asked for, or nobody knows the end of, stops updates: that is a fault and not silence."""
        unknown = self._hold.until() == UNKNOWN
        self._tell({HOLD_FAULT: {"why": "the end of the hold is not known"} if unknown else None})

    def _ended(self) -> None:
        if self._updates is not None and self._updates.broken:
            self._tell_broken(self._updates)
        if self._updates is not None and self._updates.outcome(self._sticks.deployment) is not None:
            self._sticks.let_go(self._sticks.deployment)
        if self._drift is not None:
            self._drift.soon()
        self.on_ended()

    def under_way(self) -> bool:
        """A deployment has begun and has not ended."""
        return self._updates is not None and not self._updates.broken and self._updates.status()["deployment"] is not None

    def proves_itself(self) -> bool:
        """A release of posagent itself is under way: whether it may stay is not known yet."""
        running = self._updates.status()["deployment"] if self._updates is not None and self.own is not None else None
        return running is not None and self.own is not None and self.own.component in running["component"].split("+")

    def _busy(self) -> bool:
        return self._updates is None or bool(self._updates.broken) or self._updates.status()["deployment"] is not None

    def _ran(self, component: str) -> bool:
        seen = self._updates.component(component) if self._updates is not None else None
        return seen is not None and seen.release_counter > 0

    def _tell(self, results: Mapping[str, Mapping[str, str] | None]) -> None:
        self._owner.inbox.post(lambda: self._owner.host_checked(results))

    def _identities(self) -> Mapping[str, Mapping[str, str]]:
        """What each device that there is has said of itself; a line that is down or another's has said nothing."""
        asked = self._owner.inbox.ask(
            lambda: {subject: dict(d.health.identity) for till in self._owner.tills for subject, d in till.subjects()}
        )
        return asked.result(OWNER_LIMIT_S)

    def _health(self) -> Mapping[str, str]:
        asked = self._owner.inbox.ask(lambda: silent_faults(device_states(self._owner.tills), self._clock.mono()))
        try:
            return asked.result(OWNER_LIMIT_S)
        except TimeoutError:
            why = f"the main loop of posagent does not answer within {OWNER_LIMIT_S:g} s"
            raise InstallFailed(why, code="main_loop") from None


def _refusal(message: str, code: str, remedy: str) -> AgentError:
    """Contract: an update that is refused ends with 1."""
    refused = AgentError(message, code=code, remedy=remedy)
    refused.exit_code = 1
    return refused
