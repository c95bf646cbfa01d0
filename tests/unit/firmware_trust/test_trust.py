"""Attacks on what the till trusts: each is served by a real web server from a signed repository, each is refused."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware import trust as trust_module
from firmware.errors import HttpStatusError, InstallFailed, ReleaseRefused, StateError, TransportError, UsageError
from firmware.manifest import Manifest, parse
from firmware.release.choices import Options, Periods
from firmware.release.repository import Repository
from firmware.transport import Transport
from firmware.trust import Trust

from .conftest import Web, answer, cut
from .till import DAY, NOW, Scene


@pytest.fixture
def scene(tmp_path: Path, web: Web, transport: Transport) -> Scene:
    made = Scene(tmp_path, web, transport)
    made.release("1.0")
    return made


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        ask()
    assert str(caught.value).isprintable()
    return caught.value.code


def manifest_of(trust: Trust, version: str = "1.0") -> Manifest:
    return trust.manifest("till-app", version)


def test_a_good_repository_gives_manifest_and_archive(scene: Scene) -> None:
    trust = scene.trust()
    manifest = manifest_of(trust)
    assert manifest == scene.repo.manifest("till-app", "1.0")
    target = trust.archive(manifest)
    assert (target.length, target.sha256) == (manifest.archive.length, manifest.archive.sha256)
    assert target.path == f"{target.sha256}.till-app-1.0.tar.gz"
    added = "2026-03-01T12:00:00Z"
    assert target.custom == {"component": "till-app", "version": "1.0", "release_counter": 1, "added": added}
    assert trust.signed_at == NOW
    assert scene.floor().versions == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_a_second_look_sees_the_next_release(scene: Scene) -> None:
    scene.trust().refresh()
    scene.release("1.1")
    trust = scene.trust()
    assert manifest_of(trust, "1.1").release_counter == 2
    assert trust.refresh() == trust.refresh()
    assert scene.web.paths().count("/metadata/timestamp.json") == 2


def test_the_time_that_counts_is_ours_and_not_the_systems(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        asked = 0

        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            Clock.asked += 1
            return cls(2099, 1, 1, tzinfo=UTC)

    monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime.datetime", Clock)
    scene.trust(now=NOW + 6 * DAY).refresh()
    assert Clock.asked == 1
    assert refused(scene.trust(now=NOW + 8 * DAY).refresh) == "expired"


@pytest.mark.parametrize(
    ("path", "code"),
    [("timestamp.json", "bad_signature"), ("2.snapshot.json", "bad_hash"), ("2.targets.json", "bad_hash")],
)
def test_a_changed_byte_in_metadata(scene: Scene, path: str, code: str) -> None:
    scene.edit(f"metadata/{path}", b'"version":2', b'"version":9')
    assert refused(scene.trust().refresh) == code


@pytest.mark.parametrize("path", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 400, b'{"signed":{},"signatures":[]}'])
def test_metadata_that_is_no_metadata(scene: Scene, path: str, raw: bytes) -> None:
    scene.web.routes[f"/metadata/{path}"] = answer(200, raw)
    assert refused(scene.trust().refresh) in ("malformed", "bad_hash")


def test_a_changed_byte_in_the_manifest_and_a_shorter_one(scene: Scene) -> None:
    name = next(path.name for path in scene.repo.targets.glob("*.json"))
    scene.edit(f"targets/{name}", b'"members": 2', b'"members": 3')
    assert refused(lambda: manifest_of(scene.trust())) == "bad_hash"
    scene.web.routes[f"/targets/{name}"] = answer(200, b"{}")
    assert refused(lambda: manifest_of(scene.trust())) == "bad_hash"
    scene.web.routes[f"/targets/{name}"] = answer(200, b" " * 70_000)
    assert refused(lambda: manifest_of(scene.trust())) == "endless_data"


def test_a_repository_signed_with_other_keys(scene: Scene) -> None:
    """Arbitrary package: the same names and versions, but an attacker's own keys."""
    scene.trust().refresh()
    scene.repo = scene.centre("attacker")
    scene.release("1.0", "evil")
    scene.release("1.1", "evil")
    scene.serve(scene.repo.folder)
    assert refused(scene.trust().refresh) == "bad_signature"


