"""The client workflow (TUF specification 1.0.34 section 5), case by case, through the conformance program's commands."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from tests.conformance.centre import NOW, TOP, Centre
from tests.conformance.conftest import Client
from tests.unit.firmware_trust.conftest import Web

DAY = timedelta(days=1)


def test_init_then_refresh_asks_exactly_what_the_workflow_says(client: Client, centre: Centre, web: Web) -> None:
    assert client.versions() == {"root": 1}
    assert client.refresh() == 0
    names = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert web.paths() == [f"/metadata/{name}" for name in names]
    for role, name in zip(TOP, ["1.root.json", *names[1:]], strict=True):
        assert client.trusted(role) == (centre.folder / "metadata" / name).read_bytes()


def test_an_unchanged_repository_costs_two_questions(client: Client, web: Web) -> None:
    assert client.refresh() == 0
    web.seen.clear()
    assert client.refresh() == 0
    assert web.paths() == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_refresh_without_init_and_init_with_no_root(tmp_path: Path, web: Web, centre: Centre) -> None:
    client = Client(tmp_path / "other", web)
    assert client.refresh() == 1
    assert client.init(b"{}") == 1
    assert client.refresh() == 1
    unsigned = centre.signed(centre.root, [])
    assert client.init(unsigned) == 1
    assert client.init(centre.first_root) == 0
    assert client.refresh() == 0


@pytest.mark.parametrize("role", TOP)
@pytest.mark.parametrize("how", ["unsigned", "stranger", "wrong role's key"])
def test_each_role_must_be_signed_by_its_own_keys(client: Client, centre: Centre, role: str, how: str) -> None:
    strangers = [CryptoSigner.generate_ed25519()]
    other = centre.signers["targets" if role != "targets" else "snapshot"]
    signers = {"unsigned": [], "stranger": strangers, "wrong role's key": other}[how]
    if role == "root":
        centre.root.version += 1
        centre.write("2.root.json", centre.signed(centre.root, signers))
    else:
        getattr(centre, role).version += 1
        centre.publish(**{role: centre.signed(getattr(centre, role), signers)})
    assert client.refresh() == 1
    assert role not in client.versions() or client.versions()[role] == 1


@pytest.mark.parametrize("role", TOP)
def test_expiry_of_each_role(client: Client, centre: Centre, role: str) -> None:
    getattr(centre, role).expires = NOW + DAY
    if role == "root":
        centre.next_root()
    else:
        centre.bump(role)
    assert client.refresh() == 0
    client.now = NOW + DAY
    assert client.refresh() == 1


def test_an_expired_first_root_is_only_a_beginning(tmp_path: Path, web: Web) -> None:
    centre = Centre(tmp_path / "old")
    web.folder = centre.folder
    centre.root.expires = NOW - DAY
    centre.publish_root()
    client = Client(tmp_path / "old-client", web)
    assert client.init(centre.first_root) == 0
    assert client.refresh() == 1
    centre.root.version = 2
    centre.publish_root()
    assert client.refresh() == 1
    centre.root.expires = NOW + DAY
    centre.next_root()
    assert client.refresh() == 0
    assert client.versions()["root"] == 3


def test_a_timestamp_that_expired_meanwhile_still_guards_against_an_older_one(client: Client, centre: Centre) -> None:
    centre.timestamp.version, centre.timestamp.expires = 4, NOW + DAY
    centre.publish()
    assert client.refresh() == 0
    client.now = NOW + 2 * DAY
    centre.timestamp.version, centre.timestamp.expires = 3, NOW + 5 * DAY
    centre.publish()
    assert client.refresh() == 1
    centre.timestamp.version = 5
    centre.publish()
    assert client.refresh() == 0


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_rollback_of_each_role(client: Client, centre: Centre, role: str) -> None:
    centre.bump("targets")
    assert client.refresh() == 0
    kept = client.versions()
    centre.timestamp.version += 1
    if role == "timestamp":
        centre.timestamp.version = 1
    elif role == "snapshot":
        centre.snapshot.version = 1
    else:
        centre.targets.version, centre.snapshot.version = 1, centre.snapshot.version + 1
    centre.publish()
    assert client.refresh() == 1
    assert client.versions()[role] == kept[role]


@pytest.mark.parametrize("version", [1, 3, 9])
def test_root_versions_rise_by_one(client: Client, centre: Centre, version: int) -> None:
    centre.root.version = version
    centre.write("2.root.json", centre.signed(centre.root, centre.signers["root"]))
    assert client.refresh() == 1
    assert client.versions()["root"] == 1


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_a_part_that_is_not_the_one_named(client: Client, centre: Centre, role: str) -> None:
    """Mix and match: right signature, other version than the snapshot or timestamp says."""
    wrong = getattr(centre, role)
    old = wrong.version
    wrong.version = old + 5
    raw = centre.signed(wrong, centre.signers[role])
    wrong.version = old
    centre.publish(**{role: raw})
    assert client.refresh() == 1


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_hashes_and_lengths_of_parts(client: Client, centre: Centre, role: str) -> None:
    centre.hashed = True
    centre.bump("targets")
    assert client.refresh() == 0
    centre.bump("targets")
    path = centre.folder / "metadata" / f"{getattr(centre, role).version}.{role}.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert client.refresh() == 1
    assert client.versions()[role] == 2


def test_a_snapshot_that_forgets_a_role_is_refused(client: Client, centre: Centre) -> None:
    centre.delegate("targets", "vendor", ["printer/*"])
    centre.bump("targets")
    assert client.refresh() == 0
    del centre.snapshot.meta["vendor.json"]
    del centre.delegates["vendor"]
    centre.bump()
    assert client.refresh() == 1


def test_local_files_damaged_or_lost_are_fetched_again(client: Client, centre: Centre) -> None:
    assert client.refresh() == 0
    for damage in (b"", b"{}", b"\xff"):
        for role in TOP[1:]:
            (client.metadata / f"{role}.json").write_bytes(damage)
        assert client.refresh() == 0
        assert client.versions() == dict.fromkeys(TOP, 1)
    for path in client.metadata.glob("*.json"):
        path.unlink()
    assert client.refresh() == 0
    assert client.versions() == dict.fromkeys(TOP, 1)


def test_several_root_rotations_in_one_refresh(client: Client, centre: Centre) -> None:
    for role in ("root", "timestamp", "root", "snapshot", "targets", "root"):
        old = list(centre.signers["root"])
        centre.rotate(role)
        centre.next_root(old if role == "root" else ())
    centre.publish()
    assert client.refresh() == 0
    assert client.versions() == {"root": 7, "timestamp": 1, "snapshot": 1, "targets": 1}
    assert sorted(path.name for path in (client.metadata / "root_history").iterdir()) == [f"{n}.root.json" for n in range(1, 8)]
    assert client.refresh() == 0


@pytest.mark.parametrize("signed_by", ["old only", "new only", "neither"])
def test_a_new_root_needs_the_old_keys_and_the_new(client: Client, centre: Centre, signed_by: str) -> None:
    old = list(centre.signers["root"])
    centre.rotate("root")
    centre.root.version = 2
    signers = {"old only": old, "new only": centre.signers["root"], "neither": []}[signed_by]
    centre.write("2.root.json", centre.signed(centre.root, signers))
    assert client.refresh() == 1
    assert client.versions()["root"] == 1
    centre.write("2.root.json", centre.signed(centre.root, [*old, *centre.signers["root"]]))
    assert client.refresh() == 0


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_after_a_rotation_the_old_key_counts_nothing(client: Client, centre: Centre, role: str) -> None:
    assert client.refresh() == 0
    old = list(centre.signers[role])
    centre.rotate(role)
    centre.next_root()
    for name in {role, "snapshot", "timestamp"}:
        getattr(centre, name).version += 1
    centre.publish(**{role: centre.signed(getattr(centre, role), old)})
    assert client.refresh() == 1
    centre.publish()
    assert client.refresh() == 0


@pytest.mark.parametrize(("role", "rotated"), [("timestamp", ["timestamp"]), ("snapshot", ["timestamp", "snapshot"]),
                                               ("snapshot", ["snapshot"]), ("targets", ["snapshot"])])  # fmt: skip
def test_recovery_from_fast_forward(client: Client, centre: Centre, role: str, rotated: list[str]) -> None:
    """A thief of a key signed a huge version; new online keys let the honest, lower one be trusted again."""
    getattr(centre, role).version = 2**40
    centre.bump()
    assert client.refresh() == 0
    order = ["targets", "snapshot", "timestamp"]
    for name in order:
        getattr(centre, name).version = 2 + (order.index(name) > order.index(role))
    centre.publish()
    assert client.refresh() == 1
    for name in rotated:
        centre.rotate(name)
    centre.next_root()
    centre.publish()
    assert client.refresh() == 0
    assert client.versions()[role] == getattr(centre, role).version


def test_a_key_that_is_only_added_opens_no_way_back(client: Client, centre: Centre) -> None:
    old = (centre.folder / "metadata" / "timestamp.json").read_bytes()
    centre.bump("targets")
    assert client.refresh() == 0
    centre.add_key("timestamp")
    centre.next_root()
    centre.write("timestamp.json", old)
    assert client.refresh() == 1
    assert client.versions()["timestamp"] == 2


@pytest.mark.parametrize(("threshold", "signing", "code"), [(2, 1, 1), (2, 2, 0), (2, 3, 0), (3, 2, 1), (3, 3, 0)])
@pytest.mark.parametrize("role", TOP)
def test_thresholds(client: Client, centre: Centre, role: str, threshold: int, signing: int, code: int) -> None:
    old = list(centre.signers["root"])
    for _ in range(2):
        centre.add_key(role)
    centre.root.roles[role].threshold = threshold
    kept = centre.signers[role]
    centre.signers[role] = kept[:signing]
    centre.next_root(old)
    centre.publish()
    assert client.refresh() == code


def test_one_signature_given_twice_is_one(client: Client, centre: Centre) -> None:
    for _ in range(2):
        centre.add_key("timestamp")
    centre.root.roles["timestamp"].threshold = 2
    centre.next_root()
    raw = json.loads(centre.signed(centre.timestamp, centre.signers["timestamp"][:1]))
    raw["signatures"] *= 2
    centre.publish(timestamp=json.dumps(raw).encode())
    assert client.refresh() == 1
    invented = {"keyid": centre.signers["timestamp"][1].public_key.keyid, "sig": raw["signatures"][0]["sig"]}
    raw["signatures"] = [raw["signatures"][0], invented]
    centre.publish(timestamp=json.dumps(raw).encode())
    assert client.refresh() == 1


def test_one_key_under_two_ids_is_not_two_signers(client: Client, centre: Centre) -> None:
    """The key id is what counts once; a root that lists a key twice under other ids is its signers' own doing."""
    signer = centre.signers["timestamp"][0]
    raw = json.loads(centre.signed(centre.timestamp, [signer]))
    centre.root.roles["timestamp"].threshold = 2
    centre.next_root()
    raw["signatures"].append({"keyid": "f" * 64, "sig": raw["signatures"][0]["sig"]})
    centre.publish(timestamp=json.dumps(raw).encode())
    assert client.refresh() == 1


