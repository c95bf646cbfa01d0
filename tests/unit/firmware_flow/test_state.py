"""The state on disk: what is stored comes back, and what makes no sense is a named error, never a crash."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import InstallFailed, StateError
from firmware.files import TwinFile
from firmware.flow import State
from firmware.state import HISTORY_MAX, STORES_MAX, Component, Deployment, Progress, StateFile, Wanted, ended

DEPLOYMENT = Deployment("d1", "7", (Wanted("till-app", "1.1"), Wanted("fonts", "4")), True, "2026-01-01T00:00:00Z", True)


def _full(path: Path) -> StateFile:
    state = StateFile(path)
    state.components = {"till-app": Component("1.0", "0.9", 9, "committed", ("bin/health", "-q")), "fonts": Component()}
    state.progress = Progress(
        DEPLOYMENT, State.PROBATION, 3, "code", "why", {"till-app": {"release_counter": 11}},
        {"till-app": "1.0", "fonts": None}, {"till-app": "healthy"}, {"pos-1/printer": "ok"},
    )  # fmt: skip
    return state


def test_everything_comes_back(tmp_path: Path) -> None:
    stored = _full(tmp_path / "deployment.json")
    stored.store()
    loaded = StateFile(tmp_path / "deployment.json")
    loaded.load()
    assert (loaded.components, loaded.progress) == (stored.components, stored.progress)
    assert loaded.progress is not None
    assert loaded.progress.stores == 4
    assert DEPLOYMENT.component == "till-app+fonts"
    assert DEPLOYMENT.version == "1.1+4"


def test_nothing_stored_is_nothing(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "deployment.json")
    state.load()
    assert (state.components, state.progress, state.history) == ({}, None, [])
    assert ended(state.progress)
    state.finish()
    assert not list(tmp_path.iterdir())


def test_history_is_bounded_and_finds_by_id(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "deployment.json")
    for number in range(HISTORY_MAX + 5):
        state.progress = Progress(Deployment(f"d{number}", "", (Wanted("a", "1"),)), State.COMMITTED)
        state.finish()
    loaded = StateFile(tmp_path / "deployment.json")
    loaded.load()
    assert len(loaded.history) == HISTORY_MAX
    assert loaded.finished("d4") is None
    past = loaded.finished("d5")
    assert past is not None
    assert (past.state, past.version) == ("committed", "1")


def test_a_finish_that_cannot_be_stored_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = _full(tmp_path / "deployment.json")
    before = state.progress

    def full(_self: TwinFile, _data: object) -> None:
        raise InstallFailed("disk full")

    monkeypatch.setattr(TwinFile, "store", full)
    with pytest.raises(InstallFailed):
        state.finish()
    assert state.progress is before
    assert state.history == []


def test_one_damaged_copy_is_survived_two_are_named(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    _full(path).store()
    first, second = TwinFile(path).copies
    first.write_bytes(b"\0" * 100)
    StateFile(path).load()
    assert first.read_bytes() == second.read_bytes()
    first.unlink()
    second.write_bytes(second.read_bytes()[:200])
    with pytest.raises(StateError) as caught:
        StateFile(path).load()
    assert caught.value.code == "state_damaged"


def test_a_copy_that_cannot_be_healed_now_does_not_hinder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deployment.json"
    _full(path).store()
    TwinFile(path).copies[1].unlink()

    def full(_self: TwinFile, _data: object) -> None:
        raise InstallFailed("disk full")

    monkeypatch.setattr(TwinFile, "store", full)
    state = StateFile(path)
    state.load()
    assert state.progress is not None


def _stored(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "deployment.json"
    _full(path).store()
    data: dict[str, Any] = json.loads(TwinFile(path).copies[0].read_bytes())["data"]
    return data


@pytest.mark.parametrize(
    "change",
    [
        {"components": None},
        {"components": {"a": {}}},
        {"components": {"a": {"version": 1, "previous": None, "release_counter": 0, "state": "none"}}},
        {"components": {"a": {"version": None, "previous": None, "release_counter": True, "state": "none"}}},
        {"deployment": []},
        {"deployment": {"id": "x"}},
        {"history": [{"id": 1}]},
        {"history": 5},
    ],
)
def test_a_whole_file_that_makes_no_sense_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    data = _stored(tmp_path) | change
    TwinFile(tmp_path / "deployment.json").store(data)
    with pytest.raises(StateError) as caught:
        StateFile(tmp_path / "deployment.json").load()
    assert caught.value.code == "state_damaged"


@pytest.mark.parametrize(
    ("key", "value"),
    [("state", "dancing"), ("stores", "3"), ("items", [["a", "1"]] * 40), ("items", [["a"]]), ("facts", {"a": 1}),
     ("before", {"a": 1}), ("forced", "yes"), ("previous", {"a": 1})],
)  # fmt: skip
def test_a_deployment_that_makes_no_sense_is_named(key: str, value: object, tmp_path: Path) -> None:
    data = _stored(tmp_path)
    data["deployment"][key] = value
    TwinFile(tmp_path / "deployment.json").store(data)
    with pytest.raises(StateError):
        StateFile(tmp_path / "deployment.json").load()


def test_a_newer_format_is_not_guessed_at_and_unknown_keys_are_kept_off(tmp_path: Path) -> None:
    data = _stored(tmp_path)
    TwinFile(tmp_path / "deployment.json").store(data | {"later": 1})
    StateFile(tmp_path / "deployment.json").load()
    TwinFile(tmp_path / "deployment.json").store(data | {"format": 2})
    with pytest.raises(StateError) as caught:
        StateFile(tmp_path / "deployment.json").load()
    assert caught.value.code == "state_too_new"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["components", "deployment", "history", "format"]), _JSON))
def test_any_json_loads_or_is_named(data: dict[str, Any]) -> None:
    state = StateFile(Path("/nowhere/deployment.json"))
    state._file.load = lambda: {"format": 1, "components": {}, "deployment": None, "history": []} | data  # type: ignore[method-assign]
    state._file.settle = lambda: None  # type: ignore[method-assign]
    try:
        state.load()
    except StateError:
        assert state.progress is None


def test_the_loop_guard_leaves_room_for_a_straight_deployment() -> None:
    assert STORES_MAX > 2 * 11
