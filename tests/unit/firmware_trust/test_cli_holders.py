"""The commands about holders, vendors, sticks and sets as they are typed: the round of a release, and every refusal."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from firmware.bundle import Bundle
from firmware.release import cli


class Desk:
    """A folder in which commands are typed; key folders are named by who holds them."""

    def __init__(self, tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.tmp, self.repo, self._capsys = tmp, tmp / "repository", capsys
        (tmp / "app").mkdir()
        (tmp / "app" / "file").write_text("1")

    def run(self, command: str, *words: object, repo: bool = True, code: int = 0) -> str:
        """Type a command; returns what a person sees."""
        place = ["--repo", self.repo] if repo else []
        assert cli.main([str(word) for word in (command, *place, *words)]) == code
        told = self._capsys.readouterr()
        assert "Traceback" not in told.err
        return told.err if code else told.out

    def refusal(self, command: str, *words: object, repo: bool = True) -> str:
        """The code of a refusal; in both languages it is one line and perhaps a remedy."""
        for lang in ("en", "zh_CN"):
            told = self.run(command, "--lang", lang, *words, repo=repo, code=2).splitlines()
            assert 1 <= len(told) <= 2
            assert told[0].startswith("posrelease")
            if lang == "zh_CN":
                assert any("\u4e00" <= char <= "\u9fff" for char in told[0])
        place = ["--repo", self.repo] if repo else []
        assert cli.main([str(word) for word in ("--json", command, *place, *words)]) == 2
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return str(document["error"]["code"])

    def json(self, command: str, *words: object) -> dict[str, Any]:
        assert cli.main([str(word) for word in ("--json", command, "--repo", self.repo, *words)]) == 0
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return document

    def holder(self, name: str, *keys: str) -> Path:
        folder = self.tmp / name
        folder.mkdir()
        for key in keys:
            shutil.copy(self.tmp / "keys" / f"{key}.pem", folder)
        return folder


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("POSRELEASE_PASSPHRASE", raising=False)
    made = Desk(tmp_path, capsys)
    made.run("init", "--keys", tmp_path / "keys", "--threshold", 2, "--holders", 3, "--clear-keys")
    return made


def test_a_release_goes_from_one_holder_to_the_other_and_out(desk: Desk) -> None:
    ann = desk.holder("ann", "targets-1", "snapshot", "timestamp")
    bob = desk.holder("bob", "targets-2")
    said = desk.run("add", "--keys", ann, "--component", "till-app", "--version", "1.0", desk.tmp / "app")
    assert "1 of 2" in said
    assert "posrelease publish" not in said
    assert desk.refusal("publish", "--keys", ann) == "signatures_missing"
    file = desk.tmp / "q.json"
    assert "till-app-1.0.json" in desk.run("sign", "--export", file)
    assert "2 of 2" in desk.run("sign", "--request", file, "--keys", bob, repo=False)
    assert desk.json("sign", "--import", file)["documents"][0]["complete"] is True
    desk.run("publish", "--keys", ann)
    assert desk.json("refresh", "--keys", ann, "--expires", "1d")["versions"]["timestamp"] == 3
    told = desk.json("bundle", "--component", "till-app", "--version", "1.0", "--out", desk.tmp / "stick")
    with Bundle(desk.tmp / "stick") as bundle:
        assert (bundle.component, bundle.version) == (told["component"], told["version"]) == ("till-app", "1.0")
        assert "metadata/1.root.json" in bundle.names


def test_a_vendor_from_the_delegation_to_the_stick(desk: Desk) -> None:
    keys, acme = desk.tmp / "keys", desk.tmp / "acme"
    words = ["--keys", keys, "--name", "acme", "--component", "printer-fw"]
    desk.run("delegate", *words, "--new-keys", acme, "--clear-keys")
    add = ["add", "--role", "acme", "--component", "printer-fw", "--version", "2.0", desk.tmp / "app"]
    assert desk.refusal(add[0], "--keys", keys, *add[1:]) == "wrong_role"
    desk.run(add[0], "--keys", acme, *add[1:])
    desk.run("publish", "--keys", keys)
    desk.run("add", "--keys", keys, "--component", "till-app", "--version", "1.0", desk.tmp / "app")
    pairs = ["--component", "printer-fw", "--version", "2.0", "--component", "till-app", "--version", "1.0"]
    desk.run("set", "--keys", keys, "--set", "shop", "--set-version", "1", *pairs)
    desk.run("publish", "--keys", keys)
    desk.run("bundle", "--component", "printer-fw", "--version", "2.0", "--out", desk.tmp / "stick")
    shown = desk.run("show", "--keys", keys)
    assert "acme       may sign printer/acme/*: printer-fw" in shown
    assert "set shop-1" in shown
    assert desk.refusal("set", "--keys", keys, "--set", "shop", "--set-version", "1", *pairs) == "version_exists"


def test_rotation_and_renewal(desk: Desk) -> None:
    keys = desk.tmp / "keys"
    made = desk.json("rotate", "--keys", keys, "--role", "root", "--replace", "root-2")
    assert made["new_keys"] == ["root-2-r2"]
    desk.run("publish", "--keys", keys)
    made = desk.json("rotate", "--keys", keys, "--role", "targets")
    assert len(made["new_keys"]) == 3
    desk.run("rotate", "--keys", keys, "--role", "timestamp")
    assert desk.json("publish", "--keys", keys)["versions"]["root"] == 3
    desk.run("rotate", "--keys", keys, "--role", "targets", "--renew")
    desk.run("rotate", "--keys", keys, "--role", "root", "--threshold", "3")
    assert desk.json("publish", "--keys", keys)["versions"]["root"] == 4
    roles = desk.json("show", "--keys", keys)["roles"]
    assert (roles["root"]["threshold"], len(roles["root"]["keys"])) == (3, 3)


def test_what_cannot_be_done_is_refused_in_one_line(desk: Desk) -> None:
    keys, cron = desk.tmp / "keys", desk.holder("cron", "snapshot", "timestamp")
    (desk.tmp / "junk").write_text("x")
    assert desk.refusal("rotate", "--keys", cron, "--role", "targets") == "wrong_role"
    assert sorted(path.name for path in cron.iterdir()) == ["snapshot.pem", "timestamp.pem"]
    assert desk.refusal("rotate", "--keys", keys, "--role", "root", "--replace", "nobody") == "unknown_key"
    assert desk.refusal("rotate", "--keys", keys, "--role", "root", "--threshold", "9") == "bad_threshold"
    assert desk.refusal("rotate", "--keys", keys, "--role", "root", "--key", desk.tmp / "junk") == "bad_key"
    assert desk.refusal("rotate", "--keys", keys, "--role", "timestamp", "--renew") == "usage"
    assert desk.refusal("rotate", "--keys", keys, "--role", "root", "--renew", "--threshold", 2) == "usage"
    assert desk.refusal("delegate", "--keys", keys, "--name", "acme", "--component", "x") == "usage"
    assert desk.refusal("sign", repo=False) == "usage"
    assert desk.refusal("sign") == "usage"
    assert desk.refusal("sign", "--export", "a", "--import", "b") == "usage"
    assert desk.refusal("sign", "--keys", keys) == "nothing_staged"
    assert desk.refusal("sign", "--import", desk.tmp / "junk") == "bad_request"
    assert desk.refusal("sign", "--request", desk.tmp / "junk", "--keys", keys, repo=False) == "bad_request"
    assert desk.refusal("bundle", "--component", "a", "--version", "1", "--out", desk.tmp / "b") == "unknown_release"
    assert desk.refusal("refresh", "--keys", desk.holder("bob", "targets-1")) == "wrong_role"
