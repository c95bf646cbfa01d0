"""Delegations and downloads (specification 5.6.7 and 5.7) through the conformance program's commands."""

import pytest

from firmware.manifest import Target
from tests.conformance.centre import Centre
from tests.conformance.conftest import Client
from tests.conformance.tuf_client import local_name
from tests.unit.firmware_trust.conftest import Web, answer


def test_several_targets_in_order_and_the_first_failure_ends_it(client: Client, centre: Centre, web: Web) -> None:
    for name in ("a", "b", "c"):
        centre.add_target(name, name.encode() * 1000)
    centre.bump("targets")
    assert client.download("b", "missing", "a") == 1
    assert [path.name for path in client.targets.iterdir()] == ["b"]
    web.seen.clear()
    assert client.download("a", "b", "c") == 0
    assert [path.rpartition(".")[2] for path in web.paths() if path.startswith("/targets")] == ["a", "c"]
    assert web.paths()[:2] == ["/metadata/2.root.json", "/metadata/timestamp.json"]
    assert [client.got(name)[:1] for name in "abc"] == [b"a", b"b", b"c"]


def test_a_target_that_changed_is_fetched_again(client: Client, centre: Centre) -> None:
    for text in (b"first", b"other"):
        centre.add_target("app", text)
        centre.bump("targets")
        assert client.download("app") == 0
        assert client.got("app") == text
    (client.targets / "app").write_bytes(b"spoilt")
    assert client.download("app") == 0
    assert client.got("app") == b"other"


@pytest.mark.parametrize("served", [b"longer than signed", b"short", b"signeX", None])
def test_a_target_with_other_bytes_is_not_kept(client: Client, centre: Centre, served: bytes | None) -> None:
    centre.add_target("app", b"signed")
    centre.bump("targets")
    path = next(iter((centre.folder / "targets").iterdir()))
    path.write_bytes(served) if served is not None else path.unlink()
    assert client.download("app") == 1
    assert [path.name for path in client.targets.iterdir() if not path.name.startswith(".")] == []


def test_download_refuses_before_it_fetches_anything_old(client: Client, centre: Centre, web: Web) -> None:
    centre.add_target("app", b"signed")
    centre.bump("targets")
    centre.timestamp.expires = centre.timestamp.expires.replace(year=2020)
    centre.bump()
    assert client.download("app") == 1
    assert not [path for path in web.paths() if path.startswith("/targets")]


@pytest.mark.parametrize("name", [
    "file with spaces", "a/b/c/d/e.bin", "..", "../up", "/absolute", "a/../../b", ".hidden", "价目表.txt", "question?mark",
    "hash#mark", "percent%20sign", "plus+and&and=", "x" * 220, "sub/" + "y" * 150, "colon:semi;", "~tilde", "a\\b", "q'uote\"",
])  # fmt: skip
def test_odd_target_names_become_one_file_each_inside_the_folder(client: Client, centre: Centre, name: str) -> None:
    data = name.encode()
    centre.add_target("plain", data)
    record = centre.targets.targets[name] = centre.targets.targets.pop("plain")
    record.path = name
    centre.bump("targets")
    path = Target(name, record.length, record.hashes["sha256"], prefix=record.hashes["sha256"]).path
    client.web.routes[f"/targets/{path}"] = answer(200, data)
    climbs = ".." in name.split("/")
    assert client.download(name) == (1 if climbs and name != ".." else 0)
    assert {entry.name for entry in client.folder.iterdir()} == {"given-root.json", "metadata", "targets", ".metadata.posagent"}
    finished = [entry for entry in client.targets.iterdir() if not entry.name.startswith(".")]
    assert [(entry.name, entry.read_bytes()) for entry in finished] == (
        [] if climbs and name != ".." else [(local_name(name), data)]
    )


def test_no_two_names_share_a_file() -> None:
    names = ["a/b", "a%2Fb", "A/b", ".x", "%2Ex", "..", ".", "x" * 300, "x" * 301, "é", "e\u0301", "a b", "a+b"]
    local = [local_name(name) for name in names]
    assert len(set(local)) == len(names)
    assert all("/" not in one and len(one.encode()) <= 255 and not one.startswith(".") for one in local)


def test_a_vendor_signs_only_its_own_paths(client: Client, centre: Centre) -> None:
    centre.delegate("targets", "acme", ["printer/acme/*"], terminating=True)
    for name in ("printer/acme/fw.bin", "printer/other/fw.bin", "till-app.bin", "printer/acme/deep/fw.bin"):
        centre.add_target(name, name.encode(), "acme")
    centre.bump("targets", "acme")
    assert client.download("printer/acme/fw.bin") == 0
    for name in ("printer/other/fw.bin", "till-app.bin", "printer/acme/deep/fw.bin"):
        assert client.download(name) == 1


