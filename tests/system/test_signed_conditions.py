"""What a signed manifest says of the till, held against a till that runs: its devices, holds, revoked versions, deadlines."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import Doc, Host, run, till_of, till_table, well
from tests.system.releases import BROKEN, COMPONENT, HEALTHY, Releases, configure

pytestmark = pytest.mark.slow

DEPLOY_S = 60.0


def release(releases: Releases, version: str, *words: str, health: str = HEALTHY) -> None:
    app = releases.app(version, health)
    releases.tool("add", "--keys", releases.keys, "--component", COMPONENT, "--version", version, *words, app)
    releases.publish()


def finals(host: Host, version: str) -> list[Doc]:
    records = (r for r in host.journal("update.") if r["body"].get("final"))
    return [r["body"] for r in records if r["body"]["version"] == version]


def push(host: Host, releases: Releases, version: str) -> None:
    releases.push(version)
    assert host.command("update", "check").code == 0


def deploy(host: Host, releases: Releases, version: str) -> Doc:
    push(host, releases, version)
    host.until(lambda _: bool(finals(host, version)), DEPLOY_S)
    host.until(lambda d: d["deployment"] is None, 20, "update.status")
    return finals(host, version)[-1]


def faults(host: Host) -> list[str]:
    return [fault["id"] for fault in host.ask("status")["host"]["faults"]]


@pytest.fixture
def till(host: Host, terminal: Any, service_center: Any, releases: Releases) -> Host:
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    host.start()
    host.until(well(), 30)
    return host


def test_a_release_is_held_against_what_the_devices_say(till: Host, releases: Releases) -> None:
    said = till_of(till.ask("status"))["devices"]
    model, firmware, reader = (
        said["printer"]["identity"]["model"],
        said["printer"]["identity"]["firmware"],
        said["reader"]["identity"],
    )
    fits = (f"printer.model={model}", f"printer.firmware={firmware[:2]}*", f"reader.firmware={reader['firmware']}")
    words = [word for one in fits for word in ("--fits", one)]
    release(releases, "1.0", *words, "--fits", f"host.arch={os.uname().machine}", "--archive", "tar.zst")
    assert deploy(till, releases, "1.0")["state"] == "committed"

    release(releases, "1.1", "--fits", "printer.model=Another*")
    till.stop()
    releases.push("1.1")
    (plan,) = till.command("update", "check", "--dry-run").document["plans"]
    assert (plan["would"], plan["code"]) == ("wait", "hardware_unknown")  # nobody has asked the devices
    till.start()
    till.until(lambda _: bool(finals(till, "1.1")), DEPLOY_S)
    refused = finals(till, "1.1")[-1]
    assert (refused["state"], refused["code"]) == ("refused", "wrong_hardware")
    assert model in refused["reason"]
    for lang, words_ in (("en", "wrong_hardware"), ("zh_CN", "该版本适用于其他硬件")):
        told = run("posagent", "--root", till.root, "--lang", lang, "update", "history")
        assert model in told.out
        assert words_ in told.out or lang == "en"
    release(releases, "1.2", "--hardware", "pdp11")
    assert deploy(till, releases, "1.2")["code"] == "wrong_hardware"


def test_a_printer_that_is_off_is_waited_for_and_never_guessed(
    till: Host, releases: Releases, terminal: Any, service_center: Any
) -> None:
    model = till_of(till.ask("status"))["devices"]["printer"]["identity"]["model"]
    terminal.set("printer.power", "off")
    till.until(lambda d: not till_of(d)["devices"]["printer"]["identity"], 30)
    release(releases, "1.0", "--fits", f"printer.model={model}")
    push(till, releases, "1.0")
    till.until(lambda d: bool(d["deployment"]) and d["deployment"]["waiting_for"] == "who the devices are", 30, "update.status")
    terminal.set("printer.power", "on")
    till.until(lambda _: bool(finals(till, "1.0")), DEPLOY_S)
    assert finals(till, "1.0")[-1]["state"] == "committed"


def test_a_hold_stops_a_security_release_no_longer_than_it_was_signed_for(till: Host, releases: Releases) -> None:
    release(releases, "1.0")
    release(releases, "1.1", "--max-hold", "24h")
    assert till.command("update", "hold", "3d").code == 0
    push(till, releases, "1.1")
    till.until(lambda d: bool(d["deployment"]) and "hold" in (d["deployment"]["waiting_for"] or ""), 30, "update.status")
    status = till.command("update", "status").document
    held, bound = status["hold"]["until"], status["deployment"]["waiting_for"].removeprefix("hold until ")
    assert bound < held  # RFC 3339 sorts as text
    assert till.command("update", "release").code == 0
    till.until(lambda _: bool(finals(till, "1.1")), DEPLOY_S)
    assert finals(till, "1.1")[-1]["state"] == "committed"


def test_a_version_that_was_taken_back_is_a_fault_until_another_runs(till: Host, releases: Releases) -> None:
    release(releases, "1.0")
    assert deploy(till, releases, "1.0")["state"] == "committed"
    assert "host.release_revoked" not in faults(till)
    release(releases, "1.1", "--revoke", "1.0", health=BROKEN)
    assert deploy(till, releases, "1.1")["state"] == "rolled_back"
    till.until(lambda d: "host.release_revoked" in [f["id"] for f in d["host"]["faults"]], 20)
    till.stop()
    till.start()
    till.until(lambda d: "host.release_revoked" in [f["id"] for f in d["host"]["faults"]], 20)
    release(releases, "1.2")
    assert deploy(till, releases, "1.2")["state"] == "committed"
    till.until(lambda d: "host.release_revoked" not in [f["id"] for f in d["host"]["faults"]], 20)
    done = till.command("update", "rollback", COMPONENT)
    assert done.code == 1, done.out
    assert (till.state / "releases" / COMPONENT / "current" / "VERSION").read_text() == "1.2"


def test_the_merchant_is_warned_before_a_forced_action_overrides_unknown(
    host: Host, terminal: Any, service_center: Any, releases: Releases, tmp_path: Path
) -> None:
    """The reader is another program's, so nothing proves that the till is idle; the push is forced."""
    told, script = tmp_path / "told", tmp_path / "notice"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {told}\n')
    script.chmod(0o755)
    configure(host, service_center, releases, till_table("pos-1", terminal.dir, reader_mode="passive", printer=False))
    text = (host.etc / "agent.toml").read_text()
    warned = f'notice_command = ["{script}"]\nnotice_s = 3\nnotice_lang = "zh_CN"\nprobation_s'
    host.configure(text.replace("probation_s", warned, 1))
    host.start()
    release(releases, "1.0")
    push(host, releases, "1.0")
    host.until(lambda d: bool(d.get("notice")), 30, "update.status")
    assert "即将更新" in told.read_text("utf-8")
    assert not (host.state / "releases" / COMPONENT / "current").exists()
    host.until(lambda _: bool(finals(host, "1.0")), DEPLOY_S)
    assert finals(host, "1.0")[-1]["state"] == "committed"
    (notice,) = (r["body"] for r in host.journal("update.notice"))
    assert (notice["told"], notice["component"], notice["seconds"]) == (True, COMPONENT, 3.0)
    journal = json.dumps(host.journal("update."))
    assert journal.index("update.notice") < journal.index("update.switching")
