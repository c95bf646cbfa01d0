"""Both copies of the update's state are garbage: that is said, to the person, the centre and the fault list alike."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.config.load import load
from agent.errors import AgentError
from agent.journal import Journal
from agent.paths import Paths
from agent.updates import FORGOTTEN, Recorder, Updates
from agent.updating import FAULT, HOLD_FAULT, REVOKED, Updating
from firmware.engine import Engine, UpdateRecord, Wanted
from protocols.center import ddi

CONFIG = """
[host]
id = "pos-1"
[update]
metadata = "https://releases.example/metadata"
targets = "https://releases.example/targets"
trusted_root = "/etc/posagent/root.json"
[update.components.till-app]
handler = "app_slots"
"""


class Owner:
    """Answers at once, and keeps what it was told of the host."""

    def __init__(self) -> None:
        self.inbox = SimpleNamespace(post=lambda work: work())
        self.results: dict[str, Any] = {}

    def host_checked(self, results: dict[str, Any]) -> None:
        self.results |= results


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    clock = ManualClock()
    kept = Journal(tmp_path / "journal.sqlite", boot_id="b", wall=clock.rfc3339, mono=clock.mono)
    yield kept
    kept.close()


def started(tmp_path: Path, journal: Journal, stored: str | None) -> tuple[Updating, Owner]:
    (tmp_path / "agent.toml").write_text(CONFIG, encoding="utf-8")
    paths = Paths(tmp_path)
    paths.state.mkdir(parents=True, exist_ok=True)
    for copy in ("1", "2") if stored is not None else ():
        (paths.state / f"deployment.json.{copy}").write_text(stored or "")
    owner = Owner()
    updating = Updating(load(tmp_path / "agent.toml"), paths, ManualClock(), owner, journal)  # type: ignore[arg-type]
    updating.start(watch=False)
    return updating, owner


def test_a_damaged_state_is_an_error_a_fault_and_an_answer(tmp_path: Path, journal: Journal) -> None:
    updating, owner = started(tmp_path, journal, "garbage")
    try:
        with pytest.raises(AgentError) as caught:
            updating.require_state()
        assert (caught.value.code, caught.value.exit_code) == ("state_damaged", 4)
        assert "\n" not in str(caught.value)
        assert owner.results[FAULT] == {"why": str(caught.value)}
        asked = ddi.Deployment("7", "forced", "forced", None, (ddi.Chunk("bApp", "till-app", "1.1", (), {}),))
        assert updating.on_deployment(asked)
        assert updating.on_deployment(asked)
        journal.append("test.end", "info", "host", {}).wait(10)
        found = [record for record in journal.read(0, 10) if record.kind == "update.refused"]
        assert [(r.body["execution"], r.body["finished"], r.body["final"], r.body["code"]) for r in found] == [
            ("closed", "failure", True, "state_damaged")
        ]
    finally:
        updating.stop()


def test_a_good_state_clears_the_fault(tmp_path: Path, journal: Journal) -> None:
    updating, owner = started(tmp_path, journal, None)
    try:
        updating.require_state()
        assert owner.results == {FAULT: None, REVOKED: None, HOLD_FAULT: None}
    finally:
        updating.stop()


def test_a_mistake_of_our_own_that_ends_the_updates_is_told(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread ended without a word: a deployment stood still for ever, and nobody heard of it."""

    def mistaken(_engine: Engine) -> None:
        raise KeyError("other")

    monkeypatch.setattr(Engine, "step", mistaken)
    updating, owner = started(tmp_path, journal, None)
    end = time.monotonic() + 20
    while not (owner.results.get(FAULT) and updating.status().get("broken")):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "KeyError" in owner.results[FAULT]["why"]
    with pytest.raises(AgentError, match="mistake"):
        updating.require_state()
    updating.stop()


class Stepping:
    """An engine that has three deployments to end, and counts."""

    def __init__(self) -> None:
        self.steps = 0

    def resume(self) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {"deployment": None}

    def step(self) -> float | None:
        self.steps += 1
        return None if self.steps % 2 == 0 else 0.0


def test_who_fails_on_hearing_of_the_end_of_an_update_does_not_end_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    engine, told = Stepping(), []

    def mistaken() -> None:
        told.append(engine.steps)
        raise KeyError("other")

    updates = Updates(engine, lambda: None, mistaken)  # type: ignore[arg-type]
    updates.start()
    end = time.monotonic() + 20
    while len(told) < 3:
        assert time.monotonic() < end
        updates._poke()
        time.sleep(0.01)
    updates.stop()
    assert updates.broken == ""
    assert "was not told" in caplog.text


