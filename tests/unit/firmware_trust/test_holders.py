"""Who may sign what, from the service centre to the till: rotation, thresholds, second holders, vendors, sets."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from firmware.errors import ReleaseRefused, UsageError
from firmware.manifest import Manifest
from firmware.release import changes, keys, overview, signing, stick
from firmware.release.repository import Repository
from firmware.transport import Transport

from .conftest import Web
from .till import DAY, NOW, Scene


@pytest.fixture
def scene(tmp_path: Path, web: Web, transport: Transport) -> Scene:
    made = Scene(tmp_path, web, transport)
    made.release("1.0")
    return made


def code_of(error: pytest.ExceptionInfo[UsageError] | pytest.ExceptionInfo[ReleaseRefused]) -> str:
    assert str(error.value).isprintable()
    return error.value.code


def rotated(scene: Scene, role: str, *, publish: bool = True) -> None:
    """New keys for the whole role, as the command does it."""
    gone = changes.keyids_of(scene.repo, role)
    names = changes.names_for_new_keys(scene.repo, role, gone)
    new = keys.add(scene.tmp / "centre-keys", names, None)
    scene.repo.ring.take(new)
    public = [new.by_holder(name).public_key for name in names]
    changes.rotate(scene.repo, role, NOW, replace=gone, new_keys=public)
    if publish:
        scene.repo.publish(NOW)


def only(scene: Scene, *names: str) -> Repository:
    """The repository with some keys of its folder alone."""
    folder = scene.tmp / "-".join(names)
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(scene.tmp / "centre-keys" / f"{name}.pem", folder)
    return Repository.open(scene.repo.folder, folder)


def test_every_role_rotated_several_times_while_the_till_slept(scene: Scene) -> None:
    scene.trust().refresh()
    for role in ("root", "targets", "root", "snapshot", "timestamp", "root"):
        rotated(scene, role)
    manifest = scene.trust().manifest("till-app", "1.0")
    assert manifest.release_counter == 1
    assert scene.floor().versions["root"] == 7
    again = Repository.open(scene.repo.folder, scene.tmp / "centre-keys")
    again.publish(NOW)
    assert scene.trust().refresh().timestamp == again.published("timestamp").signed.version


def test_a_rotated_root_needs_enough_of_the_old_holders_and_of_the_new(scene: Scene) -> None:
    rotated(scene, "root", publish=False)
    one = only(scene, "root-1", "root-1-r2", "snapshot", "timestamp")
    (scene.repo.staging / "root.json").unlink()
    new = keys.load(scene.tmp / "centre-keys", None)
    public = [new.by_holder(f"root-{number}-r2").public_key for number in (1, 2, 3)]
    standing = changes.rotate(one, "root", NOW, replace=changes.keyids_of(one, "root"), new_keys=public)
    assert [(part.threshold, len(part.signed)) for part in standing] == [(2, 1), (2, 1)]
    with pytest.raises(UsageError, match="1 of 2") as caught:
        one.publish(NOW)
    assert code_of(caught) == "signatures_missing"
    signing.sign_staged(only(scene, "root-2"))
    with pytest.raises(UsageError, match="1 of 2"):
        one.publish(NOW)
    signing.sign_staged(only(scene, "root-3-r2"))
    assert one.publish(NOW)["root"] == 2
    assert scene.trust().refresh().root == 2


def test_a_threshold_may_rise_and_cannot_rise_above_the_keys(scene: Scene) -> None:
    changes.rotate(scene.repo, "targets", NOW, threshold=3)
    scene.repo.publish(NOW)
    assert scene.trust().refresh().targets == 3
    with pytest.raises(UsageError) as caught:
        changes.rotate(scene.repo, "targets", NOW, threshold=4)
    assert code_of(caught) == "bad_threshold"


def test_one_key_one_role(scene: Scene) -> None:
    online = scene.repo.ring.by_holder("timestamp").public_key
    for attempt in (
        lambda: changes.rotate(scene.repo, "root", NOW, new_keys=[online]),
        lambda: changes.delegate(scene.repo, "acme", ["printer-fw"], [online], now=NOW),
    ):
        with pytest.raises(UsageError, match="one key, one role") as caught:
            attempt()
        assert code_of(caught) == "wrong_role"
    assert scene.repo.staged_roles() == []


def test_fast_forward_is_recovered_from_by_rotation(scene: Scene) -> None:
    """A thief of the online keys publishes huge versions; the till comes back with the rotated keys alone."""
    honest = scene.backup()
    published = scene.repo._published_version
    scene.repo._published_version = lambda role: published(role) + (2**40 if role in ("snapshot", "timestamp") else 0)  # type: ignore[method-assign]
    scene.repo.publish(NOW)
    scene.trust().refresh()
    shutil.rmtree(scene.repo.folder)
    shutil.copytree(honest, scene.repo.folder)
    scene.repo = Repository.open(scene.repo.folder, scene.tmp / "centre-keys")
    with pytest.raises(ReleaseRefused) as caught:
        scene.trust().refresh()
    assert code_of(caught) == "rollback"
    rotated(scene, "timestamp")
    assert scene.trust().refresh().timestamp == 3
    assert scene.floor().versions["snapshot"] == 3


def test_renewing_lets_expired_roles_be_published_again(scene: Scene) -> None:
    later = NOW + 400 * DAY
    with pytest.raises(UsageError) as caught:
        scene.repo.publish(later)
    assert code_of(caught) == "role_expired"
    changes.rotate(scene.repo, "targets", later)
    scene.repo.publish(later)
    far = later + 360 * DAY
    changes.rotate(scene.repo, "root", far)
    scene.repo.publish(far)
    assert scene.trust(now=far).manifest("till-app", "1.0").version == "1.0"


def test_refresh_needs_the_online_keys_alone_and_publishes_nothing_staged(scene: Scene) -> None:
    scene.repo.add_release("till-app", "1.1", scene.tmp / "app", now=NOW)
    cron = only(scene, "snapshot", "timestamp")
    later = NOW + 20 * DAY
    assert cron.refresh(later) == {"root": 1, "targets": 2, "snapshot": 3, "timestamp": 3}
    assert scene.trust(now=later).refresh().targets == 2
    assert scene.repo.staged_roles() == ["targets"]
    assert scene.repo.publish(later)["targets"] == 3
    with pytest.raises(UsageError) as caught:
        only(scene, "targets-1").refresh(later)
    assert code_of(caught) == "wrong_role"


def test_the_second_holder_signs_on_another_machine(scene: Scene, tmp_path: Path) -> None:
    first = only(scene, "targets-1", "snapshot", "timestamp")
    first.add_release("till-app", "1.1", scene.tmp / "app", now=NOW)
    file = tmp_path / "to-sign.json"
    exported = signing.export(first, file)
    assert [(one.role, one.standing[0].threshold, len(one.standing[0].signed)) for one in exported] == [("targets", 2, 1)]
    assert "till-app-1.1.json" in exported[0].listed
    with pytest.raises(UsageError) as caught:
        signing.sign_file(file, tmp_path / "targets-1-snapshot-timestamp" / "none", None)
    assert code_of(caught) == "keys_missing"
    only(scene, "snapshot")
    with pytest.raises(UsageError) as caught:
        signing.sign_file(file, tmp_path / "snapshot", None)
    assert code_of(caught) == "wrong_role"
    only(scene, "targets-3")
    assert signing.sign_file(file, tmp_path / "targets-3", None)[0].standing[0].complete
    assert signing.take_in(first, file)[0].standing[0].complete
    first.publish(NOW)
    assert scene.trust().manifest("till-app", "1.1").release_counter == 2


def test_a_request_that_was_changed_on_the_way_is_refused(scene: Scene, tmp_path: Path) -> None:
    first = only(scene, "targets-1", "snapshot", "timestamp")
    first.add_release("till-app", "1.1", scene.tmp / "app", now=NOW)
    file = tmp_path / "to-sign.json"
    signing.export(first, file)
    request = json.loads(file.read_bytes())
    content = request["documents"][0]["metadata"]["signed"]
    content["targets"]["evil-1.0.json"] = content["targets"]["till-app-1.1.json"]
    file.write_text(json.dumps(request))
    only(scene, "targets-2")
    signing.sign_file(file, tmp_path / "targets-2", None)
    with pytest.raises(UsageError) as caught:
        signing.take_in(first, file)
    assert code_of(caught) == "other_content"
    for raw in (b"", b"[]", b'{"kind": "posagent-signing-request", "documents": []}', b'{"kind": "x"}'):
        file.write_bytes(raw)
        with pytest.raises(UsageError) as caught:
            signing.take_in(first, file)
        assert code_of(caught) == "bad_request"
    with pytest.raises(UsageError) as caught:
        first.publish(NOW)
    assert code_of(caught) == "signatures_missing"


def test_nothing_to_sign_is_said(scene: Scene, tmp_path: Path) -> None:
    for attempt in (lambda: signing.export(scene.repo, tmp_path / "x"), lambda: signing.sign_staged(scene.repo)):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert code_of(caught) == "nothing_staged"


def vendor(scene: Scene, name: str = "acme", component: str = "printer-fw") -> Repository:
    """The centre delegates and publishes; returns the repository with this vendor's keys alone."""
    public = changes.vendor_keys(scene.tmp / name, name, 1, None)
    changes.delegate(scene.repo, name, [component], public, now=NOW)
    scene.repo.publish(NOW)
    return Repository.open(scene.repo.folder, scene.tmp / name)


