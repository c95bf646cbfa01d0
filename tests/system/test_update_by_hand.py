"""What a person at the till asks of updates: going back, holding them off; and files that change under a release."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import Doc, Host, till_table, well
from tests.system.releases import BROKEN, COMPONENT, Releases, configure

pytestmark = pytest.mark.slow

DEPLOY_S = 40.0


def component(document: Doc) -> Doc:
    found: Doc = document["components"][COMPONENT]
    return found


def deploy(host: Host, releases: Releases, version: str, expected: str = "committed") -> None:
    releases.push(version)
    assert host.command("update", "check").code == 0
    host.until(lambda _: any(r["body"]["final"] and r["body"]["version"] == version for r in finals(host)), DEPLOY_S)
    host.until(lambda d: d["deployment"] is None, 5, "update.status")
    assert component(host.ask("update.status"))["state"] == expected, finals(host)[-1]


def finals(host: Host) -> list[Doc]:
    return [r for r in host.journal("update.") if r["body"].get("final")]


def running(host: Host) -> str:
    return (host.state / "releases" / COMPONENT / "current" / "VERSION").read_text()


def drifted(document: Doc) -> list[Doc]:
    return [f for f in document["host"]["faults"] if f["id"] == "host.release_drift"]


@pytest.fixture
def till(host: Host, terminal: Any, service_center: Any, releases: Releases) -> Host:
    """A till that was updated from 1.0 to 1.1."""
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    host.start()
    host.until(well(), 15)
    for version in ("1.0", "1.1"):
        releases.release(version)
        deploy(host, releases, version)
    return host


def test_back_to_the_version_before_and_then_forward_again(till: Host, releases: Releases, service_center: Any) -> None:
    done = till.command("update", "rollback", COMPONENT)
    assert done.code == 0, done.out
    assert component(done.document) == {"version": "1.0", "previous": "1.1", "state": "committed"}
    assert running(till) == "1.0"
    last = finals(till)[-1]
    assert (last["kind"], last["body"]["rollback"], last["body"]["version"]) == ("update.committed", True, "1.0")
    assert till.command("update", "status").code == 0
    releases.release("1.2")
    deploy(till, releases, "1.2")
    assert running(till) == "1.2"
    till.verified()


def test_without_a_daemon_too(till: Host) -> None:
    till.stop()
    done = till.command("update", "rollback", COMPONENT)
    assert done.code == 0, done.out + done.err
    assert running(till) == "1.0"
    assert component(till.command("update", "status").document)["version"] == "1.0"
    assert finals(till)[-1]["body"]["rollback"]
    till.verified()
    till.start()
    assert component(till.ask("update.status"))["version"] == "1.0"


def test_only_to_what_is_whole_kept_and_known(till: Host, host: Host) -> None:
    kept = till.state / "releases" / COMPONENT / "1.0"
    (kept / "VERSION").write_text("1.O")
    done = till.command("update", "rollback", COMPONENT)
    assert (done.code, done.document["error"]["code"]) == (1, "drift")
    assert "changed: VERSION" in done.document["error"]["message"]
    assert running(till) == "1.1"
    assert finals(till)[-1]["kind"] == "update.refused"
    done = till.command("update", "rollback", "printer-driver")
    assert (done.code, done.document["error"]["code"]) == (2, "unknown_component")


def test_a_version_that_is_worse_comes_back(till: Host, releases: Releases) -> None:
    """The predecessor's check depends on something that is gone now."""
    flag = till.root / "database"
    flag.write_text("")
    releases.release("2.0", f"test -e {flag} || {{ echo no database; exit 1; }}")
    deploy(till, releases, "2.0")
    releases.release("2.1")
    deploy(till, releases, "2.1")
    flag.unlink()
    done = till.command("update", "rollback", COMPONENT)
    assert (done.code, done.document["error"]["code"]) == (1, "health_check_exit")
    assert "no database" in done.document["error"]["message"]
    assert running(till) == "2.1"
    assert till.command("update", "status").code == 1


def test_a_first_version_has_no_way_back(host: Host, terminal: Any, service_center: Any, releases: Releases) -> None:
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    host.start()
    host.until(well(), 15)
    releases.release("1.0")
    deploy(host, releases, "1.0")
    done = host.command("update", "rollback", COMPONENT)
    assert (done.code, done.document["error"]["code"]) == (1, "no_predecessor")


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "alone"])
def test_a_hold_stops_updates_survives_a_restart_and_ends(till: Host, releases: Releases, daemon: bool) -> None:
    if not daemon:
        till.stop()
    done = till.command("update", "hold", "2h")
    assert done.code == 0, done.out
    held = done.document["hold"]
    assert not held["capped"]
    if daemon:
        till.stop()
    assert till.command("update", "status").document["hold"]["until"] == held["until"]
    till.start()
    till.until(well(), 15)
    releases.release("1.2")
    releases.push("1.2")
    assert till.command("update", "check").code == 0
    till.until(lambda d: bool(d["deployment"] and d["deployment"]["waiting_for"]), DEPLOY_S, "update.status")
    assert till.ask("update.status")["deployment"]["waiting_for"] == f"hold until {held['until']}"
    time.sleep(1.5)
    assert running(till) == "1.1"
    done = till.command("update", "release")
    assert (done.code, "hold" in done.document) == (0, False)
    till.until(lambda d: d["deployment"] is None, DEPLOY_S, "update.status")
    assert running(till) == "1.2"
    assert [r["kind"] for r in till.journal("update.") if "key" not in r["body"]] == ["update.hold", "update.release"]


