"""Attacks on the signed metadata: replays, mixtures, stolen keys, and texts that are meant to trip the reader."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, TargetFile

from firmware.lastgood import LastGoodTime
from firmware.release import changes, keys
from firmware.release.repository import SIGNED_AT, Repository
from firmware.state import Deployment, Wanted

from .tars import plain
from .thief import Thief, digest, expires, newer, own_key, reordered
from .till import NOW, Till, later, manifest_of
from .web import endless, raw, says


def backup(till: Till) -> Path:
    """What somebody kept of the repository as it is now."""
    return Path(shutil.copytree(till.repo.folder, till.folder / f"kept-{len(list(till.folder.iterdir()))}"))


def seen_newer(till: Till) -> Path:
    """The till has met a newer repository than the one that is returned."""
    kept = backup(till)
    till.release("1.5", "scanner")
    assert till.update("9.9").code == "unknown_target"
    return kept


# -- rollback of each role --------------------------------------------------------------------------------------------


def test_rollback_of_the_whole_repository(till: Till) -> None:
    """Yesterday's repository, all of it validly signed, would bring yesterday's holes back."""
    till.web.folder = seen_newer(till)
    till.refuses("rollback")


def test_rollback_of_the_timestamp(till: Till) -> None:
    """The timestamp alone is replayed: it decides what everything else may be."""
    kept = seen_newer(till)
    till.web.lie("*/timestamp.json", says((kept / "metadata" / "timestamp.json").read_bytes()))
    till.refuses("rollback")


def test_rollback_of_the_snapshot_with_a_stolen_timestamp_key(till: Till) -> None:
    """A new timestamp, signed with the stolen online key, names the snapshot of yesterday."""
    kept = seen_newer(till)
    old = Metadata.from_bytes((kept / "metadata" / "timestamp.json").read_bytes()).signed.snapshot_meta

    def edit(signed: Any) -> None:
        signed.version += 1
        signed.snapshot_meta = old

    Thief(till).change("timestamp", edit)
    till.stolen = True
    till.refuses("rollback")


def test_rollback_of_targets_with_stolen_online_keys(till: Till) -> None:
    """With both online keys a thief makes a new snapshot that names the targets of yesterday."""
    seen_newer(till)
    thief = Thief(till)
    thief.path("targets").unlink()
    thief.chain()
    till.refuses("rollback")


def test_rollback_of_the_root(till: Till) -> None:
    """After a rotation the old root with its old keys must not come back, not even with everything that fits to it."""
    kept = backup(till)
    till.rotate_online()
    till.repo.publish(NOW)
    assert till.update("9.9").code == "unknown_target"
    assert till.floor()["root"] == 2
    shutil.rmtree(till.state / "trust")
    till.web.folder = kept
    till.refuses("rollback")


def test_old_root_under_a_new_number(till: Till) -> None:
    """Version 1 served as 2.root.json: the number inside must be exactly the next one."""
    till.web.lie("*/2.root.json", says(till.repo.root_bytes))
    till.refuses("rollback")


def test_root_that_skips_a_version(till: Till) -> None:
    """A validly signed root 3 in the place of 2 would hide what 2 has taken away."""

    def skip(signed: Any) -> None:
        signed.version = 3

    Thief(till).change("root", skip, number=2)
    till.refuses("rollback")


# -- freeze -----------------------------------------------------------------------------------------------------------


def test_freeze(till: Till) -> None:
    """A server that keeps showing the same old metadata hides updates: its signature ends after days."""
    till.web.folder = backup(till)
    till.now = later(days=8)
    till.refuses("expired")


@pytest.mark.parametrize("role", ["root", "targets", "snapshot"])
def test_freeze_of_one_role(till: Till, role: str) -> None:
    """Every role ends, not the timestamp alone: an expired one is not kept alive by fresh ones above it."""
    thief = Thief(till)
    thief.change(role, expires(later(days=-1)), number=thief.load(role).signed.version + 1)
    thief.chain()
    till.attack("expired")
    # It was the centre's own neglect: its holders sign again.
    till.repo = Repository.open(thief.folder, till.folder / "keys")
    changes.rotate(till.repo, "root", NOW)
    till.honest()


@pytest.mark.parametrize("role", ["root", "targets"])
def test_freeze_within_the_slack_of_the_clock(till: Till, role: str) -> None:
    """A clock may be an hour behind the last signature, but what had ended when that was signed has ended."""
    thief = Thief(till)
    thief.change(role, expires(later(days=1, minutes=-10)), number=thief.load(role).signed.version + 1)
    thief.chain()
    thief.change("timestamp", lambda signed: signed.unrecognized_fields.update({SIGNED_AT: later(days=1).isoformat()}))
    till.now = later(days=1, minutes=-30)
    till.attack("expired")
    till.repo = Repository.open(thief.folder, till.folder / "keys")
    changes.rotate(till.repo, "root", NOW)
    till.honest()


def test_freeze_with_a_clock_set_back(till: Till) -> None:
    """A clock before the last signed time makes expired metadata look fresh: nothing is installed until it is right."""
    till.release("2.0")
    till.web.folder = backup(till)
    till.now = later(days=-30)
    floor, files = till.floor(), till.files()
    assert till.engine.request(_wanted("frozen", "2.0"))
    till.run(steps=20)
    till.unharmed(floor, files)
    assert till.engine.status()["deployment"]["waiting_for"] == "clock"
    assert not any(path.endswith("2.0.tar.gz") for path, _ in till.web.seen)
    till.now = later(hours=1)
    till.run()
    assert (till.journal[-1].state, till.runs) == ("committed", "2.0")
    till.honest()


# -- mix and match ----------------------------------------------------------------------------------------------------


def test_mix_and_match_of_snapshot(till: Till) -> None:
    """The snapshot of another day under the new one's name: its hash stands in the timestamp."""
    kept = backup(till)
    till.release("2.0")
    thief = Thief(till)
    shutil.copy(max((kept / "metadata").glob("*.snapshot.json")), thief.path("snapshot"))
    till.refuses("bad_hash")