def test_a_vendor_signs_its_component_and_the_till_finds_it(scene: Scene) -> None:
    acme = vendor(scene)
    added = acme.add_release("printer-fw", "2.0", scene.tmp / "app", now=NOW, role="acme")
    assert added.manifest.archive.name == "printer/acme/printer-fw-2.0.tar.gz"
    only(scene, "snapshot", "timestamp").publish(NOW)
    trust = scene.trust()
    manifest = trust.manifest("printer-fw", "2.0")
    assert manifest == scene.repo.manifest("printer-fw", "2.0")
    assert trust.archive(manifest).path.startswith("printer/acme/")
    assert trust.manifest("till-app", "1.0").name == "till-app-1.0.json"
    assert overview.show(scene.repo, NOW)["components"]["printer-fw"][0]["published"]


def test_a_vendor_signs_nothing_else(scene: Scene) -> None:
    """The vendor's tool refuses; and what a vendor signs with a tool of its own is not found by any till."""
    acme = vendor(scene)
    for component, role in (("till-app", "acme"), ("other", "acme"), ("printer-fw", "targets")):
        with pytest.raises(UsageError) as caught:
            acme.add_release(component, "9.9", scene.tmp / "app", now=NOW, role=role)
        assert code_of(caught) == "wrong_role"
    acme.add_release("printer-fw", "2.0", scene.tmp / "app", now=NOW, role="acme")
    content = acme.upcoming("acme")
    record = content.targets["printer/acme/printer-fw-2.0.json"]
    for name in ("till-app-9.9.json", "printer/other/till-app-9.9.json", "printer/acme/till-app-9.9.json"):
        content.targets[name] = record
    acme.stage("acme", content, NOW)
    scene.repo.publish(NOW)
    for component in ("till-app", "other"):
        with pytest.raises(ReleaseRefused) as caught2:
            scene.trust().manifest(component, "9.9")
        assert code_of(caught2) == "unknown_target"
    assert scene.trust().lookup("printer/acme/till-app-9.9.json").length == record.length
    assert isinstance(scene.trust().manifest("printer-fw", "2.0"), Manifest)