def test_one_stolen_targets_key_below_the_threshold(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key compromise: the thief has both online keys and one targets key of two, and a tool that does not care."""
    scene.repo.add_release("till-app", "1.1", scene.tmp / "app", now=NOW)
    staged = scene.repo.folder / "staged" / "targets.json"
    document = json.loads(staged.read_bytes())
    document["signatures"] = document["signatures"][:1] * 2
    raw = json.dumps(document).encode()
    staged.write_bytes(raw)
    with pytest.raises(UsageError) as caught:
        scene.repo.publish(NOW)
    assert caught.value.code in ("signatures_missing", "repo_damaged")
    staged.write_text(json.dumps({**document, "signatures": document["signatures"][:1]}))
    with pytest.raises(UsageError, match="1 of 2"):
        scene.repo.publish(NOW)
    monkeypatch.setattr("firmware.release.repository.require_complete", lambda *_: None)
    scene.repo.publish(NOW)
    assert refused(scene.trust().refresh) == "bad_signature"


@pytest.mark.parametrize("kept", [0, 1])
def test_too_few_signatures_are_refused_by_the_till_itself(scene: Scene, kept: int) -> None:
    path = scene.repo.metadata / "timestamp.json"
    document = json.loads(path.read_bytes())
    document["signatures"] = document["signatures"][:kept] if not kept else [{**document["signatures"][0], "sig": "00" * 64}]
    path.write_text(json.dumps(document))
    assert refused(scene.trust().refresh) == "bad_signature"


def test_an_older_repository_is_not_taken_back(scene: Scene) -> None:
    old = scene.backup()
    scene.release("1.1")
    scene.trust().refresh()
    scene.serve(old)
    assert refused(scene.trust().refresh) == "rollback"


@pytest.mark.parametrize("loss", ["torn", "emptied", "removed", "strangers"])
def test_an_older_repository_is_not_taken_back_after_a_power_cut_took_the_cache(scene: Scene, loss: str) -> None:
    """python-tuf alone accepts this replay: its files are never synced. The floor is what refuses it."""
    old = scene.backup()
    scene.release("1.1")
    scene.trust().refresh()
    for path in [*scene.state.glob("*.json"), *scene.state.glob("root_history/*")]:
        if loss == "removed":
            path.unlink()
        else:
            raw = path.read_bytes()
            path.write_bytes({"torn": raw[: len(raw) // 2], "emptied": b"", "strangers": b'{"a":1}'}[loss])
    scene.serve(old)
    assert refused(scene.trust().refresh) == "rollback"
    scene.serve(scene.repo.folder)
    assert manifest_of(scene.trust(), "1.1").version == "1.1"


def test_without_the_floor_that_replay_would_have_worked(scene: Scene) -> None:
    """The attack is real: this is what the test before would see if the floor were not there."""
    old = scene.backup()
    scene.release("1.1")
    scene.trust().refresh()
    for path in scene.state.glob("*.json"):
        path.unlink()
    for copy in ("floor.1", "floor.2"):
        (scene.tmp / copy).unlink()
    scene.serve(old)
    assert scene.trust().refresh().targets == 2


def test_one_older_part_is_not_taken_back(scene: Scene) -> None:
    """Mix and match: a new timestamp over an old snapshot, a new snapshot over old targets."""
    old = scene.backup()
    scene.release("1.1")
    for number, part in ((3, "snapshot"), (3, "targets")):
        scene.web.routes[f"/metadata/{number}.{part}.json"] = answer(200, (old / f"metadata/2.{part}.json").read_bytes())
        assert refused(scene.trust().refresh) == "bad_hash"
        scene.web.routes.clear()


def test_a_frozen_repository_ends_with_its_signatures(scene: Scene) -> None:
    scene.trust(now=NOW + 7 * DAY - timedelta(seconds=1)).refresh()
    assert refused(scene.trust(now=NOW + 7 * DAY).refresh) == "expired"


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_each_expired_role_is_refused(tmp_path: Path, web: Web, transport: Transport, role: str) -> None:
    far = dict.fromkeys(("root", "targets", "snapshot", "timestamp"), 900 * DAY)
    scene = Scene(tmp_path, web, transport)
    scene.repo = Repository.create(tmp_path / "r", tmp_path / "k", now=NOW, periods=Periods(**{**far, role: DAY}))
    scene.serve(scene.repo.folder)
    assert refused(scene.trust(now=NOW + 2 * DAY, root=scene.repo.root_bytes).refresh) == "expired"


def test_endless_metadata_is_given_up(scene: Scene) -> None:
    scene.web.routes["/metadata/timestamp.json"] = answer(200, b" " * 20_000)
    assert refused(scene.trust().refresh) == "endless_data"
    scene.web.routes["/metadata/timestamp.json"] = answer(200, b" " * 6_000_000)
    assert refused(scene.trust().refresh) == "endless_data"
    scene.web.routes.clear()
    scene.web.routes["/metadata/2.root.json"] = answer(200, b" " * 600_000)
    assert refused(scene.trust().refresh) == "endless_data"


def test_a_root_that_skips_the_old_keys_is_refused(scene: Scene) -> None:
    other = scene.centre("attacker")
    scene.web.routes["/metadata/2.root.json"] = answer(200, other.root_bytes)
    assert refused(scene.trust().refresh) == "bad_signature"


def test_a_wrong_installed_root_is_named_so(scene: Scene) -> None:
    for raw in (b"", b"{}", scene.root.replace(b'"version":1', b'"version":2')):
        assert refused(lambda raw=raw: scene.trust(root=raw or b"x")) == "bad_root"  # type: ignore[misc]


def test_a_planted_cached_root_does_not_replace_the_installed_one(scene: Scene) -> None:
    scene.trust().refresh()
    other = scene.centre("attacker")
    (scene.state / "root_history/1.root.json").write_bytes(other.root_bytes)
    (scene.state / "root.json").unlink()
    (scene.state / "root.json").write_bytes(other.root_bytes)
    scene.serve(other.folder)
    assert refused(scene.trust().refresh) == "bad_signature"


def test_the_network_failing_is_not_a_refusal_and_harms_nothing(scene: Scene) -> None:
    scene.trust().refresh()
    scene.release("1.1")
    for route in (answer(404), answer(500), answer(401), cut(b"x" * 900, 10)):
        scene.web.routes["/metadata/timestamp.json"] = route
        with pytest.raises(TransportError):
            scene.trust().refresh()
    scene.web.routes["/metadata/timestamp.json"] = answer(503, Retry_After="9")
    with pytest.raises(HttpStatusError) as caught:
        scene.trust().refresh()
    assert (caught.value.status, caught.value.retry_after_s) == (503, 9.0)
    scene.web.routes.clear()
    assert manifest_of(scene.trust(), "1.1").version == "1.1"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "till-app-1.0.json\n", "ｔill"])
def test_a_target_name_that_is_a_path_is_not_even_asked_for(scene: Scene, name: str) -> None:
    assert refused(lambda: scene.trust().target(name)) == "bad_name"
    assert scene.web.seen == []
    assert refused(lambda: scene.trust().lookup(name)) == "unknown_target"


def test_a_release_that_is_not_listed_is_refused(scene: Scene) -> None:
    assert refused(lambda: manifest_of(scene.trust(), "9.9")) == "unknown_target"
    assert refused(lambda: scene.trust().manifest("../till-app", "1.0")) == "bad_name"


def test_a_staged_release_is_invisible_until_it_is_published(scene: Scene) -> None:
    scene.repo.add_release("till-app", "1.1", scene.tmp / "app", now=NOW)
    assert refused(lambda: manifest_of(scene.trust(), "1.1")) == "unknown_target"
    scene.repo.publish(NOW)
    assert manifest_of(scene.trust(), "1.1").release_counter == 2


def test_a_release_counter_below_the_floor_is_a_downgrade(scene: Scene) -> None:
    scene.release("1.1")
    scene.floor().raise_counter("till-app", 2)
    assert manifest_of(scene.trust(), "1.1").release_counter == 2
    assert refused(lambda: manifest_of(scene.trust(), "1.0")) == "downgrade"


def test_the_floor_is_durable_before_anything_is_answered(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot store the floor: nothing is trusted."""
    trust = scene.trust()
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if "floor" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InstallFailed) as caught:
        manifest_of(trust)
    assert caught.value.code == "disk_full"
    assert [path for path in scene.web.paths() if path.startswith("/targets")] == []


