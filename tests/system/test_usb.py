"""The USB stick: installs with no centre, by the same rules, with a receipt that nobody else could have signed."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.clock import Clock
from agent.config.load import load
from agent.control import ask_owner
from agent.journal.record import canonical
from agent.oneupdate import updating_alone
from agent.paths import Paths
from agent.ports.serial_port import SerialPort
from agent.updateasked import answer_update
from firmware.bundle import Bundle
from tests.system.harness import Doc, Host, till_table, wait_for, well
from tests.system.releases import BROKEN, COMPONENT, Releases, configure

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens."""


class Stick:
    """A folder with bundles in it, made at the service centre and carried to the till."""

    def __init__(self, folder: Path, releases: Releases) -> None:
        self.folder, self.releases = folder, releases
        folder.mkdir()

    def load(self, version: str) -> Path:
        out = self.folder / f"{COMPONENT}-{version}.bundle"
        self.releases.tool("bundle", "--component", COMPONENT, "--version", version, "--out", out)
        return out

    def receipt(self, path: Path) -> Doc:
        found: Doc = json.loads(path.with_name(path.name + ".receipt.json").read_text())
        return found


@pytest.fixture
def stick(tmp_path: Path, releases: Releases) -> Stick:
    return Stick(tmp_path / "stick", releases)


@pytest.fixture
def till(host: Host, terminal: Any, service_center: Any, releases: Releases) -> Host:
    """A till with no network and nothing installed yet."""
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    text = (host.etc / "agent.toml").read_text()
    for address in (service_center.metadata, service_center.targets, service_center.ddi, service_center.otlp):
        text = text.replace(address, NOWHERE)
    host.configure(text)
    return host


def install(host: Host, path: Path, code: int = 0) -> Doc:
    done = host.command("update", "install", str(path))
    assert done.code == code, done.out + done.err
    return done.document


def component(document: Doc) -> Doc:
    found: Doc = document["components"][COMPONENT]
    return found


def running(host: Host) -> str:
    return (host.state / "releases" / COMPONENT / "current" / "VERSION").read_text()


def genuine(host: Host, receipt: Doc) -> bool:
    body = {key: value for key, value in receipt.items() if key not in ("public", "signature", "earlier")}
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex((host.state / "keys" / "journal.pub").read_text()))
    try:
        key.verify(bytes.fromhex(receipt["signature"]), canonical(body).encode())
    except InvalidSignature:
        return False
    return True


def finals(host: Host) -> list[Doc]:
    return [r for r in host.journal("update.") if r["body"].get("final")]


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "alone"])
def test_installs_with_no_network_and_leaves_a_signed_receipt(till: Host, releases: Releases, stick: Stick, daemon: bool) -> None:
    if daemon:
        till.start()
        till.until(well(), 15)
    releases.release("1.0")
    path = stick.load("1.0")
    document = install(till, path)
    assert component(document) == {"version": "1.0", "previous": None, "state": "committed"}
    assert running(till) == "1.0"
    receipt = stick.receipt(path)
    assert document["receipt"] == str(path) + ".receipt.json"
    said = {key: receipt[key] for key in ("terminal", "component", "version", "outcome", "runs")}
    assert said == {"terminal": "pos-1", "component": COMPONENT, "version": "1.0", "outcome": "committed", "runs": "1.0"}
    assert genuine(till, receipt)
    assert not genuine(till, {**receipt, "version": "1.1"})
    last = finals(till)[-1]
    assert (last["kind"], last["body"]["stick"], last["body"]["action_id"]) == ("update.committed", True, "")
    assert receipt["journal"]["seq"] >= last["seq"]
    assert not list((till.state / "downloads").iterdir())
    again = install(till, path)
    assert component(again)["version"] == "1.0"
    assert [r["outcome"] for r in stick.receipt(path)["earlier"]] == ["committed"]
    till.verified()


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "alone"])
def test_a_broken_version_goes_back_and_a_replaced_or_old_one_is_refused(
    till: Host, releases: Releases, stick: Stick, daemon: bool
) -> None:
    if daemon:
        till.start()
        till.until(well(), 15)
    releases.release("1.0")
    old = stick.load("1.0")
    install(till, old)
    releases.release("1.1", BROKEN)
    broken = stick.load("1.1")
    document = install(till, broken, 1)
    assert (document["error"]["code"], running(till)) == ("health_check_exit", "1.0")
    receipt = stick.receipt(broken)
    assert (receipt["outcome"], receipt["runs"]) == ("rolled_back", "1.0")
    assert genuine(till, receipt)
    releases.release("1.2")
    good = stick.load("1.2")
    raw = bytearray(good.read_bytes())
    raw[-100] ^= 1
    changed = stick.folder / "changed.bundle"
    changed.write_bytes(raw)
    assert install(till, changed, 1)["error"]["code"] == "bad_hash"
    assert running(till) == "1.0"
    install(till, good)
    assert running(till) == "1.2"
    assert install(till, old, 1)["error"]["code"] == "rollback"
    assert running(till) == "1.2"
    assert stick.receipt(old)["outcome"] == "refused"