@pytest.mark.parametrize("how", ["unsigned", "other version", "expired", "not in snapshot"])
def test_a_delegated_role_keeps_the_rules_of_targets(client: Client, centre: Centre, how: str) -> None:
    role = centre.delegate("targets", "acme", ["printer/acme/*"])
    centre.add_target("printer/acme/fw", b"x", "acme")
    centre.add_target("plain", b"y")
    raw = None
    if how == "unsigned":
        raw = centre.signed(role, [])
    elif how == "expired":
        role.expires = role.expires.replace(year=2020)
    elif how == "other version":
        role.version = 7
        raw = centre.signed(role, centre.signers["acme"])
        role.version = 1
    centre.timestamp.version, centre.targets.version = 2, 2
    centre.publish(**({"acme": raw} if raw else {}))
    if how == "not in snapshot":
        del centre.snapshot.meta["acme.json"]
        del centre.delegates["acme"]
        centre.timestamp.version = 3
        centre.publish()
    assert client.download("plain") == 0
    assert client.download("printer/acme/fw") == 1
    assert "acme" not in client.versions()


@pytest.mark.parametrize(("threshold", "signing", "code"), [(2, 1, 1), (2, 2, 0)])
def test_thresholds_of_a_delegation(client: Client, centre: Centre, threshold: int, signing: int, code: int) -> None:
    centre.signers["acme"] = [centre.make_key() for _ in range(3)]
    centre.delegate("targets", "acme", ["printer/acme/*"], threshold=threshold)
    centre.signers["acme"] = centre.signers["acme"][:signing]
    centre.add_target("printer/acme/fw", b"x", "acme")
    centre.bump("targets")
    assert client.download("printer/acme/fw") == code


def test_the_search_is_depth_first_and_the_first_that_lists_it_wins(client: Client, centre: Centre) -> None:
    for parent, name in (("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D"), ("B", "E")):
        centre.delegate(parent, name, ["*"])
    for role in ("D", "E"):
        centre.add_target("file", role.encode(), role)
    centre.bump("targets")
    assert client.download("file") == 0
    assert client.got("file") == b"D"
    assert set(client.versions()) >= {"A", "C", "D"}
    assert "B" not in client.versions()


def test_a_terminating_delegation_ends_the_search(client: Client, centre: Centre) -> None:
    centre.delegate("targets", "A", ["*"], terminating=True)
    centre.delegate("targets", "B", ["*"])
    centre.add_target("file", b"B", "B")
    centre.bump("targets")
    assert client.download("file") == 1
    assert "B" not in client.versions()


def test_circles_of_delegations_end(client: Client, centre: Centre) -> None:
    centre.delegate("targets", "A", ["*"])
    centre.delegate("A", "B", ["*"])
    centre.delegate("B", "A", ["*"])
    centre.delegate("B", "B", ["*"])
    centre.add_target("file", b"x", "B")
    centre.bump("targets")
    assert client.download("missing") == 1
    assert client.download("file") == 0


def test_a_role_that_two_delegate_is_verified_for_each(client: Client, centre: Centre) -> None:
    """A role cached under one delegator is not thereby trusted under another one with other keys."""
    centre.delegate("targets", "A", ["a/*"])
    centre.delegate("targets", "B", ["b/*"])
    centre.delegate("A", "shared", ["a/*"])
    own = centre.signers["shared"]
    centre.signers["shared"] = [centre.make_key()]
    centre.delegate("B", "shared", ["b/*"])
    centre.signers["shared"] = own
    for name in ("a/file", "b/file"):
        centre.add_target(name, name.encode(), "shared")
    centre.bump("targets")
    assert client.download("a/file") == 0
    assert client.download("a/file", "b/file") == 1
    assert client.download("b/file") == 1


@pytest.mark.parametrize("name", ["?", "#", "/delegated", "../delegated", "a b", "价"])
def test_odd_role_names_stay_inside_the_folder(client: Client, centre: Centre, name: str) -> None:
    centre.delegate("targets", name, ["*"])
    centre.add_target("file", b"x", name)
    centre.bump("targets")
    for path in (centre.folder / "metadata").iterdir():
        client.web.routes[f"/metadata/{path.name}"] = answer(200, path.read_bytes())
    assert client.download("file") == 0
    assert len(list(client.metadata.glob("*.json"))) == 5


@pytest.mark.parametrize("bits", [1, 4])
def test_hash_bins(client: Client, centre: Centre, bits: int) -> None:
    centre.hash_bins(bits, "bin")
    assert centre.targets.delegations is not None
    bins = centre.targets.delegations.succinct_roles
    assert bins is not None
    for number in range(6):
        centre.add_target(f"file-{number}", b"%d" % number, bins.get_role_for_target(f"file-{number}"))
    other = next(name for name in bins.get_roles() if name != bins.get_role_for_target("stray"))
    centre.add_target("stray", b"stray", other)
    centre.bump("targets")
    assert client.download(*(f"file-{number}" for number in range(6))) == 0
    assert client.download("stray") == 1


def test_there_is_an_end_to_how_many_roles_are_visited(client: Client, centre: Centre) -> None:
    for number in range(40):
        centre.delegate("targets", f"role-{number}", ["*"])
    centre.add_target("near", b"x", "role-3")
    centre.add_target("far", b"x", "role-39")
    centre.bump("targets")
    assert client.download("near") == 0
    assert client.download("far") == 1


def test_the_targets_role_lost_its_file(client: Client, centre: Centre) -> None:
    centre.add_target("app", b"x")
    centre.bump("targets")
    assert client.download("app") == 0
    del centre.targets.targets["app"]
    centre.bump("targets")
    assert client.download("app") == 1