def test_a_hold_is_bounded_and_stops_a_rollback(till: Host) -> None:
    done = till.command("update", "hold", "30d")
    assert done.document["hold"]["capped"]
    assert "14 days" in till.command("--lang", "en", "update", "hold", "30d", json_=False).out
    done = till.command("update", "rollback", COMPONENT)
    assert (done.code, done.document["error"]["code"]) == (3, "held")
    assert running(till) == "1.1"
    for wrong in ("soon", "2020-01-01T00:00:00Z", "0h"):
        assert till.command("update", "hold", wrong).code == 2


def test_a_changed_byte_in_the_installed_release_is_a_fault_until_it_is_right(till: Host, releases: Releases) -> None:
    version: Path = till.state / "releases" / COMPONENT / "current" / "VERSION"
    till.stop()
    version.write_text("1.2")
    till.start()
    till.until(lambda d: bool(drifted(d)), 15)
    evidence = drifted(till.ask("status"))[0]["evidence"]
    assert (evidence["component"], evidence["version"], evidence["files"]) == (COMPONENT, "1.1", "changed: VERSION")
    assert till.command("status").code == 1
    releases.release("1.2")
    deploy(till, releases, "1.2")
    till.until(lambda d: not drifted(d), 15)
    kinds = [r["kind"] for r in till.journal("fault.") if r["body"]["id"] == "host.release_drift"]
    assert kinds == ["fault.raised", "fault.cleared"]


def test_a_broken_release_leaves_the_predecessor_reachable(till: Host, releases: Releases) -> None:
    releases.release("1.2", BROKEN)
    deploy(till, releases, "1.2", "rolled_back")
    assert till.command("update", "rollback", COMPONENT).code == 0
    assert running(till) == "1.0"


def test_a_dry_run_says_what_would_happen_and_changes_nothing(till: Host, releases: Releases) -> None:
    def plan() -> Doc:
        done = till.command("update", "check", "--dry-run")
        assert done.code == 0, done.out
        found: list[Doc] = done.document["plans"]
        return found[0] if found else {}

    assert plan() == {}
    till.stop()
    before = {path: path.read_bytes() for path in till.state.rglob("*.json*")}
    releases.release("1.2")
    releases.push("1.2")
    wanted = plan()
    assert (wanted["component"], wanted["version"], wanted["runs"], wanted["would"]) == (COMPONENT, "1.2", "1.1", "install")
    assert wanted["bytes"] > 0
    releases.publish("1s")
    time.sleep(1.5)
    wanted = plan()
    assert (wanted["version"], wanted["would"], wanted["code"]) == ("1.2", "refuse", "expired")
    assert {path: path.read_bytes() for path in till.state.rglob("*.json*")} == before
    assert "would be refused" in till.command("--lang", "en", "update", "check", "--dry-run", json_=False).out


def test_a_dry_run_tells_what_would_only_be_downloaded(till: Host, releases: Releases) -> None:
    """An action for download alone."""
    releases.release("1.2")
    releases.push("1.2", kind="downloadonly")
    done = till.command("update", "check", "--dry-run")
    assert [(plan["version"], plan["would"], plan["code"]) for plan in done.document["plans"]] == [("1.2", "download", "")]
    shown = till.command("--lang", "zh_CN", "update", "check", "--dry-run", json_=False).out
    assert "将预先下载" in "".join(shown.split())
    assert running(till) == "1.1"
    assert not (till.state / "releases" / COMPONENT / "1.2").exists()


def test_a_stick_is_no_success_over_files_that_were_changed(till: Host, releases: Releases) -> None:
    bundle = releases.folder / "till.bundle"
    releases.tool("bundle", "--component", COMPONENT, "--version", "1.1", "--out", bundle)
    (till.state / "releases" / COMPONENT / "1.1" / "VERSION").write_text("changed")
    done = till.command("update", "install", str(bundle))
    assert (done.code, done.document["error"]["code"]) == (1, "drift")
    receipt = json.loads((releases.folder / "till.bundle.receipt.json").read_text())
    assert (receipt["outcome"], receipt["code"]) == ("refused", "drift")


def test_a_lost_pointer_is_a_fault_and_can_be_gone_back_from(till: Host) -> None:
    till.stop()
    (till.state / "releases" / COMPONENT / "current").unlink()
    till.start()
    till.until(lambda d: bool(drifted(d)), 20)
    assert till.command("update", "rollback", COMPONENT).code == 0
    assert running(till) == "1.1"
    till.until(lambda d: not drifted(d), 20)


def test_a_person_confirms_the_time_where_its_memory_is_lost(till: Host, releases: Releases) -> None:
    """Both copies of the last signed time are damaged: nothing is installed until somebody has looked at the clock."""
    for copy in (till.state / "time.json.1", till.state / "time.json.2"):
        copy.write_bytes(b"?")
    releases.release("1.2")
    releases.push("1.2")
    assert till.command("update", "check").code == 0
    till.until(lambda d: d["deployment"] is not None and d["deployment"]["waiting_for"] == "clock", DEPLOY_S, "update.status")
    asked = till.command("update", "confirm-time")
    assert (asked.code, asked.document["error"]["code"]) == (2, "nobody_to_ask")
    assert running(till) == "1.1"
    done = till.command("update", "confirm-time", "--yes")
    assert done.code == 0, done.out
    assert "damaged" in done.document["clock"]["was_wrong"]
    assert done.document["clock"]["signed"], "the timestamp that was trusted last still tells it"
    till.until(lambda _: any(r["body"]["version"] == "1.2" for r in finals(till)), DEPLOY_S)
    assert running(till) == "1.2"
    (till.state / "confirmed.json.1").unlink()
    (till.state / "confirmed.json.2").unlink()
    assert till.command("update", "confirm-time", "--yes").document["clock"]["was_wrong"] is None, "it is remembered again"
    till.verified()