@pytest.mark.parametrize("make", [
    CryptoSigner.generate_ed25519,
    CryptoSigner.generate_ecdsa,
    lambda: CryptoSigner.generate_rsa(scheme="rsassa-pss-sha256"),
    lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256"),
], ids=["ed25519", "ecdsa", "rsassa-pss", "rsa-pkcs1v15"])  # fmt: skip
def test_key_types(tmp_path: Path, web: Web, make: Callable[[], CryptoSigner]) -> None:
    signer = make()
    centre = Centre(tmp_path / "keys", make_key=lambda: signer)
    web.folder = centre.folder
    client = Client(tmp_path / "client", web)
    assert client.init(centre.first_root) == 0
    assert client.refresh() == 0
    raw = json.loads(centre.signed(centre.timestamp, [signer]))
    raw["signed"]["version"] = 2
    centre.write("timestamp.json", json.dumps(raw).encode())
    assert client.refresh() == 1


@pytest.mark.parametrize("number", [2**31, 2**53 + 1, 2**63 - 1, 2**64, 10**30])
def test_large_versions(client: Client, centre: Centre, number: int) -> None:
    for role in TOP[1:]:
        getattr(centre, role).version = number
    centre.publish()
    assert client.refresh() == 0
    centre.bump("targets")
    assert client.refresh() == 0
    assert client.versions()["targets"] == number + 1