def test_mix_and_match_of_targets(till: Till) -> None:
    """The targets of another day under the new one's name: its hash stands in the snapshot."""
    till.release("2.0")
    thief = Thief(till)
    shutil.copy(thief.path("targets", 2), thief.path("targets"))
    till.refuses("bad_hash")


def test_roles_swapped(till: Till) -> None:
    """The snapshot served as timestamp: signed by the same centre, but not for this."""
    thief = Thief(till)
    thief.write("timestamp.json", thief.path("snapshot").read_bytes())
    till.refuses("mix_and_match")


def test_vendor_dropped_from_the_snapshot(till: Till) -> None:
    """Stolen online keys take a vendor's role out of the snapshot, so that its fixes never arrive."""
    _delegate(till)
    assert till.update("9.9").code == "unknown_target"
    thief = Thief(till)
    thief.chain(snapshot=lambda signed: signed.meta.pop("acme.json"))
    till.refuses("mix_and_match")


# -- stolen keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "holders", [(), ("targets-1",), ("targets-1", "targets-1"), ("snapshot", "timestamp", "root-1", "root-2")], ids=str
)
def test_targets_below_threshold(till: Till, holders: tuple[str, ...]) -> None:
    """One stolen targets key of two, or every key but the right ones, signs a release: not enough."""
    till.release("2.0")
    thief = Thief(till)
    thief.change("targets", newer, holders)
    thief.chain()
    till.refuses("bad_signature")


def test_one_key_counted_twice(till: Till) -> None:
    """The same key's signature under two key ids must not make a threshold of two."""
    thief = Thief(till)
    thief.change("targets", newer, ("targets-1",))
    document = json.loads(thief.path("targets").read_bytes())
    entry = document["signatures"][0]
    other = till.repo.ring.by_holder("targets-2").public_key.keyid
    document["signatures"] += [{**entry, "keyid": other}]
    thief.path("targets").write_text(json.dumps(document))
    thief.chain()
    till.refuses("bad_signature")


def test_signature_repeated(till: Till) -> None:
    """One signature written down twice is one signature."""
    thief = Thief(till)
    thief.change("targets", newer, ("targets-1",))
    document = json.loads(thief.path("targets").read_bytes())
    document["signatures"] *= 2
    thief.path("targets").write_text(json.dumps(document))
    thief.chain()
    till.refuses("malformed")


@pytest.mark.parametrize("holders", [("root-1",), ("targets-1", "targets-2"), ()], ids=str)
def test_new_root_below_threshold(till: Till, holders: tuple[str, ...]) -> None:
    """A new root decides about every key: it needs the threshold of the old one."""
    thief = Thief(till)
    thief.change("root", newer, holders)
    till.refuses("bad_signature")


