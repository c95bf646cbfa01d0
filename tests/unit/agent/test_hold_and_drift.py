"""Holding updates off, and the daily look at what is installed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from agent.clock import ManualClock
from agent.drift import FAULT, Drift
from agent.errors import UsageError
from agent.hold import Hold, parse_until
from firmware.effects import MachineEffects
from firmware.errors import InstallFailed
from firmware.state import Wanted

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("30m", NOW + timedelta(minutes=30)),
        ("2h", NOW + timedelta(hours=2)),
        (" 3D ", NOW + timedelta(days=3)),
        ("2026-01-01T10:00:00+08:00", NOW + timedelta(hours=2)),
    ],
)
def test_until_as_a_person_writes_it(words: str, expected: datetime) -> None:
    assert parse_until(words, NOW) == expected


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("", "bad_until"),
        ("2", "bad_until"),
        ("2w", "bad_until"),
        ("tomorrow", "bad_until"),
        ("2026-01-02", "bad_until"),
        ("0m", "until_is_over"),
        ("2025-12-31T00:00:00Z", "until_is_over"),
    ],
)
def test_until_that_is_none(words: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_until(words, NOW)
    assert caught.value.code == code


def held(folder: Path, clock: ManualClock) -> Hold:
    hold = Hold(folder / "state" / "hold.json", clock)
    hold.load()
    return hold


def test_a_hold_ends_by_itself_and_survives_a_restart_of_the_daemon(tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    assert hold.until() == ""
    assert hold.set(clock.wall() + timedelta(hours=2)) == ("2026-01-01T02:00:00Z", False)
    clock.advance(7199)
    assert held(tmp_path, clock).until() == hold.until() == "2026-01-01T02:00:00Z"
    clock.advance(1)
    assert held(tmp_path, clock).until() == hold.until() == ""


def test_a_jump_of_the_clock_neither_ends_nor_prolongs_it(tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    hold.set(clock.wall() + timedelta(hours=2))
    clock.jump(86400)
    assert hold.until()
    clock.jump(-20 * 86400)
    clock.advance(7200)
    assert hold.until() == ""


def test_after_a_restart_of_the_machine_the_wall_clock_counts(tmp_path: Path) -> None:
    held(tmp_path, ManualClock()).set(NOW + timedelta(hours=2))
    later = ManualClock(NOW + timedelta(hours=1), boot_id="another")
    assert held(tmp_path, later).until() == "2026-01-01T02:00:00Z"
    later.advance(3600)
    assert held(tmp_path, later).until() == ""


def test_it_is_bounded_and_can_be_ended(tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    assert hold.set(clock.wall() + timedelta(days=30)) == ("2026-01-15T00:00:00Z", True)
    assert hold.release()
    assert not hold.release()
    assert held(tmp_path, clock).until() == ""


def test_a_span_counts_by_the_owners_clock_and_what_is_over_for_it_is_refused(tmp_path: Path) -> None:
    """The command saw another year than the daemon: what it had reckoned was over at once, and held nothing."""
    clock = ManualClock(NOW + timedelta(days=4000))
    hold = held(tmp_path, clock)
    with pytest.raises(UsageError) as caught:
        hold.ask("2026-01-01T01:00:00Z")
    assert caught.value.code == "until_is_over"
    assert hold.until() == ""
    assert hold.ask("1h")[0] == hold.until() != ""
    clock.jump(-4000 * 86400)
    clock.advance(3599)
    assert hold.until()
    clock.advance(1)
    assert hold.until() == ""


@pytest.mark.parametrize("damage", ["both", "nonsense"])
def test_what_cannot_be_read_holds_until_somebody_releases_it(damage: str, tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    hold.set(clock.wall() + timedelta(hours=1))
    if damage == "both":
        for copy in (tmp_path / "state").iterdir():
            copy.write_bytes(b"?")
    else:
        hold._file.store({"until": 7})
    again = held(tmp_path, clock)
    assert again.until() == "unknown"
    assert again.release()
    assert held(tmp_path, clock).until() == ""


class Releases:
    """MachineEffects as far as the look needs them: component → (version, findings or an error)."""

    def __init__(self, **found: Mapping[str, Any] | Exception | None) -> None:
        self.found = found
        self.version: Sequence[str] = ["1.0"]

    def components(self) -> list[str]:
        return list(self.found)

    def current(self, component: str) -> str | None:
        return self.version[0] if self.found[component] is not None else None

    def inspect(self, item: Wanted, child: object) -> Mapping[str, Any]:
        del child
        found = self.found[item.component]
        if isinstance(found, Exception):
            raise found
        assert found is not None
        return found


GOOD = {"drift": False, "changed": 0, "missing": 0, "extra": 0, "examples": []}
BAD = {"drift": True, "changed": 1, "missing": 0, "extra": 2, "examples": ["changed: a", "extra: b"]}
GONE = InstallFailed("no list", code="no_inventory")
SAID = {"component": "app", "version": "1.0", "changed": "1", "missing": "0", "extra": "2", "files": "changed: a; extra: b"}


@pytest.mark.parametrize(
    ("releases", "told"),
    [
        (Releases(app=GOOD), [{FAULT: None}]),
        (Releases(app=BAD, fonts=GOOD), [{FAULT: SAID}]),
        (Releases(fonts=GOOD, app=BAD), [{FAULT: SAID}]),
        (Releases(app=None), []),
        (Releases(app=GONE), []),
        (Releases(fonts=GONE, app=GOOD), [{FAULT: None}]),
        (Releases(), []),
    ],
)
def test_what_is_told(releases: Releases, told: list[object]) -> None:
    said: list[object] = []
    Drift(cast("MachineEffects", releases), lambda: False, said.append).look()
    assert said == told


class Pointers(Releases):
    """The link that names what runs is gone, or somebody put something else in its place."""

    def current(self, component: str) -> str | None:
        found = self.found[component]
        if isinstance(found, Exception):
            raise found
        return super().current(component)


@pytest.mark.parametrize(
    ("releases", "files"),
    [
        (Pointers(fonts=GOOD, app=None), "missing: current"),
        (Pointers(fonts=GOOD, app=InstallFailed("current is not the link", code="pointer_damaged")), "changed: current"),
    ],
)
def test_a_pointer_that_names_nothing_is_a_fault(releases: Releases, files: str) -> None:
    """Where it was lost the component was told as not installed, and nobody heard of it."""
    said: list[Any] = []
    Drift(cast("MachineEffects", releases), lambda: False, said.append, ran=lambda _component: True).look()
    assert [(found[FAULT]["component"], found[FAULT]["files"]) for found in said] == [("app", files)]


def test_nothing_is_judged_while_a_deployment_changes_it() -> None:
    said: list[object] = []
    answers = iter([False, True, True])
    drift = Drift(cast("MachineEffects", Releases(app=BAD)), lambda: next(answers), said.append)
    drift.look()
    drift.look()
    assert said == []


def test_nothing_starts_after_the_stop() -> None:
    said: list[object] = []
    drift = Drift(cast("MachineEffects", Releases(app=BAD)), lambda: False, said.append)
    drift.stop()
    drift.look()
    assert said == []


DAY_S = 86_400.0


def test_a_release_with_a_bound_of_its_own_is_held_no_longer(tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    assert hold.until(DAY_S) == ""
    hold.set(clock.wall() + timedelta(hours=2))
    assert hold.until(DAY_S) == hold.until() == "2026-01-01T02:00:00Z"
    assert hold.until(3600) == "2026-01-01T01:00:00Z"
    assert hold.until(0) == ""
    clock.advance(3600)
    assert hold.until(3600) == held(tmp_path, clock).until(3600) == ""
    assert hold.until() == "2026-01-01T02:00:00Z"


def test_prolonging_a_hold_does_not_make_it_younger_and_a_new_one_is_new(tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    for _ in range(3):
        hold.set(clock.wall() + timedelta(days=7))
        clock.advance(DAY_S / 2)
    assert hold.until(DAY_S) == held(tmp_path, clock).until(DAY_S) == ""
    assert hold.until(2 * DAY_S)
    hold.release()
    hold.set(clock.wall() + timedelta(days=7))
    assert hold.until(DAY_S)


def test_a_jump_of_the_clock_makes_a_hold_neither_older_nor_younger(tmp_path: Path) -> None:
    clock = ManualClock()
    hold = held(tmp_path, clock)
    hold.set(clock.wall() + timedelta(days=7))
    clock.jump(30 * DAY_S)
    assert hold.until(DAY_S)
    clock.jump(-60 * DAY_S)
    clock.advance(DAY_S - 1)
    assert hold.until(DAY_S)
    assert held(tmp_path, clock).until(DAY_S)
    clock.advance(1)
    assert hold.until(DAY_S) == held(tmp_path, clock).until(DAY_S) == ""


def test_after_a_restart_of_the_machine_its_age_is_by_the_wall_clock(tmp_path: Path) -> None:
    held(tmp_path, ManualClock()).set(NOW + timedelta(days=7))
    later = ManualClock(NOW + timedelta(hours=23), boot_id="another")
    hold = held(tmp_path, later)
    assert hold.until(DAY_S)
    later.advance(3600)
    assert hold.until(DAY_S) == ""
    assert hold.until()
    before = held(tmp_path, ManualClock(NOW - timedelta(days=3), boot_id="third"))
    assert before.until(DAY_S)


def test_a_hold_that_an_older_version_stored_counts_from_when_it_was_found(tmp_path: Path) -> None:
    clock = ManualClock()
    (tmp_path / "state").mkdir()
    held(tmp_path, clock)._file.store({"until": (NOW + timedelta(days=7)).isoformat(), "boot": clock.boot_id, "mono": 1e9})
    hold = held(tmp_path, clock)
    assert hold.until(DAY_S)
    clock.advance(DAY_S)
    assert hold.until(DAY_S) == ""


def test_a_damaged_hold_stops_a_security_release_only_for_its_bound(tmp_path: Path) -> None:
    clock = ManualClock()
    (tmp_path / "state").mkdir()
    held(tmp_path, clock)._file.store({"until": 7})
    hold = held(tmp_path, clock)
    assert hold.until(DAY_S) == "unknown"
    clock.advance(DAY_S)
    assert hold.until(DAY_S) == ""
    assert hold.until() == "unknown"


def test_a_hold_that_was_set_while_the_clock_was_far_ahead_does_not_last_for_years(tmp_path: Path) -> None:
    ahead = ManualClock(NOW + timedelta(days=1000))
    held(tmp_path, ahead).set(ahead.wall() + timedelta(hours=2))
    later = ManualClock(NOW, boot_id="another")
    hold = held(tmp_path, later)
    assert hold.until() == hold.until(DAY_S) == "unknown"
    later.advance(DAY_S)
    assert (hold.until(), hold.until(DAY_S)) == ("unknown", "")
    assert hold.release()
    assert held(tmp_path, later).until() == ""


def test_a_clock_that_is_behind_for_a_moment_makes_a_hold_unknown_only_for_that_moment(tmp_path: Path) -> None:
    held(tmp_path, ManualClock()).set(NOW + timedelta(hours=2))
    later = ManualClock(NOW - timedelta(days=10000), boot_id="another")
    hold = held(tmp_path, later)
    assert hold.until() == "unknown"
    later.jump(10000 * DAY_S)
    assert hold.until() == "2026-01-01T02:00:00Z"
