"""How far behind a till says that it is, by the files that its own trust code left there."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from firmware import behind as behind_module
from firmware import updater as trust_module
from firmware.behind import Behind, behind
from firmware.floor import Floor
from firmware.state import Component
from firmware.transport import Transport
from tests.unit.firmware_trust.conftest import Web
from tests.unit.firmware_trust.test_holders import vendor
from tests.unit.firmware_trust.till import DAY, NOW, Scene

APP = "till-app"


@pytest.fixture
def scene(tmp_path: Path, web: Web, transport: Transport) -> Scene:
    made = Scene(tmp_path, web, transport)
    made.release("1.0")
    return made


@pytest.fixture
def state(scene: Scene) -> Path:
    """The till's folder as the daemon knows it: trust/ and floor.json; 1.0 is released, and verified."""
    folder = scene.tmp / "var"
    folder.mkdir()
    (folder / "trust").symlink_to(scene.state)
    look(scene, folder)
    return folder


def look(scene: Scene, folder: Path) -> None:
    """What a worker does: verify, raise the floor."""
    Floor(folder / "floor.json").raise_to(scene.trust().refresh())


def at(state: Path, version: str | None, counter: int = 1, now: datetime | None = NOW, revoked: tuple[str, ...] = ()) -> Behind:
    return behind(state, {APP: Component(version, release_counter=counter, revoked=revoked)}, now)[APP]


def test_the_words_are_those_of_trust() -> None:
    for name in ("SIGNED_AT", "COMPONENTS"):
        assert getattr(behind_module, name) == getattr(trust_module, name)
    assert trust_module._LIMITS.targets_max_length == behind_module.ROLE_MAX_BYTES


def test_versions_and_days_are_counted_from_what_was_verified(scene: Scene, state: Path) -> None:
    signed = "2026-03-01T12:00:00Z"
    assert at(state, "1.0") == Behind("known", 0, 0, "1.0", signed)
    scene.release("1.1")
    scene.release("1.10")
    assert at(state, "1.0") == Behind("known", 0, 0, "1.0", signed), "nobody has looked yet"
    look(scene, state)
    assert at(state, "1.0") == Behind("known", 2, 0, "1.10", signed)
    assert at(state, "1.0", now=NOW + timedelta(hours=20)) == Behind("known", 2, 0, "1.10", signed)
    assert at(state, "1.1", 2) == Behind("known", 1, 0, "1.10", signed)
    assert at(state, "1.10", 3) == Behind("known", 0, 0, "1.10", signed)
    assert at(state, "0.9", 0).versions == 3, "what the list does not hold is judged by its counter"
    assert at(state, "1.0", revoked=("1.10",)) == Behind("known", 1, 0, "1.1", signed)
    assert at(state, None) == Behind("known", None, None, "1.10", signed)


def test_what_has_expired_or_cannot_be_dated_is_stale(scene: Scene, state: Path) -> None:
    scene.release("1.1")
    look(scene, state)
    later = at(state, "1.0", now=NOW + 400 * DAY)
    assert (later.quality, later.versions, later.days, later.newest) == ("stale", 1, 400, "1.1")
    undated = at(state, "1.0", now=None)
    assert (undated.quality, undated.versions, undated.days) == ("stale", 1, None)
    assert at(state, "1.0", now=NOW - 400 * DAY).days == 0, "a clock that is behind gives no negative days"


def test_a_release_without_a_date_has_no_days(scene: Scene, state: Path) -> None:
    scene.release("1.1")
    look(scene, state)
    path = scene.state / "targets.json"
    document = json.loads(path.read_text())
    for record in document["signed"]["targets"].values():
        record["custom"].pop("added")
    path.write_text(json.dumps(document))
    assert (at(state, "1.0").versions, at(state, "1.0").days) == (1, None)


@pytest.mark.parametrize("damage", ["gone", "torn", "foreign", "older than the floor", "no floor", "damaged floor", "too long"])
def test_what_cannot_be_believed_is_unknown(scene: Scene, state: Path, damage: str) -> None:
    targets, floors = scene.state / "targets.json", [state / f"floor.json.{number}" for number in "12"]
    match damage:
        case "gone":
            targets.unlink()
        case "torn":
            targets.write_bytes(targets.read_bytes()[:-100])
        case "foreign":
            targets.write_text('{"signed": []}')
        case "older than the floor":
            kept = targets.read_bytes()
            scene.release("1.1")
            look(scene, state)
            targets.write_bytes(kept)
        case "no floor":
            for floor in floors:
                floor.unlink()
        case "damaged floor":
            for floor in floors:
                floor.write_bytes(b"{")
        case "too long":
            targets.write_bytes(targets.read_bytes() + b" " * behind_module.ROLE_MAX_BYTES)
    assert at(state, "1.0") == Behind("unknown")


def test_nothing_is_written(scene: Scene, state: Path) -> None:
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    (state / "floor.json.2").unlink()
    at(state, "1.0")
    assert not (state / "floor.json.2").exists()
    assert {path for path in state.rglob("*") if path.is_file()} == set(before) - {state / "floor.json.2"}


def test_a_vendors_component_is_counted_by_the_vendors_own_list(scene: Scene, state: Path) -> None:
    repo = vendor(scene)
    for version in ("7.0", "7.1"):
        repo.add_release("printer-fw", version, scene.tmp / "app", now=NOW, role="acme")
        scene.repo.publish(NOW)
    look(scene, state)
    installed = {"printer-fw": Component("7.0", release_counter=1)}
    assert behind(state, installed, NOW)["printer-fw"].quality == "unknown", "its list was never asked for"
    scene.trust().manifest("printer-fw", "7.0")
    found = behind(state, installed, NOW)["printer-fw"]
    assert (found.quality, found.versions, found.newest) == ("known", 1, "7.1")
    assert at(state, "1.0").versions == 0