def test_new_root_with_keys_of_the_attacker(till: Till) -> None:
    """The attacker's own root, signed by himself alone, is a root for nobody here."""
    evil = Repository.create(till.folder / "his", till.folder / "his-keys", now=NOW)
    Thief(till, evil.folder)
    till.web.lie("*/2.root.json", says(evil.root_bytes.replace(b'"version": 1', b'"version": 2')))
    till.refuses("bad_signature")


def test_whole_repository_of_the_attacker(till: Till) -> None:
    """A complete, consistent repository, signed by somebody else."""
    evil = Repository.create(till.folder / "his", till.folder / "his-keys", now=NOW)
    Thief(till, evil.folder)
    till.refuses("bad_signature")


def test_new_root_signed_by_the_new_keys_alone(till: Till) -> None:
    """A rotation must be signed by the old holders too, else anybody could rotate himself in."""
    mine = own_key()

    def take_over(signed: Any) -> None:
        signed.version += 1
        signed.roles["root"].threshold = 1
        signed.add_key(mine.public_key, "root")

    thief = Thief(till)
    document = thief.load("root")
    take_over(document.signed)
    document.signatures.clear()
    document.sign(mine)
    thief.write("2.root.json", document.to_bytes())
    till.refuses("bad_signature")


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_fast_forward_and_recovery(till: Till, role: str) -> None:
    """Stolen online keys sign a huge version, and the honest centre looks old for ever, until its keys are rotated."""

    def far(signed: Any) -> None:
        signed.version = 1 << 40

    thief = Thief(till)
    if role == "timestamp":
        thief.change("timestamp", far)
    else:
        thief.chain(bump=1 << 40)
    assert till.update("9.9").code == "unknown_target"
    till.web.folder = till.repo.folder
    till.attack("rollback", "9.9")
    till.rotate_online()
    till.honest()
    assert till.floor()[role] < 1 << 40


@pytest.mark.parametrize("stopped", [True, False])
def test_fast_forward_of_the_time_and_recovery(till: Till, stopped: bool) -> None:
    """A stolen timestamp key signs a moment days ahead: no clock is right any more, until the key is rotated."""

    def far(signed: Any) -> None:
        signed.version += 1
        signed.expires = later(days=36_500)
        signed.unrecognized_fields[SIGNED_AT] = later(days=5).isoformat()

    thief = Thief(till)
    thief.change("timestamp", far)
    floor, files = till.floor(), till.files()
    assert till.engine.request(_wanted("future", "2.0"))
    till.run(steps=80)
    till.unharmed(floor, files)
    assert till.engine.status()["deployment"]["waiting_for"] == "clock"
    assert LastGoodTime(till.state / "time.json").moment == later(days=5), "it has been fooled"
    if stopped:
        till.engine.cancel("7")
        till.run()
    # An honest timestamp of the same key changes nothing: only a root can tell the thief from the centre.
    till.repo.refresh(NOW)
    till.web.folder = till.repo.folder
    if not stopped:
        till.run(steps=80)
        till.unharmed(floor, files)
        till.rotate_online()
        till.release("2.0")
        till.run(steps=2000)
        assert (till.journal[-1].state, till.runs) == ("committed", "2.0"), "what was waiting goes on by itself"
    else:
        till.rotate_online()
    till.honest()
    assert LastGoodTime(till.state / "time.json").moment == NOW


def test_fast_forward_of_the_time_beyond_everything(till: Till) -> None:
    """A moment years ahead outlives what the other keys have signed: it is refused, and not even remembered."""

    def far(signed: Any) -> None:
        signed.version += 1
        signed.expires = later(days=36_500)
        signed.unrecognized_fields[SIGNED_AT] = later(days=3_650).isoformat()

    Thief(till).change("timestamp", far)
    till.stolen = True
    till.attack("expired", "9.9")
    assert LastGoodTime(till.state / "time.json").moment == NOW
    till.honest()


