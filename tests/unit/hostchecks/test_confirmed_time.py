"""A person's word for the clock: never before the last signed time, durable, and over with a restart or a jump."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.errors import AgentError, NotAvailable
from agent.hostchecks import BUILT
from agent.knowntime import DAWDLE, KnownTime
from agent.paths import Paths
from firmware.lastgood import LastGoodTime

SIGNED = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON = SIGNED + timedelta(days=2)
DAY_S = 86_400.0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    made.state.mkdir(parents=True)
    LastGoodTime(made.state / "time.json").believe(SIGNED, 1, ["key"])
    return made


@pytest.fixture
def damaged(paths: Paths) -> Paths:
    """The memory of the signed time is lost; the timestamp that was trusted last still tells it."""
    for copy in paths.state.glob("time.json.*"):
        copy.write_bytes(b"?")
    (paths.state / "trust").mkdir()
    told = {"signed": {"x-posagent-signed-at": SIGNED.isoformat()}}
    (paths.state / "trust" / "timestamp.json").write_text(json.dumps(told))
    return paths


def test_damage_ends_with_a_persons_word(damaged: Paths) -> None:
    clock = ManualClock(NOON)
    known = KnownTime(damaged, clock)
    before = known.facts()
    assert before["shows"] == "2026-03-03T12:00:00Z"
    assert before["signed"] == "2026-03-01T12:00:00Z"
    assert "damaged" in str(before["wrong"])
    after = known.confirm(NOON)
    assert (after["wrong"], after["confirmed"]) == (None, "2026-03-03T12:00:00Z")
    clock.advance(30 * DAY_S)
    assert known.wrong() == "", "for as long as the machine runs"
    assert KnownTime(damaged, clock).by_hand() == "2026-03-03T12:00:00Z", "and across restarts of the agent"


@pytest.mark.parametrize("after", [lambda clock: clock.jump(-40), lambda clock: clock.jump(40), lambda clock: clock.jump(-DAY_S)])
def test_a_later_jump_ends_it(damaged: Paths, after: Callable[[ManualClock], None]) -> None:
    clock = ManualClock(NOON)
    known = KnownTime(damaged, clock)
    known.confirm(NOON)
    after(clock)
    assert known.by_hand() == ""
    assert "damaged" in known.wrong()


def test_a_restart_of_the_machine_ends_it(damaged: Paths) -> None:
    KnownTime(damaged, ManualClock(NOON)).confirm(NOON)
    other = ManualClock(NOON, boot_id="00000000-0000-4000-8000-000000000002")
    assert KnownTime(damaged, other).by_hand() == ""
    nameless = ManualClock(NOON, boot_id="unknown")
    KnownTime(damaged, nameless).confirm(NOON)
    assert KnownTime(damaged, nameless).by_hand() == "", "where boots cannot be told apart, none is believed"


@pytest.mark.parametrize("state", ["paths", "damaged"])
def test_never_before_the_last_signed_time(state: str, request: pytest.FixtureRequest) -> None:
    paths: Paths = request.getfixturevalue(state)
    early = SIGNED - timedelta(seconds=1)
    known = KnownTime(paths, ManualClock(early))
    with pytest.raises(AgentError) as caught:
        known.confirm(early)
    assert (caught.value.code, caught.value.exit_code) == ("before_signed", 1)
    assert "2026-03-01T12:00:00Z" in str(caught.value)
    assert known.by_hand() == ""


def test_never_before_this_program_was_made(tmp_path: Path) -> None:
    early = BUILT - timedelta(days=1)
    with pytest.raises(AgentError) as caught:
        KnownTime(Paths(tmp_path), ManualClock(early)).confirm(early)
    assert caught.value.code == "before_build"


def test_it_does_not_outvote_a_signature(paths: Paths) -> None:
    clock = ManualClock(NOON)
    known = KnownTime(paths, clock)
    known.confirm(NOON)
    LastGoodTime(paths.state / "time.json").believe(NOON + timedelta(days=365), 1, ["key"])
    assert "the centre signed at" in known.wrong()


def test_what_was_looked_at_is_what_is_confirmed(paths: Paths) -> None:
    clock = ManualClock(NOON)
    clock.jump((DAWDLE + timedelta(seconds=1)).total_seconds())
    with pytest.raises(NotAvailable) as caught:
        KnownTime(paths, clock).confirm(NOON)
    assert caught.value.code == "time_moved"


@pytest.mark.parametrize("content", [b"?", b"{}", b'{"format": 1, "sequence": 1, "sha256": "", "data": {"at": 3}}'])
def test_a_damaged_word_is_none(damaged: Paths, content: bytes) -> None:
    known = KnownTime(damaged, ManualClock(NOON))
    known.confirm(NOON)
    for copy in damaged.state.glob("confirmed.json.*"):
        copy.write_bytes(content)
    assert known.by_hand() == ""


@pytest.mark.parametrize("timestamp", [b"", b"[]", b"{}", b'{"signed": {"x-posagent-signed-at": 3}}', b"[" * 9000, None])
def test_where_no_signed_time_is_left_a_person_is_all_there_is(damaged: Paths, timestamp: bytes | None) -> None:
    place = damaged.state / "trust" / "timestamp.json"
    place.unlink() if timestamp is None else place.write_bytes(timestamp)
    known = KnownTime(damaged, ManualClock(NOON))
    assert known.facts()["signed"] is None
    assert known.confirm(NOON)["wrong"] is None