def test_a_vendors_document_comes_as_a_file_and_only_with_the_vendors_signature(scene: Scene, tmp_path: Path) -> None:
    vendor(scene)
    copy = tmp_path / "vendors-copy"
    shutil.copytree(scene.repo.folder, copy)
    away = Repository.open(copy, tmp_path / "acme")
    away.add_release("printer-fw", "2.0", scene.tmp / "app", now=NOW, role="acme")
    signing.export(away, tmp_path / "acme.json")
    with pytest.raises(UsageError) as caught:
        signing.take_in(scene.repo, tmp_path / "acme.json")
    assert code_of(caught) == "files_missing"
    shutil.copytree(copy / "targets", scene.repo.targets, dirs_exist_ok=True)
    request = json.loads((tmp_path / "acme.json").read_bytes())
    unsigned = json.loads(json.dumps(request))
    unsigned["documents"][0]["metadata"]["signatures"] = []
    (tmp_path / "bad.json").write_text(json.dumps(unsigned))
    with pytest.raises(UsageError) as caught:
        signing.take_in(scene.repo, tmp_path / "bad.json")
    assert code_of(caught) == "signatures_missing"
    for role in ("../timestamp", "snapshot", "nobody"):
        request["documents"][0]["role"] = role
        (tmp_path / "bad.json").write_text(json.dumps(request))
        with pytest.raises(UsageError) as caught:
            signing.take_in(scene.repo, tmp_path / "bad.json")
        assert code_of(caught) == "other_content"
    assert signing.take_in(scene.repo, tmp_path / "acme.json")[0].standing[0].complete
    scene.repo.publish(NOW)
    assert scene.trust().manifest("printer-fw", "2.0").version == "2.0"


