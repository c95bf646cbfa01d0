"""The owner of the state: one thread applies what the others saw, writes the record, and answers questions about it.

Ports, sinks, the scheduler and the control socket hand their news to its inbox; nobody else touches the models. It never
waits for a disk, a port or the network.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from agent.clock import Clock
from agent.config.model import Terminal
from agent.grouping import Grouping
from agent.health.catalogue import severity_of
from agent.health.device import CardSeen, Change, DeviceHealth, DeviceState, Identified, StateChanged
from agent.health.faults import Fault, FaultCleared, FaultRaised
from agent.health.host import HostHealth
from agent.health.hubs import Chain, Hubs
from agent.health.readings import Moment
from agent.health.terminal import Need
from agent.inbox import Inbox
from agent.journal import Entry
from agent.observations import CardChecked, CureTried, LineNote, LineUse, LinkChanged, Observation, PrintSeen, Refreshed, SlipDone
from agent.till import Till, WatchedDevice

log = logging.getLogger(__name__)

Body = Mapping[str, Any]
Ended = Refreshed | SlipDone | CardChecked
"""What ends a task that somebody waits for."""


class Record(Protocol):
    """Where events go: the journal's ``append_all``."""

    def __call__(self, entries: Sequence[Entry]) -> object:
        """Queue events that belong together; never blocks on the disk."""


class Owner:
    """Applies observations to the models of all tills and tells the journal what changed."""

    def __init__(
        self, tills: list[Till], host: HostHealth, record: Record, clock: Clock, grouping: Grouping | None = None
    ) -> None:
        self.tills = tills
        self.host = host
        self.inbox = Inbox()
        self.grouping = grouping or Grouping(Hubs(lambda _: True))
        self._record_all = record
        self._news: list[Entry] = []
        self._clock = clock
        self._tokens: dict[str, Future[Ended]] = {}
        self._stopping = False

    # -- its thread ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until ``stop``; then what is still queued is done."""
        while not self._stopping:
            self.turn(self._wait_s())
        while (work := self.inbox.take(0)) is not None:
            work()
        self.inbox.close()

    def turn(self, wait_s: float | None) -> None:
        """One piece of work, or one tick."""
        work = self.inbox.take(wait_s)
        if work is not None:
            work()
        self._tick()

    def stop(self) -> None:
        """End ``run``; from any thread."""
        self._stopping = True
        self.inbox.nudge()

    # -- news (any thread) -----------------------------------------------------------------------------------------

    def report(self, till: Till, device: WatchedDevice, seen: list[Observation], hubs: Chain = ()) -> None:
        """What a port saw; ``hubs`` are those that it hangs on, where the news is of its line."""
        self.inbox.post(lambda: self.apply(till, device, seen, hubs))

    def expect(self, token: str) -> Future[Ended]:
        """The end of a task that a port was given under ``token``. The caller forgets it with ``forget``."""
        future: Future[Ended] = Future()
        self._tokens[token] = future
        return future

    def forget(self, token: str) -> None:
        """Nobody waits for ``token`` any more."""
        self._tokens.pop(token, None)

    # -- in its thread ---------------------------------------------------------------------------------------------

    def apply(self, till: Till, device: WatchedDevice, seen: list[Observation], hubs: Chain = ()) -> None:
        """Feed the model and record what changed."""
        moment = self.moment()
        for one in seen:
            if isinstance(one, Refreshed | SlipDone | CardChecked):
                self._settle(one)
                continue
            if isinstance(one, CureTried):
                self._record("cure.tried", "info", f"{till.id}/{device.health.kind}", cure_body(one))
                continue
            if isinstance(one, PrintSeen):
                self._record("print.seen", "info", f"{till.id}/{device.health.kind}", {"by": "a person at the till"})
            if isinstance(one, LinkChanged):
                self.grouping.link(f"{till.id}/{device.health.kind}", one.state, hubs, moment.mono)
            if isinstance(one, LineNote):
                self._record(one.kind, one.severity, f"{till.id}/{device.health.kind}", one.body)
                continue
            if isinstance(one, LineUse):
                device.use = one
            for change in device.health.apply(one, moment):
                self._tell(till, device, change, moment)
        self._judge(till)
        self._keep()

    def host_checked(self, results: Mapping[str, Mapping[str, str] | None]) -> None:
        """Host fault id to evidence, or to None when the check passed. Faults that are not named stay as they are."""
        moment = self.moment()
        for change in self.host.update(results, moment):
            self._record(*_fault_record("host", change))
        for till in self.tills:
            self._judge(till)
        self._keep()

    def moment(self) -> Moment:
        """Now, on both clocks."""
        return Moment(self._clock.mono(), self._clock.rfc3339())

    def _tick(self) -> None:
        due = self._next_timer()
        if due is None or due > self._clock.mono():
            return
        moment = self.moment()
        for till in self.tills:
            for device in till.devices.values():
                for change in device.health.tick(moment):
                    self._tell(till, device, change, moment)
            self._judge(till)
        self._regroup(moment)
        self._keep()

    def _regroup(self, moment: Moment) -> None:
        due = self.grouping.next_timer()
        if due is None or due > moment.mono:
            return
        news, host = self.grouping.settle(moment.mono)
        for subject, told in news:
            self._record(*_fault_record(subject, told))
        for change in self.host.update(host, moment) if host else ():
            self._record(*_fault_record("host", change))

    def _next_timer(self) -> float | None:
        due = [t for till in self.tills for d in till.devices.values() if (t := d.health.next_timer()) is not None]
        group = self.grouping.next_timer()
        return min(due if group is None else [*due, group], default=None)

    def _wait_s(self) -> float | None:
        due = self._next_timer()
        return None if due is None else max(0.0, due - self._clock.mono())

    def _record(self, kind: str, severity: str, subject: str, body: Body) -> None:
        self._news.append((kind, severity, subject, body))

    def _keep(self) -> None:
        """One commit for all that one piece of news brought about: a fault, the state it led to, the verdict."""
        if self._news:
            news, self._news = self._news, []
            self._record_all(news)

    def _settle(self, done: Ended) -> None:
        future = self._tokens.pop(done.token, None)
        if future is not None and not future.done():
            future.set_result(done)

    def _tell(self, till: Till, device: WatchedDevice, change: Change, moment: Moment) -> None:
        subject = f"{till.id}/{device.health.kind}"
        match change:
            case FaultRaised() | FaultCleared():
                if isinstance(change, FaultRaised):
                    device.trace.freeze(change.fault.id, change.fault.incident, moment.wall, moment.mono)
                for told, news in self.grouping.passed(subject, change):
                    self._record(*_fault_record(told, news))
            case Identified(identity=identity, swapped=swapped):
                self._record("device.identified", "warning" if swapped else "info", subject, {**identity, "swapped": swapped})
            case CardSeen(what=what):
                device.last_active = moment.mono
                self._record("card.moved", "info", subject, {"what": what})
            case StateChanged(before=before, after=after):
                self._record("device.state", "info", subject, {"before": before.value, "after": after.value})

    def _judge(self, till: Till) -> None:
        now = till.judge(self.host_need)
        before = till.last_verdict
        if before is not None and (before.answer, before.reasons) == (now.answer, now.reasons):
            return
        till.last_verdict = now
        body = {"can_take_money": now.answer, "reasons": list(now.reasons), "checked": list(now.checked)}
        self._record("verdict.changed", "info", till.id, body)

    def host_need(self, name: str, terminal: Terminal) -> Need:
        """The needs that the host answers: ``network`` (to this till's acquirer) and ``clock``."""
        fault_id = {"network": "host.network", "clock": "host.clock"}[name]
        state, evidence = self.host.answer(fault_id)
        if name == "network" and state is DeviceState.FAILED and not _concerns(evidence, terminal):
            state = DeviceState.OK
        return Need(name, state, [fault_id] if state is DeviceState.FAILED else [])


