"""posrelease as it is typed: exit codes, one JSON document, two languages, and hawkBit's Management API at the end."""

import errno
import io
import json
import string
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firmware.errors import HttpStatusError
from firmware.files import disk_failure
from firmware.floor import Floor
from firmware.manifest import Archive, Fit, Manifest, Need
from firmware.release import cli
from firmware.release.hawkbit import Item, Management, base_url, set_name
from firmware.release.repository import Repository
from firmware.release.text import TEXTS, pick_language
from firmware.transport import Transport, basic_token
from firmware.trust import Trust
from simulator.center.server import Center

from .conftest import Web, answer
from .till import NOW


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSRELEASE_PASSPHRASE", "correct horse")
    monkeypatch.delenv("POSRELEASE_PASSWORD", raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setattr("sys.stdin", io.StringIO())


@pytest.fixture
def center(tmp_path: Path) -> Iterator[Center]:
    with Center(tmp_path) as made:
        yield made


class Shop:
    """A folder in which commands are typed."""

    def __init__(self, tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.repo, self.keys, self.app = tmp / "repository", tmp / "keys", tmp / "app"
        (self.app / "bin").mkdir(parents=True)
        (self.app / "bin" / "health").write_text("#!/bin/sh\n")
        self._capsys = capsys

    def run(self, command: str, *words: object, expect: int = 0, keys: bool = True) -> str:
        """Type a command; returns stdout, or stderr where it fails."""
        places = ["--repo", self.repo, *(["--keys", self.keys] if keys else [])]
        assert cli.main([str(word) for word in (command, *places, *words)]) == expect
        told = self._capsys.readouterr()
        assert "Traceback" not in told.err
        return told.err if expect else told.out

    def json(self, command: str, *words: object, expect: int = 0, keys: bool = True) -> dict[str, Any]:
        places = ["--repo", self.repo, *(["--keys", self.keys] if keys else [])]
        assert cli.main([str(word) for word in ("--json", command, *places, *words)]) == expect
        told = self._capsys.readouterr()
        document: dict[str, Any] = json.loads(told.out)
        assert told.out.count("\n") == 1
        assert document["schema"] == 1
        return document

    def release(self, version: str, component: str = "till-app") -> None:
        self.run("add", "--component", component, "--version", version, self.app)
        self.run("publish")


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shop:
    made = Shop(tmp_path, capsys)
    made.run("init")
    return made


def push_words(center: Center, *versions: str) -> list[str]:
    pairs = [word for version in versions for word in ("--component", "till-app", "--version", version)]
    return ["--management", center.management, "--user", center.user, "--password", center.password, *pairs]


def test_the_whole_way_by_hand(shop: Shop, center: Center, tmp_path: Path, transport: Transport) -> None:
    """init, add, publish; served by the centre as it is; believed by a till that knows 1.root.json alone."""
    shop.run("add", "--component", "till-app", "--version", "1.0", "--health-check", "bin/health -q", shop.app)
    shop.run("publish")
    trust = Trust(
        tmp_path / "state", (shop.repo / "metadata/1.root.json").read_bytes(), center.metadata, transport,
        Floor(tmp_path / "floor"), datetime.now(UTC), targets_url=center.targets,
    )  # fmt: skip
    manifest = trust.manifest("till-app", "1.0")
    assert manifest.health_check == ("bin/health", "-q")
    assert (manifest.members, manifest.handler, manifest.release_counter) == (2, "app_slots", 1)


def test_init_with_thresholds_and_what_show_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, capsys)
    assert shop.json("init", "--threshold", 2, "--holders", 3)["threshold"] == 2
    shown = shop.json("show", keys=False)
    assert {role: (facts["threshold"], len(facts["keys"])) for role, facts in shown["roles"].items()} == {
        "root": (2, 3), "targets": (2, 3), "snapshot": (1, 1), "timestamp": (1, 1),
    }  # fmt: skip
    lines = shop.run("show").splitlines()
    assert [line.split()[0] for line in lines] == ["root", "targets", "snapshot", "timestamp", *["key"] * 8, "bundles"]
    assert {tuple(line.split()[-2:]) for line in lines[4:-1]} >= {("root", "root-1.pem"), ("timestamp", "timestamp.pem")}
    assert b"ENCRYPTED" in (shop.keys / "root-3.pem").read_bytes()


def test_without_a_passphrase_nothing_is_made_unless_in_clear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POSRELEASE_PASSPHRASE")
    shop = Shop(tmp_path, capsys)
    assert "POSRELEASE_PASSPHRASE" in shop.run("init", expect=2)
    assert not shop.repo.exists()
    assert not shop.keys.exists()
    shop.run("init", "--clear-keys")
    assert b"BEGIN PRIVATE KEY" in (shop.keys / "root-1.pem").read_bytes()
    shop.release("1.0")


def test_a_passphrase_is_asked_for_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("POSRELEASE_PASSPHRASE")
    monkeypatch.setattr("sys.stdin", Terminal())
    typed = iter(["one", "two", "same", "same", "same", "wrong"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    shop = Shop(tmp_path, capsys)
    assert "differ" in shop.run("init", expect=2)
    shop.run("init")
    shop.run("publish")
    assert "passphrase does not open" in shop.run("publish", expect=2)


def test_wrong_usage_is_2_in_text_and_json(shop: Shop) -> None:
    for words in (["add"], ["nonsense"], [], ["publish", "--repo"], ["push", "--rep", "x"]):
        assert cli.main(words) == 2
    assert shop.json("add", expect=2)["error"]["code"] == "usage"
    for wrong in ("7", "0d", "-1d", "1w", "99999d"):
        assert "no period" in shop.run("publish", f"--expires={wrong}", expect=2)
    unbalanced = shop.json("add", "--component", "a", "--version", "1", "--health-check", "'x", shop.app, expect=2)
    assert "no command" in unbalanced["error"]["message"]


def test_orders_that_cannot_be_carried_out_are_2_with_their_code(shop: Shop, tmp_path: Path) -> None:
    shop.release("1.0")
    add = ("add", "--component", "till-app", "--version")
    assert shop.json(*add, "1.0", shop.app, expect=2)["error"]["code"] == "version_exists"
    assert shop.json(*add, "x y", shop.app, expect=2)["error"]["code"] == "bad_name"
    assert shop.json(*add, "1.1", tmp_path / "nothing", expect=2)["error"]["code"] == "bad_source"
    assert shop.json("init", expect=2)["error"]["code"] == "repo_exists"
    error = shop.json(*add, "1.1", shop.app, "--repo", tmp_path / "none", expect=2)["error"]
    assert error["code"] == "no_repo"
    assert "init" in error["remedy"]


def test_expires_makes_a_timestamp_that_ends_soon(shop: Shop) -> None:
    shop.run("publish", "--expires", "90s")
    roles = shop.json("show", keys=False)["roles"]
    end = datetime.fromisoformat(roles["timestamp"]["expires"])
    assert timedelta(0) < end - datetime.now(UTC) <= timedelta(seconds=90)
    shop.run("publish", "--expires", "60d")
    roles = shop.json("show", keys=False)["roles"]
    assert roles["snapshot"]["expires"] == roles["timestamp"]["expires"]


def test_a_hostile_archive_is_signed_with_a_warning(shop: Shop, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    document = shop.json("add", "--component", "till-app", "--version", "2", tmp_path / "evil.tar.gz")
    assert document["warnings"] == ["../evil"]


def test_push_makes_what_is_missing_and_repeats_are_harmless(shop: Shop, center: Center) -> None:
    shop.release("1.0")
    words = [*push_words(center, "1.0"), "--terminal", "pos-1", "pos-2"]
    first = shop.json("push", *words, keys=False)["assigned"]
    assert [(one["terminal"], one["new"]) for one in first] == [("pos-1", True), ("pos-2", True)]
    again = shop.json("push", *words, keys=False)["assigned"]
    assert [(one["action"], one["new"]) for one in again] == [(one["action"], False) for one in first]
    actions = [center.store.action(one["action"]) for one in first]
    assert [(action.type, action.target.controller_id) for action in actions] == [
        ("forced", "pos-1"),
        ("forced", "pos-2"),
    ]
    assert (len(center.store.modules), len(center.store.sets), len(center.store.actions)) == (1, 1, 2)
    (module,) = center.store.modules.values()
    assert (module.name, module.version, module.type) == ("till-app", "1.0", "application")
    (artifact,) = module.artifacts.values()
    assert artifact.filename == "till-app-1.0.json"
    assert artifact.data == Repository.open(shop.repo).manifest_bytes("till-app", "1.0")
    assert module.metadata["posagent.release_counter"] == ("1", True)


def test_push_of_the_next_version_and_of_another_type(shop: Shop, center: Center) -> None:
    for version, kind in (("1.0", "soft"), ("1.1", "downloadonly")):
        shop.release(version)
        (one,) = shop.json("push", *push_words(center, version), "--terminal", "pos-1", "--type", kind, keys=False)["assigned"]
        assert center.store.action(one["action"]).type.replace("_", "") == kind
    assert len(center.store.sets) == 2
    (one,) = shop.json("push", *push_words(center, "1.1"), "--terminal", "pos-1", keys=False)["assigned"]
    assert one["new"], "what was downloaded ahead of time is still to be installed, and hawkBit assigns no set twice"
    assert [ds.name for ds in center.store.sets.values()] == ["till-app", "till-app_download", "till-app"]


def test_push_of_several_components_is_one_set(shop: Shop, center: Center) -> None:
    shop.release("1.0")
    shop.release("2.0", "prices")
    pairs = ["--component", "prices", "--version", "2.0"]
    shop.run("push", *push_words(center, "1.0"), *pairs, "--terminal", "pos-1", "--terminal", "pos-2", keys=False)
    (ds,) = center.store.sets.values()
    told = shop.json("show", keys=False)["sets"]
    assert told == [f"sets/{ds.name}-{ds.version}.json"]
    assert (ds.name, ds.version.partition("+")[0]) == ("till-app_prices", "1.0")
    assert sorted(module.name for module in ds.modules.values()) == ["prices", "till-app"]
    named = ["--set", "shop", "--set-version", "7", "--terminal", "pos-1"]
    shop.run("push", *push_words(center, "1.0"), *pairs, *named, keys=False)
    assert (len(center.store.sets), len(center.store.modules)) == (2, 2)


def test_push_of_several_without_keys_or_with_something_staged_is_refused(shop: Shop, center: Center) -> None:
    """Tills refuse several releases that no signed set names: the operator hears it before them."""
    shop.release("1.0")
    shop.release("2.0", "prices")
    pairs = ["--component", "prices", "--version", "2.0", "--terminal", "pos-1"]
    shop.run("add", "--component", "till-app", "--version", "1.1", shop.app)
    assert shop.json("push", *push_words(center, "1.0"), *pairs, keys=False, expect=2)["error"]["code"] == "no_set"
    shop.run("publish")
    shop.keys.rename(shop.keys.with_name("elsewhere"))
    assert shop.json("push", *push_words(center, "1.0"), *pairs, keys=False, expect=2)["error"]["code"] == "no_set"
    assert not center.store.sets
    shop.keys.with_name("elsewhere").rename(shop.keys)
    shop.run("push", *push_words(center, "1.0"), *pairs)
    assert len(center.store.sets) == 1


def test_push_refuses_what_is_not_published_or_not_whole(shop: Shop, center: Center) -> None:
    shop.run("add", "--component", "till-app", "--version", "1.0", shop.app)
    tail = ["--terminal", "pos-1"]
    assert shop.json("push", *push_words(center, "1.0"), *tail, keys=False, expect=2)["error"]["code"] == "unknown_release"
    shop.run("publish")
    shop.run("push", *push_words(center, "1.0", "1.1"), *tail, keys=False, expect=2)
    shop.run("push", *push_words(center, "1.0"), "--component", "x", *tail, keys=False, expect=2)
    shop.run("push", *push_words(center, "1.0"), "--set", "x", *tail, keys=False, expect=2)
    words = push_words(center, "1.0")
    del words[4:6]
    shop.run("push", *words, *tail, keys=False, expect=2)
    assert center.store.targets == {}


def test_push_names_another_release_of_the_same_version(shop: Shop, center: Center, tmp_path: Path) -> None:
    shop.release("1.0")
    shop.run("push", *push_words(center, "1.0"), "--terminal", "pos-1", keys=False)
    shop.repo, shop.keys = tmp_path / "other", tmp_path / "other-keys"
    shop.run("init")
    (shop.app / "more").write_text("x")
    shop.release("1.0")
    error = shop.json("push", *push_words(center, "1.0"), "--terminal", "pos-1", keys=False, expect=2)["error"]
    assert error["code"] == "module_differs"


def test_the_network_failing_is_3(shop: Shop, center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.release("1.0")
    words = [*push_words(center, "1.0"), "--terminal", "pos-1"]
    words[words.index("--password") + 1] = "wrong"
    assert shop.json("push", *words, keys=False, expect=3)["error"]["code"] == "http_status"
    words[words.index("--management") + 1] = "http://releases.example/rest/v1"
    assert shop.json("push", *words, keys=False, expect=3)["error"]["code"] == "plain_http"
    monkeypatch.setenv("POSRELEASE_PASSWORD", center.password)
    words = ["--management", center.url, "--user", center.user, "--component", "till-app", "--version", "1.0"]
    shop.run("push", *words, "--terminal", "pos-1", keys=False)


def test_an_error_of_ours_is_4_and_one_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Repository, now: datetime) -> None:
        raise RuntimeError("first\nsecond")

    def full(self: Repository, now: datetime) -> None:
        raise disk_failure(OSError(errno.ENOSPC, "full"), "/x")

    monkeypatch.setattr(Repository, "publish", broken)
    assert shop.run("publish", expect=4).count("\n") == 2
    monkeypatch.setattr(Repository, "publish", full)
    assert shop.json("publish", expect=4)["error"]["code"] == "disk_full"


def test_both_languages(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "已发布" in shop.run("publish", "--lang", "zh_CN")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "Published" in shop.run("publish", "--lang=en")
    assert "处理方法" in shop.run("init", expect=2)
    assert cli.main(["--help"]) == 0
    assert "服务中心" in capsys.readouterr().out
    assert pick_language(None, {"LANG": "de_DE"}) == pick_language("xx", {}) == "en"


def test_every_sentence_has_the_same_gaps_in_both_languages() -> None:
    for key, (english, chinese) in TEXTS.items():
        gaps = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        assert gaps[0] == gaps[1], key
        assert english
        assert chinese


def test_long_sets_get_names_that_hawkbit_takes(tmp_path: Path) -> None:
    repo = Repository.create(tmp_path / "r", tmp_path / "k", now=NOW)
    (tmp_path / "f").write_bytes(b"x")
    items = []
    for number in range(6):
        manifest = repo.add_release(
            f"component-with-a-long-name-{number}", f"1000000000.2000000000.{number}", tmp_path / "f", now=NOW
        )
        items.append(Item(manifest.manifest, b""))
    name, version = set_name(items)
    assert len(name) == 128
    assert len(version) == 64
    assert set_name(items[:5]) != (name, version)
    assert set_name(items[:1]) == ("component-with-a-long-name-0", "1000000000.2000000000.0")


def test_a_hawkbit_that_answers_nonsense_is_a_network_error(web: Web) -> None:
    repo_item = Item(_manifest(), b"{}")
    with Transport(token=basic_token("a", "b"), timeout_s=3) as transport:
        management = Management(transport, web.url)
        for document in (b"[]", b"{}", b'{"content": [{"name": "till-app", "version": "1.0", "id": "x"}]}', b"1"):
            web.routes["/rest/v1/targets/pos%2F1"] = answer(200, b"{}")
            web.routes["/rest/v1/softwaremodules"] = answer(200, document)
            with pytest.raises(Exception, match=r"hawkBit|without an id"):
                management.push([repo_item], ["pos/1"])
        web.routes["/rest/v1/targets/pos%2F1"] = answer(500)
        with pytest.raises(HttpStatusError):
            management.push([repo_item], ["pos/1"])
    assert base_url("https://h/rest/v1/") == base_url("https://h") == "https://h/rest/v1"


def _manifest() -> Manifest:
    return Manifest("till-app", "1.0", 1, "app_slots", Archive("till-app-1.0.tar.gz", 1, "a" * 64), 1, 1)


def test_what_a_release_fits_and_when_it_may_be_installed(shop: Shop) -> None:
    shop.json(
        "add", "--component", "till-app", "--version", "1.0", "--fits", "printer.model=TM-T88*", "--fits", "printer.model=TM-T70",
        "--fits", "host.arch=x86_64", "--needs", "agent=0.1", "--not-before", "2026-03-01T00:00:00Z", "--not-after",
        "2027-03-01T08:00:00+08:00", "--deadline", "2026-06-01T00:00:00Z", "--max-hold", "1d", "--may-not-wait",
        "--archive", "tar.zst", shop.app,
    )  # fmt: skip
    shop.run("publish")
    found = Repository.open(shop.repo).manifest("till-app", "1.0")
    assert found.fits == (Fit("host.arch", ("x86_64",)), Fit("printer.model", ("TM-T88*", "TM-T70")))
    assert found.needs == (Need("agent", "0.1"),)
    assert (found.max_hold_h, found.may_wait) == (24, False)
    assert found.not_after == datetime(2027, 3, 1, tzinfo=UTC)
    assert found.archive.name == "till-app-1.0.tar.zst"


@pytest.mark.parametrize(
    "words",
    [
        ("--fits", "printer.colour=red"),
        ("--fits", "printer.model"),
        ("--fits", "=x"),
        ("--needs", "agent"),
        ("--needs", "agent=new"),
        ("--needs", "current=1"),
        ("--max-hold", "90m"),
        ("--max-hold", "400h"),
        ("--deadline", "tomorrow"),
        ("--deadline", "2026-06-01T00:00:00"),
        ("--archive", "tar.xz"),
    ],
)
def test_a_condition_that_is_none_is_one_clear_line(words: tuple[str, str], shop: Shop) -> None:
    told = shop.run("add", "--component", "till-app", "--version", "1.0", *words, shop.app, expect=2)
    assert len(told.splitlines()) <= 2
    assert not list((shop.repo / "targets").iterdir())


@pytest.mark.parametrize("name", ["current", "previous", "sets", ".", "..", "../x", "Till", "a b", "till\x1b[2J"])
def test_a_component_is_never_called_like_a_pointer_or_a_folder(name: str, shop: Shop) -> None:
    for command, words in (
        ("add", ("--version", "1.0", shop.app)),
        ("delegate", ("--name", "acme", "--new-keys", shop.keys.parent / "acme", "--clear-keys")),
    ):
        document = shop.json(command, f"--component={name}", *words, expect=2)
        assert document["error"]["code"] == "bad_name"
    assert not list((shop.repo / "targets").iterdir())
    assert not (shop.keys.parent / "acme").exists()


@pytest.mark.parametrize(("component", "version"), [("4111111111111111", "1.0"), ("till-app", "4111.1111.1111.1111")])
def test_a_name_that_could_be_a_card_number_is_refused(component: str, version: str, shop: Shop) -> None:
    for command in ("add", "set"):
        words = ("--component", component, "--version", version)
        words += (shop.app,) if command == "add" else ("--set", component, "--set-version", version)  # type: ignore[assignment]
        document = shop.json(command, *words, expect=2)
        assert document["error"]["code"] == "card_data"
        assert "1111" not in json.dumps(document)
    assert not list((shop.repo / "targets").iterdir())


def test_a_vendor_that_cannot_be_leaves_no_keys_behind(shop: Shop) -> None:
    shop.json("add", "--component", "till-app", "--version", "1.0", shop.app)
    vendor = shop.keys.parent / "vendor"
    document = shop.json("delegate", "--component", "till-app", "--name", "acme", "--new-keys", vendor, expect=2)
    assert document["error"]["code"] == "component_taken"
    assert not vendor.exists()
