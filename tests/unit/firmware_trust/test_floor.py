"""The floor: on disk before it counts, never falling, and starting anew only with new keys of the online roles."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import ReleaseRefused, StateError
from firmware.files import TwinFile
from firmware.floor import Floor, Versions

KEYS = frozenset({"a", "b"})


def versions(root: int = 1, timestamp: int = 5, snapshot: int = 5, targets: int = 5) -> Versions:
    return Versions(root, timestamp, snapshot, targets, KEYS)


def refusal(floor: Floor, seen: Versions) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        floor.raise_to(seen)
    return caught.value.code


def test_a_new_floor_accepts_anything_and_is_stored_at_once(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor")
    assert not floor.stored
    floor.found()
    assert Floor(tmp_path / "floor").stored
    floor.raise_to(versions())
    assert Floor(tmp_path / "floor").versions == {"root": 1, "timestamp": 5, "snapshot": 5, "targets": 5}


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_no_role_may_fall_not_even_after_a_restart(tmp_path: Path, role: str) -> None:
    Floor(tmp_path / "floor").raise_to(versions(root=5))
    below = versions(**{"root": 5, role: 4})
    floor = Floor(tmp_path / "floor")
    assert refusal(floor, below) == "rollback"
    assert Floor(tmp_path / "floor").versions[role] == 5
    floor.raise_to(versions(root=5))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(*[st.integers(1, 9)] * 4), max_size=8))
def test_under_any_sequence_of_repositories_the_floor_only_rises(
    tmp_path_factory: pytest.TempPathFactory, offers: list[tuple[int, int, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("floor") / "floor"
    last: dict[str, int] = {}
    for offer in offers:
        floor = Floor(path)
        try:
            floor.raise_to(Versions(*offer, KEYS))
        except ReleaseRefused:
            assert floor.versions == {**floor.versions, **last}
        now = dict(Floor(path).versions)
        assert all(now[role] >= version for role, version in last.items())
        last = now


def test_new_keys_of_the_online_roles_let_their_floors_start_anew_but_not_the_roots(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor")
    floor.raise_to(versions(root=2, timestamp=2**30, snapshot=2**30, targets=2**30))
    new_keys = frozenset({"a", "c"})
    assert refusal(floor, Versions(2, 6, 6, 6, new_keys)) == "rollback"
    assert refusal(floor, Versions(3, 6, 6, 6, KEYS)) == "rollback"
    floor.raise_to(Versions(3, 6, 6, 6, new_keys))
    assert Floor(tmp_path / "floor").versions == {"root": 3, "timestamp": 6, "snapshot": 6, "targets": 6}
    assert refusal(Floor(tmp_path / "floor"), Versions(2, 7, 7, 7, KEYS)) == "rollback"


def test_release_counters_only_rise(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor")
    floor.raise_counter("till-app", 3)
    floor.raise_counter("till-app", 2)
    floor.raise_to(versions())
    again = Floor(tmp_path / "floor")
    assert (again.counter("till-app"), again.counter("other")) == (3, 0)
    assert again.counters == {"till-app": 3}
    again.check_counter("till-app", 3)
    with pytest.raises(ReleaseRefused) as caught:
        again.check_counter("till-app", 2)
    assert caught.value.code == "downgrade"


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor")
    floor.raise_to(versions())
    before = (tmp_path / "floor.1").stat().st_ino
    floor.raise_to(versions())
    assert (tmp_path / "floor.1").stat().st_ino == before


def test_a_damaged_floor_is_an_error_and_never_a_floor_of_nothing(tmp_path: Path) -> None:
    Floor(tmp_path / "floor").raise_to(versions())
    for copy in ("floor.1", "floor.2"):
        (tmp_path / copy).write_bytes(b"")
    with pytest.raises(StateError):
        Floor(tmp_path / "floor")


@pytest.mark.parametrize(
    "data",
    [
        {"format": 2},
        {"format": 1, "versions": []},
        {"format": 1, "versions": {"root": "1"}},
        {"format": 1, "counters": {"a": True}},
    ],
    ids=json.dumps,
)
def test_a_floor_of_another_shape_is_an_error(tmp_path: Path, data: dict[str, object]) -> None:
    TwinFile(tmp_path / "floor").store(data)
    with pytest.raises(StateError):
        Floor(tmp_path / "floor")
