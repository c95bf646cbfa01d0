"""The USB stick: the same rules as online, its own validity, a hostile or torn file, a stick that is pulled out."""

import json
from pathlib import Path

import pytest

from firmware.bundle import METADATA_URL, TARGETS_URL, Bundle, write_bundle
from firmware.errors import HttpStatusError, ReleaseRefused, TransportError, UsageError
from firmware.fetch import fetch
from firmware.manifest import Manifest
from firmware.release import changes, keys, stick
from firmware.transport import Transport
from firmware.trust import Trust

from .conftest import Web
from .test_holders import rotated, vendor
from .till import DAY, NOW, Scene


@pytest.fixture
def scene(tmp_path: Path, web: Web, transport: Transport) -> Scene:
    made = Scene(tmp_path, web, transport)
    made.release("1.0")
    return made


def made(scene: Scene, component: str = "till-app", version: str = "1.0") -> Path:
    out = scene.tmp / "stick.posbundle"
    stick.bundle(scene.repo, component, version, out, NOW)
    return out


def offline(scene: Scene, bundle: Bundle, now: object = NOW) -> Trust:
    return Trust(
        scene.state, scene.root, METADATA_URL, bundle.source(), scene.floor(), now,  # type: ignore[arg-type]
        targets_url=TARGETS_URL, offline=True,
    )  # fmt: skip


def installable(scene: Scene, path: Path, now: object = NOW) -> Manifest:
    """Verify and fetch as the till would, with no network at all."""
    with Bundle(path) as bundle:
        trust = offline(scene, bundle, now)
        manifest = trust.manifest(bundle.component, bundle.version)
        target = trust.archive(manifest)
        fetch(target, TARGETS_URL, scene.tmp / "archive", bundle.source(), lambda done, of: None, reserve=0)
    return manifest


def code(scene: Scene, path: Path, now: object = NOW) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        installable(scene, path, now)
    assert str(caught.value).isprintable()
    return caught.value.code


def test_a_stick_is_verified_with_no_network_and_raises_the_floor(scene: Scene) -> None:
    path = made(scene)
    manifest = installable(scene, path)
    assert manifest == scene.repo.manifest("till-app", "1.0")
    assert scene.web.seen == []
    assert (scene.tmp / "archive").stat().st_size == manifest.archive.length
    assert scene.floor().versions == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_it_counts_ninety_days_although_timestamp_and_snapshot_do_not(scene: Scene) -> None:
    path = made(scene)
    assert installable(scene, path, NOW + 89 * DAY).version == "1.0"
    with pytest.raises(ReleaseRefused) as caught:
        scene.trust(now=NOW + 31 * DAY).refresh()
    assert caught.value.code == "expired"
    scene.repo.refresh(NOW + 89 * DAY)
    assert scene.trust(now=NOW + 89 * DAY).refresh().timestamp == 3
    path = made(scene)
    assert code(scene, path, NOW + 90 * DAY) == "bundle_expired"


@pytest.mark.parametrize("role", ["root", "targets"])
def test_offline_roles_expire_as_ever(scene: Scene, role: str) -> None:
    """A bundle's validity extends neither root nor targets."""
    setattr_periods(scene, role)
    path = made(scene)
    assert installable(scene, path, NOW + 9 * DAY).version == "1.0"
    assert code(scene, path, NOW + 10 * DAY) == "expired"


def setattr_periods(scene: Scene, role: str) -> None:
    from dataclasses import replace

    scene.repo.periods = replace(scene.repo.periods, **{role: 10 * DAY})
    changes.rotate(scene.repo, role, NOW)
    scene.repo.publish(NOW)


def test_a_stick_older_than_what_the_till_has_seen_is_refused(scene: Scene) -> None:
    path = made(scene)
    scene.release("1.1")
    scene.trust().refresh()
    assert code(scene, path) == "rollback"


def test_a_stick_of_strangers_and_changed_bytes(scene: Scene) -> None:
    path = made(scene)
    raw = path.read_bytes()
    for old, new in ((b'"targets"', b'"targetz"'), (b'"version":2', b'"version":3'), (b'"keyid":"', b'"keyid":"0')):
        at = raw.rindex(old)
        path.write_bytes((raw[:at] + new + raw[at + len(old) :])[: len(raw)])
        with pytest.raises((ReleaseRefused, TransportError)):
            installable(scene, path)
    other = scene.centre("attacker")
    good, scene.repo = scene.repo, other
    scene.release("1.0")
    assert code(scene, made(scene)) == "bad_signature"
    scene.repo = good


def test_a_changed_archive_is_not_kept(scene: Scene) -> None:
    path = made(scene)
    raw = path.read_bytes()
    path.write_bytes(raw[:-20] + bytes(byte ^ 1 for byte in raw[-20:]))
    assert code(scene, path) == "bad_hash"
    assert not (scene.tmp / "archive").exists()


def test_root_rotations_travel_on_the_stick(scene: Scene) -> None:
    scene.trust().refresh()
    for role in ("root", "timestamp", "targets"):
        rotated(scene, role)
    assert installable(scene, made(scene)).version == "1.0"
    assert scene.floor().versions["root"] == 4


