"""A clock that stands before the last signature is wrong: nothing is installed by it, and nothing expires later for it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware.engine import GateAnswer
from firmware.errors import InstallFailed, ReleaseRefused, StateError, TransportError
from firmware.files import TwinFile
from firmware.lastgood import SLACK, LastGoodTime

from .fakes import Bench, FakeEffects, back, updated, wanted

pytestmark = pytest.mark.usefixtures("fast_disk")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR = datetime(2099, 1, 1, tzinfo=UTC)
KEYS, OTHERS = ("a", "b"), ("a", "c")


def test_it_only_rises_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    last = LastGoodTime(path)
    assert last.moment is None
    assert last.wrong(datetime(1970, 1, 1, tzinfo=UTC)) == ""
    last.believe(NOON, 1, KEYS)
    last.believe(NOON - timedelta(days=1), 1, KEYS)
    assert LastGoodTime(path).moment == NOON
    assert LastGoodTime(path).at_least(NOON - timedelta(minutes=1)) == NOON
    assert LastGoodTime(path).at_least(NOON + timedelta(minutes=1)) == NOON + timedelta(minutes=1)


def test_slack_is_for_the_clock_and_not_for_expiry(tmp_path: Path) -> None:
    last = LastGoodTime(tmp_path / "time.json")
    last.believe(NOON, 1, KEYS)
    assert last.wrong(NOON - SLACK) == ""
    assert "the centre signed at 2026-03-01T12:00:00Z" in last.wrong(NOON - SLACK - timedelta(seconds=1))


def test_other_keys_of_a_verified_root_start_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    LastGoodTime(path).believe(FAR, 1, KEYS)
    last = LastGoodTime(path)
    assert last.at_least(NOON) == FAR
    assert last.at_least(NOON, 2, OTHERS) == NOON, "expiry is judged by the time under the new root"
    last.believe(NOON, 2, OTHERS)
    assert LastGoodTime(path).moment == NOON


@pytest.mark.parametrize(
    ("root", "keys", "why"),
    [
        (1, OTHERS, "an older root with other keys is a replay"),
        (2, KEYS, "a root that changes other roles says nothing of the time"),
        (2, (*KEYS, "c"), "what the old keys signed still counts"),
    ],
)
def test_nothing_else_starts_it_anew(root: int, keys: tuple[str, ...], why: str, tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    LastGoodTime(path).believe(FAR, 1, KEYS)
    last = LastGoodTime(path)
    assert last.at_least(NOON, root, keys) == FAR, why
    last.believe(NOON, root, keys)
    last.believe(None, root, keys)
    assert LastGoodTime(path).moment == FAR, why


def test_a_new_centre_that_signs_no_time_ends_the_false_one_too(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    LastGoodTime(path).believe(FAR, 1, KEYS)
    LastGoodTime(path).believe(None, 2, OTHERS)
    assert LastGoodTime(path).moment is None
    LastGoodTime(path).believe(NOON, 2, OTHERS)
    assert LastGoodTime(path).moment == NOON


def test_the_memory_of_an_earlier_version_knows_no_root(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    TwinFile(path).store({"format": 1, "signed_at": FAR.isoformat(), "keys": list(KEYS)})
    assert LastGoodTime(path).at_least(NOON, 1, KEYS) == FAR
    assert LastGoodTime(path).at_least(NOON, 1, OTHERS) == NOON


def test_a_confirmed_moment_stands_in_for_damage_alone(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    LastGoodTime(path).believe(FAR, 1, KEYS)
    assert LastGoodTime(path, by_hand=NOON).wrong(NOON), "nobody can confirm a time before the last signed one"
    for copy in tmp_path.iterdir():
        copy.write_bytes(b"?")
    last = LastGoodTime(path, by_hand=NOON)
    assert (last.moment, last.wrong(NOON), last.at_least(NOON - timedelta(days=1))) == (None, "", NOON)
    last.believe(NOON - timedelta(days=1), 1, KEYS)
    assert LastGoodTime(path).moment == NOON - timedelta(days=1), "what is remembered is what was signed"


@pytest.mark.parametrize("content", [b"?", b""])
def test_damage_is_no_permission(content: bytes, tmp_path: Path) -> None:
    LastGoodTime(tmp_path / "time.json").believe(NOON, 1, KEYS)
    for copy in tmp_path.iterdir():
        copy.write_bytes(content)
    with pytest.raises(StateError):
        LastGoodTime(tmp_path / "time.json")


def waits(bench: Bench) -> str:
    deployment = bench.engine.status()["deployment"]
    assert deployment is not None
    return f"{deployment['step']} {deployment['waiting_for']}"


def test_a_deployment_waits_for_the_clock_before_it_is_verified(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.clocks = ["1970"] * 3
    assert bench.engine.request(wanted())
    bench.engine.step()
    bench.engine.step()
    assert waits(bench) == "verifying clock"
    assert "verify till-app" not in bench.effects.calls
    bench.run()
    assert bench.finals == ["committed"]
    assert bench.journal[-1].code == ""


@pytest.mark.parametrize("error", [None, TransportError("no line"), ReleaseRefused("expired", code="expired")])
def test_a_wrong_clock_still_lets_a_new_root_be_learnt_now_and_then(error: Exception | None, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.clocks = ["signed in 2099"] * 100_000
    bench.effects.trouble["learn"] = [error] * 1000
    assert bench.engine.request(wanted())
    begun = bench.clock
    while bench.clock - begun < 86_400:
        bench.clock += bench.engine.step() or 0.0
    learnt = bench.effects.calls.count("learn")
    assert 24 <= learnt <= 32, "each hour at least, after a few looks at the beginning"
    assert waits(bench) == "verifying clock"
    assert set(bench.effects.calls) == {"learn"}, "and nothing else is done"
    assert bench.effects.pointer == {"till-app": "1.0"}
    bench.effects.clocks.clear()
    bench.run()
    assert bench.finals == ["committed"]


def test_a_root_that_was_learnt_sets_the_clock_right_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.clocks = ["signed in 2099"]
    assert bench.engine.request(wanted())
    bench.run()
    assert (bench.finals, bench.effects.calls[0]) == (["committed"], "learn")


def test_and_again_before_it_is_installed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))

    def goes_wrong(name: str) -> None:
        if name == "stage":
            bench.effects.clocks = ["1970"] * 3

    bench.hook = goes_wrong
    assert bench.engine.request(wanted())
    while not bench.effects.clocks:
        bench.engine.step()
    bench.engine.step()
    assert waits(bench) == "waiting clock"
    assert bench.effects.pointer == {"till-app": "1.0"}
    bench.run()
    assert bench.finals == ["committed"]


def test_what_the_centre_has_just_signed_can_tell_it_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.trouble["verify"] = [InstallFailed("signed tomorrow", code="clock_wrong")] * 50
    assert bench.engine.request(wanted())
    for _ in range(40):
        bench.clock += bench.engine.step() or 0.0
    assert waits(bench) == "verifying clock", "however often: it is no failure of the release"
    bench.effects.trouble.clear()
    bench.run()
    assert bench.finals == ["committed"]


def test_going_back_to_what_lies_here_needs_no_clock(tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bench.effects.clocks = ["1970"] * 100
    bench.effects.gates = [GateAnswer(open=True)] * 2
    assert bench.engine.request(back())
    bench.run()
    assert bench.effects.pointer == {"till-app": "1.0"}