def test_a_vendor_whose_key_was_taken_away_must_sign_again(scene: Scene, tmp_path: Path) -> None:
    acme = vendor(scene)
    acme.add_release("printer-fw", "2.0", scene.tmp / "app", now=NOW, role="acme")
    scene.repo.publish(NOW)
    public = changes.vendor_keys(tmp_path / "acme-new", "acme", 1, None)
    changes.delegate(scene.repo, "acme", ["printer-fw"], public, now=NOW)
    with pytest.raises(UsageError, match="acme") as caught:
        scene.repo.publish(NOW)
    assert code_of(caught) == "signatures_missing"
    new = Repository.open(scene.repo.folder, tmp_path / "acme-new")
    new.add_release("printer-fw", "2.1", scene.tmp / "app", now=NOW, role="acme")
    scene.repo.publish(NOW)
    assert scene.trust().manifest("printer-fw", "2.0").version == "2.0"


def test_a_component_has_one_source(scene: Scene, tmp_path: Path) -> None:
    vendor(scene)
    public = changes.vendor_keys(tmp_path / "other-keys", "other", 1, None)
    for component, path, code in (
        ("till-app", None, "component_taken"),
        ("printer-fw", None, "component_taken"),
        ("new", "printer/acme/*", "component_taken"),
        ("new", "sets/*", "bad_name"),
        ("new", "*", "bad_name"),
        ("new", "printer/../*", "bad_name"),
        ("../new", None, "bad_name"),
    ):
        with pytest.raises(UsageError) as caught:
            changes.delegate(scene.repo, "other", [component], public, path=path, now=NOW)
        assert code_of(caught) == code
    for name in ("root", "snapshot", "../x", "", "sets"):
        with pytest.raises(UsageError) as caught:
            changes.delegate(scene.repo, name, ["new"], public, now=NOW)
        assert code_of(caught) == "bad_name"


def test_a_set_is_signed_and_found_by_its_members_in_any_order(scene: Scene) -> None:
    scene.repo.add_release("tables", "3", scene.tmp / "app", now=NOW)
    pairs = [("till-app", "1.0"), ("tables", "3")]
    stick.add_set(scene.repo, "shop", "5", pairs, NOW)
    stick.add_set(scene.repo, "shop", "6", pairs[::-1], NOW)
    scene.repo.publish(NOW)
    trust = scene.trust()
    assert trust.set("shop", "5").members == tuple(pairs)
    found = trust.set_of(pairs)
    assert found is not None
    assert (found.name, found.version, found.members) == ("shop", "6", tuple(pairs[::-1]))
    assert trust.set_of(pairs[:1]) is None
    assert stick.signed_set(scene.repo, pairs) == ("shop", "6")
    with pytest.raises(ReleaseRefused) as refused:
        trust.set("shop", "7")
    assert code_of(refused) == "unknown_target"
    for name, version, members, code in (
        ("shop", "5", pairs, "version_exists"),
        ("shop", "7", [("till-app", "9")], "unknown_release"),
        ("../shop", "7", pairs, "bad_name"),
        ("shop", "7", [pairs[0], pairs[0]], "bad_manifest"),
        ("shop", "7", [], "bad_manifest"),
    ):
        with pytest.raises(UsageError) as caught:
            stick.add_set(scene.repo, name, version, members, NOW)
        assert code_of(caught) == code


def test_show_tells_what_each_key_may_sign_and_what_waits(scene: Scene) -> None:
    vendor(scene)
    only(scene, "targets-1").add_release("till-app", "1.1", scene.tmp / "app", now=NOW)
    shown = overview.show(scene.repo, NOW + timedelta(days=8))
    assert shown["vendors"]["acme"]["paths"] == ["printer/acme/*"]
    assert shown["vendors"]["acme"]["version"] is None
    assert sorted(key["may_sign"] for key in shown["keys"].values()) == sorted(
        [*[["root"]] * 3, *[["targets"]] * 3, ["snapshot"], ["timestamp"], ["acme"]]
    )
    (waiting,) = shown["staged"]["targets"]["signatures"]
    assert len(waiting.pop("may_sign")) == 2
    assert waiting == {"role": "targets", "threshold": 2, "signed": 1, "complete": False}
    assert shown["bundle"]["until"] == "2026-05-30T12:00:00Z"