def test_a_vendors_release_travels_on_the_stick(scene: Scene) -> None:
    vendor(scene).add_release("printer-fw", "2.0", scene.tmp / "app", now=NOW, role="acme")
    scene.repo.publish(NOW)
    assert installable(scene, made(scene, "printer-fw", "2.0")).component == "printer-fw"


def test_a_validity_below_the_threshold_is_none(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two targets holders extends the validity: not signed by enough, so nothing of it counts."""
    one = keys.load(scene.tmp / "centre-keys", None)
    online = {name: one.by_holder(name) for name in ("targets-1", "snapshot", "timestamp")}
    scene.repo.keys = keys.KeyRing(
        {signer.public_key.keyid: signer for signer in online.values()},
        {signer.public_key.keyid: name for name, signer in online.items()},
    )
    changes.rotate(scene.repo, "targets", NOW + 80 * DAY)
    monkeypatch.setattr("firmware.release.repository.require_complete", lambda *_: None)
    scene.repo.publish(NOW)
    assert code(scene, made(scene)) == "bad_signature"


def test_a_release_that_is_not_published_or_no_longer_allowed_makes_no_stick(scene: Scene) -> None:
    for version, now, refusal in (("9.9", NOW, "unknown_release"), ("1.0", NOW + 90 * DAY, "bundle_expired")):
        with pytest.raises(UsageError) as caught:
            stick.bundle(scene.repo, "till-app", version, scene.tmp / "out", now)
        assert caught.value.code == refusal
    assert not (scene.tmp / "out").exists()


def test_a_stick_that_is_pulled_out_harms_nothing_and_goes_on_later(scene: Scene) -> None:
    path = made(scene)
    raw = path.read_bytes()
    with Bundle(path) as bundle:
        trust = offline(scene, bundle)
        manifest = trust.manifest("till-app", "1.0")
        with path.open("r+b") as handle:
            handle.truncate(len(raw) - 30)
        with pytest.raises(TransportError):
            fetch(trust.archive(manifest), TARGETS_URL, scene.tmp / "archive", bundle.source(), lambda done, of: None, reserve=0)
    path.write_bytes(raw)
    assert installable(scene, path) == manifest


def write(path: Path, index: bytes, body: bytes = b"", magic: bytes = b"posagent-bundle 1\n", length: int | None = None) -> Path:
    path.write_bytes(magic + b"%08x\n" % (len(index) if length is None else length) + index + body)
    return path


def index(*files: object, **other: object) -> bytes:
    return json.dumps({"component": "a", "version": "1", "files": list(files), **other}).encode()


def entry(name: object, length: object = 0) -> dict[str, object]:
    return {"name": name, "length": length}


@pytest.mark.parametrize("raw", [
    b"", b"posagent", b"[]", b"{}", b"[" * 5000, b"\xff", index(component=1), index(files={}), index(component="../a"),
    index(entry("metadata/../x")), index(entry("/etc/passwd")), index(entry("targets/../x")), index(entry("targets//x")),
    index(entry("other/x")), index(entry("targets/x", -1)), index(entry("targets/x", True)), index(entry("targets/x", 10**20)),
    index(entry("targets/x", 5)), index(entry("targets/x"), entry("targets/x")), index(1), index(entry(None)),
    index(*[entry(f"targets/x{n}") for n in range(1001)]),
], ids=range(22))  # fmt: skip
def test_an_index_that_lies_is_refused(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        Bundle(write(tmp_path / "b", raw))
    assert caught.value.code in ("bad_bundle", "bad_name")


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    for path in (
        write(tmp_path / "a", index(), magic=b"posagent-bundle 2\n"),
        write(tmp_path / "b", index(), b"more than it says"),
        write(tmp_path / "c", index(), length=0xFFFFFFFF),
        write(tmp_path / "d", index(), length=len(index()) + 1),
    ):
        with pytest.raises(ReleaseRefused) as caught:
            Bundle(path)
        assert caught.value.code == "bad_bundle"
    with pytest.raises(ReleaseRefused):
        Bundle(tmp_path)
    with pytest.raises(TransportError):
        Bundle(tmp_path / "missing")


def test_a_part_is_bounded_and_has_no_network(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"0123456789")
    write_bundle(tmp_path / "b", "a", "1", {"targets/x": tmp_path / "one", "metadata/timestamp.json": tmp_path / "one"})
    with Bundle(tmp_path / "b") as bundle:
        source = bundle.source()
        assert bundle.names == ("targets/x", "metadata/timestamp.json")
        assert source.get_bytes("bundle:targets/x", 10) == b"0123456789"
        part = source.stream("bundle:targets/x", offset=4, max_bytes=6)
        assert (part.offset, part.read()) == (4, b"456789")
        for url, offset, status in (("bundle:targets/y", 0, 404), ("bundle:targets/x", 11, 416)):
            with pytest.raises(HttpStatusError) as caught:
                source.stream(url, offset=offset, max_bytes=1)
            assert caught.value.status == status
        with pytest.raises(TransportError) as long:
            source.get_bytes("bundle:targets/x", 9)
        assert long.value.code == "endless_data"
        with pytest.raises(TransportError):
            source.get_json("http://127.0.0.1/x")
        source.close()