@pytest.mark.parametrize("consistent", [True, False])
def test_consistent_snapshots_on_and_off(tmp_path: Path, web: Web, consistent: bool) -> None:
    centre = Centre(tmp_path / "c", consistent=consistent)
    web.folder = centre.folder
    centre.delegate("targets", "vendor", ["printer/*"])
    centre.add_target("printer/a.bin", b"firmware", "vendor")
    centre.bump("targets")
    client = Client(tmp_path / "client", web)
    assert client.init(centre.first_root) == 0
    assert client.download("printer/a.bin") == 0
    assert client.got("printer/a.bin") == b"firmware"
    assert ("/metadata/vendor.json" in web.paths()) is not consistent
    assert (web.paths()[-1] == "/targets/printer/a.bin") is not consistent


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"signed": {}, "signatures": []}', b"\xff\xfe"])
@pytest.mark.parametrize("role", TOP)
def test_what_cannot_be_read(client: Client, centre: Centre, role: str, raw: bytes) -> None:
    name = {"root": "2.root.json", "timestamp": "timestamp.json"}.get(role, f"1.{role}.json")
    centre.write(name, raw)
    assert client.refresh() == 1
    centre.publish()
    (centre.folder / "metadata" / "2.root.json").unlink(missing_ok=True)
    assert client.refresh() == 0


def test_fields_that_nobody_knows_are_kept_and_signed(client: Client, centre: Centre) -> None:
    centre.targets.unrecognized_fields["x-other"] = {"a": [1, "二"]}
    centre.bump("targets")
    assert client.refresh() == 0
    assert json.loads(client.trusted("targets"))["signed"]["x-other"] == {"a": [1, "二"]}