def _concerns(evidence: Body, terminal: Terminal) -> bool:
    return "terminals" not in evidence or terminal.id in str(evidence["terminals"]).split(", ")


def _fault_record(subject: str, change: FaultRaised | FaultCleared) -> tuple[str, str, str, Body]:
    fault = change.fault
    body = fault_body(subject, fault)
    if isinstance(change, FaultCleared):
        return "fault.cleared", "info", subject, {**body, "evidence": dict(change.evidence)}
    return "fault.raised", body["severity"], subject, body


def fault_body(subject: str, fault: Fault) -> dict[str, Any]:
    """A fault as the journal and the reports carry it."""
    terminal, _, device = subject.partition("/")
    return {
        "id": fault.id,
        "incident": fault.incident,
        "terminal": terminal if device else "",
        "device": device,
        "severity": severity_of(fault.id).level,
        "since": fault.since,
        "times": fault.times,
        "evidence": dict(fault.evidence),
    }


def cure_body(tried: CureTried) -> dict[str, Any]:
    """What the agent did against a fault by itself, and whether it helped."""
    return {"cure": tried.cure, "attempt": tried.attempt, "proven": tried.proven, "evidence": dict(tried.evidence)}


def device_states(tills: list[Till]) -> dict[str, DeviceHealth]:
    """Subject to model, over all tills."""
    return {subject: device.health for till in tills for subject, device in till.subjects()}


__all__ = ["Owner", "Record", "device_states", "fault_body"]
