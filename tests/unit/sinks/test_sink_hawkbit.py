"""hawkBit's exchange against the simulated centre: polls, deployments, cancellations, feedback in order and once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from agent.clock import ManualClock
from agent.journal import Journal, Record
from agent.sinks.base import Backoff, Runner
from agent.sinks.hawkbit import HawkbitSink
from firmware.transport import Transport, basic_token
from protocols.center import ddi
from simulator.center.model import Action
from simulator.center.server import Center


def steady(seconds: float, share: float = 0.0) -> float:
    return seconds


@dataclass
class Engine:
    """Remembers what it was asked for."""

    takes: bool = True
    cancel: str = "accepted"
    deployments: list[ddi.Deployment] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)
    runs: list[tuple[str, str]] | None = field(default_factory=list)

    def on_deployment(self, deployment: ddi.Deployment) -> bool:
        self.deployments.append(deployment)
        return self.takes

    def on_cancel(self, action_id: str) -> str:
        self.canceled.append(action_id)
        return self.cancel

    def installed(self) -> list[tuple[str, str]] | None:
        return self.runs


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def sink(service_center: Center, journal: Journal, engine: Engine) -> Iterator[HawkbitSink]:
    transport = Transport(timeout_s=2.0, token=f"GatewayToken {service_center.settings.gateway_key}")
    yield HawkbitSink(
        service_center.ddi,
        transport,
        journal,
        engine,
        controller_id="pos-1",
        attributes=lambda: {"version.agent": "1.0", "pos-1/printer.model": "TM-T88V~终"},
        jitter=steady,
    )
    transport.close()


@pytest.fixture
def runner(sink: HawkbitSink, journal: Journal, clock: ManualClock) -> Runner:
    return Runner(sink, journal, clock, backoff=Backoff(steady))


def push(center: Center, version: str = "1.1") -> Action:
    """Assign till-app to pos-1 through the Management API."""
    api = center.management
    with Transport(timeout_s=2.0, token=basic_token(center.user, center.password)) as management:
        module = management.post_json(
            f"{api}/softwaremodules", [{"name": "till-app", "version": version, "type": "application"}]
        )[0]["id"]
        ds = management.post_json(
            f"{api}/distributionsets",
            [{"name": "till-app", "version": version, "type": "app", "modules": [{"id": module}]}],
        )[0]["id"]
        management.post_json(f"{api}/distributionsets/{ds}/assignedTargets", [{"id": "pos-1", "type": "forced"}])
    return center.store.actions[max(center.store.actions)]


def step(journal: Journal, state: str, execution: str, action: Action, *, finished: str = "none", **more: object) -> None:
    body = {
        "component": "till-app",
        "version": "1.1",
        "state": state,
        "action_id": str(action.id),
        "execution": execution,
        "finished": finished,
        **more,
    }
    journal.append(f"update.{state}", "info", "host", body).wait(5)


def test_polls_by_the_servers_sleep_and_sends_attributes(service_center: Center, runner: Runner, clock: ManualClock) -> None:
    assert runner.step() == 300.0
    target = service_center.store.targets["pos-1"]
    assert target.attributes["version.agent"] == "1.0"
    assert target.attributes["pos-1/printer.model"].startswith("TM-T88V?")
    clock.advance(299)
    runner.step()
    assert len(service_center.settings.polls) == 1
    clock.advance(2)
    runner.step()
    assert len(service_center.settings.polls) == 2


def test_a_deployment_is_handed_on_once_and_its_feedback_arrives_in_order(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock
) -> None:
    runner.step()
    action = push(service_center)
    for _ in range(2):
        clock.advance(300)
        runner.step()
    (deployment,) = engine.deployments
    assert (deployment.action_id, deployment.chunks[0].name, deployment.forced) == (str(action.id), "till-app", True)
    step(journal, "fetching", "proceeding", action)
    journal.append("fault.raised", "error", "pos-1/printer", {}).wait(5)
    step(journal, "internal", "", action)
    step(journal, "committed", "closed", action, finished="success")
    runner.step()
    assert [row.type for row in action.rows][-2:] == ["running", "finished"]
    assert action.status == "finished"
    assert service_center.store.targets["pos-1"].installed is action.ds
    rows = len(action.rows)
    runner.step()
    assert len(action.rows) == rows
    assert runner.status().backlog == 0


def test_a_deployment_that_was_not_taken_is_offered_again(
    service_center: Center, runner: Runner, engine: Engine, clock: ManualClock
) -> None:
    engine.takes = False
    runner.step()
    push(service_center)
    for _ in range(2):
        clock.advance(300)
        runner.step()
    assert len(engine.deployments) == 2


@pytest.mark.parametrize("answer", ["unknown", "finished"])
def test_a_cancellation_with_nothing_to_stop_is_answered_at_once(
    service_center: Center, runner: Runner, engine: Engine, clock: ManualClock, answer: str
) -> None:
    engine.cancel = answer
    runner.step()
    action = push(service_center)
    service_center.store.cancel(action, force=False)
    clock.advance(300)
    runner.step()
    assert engine.canceled == [str(action.id)]
    assert (action.status, action.active) == ("canceled", False)


def test_a_cancellation_is_answered_by_the_record_of_it(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock
) -> None:
    runner.step()
    action = push(service_center)
    service_center.store.cancel(action, force=False)
    for _ in range(2):
        clock.advance(300)
        runner.step()
    assert engine.canceled == [str(action.id)]
    assert action.active
    step(journal, "canceled", "closed", action, finished="success", answers_cancel=True)
    runner.step()
    assert not action.active


def test_feedback_for_an_action_that_is_gone_is_done(service_center: Center, journal: Journal, runner: Runner) -> None:
    runner.step()
    action = push(service_center)
    step(journal, "committed", "closed", action, finished="success")
    step(journal, "committed", "closed", action, finished="success")
    runner.step()
    assert runner.status().backlog == 0
    assert runner.status().reachable


def test_a_full_quota_is_not_tried_again_and_a_busy_server_is(
    service_center: Center, journal: Journal, runner: Runner, clock: ManualClock
) -> None:
    runner.step()
    action = push(service_center)
    service_center.behaviour.add("status", "*/feedback", status=429, times=1)
    step(journal, "fetching", "proceeding", action)
    assert runner.step() == 1.0
    assert runner.status().backlog == 1
    clock.advance(1)
    service_center.behaviour.add("status", "*/feedback", status=429, error_code=ddi.QUOTA_ERROR, times=1)
    runner.step()
    assert journal.cursor("hawkbit") == 1
    journal.append("agent.started", "info", "host", {}).wait(5)
    journal.append("agent.started", "info", "host", {}).wait(10)  # what was appended before it is durable with it
    assert journal.read(1, 5)[0].kind == "report.refused"


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("status", {"status": 401}),
        ("status", {"status": 404}),
        ("status", {"status": 500}),
        ("html", {}),
        ("half", {}),
        ("cut", {}),
    ],
)
def test_a_sick_server_leaves_what_was_known(
    service_center: Center,
    runner: Runner,
    sink: HawkbitSink,
    clock: ManualClock,
    mode: str,
    options: dict,  # type: ignore[type-arg]
) -> None:
    runner.step()
    known = sink.last
    clock.advance(300)
    service_center.behaviour.add(mode, "*", **options)
    assert runner.step() >= 1.0
    status = runner.status()
    assert (status.reachable, sink.last) == (False, known)
    assert len(status.reason) < 201
    assert status.reason
    service_center.behaviour.clear()
    clock.advance(61)
    runner.step()
    assert runner.status().reachable


def test_each_poll_is_told(sink: HawkbitSink) -> None:
    told: list[float] = []
    sink._polled = told.append
    sink.tick(0.0)
    assert sink.last is not None
    assert told == [sink.last.sleep_s]


def test_poll_now_is_answered(service_center: Center, runner: Runner, engine: Engine) -> None:
    runner.start()
    assert runner.poke(5.0)
    action = push(service_center)
    assert runner.poke(5.0)
    assert [d.action_id for d in engine.deployments] == [str(action.id)]
    service_center.down()
    assert not runner.poke(5.0)
    assert runner.stop()


def test_poll_now_beside_feedback_that_waits(service_center: Center, journal: Journal, runner: Runner) -> None:
    runner.step()
    action = push(service_center)
    service_center.behaviour.add("status", "*/feedback", status=503, times=1)
    step(journal, "fetching", "proceeding", action)
    assert runner.step() == 1.0
    runner.start()
    assert runner.poke(5.0)
    assert runner.status().backlog == 0
    assert runner.stop()


def by_hand(engine: Engine, journal: Journal, version: str, state: str = "committed", **more: object) -> None:
    """What the engine records of an install from a stick."""
    items = [{"component": "till-app", "version": version}]
    body = {"component": "till-app", "version": version, "items": items, "action_id": "", "execution": "closed", "final": True}
    journal.append(f"update.{state}", "info", "host", {**body, "state": state, **more}).wait(5)
    if state == "committed":
        engine.runs = [("till-app", version)]


def test_what_a_stick_brought_becomes_the_installed_set_once(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock
) -> None:
    runner.step()
    action = push(service_center)
    step(journal, "committed", "closed", action, finished="success")
    runner.step()
    target = service_center.store.targets["pos-1"]
    stick = push(service_center, "1.2")
    step(journal, "canceled", "closed", stick, finished="failure")
    runner.step()
    assert target.installed is action.ds
    by_hand(engine, journal, "1.2", "rolled_back")
    runner.step()
    assert target.installed is action.ds
    by_hand(engine, journal, "1.2")
    for _ in range(2):
        clock.advance(300)
        runner.step()
    assert target.installed is stick.ds
    offline = [a for a in service_center.store.actions.values() if a.target is target and a not in (action, stick)]
    assert [(a.ds, a.status) for a in offline] == [(stick.ds, "finished")]
    by_hand(engine, journal, "1.1", rollback=True)
    runner.step()
    assert target.installed is action.ds


def refusals(journal: Journal) -> list[Record]:
    """Records of refused reports, once they are durable: the sink does not wait for its own."""
    journal.append("agent.started", "info", "host", {}).wait(10)
    return [r for r in journal.read(0, 100) if r.kind == "report.refused"]


def test_a_set_that_the_centre_does_not_know_is_recorded_and_passed(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine
) -> None:
    """The stick came from elsewhere, or the centre has thrown the release away; and the till itself may be new there."""
    by_hand(engine, journal, "9.9")
    runner.step()
    assert runner.status().reachable
    (refused,) = refusals(journal)
    assert "till-app 9.9" in str(refused.body["reason"])
    runner.step()
    assert runner.status().backlog == 0
    assert service_center.store.targets["pos-1"].installed is None