def test_the_centre_learns_of_it_when_it_is_back(
    till: Host, releases: Releases, service_center: Any, stick: Stick, terminal: Any
) -> None:
    releases.release("1.0")
    releases.push("1.0", terminal="pos-2")
    install(till, stick.load("1.0"))
    assert "pos-1" not in service_center.store.targets
    configure(till, service_center, releases, till_table("pos-1", terminal.dir))
    till.start()

    def known() -> str | None:
        target = service_center.store.targets.get("pos-1")
        return target.installed.version if target is not None and target.installed is not None else None

    wait_for(lambda: known() == "1.0", 15)
    assert [a.status for a in service_center.store.actions.values() if a.target.controller_id == "pos-1"] == ["finished"]


def test_strangers_and_other_tills(till: Host, releases: Releases, stick: Stick, tmp_path: Path) -> None:
    other = releases.elsewhere()
    other.release("1.0")
    forged = Stick(tmp_path / "forged", other).load("1.0")
    assert install(till, forged, 1)["error"]["code"] == "bad_signature"
    path = releases.app("2.0", "exit 0")
    releases.tool("add", "--keys", releases.keys, "--component", COMPONENT, "--version", "2.0", "--label", "shop-18", path)
    releases.publish()
    assert install(till, stick.load("2.0"), 1)["error"]["code"] == "wrong_till"
    assert not (till.state / "releases" / COMPONENT / "current").exists()


def test_files_that_cannot_be_used(till: Host, releases: Releases, stick: Stick, tmp_path: Path) -> None:
    releases.release("1.0")
    path = stick.load("1.0")
    assert install(till, tmp_path / "none", 2)["error"]["code"] == "bundle_unreadable"
    assert install(till, tmp_path, 2)["error"]["code"] == "bundle_unreadable"
    (tmp_path / "letter").write_text("Dear centre")
    assert install(till, tmp_path / "letter", 1)["error"]["code"] == "bad_bundle"
    (tmp_path / "half").write_bytes(path.read_bytes()[:-1000])
    assert install(till, tmp_path / "half", 1)["error"]["code"] == "bad_bundle"
    if os.geteuid() != 0:
        path.chmod(0)
        assert install(till, path, 2)["error"]["code"] == "bundle_unreadable"


def test_a_stick_that_takes_no_receipt_is_said_and_harms_nothing(till: Host, releases: Releases, stick: Stick) -> None:
    releases.release("1.0")
    path = stick.load("1.0")
    path.with_name(path.name + ".receipt.json").mkdir()
    done = till.command("update", "install", str(path))
    assert (done.code, done.document["receipt"], running(till)) == (0, None, "1.0")
    assert "receipt" in till.command("--lang", "en", "update", "install", str(path), json_=False).err.lower()


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "alone"])
def test_a_hold_stops_a_stick_too(till: Host, releases: Releases, stick: Stick, daemon: bool) -> None:
    if daemon:
        till.start()
    releases.release("1.0")
    path = stick.load("1.0")
    assert till.command("update", "hold", "1h").code == 0
    assert install(till, path, 3)["error"]["code"] == "held"
    assert till.command("update", "release").code == 0
    install(till, path)


Asking = Callable[..., Doc]


@contextmanager
def owner(till: Host, daemon: bool) -> Iterator[Asking]:
    """Who answers: the daemon, or an owner that lives as long as one command."""
    if daemon:
        till.start()
        till.until(well(), 20)
        yield lambda words, descriptor=None, **more: ask_owner(till.socket, {"do": words, **more}, 20.0, descriptor=descriptor)
        return
    paths = Paths(till.root)
    with updating_alone(load(paths.config), paths, Clock(), SerialPort, devices=True) as updating:
        yield lambda words, **more: answer_update(updating, words, more)


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "alone"])
def test_a_stick_cut_short_under_way(till: Host, releases: Releases, stick: Stick, daemon: bool) -> None:
    """What the kernel gives when a stick is pulled out: the rest of the file is gone."""
    releases.release("1.0")
    install(till, stick.load("1.0"))
    releases.release("1.1")
    path = stick.load("1.1")
    cut = stick.folder / "cut.bundle"
    cut.write_bytes(path.read_bytes())
    with owner(till, daemon) as ask, Bundle(cut) as opened:  # the command reads its index, the workers read the rest
        os.truncate(cut, cut.stat().st_size - 200)
        wanted = {"path": str(cut), "component": opened.component, "version": opened.version}
        name = ask("update.install", descriptor=opened.fileno(), **wanted)["deployment"]
        wait_for(lambda: ask("update.outcome", deployment=name)["ended"] is not None, 40)
        outcome = ask("update.outcome", deployment=name)["ended"]
    assert outcome["state"] in ("refused", "failed"), outcome
    assert running(till) == "1.0"
    install(till, path)
    assert running(till) == "1.1"
    till.verified()