def test_a_mistake_outside_of_a_step_is_told_as_well() -> None:
    engine, told = Stepping(), threading.Event()
    engine.status = dict  # type: ignore[method-assign]
    updates = Updates(engine, lambda: None, told.set)  # type: ignore[arg-type]
    updates.start()
    assert told.wait(20)
    assert (updates.broken_code, "KeyError" in updates.broken) == ("internal", True)
    updates.stop()


def test_a_hold_that_cannot_be_read_is_a_fault_until_it_is_released(tmp_path: Path, journal: Journal) -> None:
    """It stopped every update, and the centre heard of nothing."""
    state = Paths(tmp_path).state
    state.mkdir(parents=True)
    for copy in ("1", "2"):
        (state / f"hold.json.{copy}").write_text("garbage")
    updating, owner = started(tmp_path, journal, None)
    try:
        assert owner.results[HOLD_FAULT] == {"why": "the end of the hold is not known"}
        assert updating.status()["hold"] == {"until": "unknown"}
        assert updating.release()
        assert owner.results[HOLD_FAULT] is None
        assert updating.status()["hold"] is None
    finally:
        updating.stop()


def step(state: str, name: str = "hawkbit-7", *, final: bool = False) -> UpdateRecord:
    return UpdateRecord(
        key=f"{name}/{state}",
        deployment_id=name,
        action_id=name.removeprefix("hawkbit-") if name.startswith("hawkbit-") else "",
        component="till-app",
        version="1.1",
        items=(Wanted("till-app", "1.1"),),
        state=state,
        word="probation",
        execution="closed" if final else "proceeding",
        finished="success" if final else "none",
        final=final,
    )


def ended(journal: Journal) -> list[dict[str, Any]]:
    """The final records, when the last of them is durable."""
    end = time.monotonic() + 20
    while True:
        found = [dict(r.body) for r in journal.read(0, 100) if r.kind.startswith("update.") and r.body.get("final")]
        if found or time.monotonic() > end:
            return found
        time.sleep(0.01)


def kinds(journal: Journal) -> list[str]:
    return [r.kind for r in journal.read(0, 100) if r.kind.startswith("update.")]


@pytest.mark.parametrize("name", ["hawkbit-7", "stick-1"])
def test_a_state_that_was_taken_away_in_the_middle_ends_the_update_as_failed(tmp_path: Path, journal: Journal, name: str) -> None:
    """It was a fresh start without a word; what was switched would then have counted as proven."""
    for state in ("received", "fetching", "switching"):
        Recorder(journal).record(step(state, name))
    updating, _ = started(tmp_path, journal, None)
    try:
        (end,) = ended(journal)
        assert (end["deployment"], end["state"], end["code"]) == (name, "failed", "state_lost")
        assert (end["execution"], end["finished"]) == ("closed", "failure")
        assert (end["action_id"], end["component"], end["version"]) == (name.partition("hawkbit-")[2], "till-app", "1.1")
        assert FORGOTTEN in kinds(journal)
        asked = ddi.Deployment("7", "forced", "forced", None, (ddi.Chunk("bApp", "till-app", "1.1", (), {}),))
        if name == "hawkbit-7":
            assert not updating.on_deployment(asked), "it has ended"
    finally:
        updating.stop()
    before = kinds(journal)
    again, _ = started_again(tmp_path, journal)
    again.stop()
    assert kinds(journal) == before, "told once"


def test_a_state_that_was_taken_away_when_all_had_ended_is_told(tmp_path: Path, journal: Journal) -> None:
    Recorder(journal).record(step("received"))
    Recorder(journal).record(step("committed", final=True))
    for _ in range(2):
        updating, _owner = started_again(tmp_path, journal)
        assert updating.status()["deployment"] is None
        updating.stop()
        journal.append("test.end", "info", "host", {}).wait(10)
        assert kinds(journal) == ["update.received", "update.committed", FORGOTTEN]


def started_again(tmp_path: Path, journal: Journal) -> tuple[Updating, Owner]:
    (tmp_path / "agent.toml").write_text(CONFIG, encoding="utf-8")
    Paths(tmp_path).state.mkdir(parents=True, exist_ok=True)
    owner = Owner()
    updating = Updating(load(tmp_path / "agent.toml"), Paths(tmp_path), ManualClock(), owner, journal)  # type: ignore[arg-type]
    updating.start(watch=False)
    return updating, owner
