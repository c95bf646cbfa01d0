"""hawkBit ends with the version that runs, and hears every report once and in order, wherever the till was killed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.journal import Journal, Record
from agent.sinks.base import Backoff, Runner
from agent.sinks.hawkbit import HawkbitSink
from firmware.errors import TransportError
from firmware.transport import Transport
from simulator.center.model import Action
from simulator.center.server import Center
from tests.unit.sinks.test_sink_hawkbit import Engine, by_hand, push, refusals, steady, step


@pytest.fixture
def engine() -> Engine:
    return Engine()


def made(center: Center, journal: Journal, engine: Engine, clock: ManualClock, transport: Transport) -> Runner:
    sink = HawkbitSink(
        center.ddi, transport, journal, engine, controller_id="pos-1", attributes=lambda: {"a": "b"}, jitter=steady
    )
    return Runner(sink, journal, clock, backoff=Backoff(steady))


@pytest.fixture
def transport(service_center: Center) -> Iterator[Transport]:
    with Transport(timeout_s=5.0, token=f"GatewayToken {service_center.settings.gateway_key}") as made_:
        yield made_


@pytest.fixture
def runner(service_center: Center, journal: Journal, engine: Engine, clock: ManualClock, transport: Transport) -> Runner:
    return made(service_center, journal, engine, clock, transport)


def installed(center: Center) -> str | None:
    found = center.store.targets["pos-1"].installed
    return found.version if found is not None else None


def release(center: Center, version: str) -> None:
    """A set that the centre knows and has assigned to nobody."""
    other = push(center, version)
    center.store.cancel(other, force=False)
    center.store.cancel(other, force=True)


def first_installed(center: Center, journal: Journal, runner: Runner, engine: Engine) -> None:
    """1.1 runs, and came by an action; 1.3 is released."""
    runner.step()
    step(journal, "committed", "closed", push(center, "1.1"), finished="success", final=True)
    engine.runs = [("till-app", "1.1")]
    release(center, "1.3")
    runner.step()
    assert installed(center) == "1.1"


def ended(journal: Journal, action: Action, state: str, finished: str, **more: object) -> None:
    step(journal, state, "closed", action, finished=finished, final=True, **more)


def test_a_stick_while_an_action_is_open_is_told_when_the_action_has_ended(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock
) -> None:
    first_installed(service_center, journal, runner, engine)
    opened = push(service_center, "1.2")
    by_hand(engine, journal, "1.3")
    runner.step()
    assert (installed(service_center), opened.active) == ("1.1", True), "hawkBit takes no word of it while an action is open"
    ended(journal, opened, "refused", "failure", code="downgrade")
    runner.step()
    assert (opened.status, installed(service_center)) == ("error", "1.3")
    actions = len(service_center.store.actions)
    for _ in range(3):
        clock.advance(300)
        runner.step()
    assert (len(service_center.store.actions), installed(service_center)) == (actions, "1.3"), "told once"


def test_an_action_for_what_a_stick_has_brought_meanwhile_ends_as_done(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine
) -> None:
    first_installed(service_center, journal, runner, engine)
    opened = push(service_center, "1.2")
    by_hand(engine, journal, "1.2")
    runner.step()
    ended(journal, opened, "committed", "success")
    runner.step()
    assert (opened.status, installed(service_center)) == ("finished", "1.2")


def test_an_action_that_is_taken_back_while_a_stick_installs(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock
) -> None:
    first_installed(service_center, journal, runner, engine)
    opened = push(service_center, "1.2")
    engine.takes, engine.runs, engine.cancel = False, None, "unknown"
    clock.advance(300)
    runner.step()
    service_center.store.cancel(opened, force=False)
    by_hand(engine, journal, "1.3")
    runner.step()
    clock.advance(300)
    runner.step()
    assert (opened.status, installed(service_center)) == ("canceled", "1.3")


def test_what_was_committed_counts_though_the_operator_had_given_the_action_up(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine
) -> None:
    first_installed(service_center, journal, runner, engine)
    opened = push(service_center, "1.2")
    runner.poke()
    runner.step()
    service_center.store.cancel(opened, force=False)
    service_center.store.cancel(opened, force=True)
    ended(journal, opened, "committed", "success")
    engine.runs = [("till-app", "1.2")]
    runner.step()
    assert (opened.status, installed(service_center)) == ("canceled", "1.2")


def test_a_cancel_that_meets_an_end_which_is_still_to_be_told_does_not_hide_it(
    service_center: Center, journal: Journal, engine: Engine, clock: ManualClock, transport: Transport
) -> None:
    """The action was committed between the delivery and the poll of one round."""
    runner = made(service_center, journal, engine, clock, transport)
    first_installed(service_center, journal, runner, engine)
    opened = push(service_center, "1.2")
    service_center.store.cancel(opened, force=False)

    def on_cancel(action_id: str) -> str:
        if not engine.canceled:
            ended(journal, opened, "committed", "success")
            engine.runs = [("till-app", "1.2")]
        engine.canceled.append(action_id)
        return "finished"

    engine.on_cancel = on_cancel  # type: ignore[method-assign]
    clock.advance(300)
    runner.step()
    clock.advance(1)
    runner.step()
    assert (opened.status, installed(service_center)) == ("finished", "1.2")


def test_a_rollback_leaves_the_error_in_sight_also_after_a_restart(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock, transport: Transport
) -> None:
    first_installed(service_center, journal, runner, engine)
    by_hand(engine, journal, "1.3")
    runner.step()
    ended(journal, push(service_center, "1.4"), "rolled_back", "failure")
    runner.step()
    target, actions = service_center.store.targets["pos-1"], len(service_center.store.actions)
    assert (target.status, installed(service_center)) == ("error", "1.3")
    made(service_center, journal, engine, clock, transport).step()
    assert (target.status, installed(service_center), len(service_center.store.actions)) == ("error", "1.3", actions)


def test_an_install_that_was_never_told_is_told_by_the_next_start(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock, transport: Transport
) -> None:
    """The cursor has moved past the record, and the process died before hawkBit heard of it."""
    first_installed(service_center, journal, runner, engine)
    by_hand(engine, journal, "1.3")
    journal.advance("hawkbit", journal.head().seq)
    made(service_center, journal, engine, clock, transport).step()
    assert installed(service_center) == "1.3"


def test_a_set_that_the_centre_does_not_know_is_recorded_once(
    service_center: Center, journal: Journal, runner: Runner, engine: Engine, clock: ManualClock, transport: Transport
) -> None:
    by_hand(engine, journal, "9.9")
    runner.step()
    for _ in range(2):
        made(service_center, journal, engine, clock, transport).step()
    assert len(refusals(journal)) == 1


# -- once and in order, wherever the till is killed


class Killed(BaseException):
    """The process is no more."""


class Wire(Transport):
    """Dies before or after the n-th request, or loses its answer."""

    def __init__(self, center: Center) -> None:
        super().__init__(timeout_s=10.0, token=f"GatewayToken {center.settings.gateway_key}")
        self.fate, self.left = "", -1

    def _pass(self, when: str) -> None:
        if when == "before":
            self.left -= 1
        if self.left == 0 and self.fate == when:
            self.left = -1
            raise Killed
        if self.left == 0 and self.fate == "lost" and when == "after":
            self.left = -1
            raise TransportError("no answer", code="timeout")

    def get_bytes(self, url: str, *args: Any, **more: Any) -> bytes:
        self._pass("before")
        found = super().get_bytes(url, *args, **more)
        self._pass("after")
        return found

    def post_json(self, url: str, document: Any, *args: Any, **more: Any) -> Any:
        self._pass("before")
        try:
            return super().post_json(url, document, *args, **more)
        finally:
            self._pass("after")


class Desk:
    """The journal as one process sees it: the cursor on the disk may lie anywhere between the last kill and now."""

    def __init__(self, journal: Journal, durable: int) -> None:
        self._journal, self.durable, self.now = journal, durable, durable

    def cursor(self, _name: str) -> int:
        return self.now

    def advance(self, _name: str, seq: int, *, soon: bool = True) -> None:
        self.now = max(self.now, seq)

    def read(self, after: int, limit: int) -> Sequence[Record]:
        return self._journal.read(after, limit)

    def backlog(self, _name: str) -> int:
        return self._journal.head().seq - self.now

    def append(self, *_: object) -> None:
        raise AssertionError("nothing was refused")

    def keep_cursors(self) -> None:
        pass

    def subscribe(self, _heard: object) -> None:
        pass


STRAIGHT = ("received", "fetching", "waiting", "switching", "probation")
ENDS: Mapping[str, tuple[str, str]] = {"committed": ("closed", "success"), "rolled_back": ("closed", "failure")}
KILLS = st.lists(st.tuples(st.integers(1, 14), st.sampled_from(["before", "after", "lost"]), st.randoms()), max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(kills=KILLS, end=st.sampled_from(sorted(ENDS)), until=st.integers(0, 5))
@pytest.mark.slow
def test_every_report_is_heard_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, str, random.Random]], end: str, until: int
) -> None:
    folder, clock, engine = tmp_path_factory.mktemp("kills"), ManualClock(), Engine()
    (folder / "center").mkdir()
    path = folder / "journal.sqlite"
    journal = Journal(path, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    try:
        with Center(folder / "center") as center:
            _play(center, journal, clock, engine, kills, end, until)
    finally:
        journal.close()


def _play(center: Center, journal: Journal, clock: ManualClock, engine: Engine, kills: list[Any], end: str, until: int) -> None:
    with Wire(center) as wire:
        made(center, journal, engine, clock, wire).step()
        action, durable = push(center), 0
        for state in STRAIGHT[:until]:
            step(journal, state, "proceeding", action)
        for place, (count, fate, chance) in enumerate([*kills, (0, "", random.Random(0))]):
            wire.left, wire.fate = count or -1, fate
            if place == len(kills) // 2:
                for state in STRAIGHT[until:]:
                    step(journal, state, "proceeding", action)
                step(journal, end, *ENDS[end][:1], action, finished=ENDS[end][1], final=True)
                engine.runs = [("till-app", "1.1")] if end == "committed" else []
            desk = Desk(journal, durable)
            durable = _live(center, desk, engine, clock, wire, chance)
        said = [text for row in action.rows for text in row.messages if text.startswith("record: ")]
        wanted = [f"record: {r.seq} {r.id}" for r in journal.read(0, 100) if r.body.get("action_id") == str(action.id)]
        assert said == wanted
        assert (action.status, action.active) == ("finished" if end == "committed" else "error", False)
        assert installed(center) == ("1.1" if end == "committed" else None)


def _live(center: Center, desk: Desk, engine: Engine, clock: ManualClock, wire: Wire, chance: random.Random) -> int:
    """One process, until it is killed or has nothing more to do; where its cursor lies on the disk then."""
    runner = made(center, desk, engine, clock, wire)  # type: ignore[arg-type]
    try:
        for _ in range(8):
            runner.step()
            clock.advance(400)
    except Killed:
        pass
    return chance.randint(desk.durable, desk.now)


def test_the_game_can_be_lost(service_center: Center, journal: Journal, engine: Engine, clock: ManualClock) -> None:
    """Without the look into the history a lost answer is told twice."""
    with Wire(service_center) as wire:
        runner = made(service_center, journal, engine, clock, wire)
        runner._sink._has_heard = lambda _record: False  # type: ignore[attr-defined]
        runner.step()
        action = push(service_center)
        step(journal, "received", "proceeding", action)
        wire.left, wire.fate = 1, "lost"
        runner.step()
        clock.advance(400)
        runner.step()
        assert len([t for row in action.rows for t in row.messages if t.startswith("record: ")]) == 2