def test_metadata_is_synced_before_the_floor_rises(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    trust = scene.trust()
    monkeypatch.setattr(trust_module, "fsync_file", lambda path: order.append(path.name))
    monkeypatch.setattr(trust_module, "fsync_dir", lambda path: order.append(path.name))
    monkeypatch.setattr(scene.floor().__class__, "raise_to", lambda self, seen: order.append("floor"))
    trust.refresh()
    names = ["1.root.json", "root.json", "snapshot.json", "targets.json", "timestamp.json"]
    assert sorted(order[:5]) == names
    assert order[5:] == ["root_history", "state", "floor"]
    manifest_of(trust)
    assert len(order) == 8


def test_a_lost_or_damaged_floor_beside_trusted_metadata_is_refused(scene: Scene) -> None:
    scene.trust().refresh()
    for copy in ("floor.1", "floor.2"):
        (scene.tmp / copy).write_bytes(b"")
    with pytest.raises(StateError):
        scene.trust()
    for copy in ("floor.1", "floor.2"):
        (scene.tmp / copy).unlink()
    with pytest.raises(StateError) as caught:
        scene.trust()
    assert caught.value.code == "floor_missing"


def test_a_thousand_kills_do_not_fill_the_folder(scene: Scene) -> None:
    scene.trust().refresh()
    before = sorted(path.name for path in scene.state.iterdir())
    for number in range(50):
        (scene.state / f"tmpab{number}").write_bytes(b"stray")
    scene.trust().refresh()
    assert sorted(path.name for path in scene.state.iterdir()) == before


def test_a_manifest_for_another_archive_or_component_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The centre's own mistake, or one holder's malice: manifest and archive are signed, but not for each other."""
    trust = scene.trust()
    real = parse

    def lie(raw: bytes) -> Manifest:
        return real(raw.replace(b'"length": ', b'"length": 1'))

    monkeypatch.setattr(trust_module, "parse", lie)
    assert refused(lambda: manifest_of(trust)) == "mix_and_match"
    monkeypatch.setattr(trust_module, "parse", lambda raw: real(raw.replace(b"1.0", b"1.1")))
    assert refused(lambda: manifest_of(trust)) == "mix_and_match"


def test_a_manifest_for_one_till_carries_that_in_its_signed_bytes(scene: Scene) -> None:
    scene.release("1.1", options=Options(terminals=("pos-9",), health_check=("bin/health",)))
    manifest = manifest_of(scene.trust(), "1.1")
    assert (manifest.terminals, manifest.health_check) == (("pos-9",), ("bin/health",))