@pytest.mark.parametrize(
    "told", ["soon", 3, None, {}, "2026-03-01T12:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
)
def test_signing_time_that_is_none(till: Till, told: object) -> None:
    """What stands in the field for the signing time may be anything: it is a time, or it is nothing."""
    Thief(till).change("timestamp", lambda signed: signed.unrecognized_fields.update({SIGNED_AT: told}))
    till.update("9.9")
    assert LastGoodTime(till.state / "time.json").moment == NOW
    till.honest()


# -- vendors ----------------------------------------------------------------------------------------------------------


def _delegate(till: Till) -> Any:
    """Give the vendor acme ``printer/acme/*`` and have it sign something; returns its signer."""
    ring = keys.create(till.folder / "acme-keys", ["acme-1"], None)
    signer = ring.by_holder("acme-1")
    changes.delegate(till.repo, "acme", ["acme-fw"], [signer.public_key], now=NOW)
    till.repo.ring.take(ring)
    app = till.folder / "fw"
    app.mkdir()
    (app / "fw.bin").write_bytes(b"firmware")
    till.repo.publish(NOW)
    till.repo.add_release("acme-fw", "1.0", app, now=NOW, role="acme")
    till.repo.publish(NOW)
    return signer


@pytest.mark.parametrize("folder", ["", "printer/", "printer/other/", "printer/acme/sub/", "printer/acme/../../"])
def test_vendor_reaching_outside_its_paths(till: Till, folder: str) -> None:
    """A printer vendor's key signs printer firmware and nothing else, however the name is written."""
    _delegate(till)
    archive = plain("2.0")
    document = manifest_of(archive)
    thief = Thief(till)

    def list_it(signed: Any) -> None:
        signed.version += 1
        for name, data in (
            (f"{folder}till-app-2.0.json", json.dumps(document).encode()),
            (f"{folder}till-app-2.0.tar.gz", archive),
        ):
            signed.targets[name] = TargetFile(len(data), {"sha256": digest(data)}, name)

    thief.change("acme", list_it, ("acme-1",))
    thief.chain()
    till.refuses("unknown_target")


def test_vendor_claims_the_till_application(till: Till) -> None:
    """The vendor writes the till application into its own role's list of components: only the centre's list counts."""
    _delegate(till)
    thief = Thief(till)

    def claim(signed: Any) -> None:
        signed.version += 1
        signed.unrecognized_fields["x-posagent-components"] = ["till-app"]

    thief.change("acme", claim, ("acme-1",))
    thief.chain()
    till.refuses("unknown_target")


def test_vendor_delegates_on_to_itself(till: Till) -> None:
    """A vendor's role that delegates to a role of its own gains no path by it, and a circle of roles ends."""
    signer = _delegate(till)
    thief = Thief(till)

    def circle(signed: Any) -> None:
        signed.version += 1
        key = signer.public_key
        role = DelegatedRole("acme", [key.keyid], 1, False, paths=["*", "*/*", "*/*/*"])
        signed.delegations = Delegations({key.keyid: key}, {"acme": role})

    thief.change("acme", circle, ("acme-1",))
    thief.chain()
    till.refuses("unknown_target")


def test_vendor_with_a_revoked_key(till: Till) -> None:
    """After the vendor's key was replaced, what the old key signs is worth nothing."""
    _delegate(till)
    fresh = keys.create(till.folder / "acme-new", ["acme-2"], None)
    thief = Thief(till)

    def replace(signed: Any) -> None:
        signed.version += 1
        signed.delegations.roles["acme"].keyids = []
        signed.add_key(fresh.by_holder("acme-2").public_key, "acme")

    thief.change("targets", replace)
    thief.change("acme", newer, ("acme-1",))
    thief.chain()
    till.settings.components["acme-fw"] = till.settings.components["till-app"]  # type: ignore[index]
    till.start()
    till.attack("bad_signature", "1.0", "acme-fw")
    till.honest()


# -- torn memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["emptied", "removed", "noise"])
def test_replay_after_a_torn_cache(till: Till, damage: str) -> None:
    """After a power cut tuf's own files may be empty, and then it accepts an older repository: the floor does not."""
    kept = seen_newer(till)
    for path in (till.state / "trust").glob("*.json"):
        if path.is_symlink() or path.name == "root.json":
            continue
        if damage == "removed":
            path.unlink()
        else:
            path.write_bytes(b"" if damage == "emptied" else b"\x00noise")
    till.web.folder = kept
    till.refuses("rollback")


def test_replay_after_the_whole_cache_is_gone(till: Till) -> None:
    """The trust folder was emptied altogether: the floor beside it still knows."""
    kept = seen_newer(till)
    shutil.rmtree(till.state / "trust")
    till.web.folder = kept
    till.refuses("rollback")


def test_replay_after_all_of_trusts_memory_is_gone(till: Till) -> None:
    """With floor and trust removed the counter of what runs is the last memory: an older release is still refused."""
    kept = backup(till)
    till.release("2.0")
    assert till.update("2.0").state == "committed"
    shutil.rmtree(till.state / "trust")
    for path in (*till.state.glob("floor.json*"), *till.state.glob("time.json*")):
        path.unlink()
    till.web.folder = kept
    last = till.update("1.0")
    assert (last.state, last.code, till.runs) == ("refused", "downgrade", "2.0")
    till.honest()


# -- data without end, and tricks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["timestamp.json", "2.root.json"])
def test_endless_metadata(till: Till, name: str) -> None:
    """A file that never ends would fill memory or disk: every role has a bound."""
    till.web.lie(f"*/{name}", endless(b" " * (1 << 16)))
    till.refuses("endless_data")


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_longer_metadata_than_named(till: Till, role: str) -> None:
    """Roles whose length is named above them end there."""
    till.release("2.0")
    thief = Thief(till)
    till.web.lie(f"*.{role}.json", says(thief.path(role).read_bytes() + b" " * (6 << 20)))
    till.refuses("endless_data")


TRICKS = {
    "deep nesting": b"[" * 5_000,
    "deep objects": b'{"signed":' * 1_000,
    "huge integer": b'{"signed": {"version": ' + b"9" * 9_000 + b"}}",
    "NaN": b'{"signed": {"version": NaN}, "signatures": []}',
    "no object": b"[]",
    "null": b"null",
    "empty": b"",
    "a portal's page": b"<!DOCTYPE html><title>Welcome</title>",
    "no UTF-8": b"\xff\xfe\x00",
    "wrong types": b'{"signed": {"_type": ["timestamp"]}, "signatures": {"a": 1}}',
}


@pytest.mark.parametrize("trick", TRICKS)
def test_json_tricks_in_metadata(till: Till, trick: str) -> None:
    """Unsigned text is read before any signature can be checked: it must not crash or hang the reader."""
    till.web.lie("*/timestamp.json", says(TRICKS[trick]))
    till.refuses("malformed")


def test_signed_part_twice(till: Till) -> None:
    """Two ``signed`` keys in one text: what is verified is what is used, whichever of them that is."""
    till.release("2.0")
    good = (till.repo.folder / "metadata" / "timestamp.json").read_bytes()
    evil = json.loads(good)["signed"] | {"version": 1 << 40}
    till.web.lie("*/timestamp.json", says(reordered(good, f', "signed": {json.dumps(evil)}')))
    till.refuses("bad_signature")


@pytest.mark.parametrize("version", ["2.0.0", "0.9", "x", ""])
def test_another_specification(till: Till, version: str) -> None:
    """Metadata of a specification that this agent does not know may mean anything."""
    thief = Thief(till)
    document = json.loads(thief.path("timestamp").read_bytes())
    document["signed"]["spec_version"] = version
    document["signed"]["version"] += 1
    thief.write("timestamp.json", json.dumps(document).encode())
    till.refuses("malformed")


def test_key_of_an_unknown_kind_in_the_root(till: Till) -> None:
    """A root with a key of a kind that nobody here can check: not half understood, but refused."""

    def add(signed: Any) -> None:
        signed.version += 1
        signed.add_key(SSlibKey("0" * 64, "quantum", "quantum-1", {"public": "x"}), "timestamp")

    Thief(till).change("root", add)
    till.refuses("malformed")


def test_escape_codes_in_metadata(till: Till) -> None:
    """Error texts quote what they could not read: none of it may reach a terminal as it is."""
    till.web.lie("*/timestamp.json", says(b'{"signed": {"_type": "\\u001b[2J\\nroot: ok\\u202e"}, "signatures": []}'))
    till.refuses("malformed")


def test_not_modified_without_question(till: Till) -> None:
    """A server that answers "not modified" to everything keeps the till where it is without a signature."""
    till.web.lie("*/timestamp.json", raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"))
    till.refuses("http_status", state="failed")


def _wanted(name: str, version: str) -> Any:
    return Deployment(name, "7", (Wanted("till-app", version),))
