"""Updates through the real tools: `posrelease`, the service centre, and the daemon with its workers."""

import signal
import time
from typing import Any

import pytest

from tests.system.harness import Doc, Host, reading, report, till_table, well
from tests.system.releases import BROKEN, COMPONENT, Releases, configure

pytestmark = pytest.mark.slow

DEPLOY_S = 40.0
ENDS = ("committed", "rolled_back", "refused")
ON_THE_WAY = ("none", "waiting", "downloading", "installing", "probation")


def component(document: Doc) -> Doc:
    found: Doc = document["components"].get(COMPONENT, {"version": None, "previous": None, "state": "none"})
    return found


def deploy(host: Host, releases: Releases, version: str, expected: str) -> int:
    """Push, poll, and wait for the end; the number of hawkBit's action."""
    action = releases.push(version)
    assert host.command("update", "check").code == 0
    await_end(host, version, expected)
    return action


def await_end(host: Host, version: str, expected: str) -> list[str]:
    """The words that the component's state went through, up to its end."""
    words: list[str] = []

    def ended(document: Doc) -> bool:
        now = component(document)["state"]
        if words[-1:] != [now]:
            words.append(now)
        return document["deployment"] is None and any(
            r["body"].get("version") == version and r["body"].get("final") for r in host.journal("update.")[-1:]
        )

    host.until(ended, DEPLOY_S, "update.status")
    assert component(host.ask("update.status"))["state"] == expected, host.journal("update.")[-1]["body"]
    return words


@pytest.fixture
def till(host: Host, terminal: Any, service_center: Any, releases: Releases) -> Host:
    """A till that runs till-app 1.0, installed through the centre."""
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    releases.release("1.0")
    host.start()
    host.until(well(), 15)
    deploy(host, releases, "1.0", "committed")
    return host


def running(host: Host) -> str:
    return (host.state / "releases" / COMPONENT / "current" / "VERSION").read_text()


def releases_of(host: Host) -> list[str]:
    return sorted(path.name for path in (host.state / "releases" / COMPONENT).iterdir())


def action_of(center: Any, number: int, *, ended: str) -> Any:
    """hawkBit's action, once the daemon's report has come."""
    limit = time.monotonic() + 10
    while center.store.actions[number].status != ended:
        assert time.monotonic() < limit, [(r.type, r.messages) for r in center.store.actions[number].rows]
        time.sleep(0.05)
    return center.store.actions[number]


def test_a_signed_update_is_applied_and_told(till: Host, releases: Releases, service_center: Any) -> None:
    releases.release("1.1")
    number = releases.push("1.1")
    begun = time.monotonic()
    assert till.command("update", "check").code == 0
    words = await_end(till, "1.1", "committed")
    took = time.monotonic() - begun
    assert set(words) <= {*ON_THE_WAY, "committed"}
    assert words[-1] == "committed"
    assert running(till) == "1.1"
    status = till.command("update", "status")
    assert status.code == 0
    assert component(status.document) == {"version": "1.1", "previous": "1.0", "state": "committed"}
    assert till.ask("status")["host"]["components"][COMPONENT] == component(status.document)
    steps = [r for r in till.journal("update.") if r["body"].get("action_id") == str(number)]
    assert [r["body"]["state"] for r in steps][-1] == "committed"
    assert sum(r["body"]["final"] for r in steps) == 1
    action = action_of(service_center, number, ended="finished")
    assert not action.active
    finished = next(row for row in action.rows if row.type == "finished")
    committed = next(r for r in steps if r["kind"] == "update.committed")
    assert all(row.received[1] < finished.received[1] for row in action.rows if row is not finished)
    assert any(f"record: {committed['seq']} {committed['id']}" in m for m in finished.messages), finished.messages
    history = till.command("update", "history").document["records"]
    assert {r["kind"] for r in history} >= {"update.committed"}
    assert till.command("update", "check").code == 0, "installing what runs is done already"
    report("update 1.0 to 1.1", [("poll to committed", f"{took:.2f} s", "states seen", words)])


def test_feedback_is_closed_only_after_the_commit(host: Host, terminal: Any, service_center: Any, releases: Releases) -> None:
    configure(host, service_center, releases, till_table("pos-1", terminal.dir), probation_s=3)
    releases.release("1.0")
    host.start()
    host.until(well(), 15)
    number = releases.push("1.0")
    assert host.command("update", "check").code == 0
    host.until(lambda d: component(d)["state"] == "probation", DEPLOY_S, "update.status")
    assert running(host) == "1.0", "it runs, but it has not proved itself"
    assert service_center.store.actions[number].active
    await_end(host, "1.0", "committed")
    action_of(service_center, number, ended="finished")


def test_a_broken_release_is_rolled_back_and_reported_as_failure(till: Host, releases: Releases, service_center: Any) -> None:
    releases.release("1.2", BROKEN)
    number = deploy(till, releases, "1.2", "rolled_back")
    assert running(till) == "1.0"
    status = till.command("update", "status")
    assert status.code == 1
    assert component(status.document) == {"version": "1.0", "previous": None, "state": "rolled_back"}
    action = action_of(service_center, number, ended="error")
    last = action.rows[-1]
    assert "no database" in " ".join(last.messages), last.messages
    steps = [r["body"]["state"] for r in till.journal("update.") if r["body"].get("action_id") == str(number)]
    assert steps[-1] == "rolled_back"
    assert "committed" not in steps
    releases.release("1.3")
    deploy(till, releases, "1.3", "committed")
    assert running(till) == "1.3"


def refused(till: Host, releases: Releases, center: Any, version: str, code: str, *, by: Releases | None = None) -> None:
    """The deployment is refused with `code`, the centre is told, and the till is as it was."""
    before, kept = running(till), releases_of(till)
    number = deploy(till, by or releases, version, "refused")
    last = till.journal("update.refused")[-1]["body"]
    assert last["code"] == code, last
    assert last["reason"]
    assert running(till) == before
    status = till.command("update", "status")
    assert (status.code, component(status.document)["version"]) == (1, before)
    action = action_of(center, number, ended="error")
    assert any(f"code: {code}" in m for m in action.rows[-1].messages)
    assert till.command("status").code == 0, "the till takes money all the same"
    assert releases_of(till) == kept


def changed_byte(till: Host, releases: Releases, center: Any) -> None:
    releases.release("1.1")
    releases.change_a_byte("1.1")
    refused(till, releases, center, "1.1", "bad_hash")


def wrong_key(till: Host, releases: Releases, center: Any) -> None:
    true, forged = releases.snapshot(), releases.elsewhere()
    for version in ("1.0", "1.2"):
        forged.release(version)
    releases.serve_instead(forged.repo)
    refused(till, releases, center, "1.2", "bad_signature")
    releases.serve_instead(true)


def older_repository(till: Host, releases: Releases, center: Any) -> None:
    releases.release("1.3")
    old = releases.snapshot()
    releases.release("1.4")
    true = releases.snapshot()
    deploy(till, releases, "1.4", "committed")
    releases.serve_instead(old)
    refused(till, releases, center, "1.3", "rollback")
    releases.serve_instead(true)


def below_the_installed_one(till: Host, releases: Releases, center: Any) -> None:
    refused(till, releases, center, "1.0", "downgrade")


def member_that_climbs_out(till: Host, releases: Releases, center: Any) -> None:
    releases.climbing_member("1.5", "../../../../../../escaped")
    refused(till, releases, center, "1.5", "archive_climbs")
    assert not list(till.root.parent.rglob("escaped*"))


def expired_repository(till: Host, releases: Releases, center: Any) -> None:
    releases.release("1.6", expires="1s")
    time.sleep(1.5)
    refused(till, releases, center, "1.6", "expired")


ATTACKS = (
    changed_byte,
    wrong_key,
    older_repository,
    below_the_installed_one,
    member_that_climbs_out,
    expired_repository,
)


def test_attacks_are_refused_reported_and_harmless(till: Host, releases: Releases, service_center: Any) -> None:
    """One after the other on one till, which then takes a true release as if nothing had been."""
    rows: list[tuple[object, ...]] = []
    for attack in ATTACKS:
        begun = time.monotonic()
        attack(till, releases, service_center)
        rows.append((attack.__name__, till.journal("update.refused")[-1]["body"]["code"], f"{time.monotonic() - begun:.2f} s"))
    releases.release("2.0")
    deploy(till, releases, "2.0", "committed")
    assert running(till) == "2.0"
    assert till.verified()["ok"]
    report("attacks", rows)


def test_an_update_waits_while_a_card_is_in_the_reader(
    till: Host, terminal: Any, releases: Releases, service_center: Any
) -> None:
    terminal.set("reader.card", "ok")
    till.until(lambda d: reading(d, "reader", "card") in ("present", "powered"), 6)
    releases.release("1.1")
    number = releases.push("1.1")
    assert till.command("update", "check").code == 0
    till.until(lambda d: bool(d["deployment"] and d["deployment"]["waiting_for"]), DEPLOY_S, "update.status")
    status = till.command("update", "status")
    assert component(status.document) == {"version": "1.0", "previous": None, "state": "waiting"}
    assert "card in the reader" in status.document["deployment"]["waiting_for"]
    assert service_center.store.actions[number].active
    assert running(till) == "1.0"
    assert status.document["behind"][COMPONENT]["versions"] == 1
    terminal.set("reader.card", "none")
    await_end(till, "1.1", "committed")
    action_of(service_center, number, ended="finished")
    told = till.log_text()
    assert told.count("till-app 1.1 waits for pos-1/reader: card in the reader") == 1, told
    assert "till-app 1.1, committed: the new version proved itself" in told
    after = till.command("update", "status").document
    assert (after["behind"][COMPONENT]["quality"], after["behind"][COMPONENT]["versions"]) == ("known", 0)
    assert after["last"]["state"] == "committed"


def test_media_faults_do_not_roll_a_good_release_back(host: Host, terminal: Any, service_center: Any, releases: Releases) -> None:
    configure(host, service_center, releases, till_table("pos-1", terminal.dir), probation_s=2)
    releases.release("1.0")
    host.start()
    host.until(well(), 15)
    releases.push("1.0")
    assert host.command("update", "check").code == 0
    host.until(lambda d: component(d)["state"] == "probation", DEPLOY_S, "update.status")
    terminal.set("printer.paper", "end")
    host.until(lambda d: not well()(d), 6)
    time.sleep(2.5)
    assert component(host.ask("update.status"))["state"] in ("probation", "committed")
    terminal.set("printer.paper", "ok")
    await_end(host, "1.0", "committed")


def test_a_reader_that_falls_silent_under_the_new_release_rolls_it_back(
    till: Host, terminal: Any, service_center: Any, releases: Releases
) -> None:
    till.stop()
    configure(till, service_center, releases, till_table("pos-1", terminal.dir), probation_s=20)
    till.start()
    till.until(well(), 15)
    releases.release("1.1")
    number = releases.push("1.1")
    assert till.command("update", "check").code == 0
    till.until(lambda d: component(d)["state"] == "probation", DEPLOY_S, "update.status")
    terminal.set("reader.power", "off")
    await_end(till, "1.1", "rolled_back")
    assert running(till) == "1.0"
    assert "pos-1/reader answered before and is silent now" in " ".join(
        action_of(service_center, number, ended="error").rows[-1].messages
    )


def test_kill_9_in_the_probation_then_restart(till: Host, service_center: Any, releases: Releases, terminal: Any) -> None:
    till.stop()
    configure(till, service_center, releases, till_table("pos-1", terminal.dir), probation_s=2)
    till.start()
    till.until(well(), 15)
    releases.release("1.1")
    number = releases.push("1.1")
    assert till.command("update", "check").code == 0
    till.until(lambda d: component(d)["state"] == "probation", DEPLOY_S, "update.status")
    till.stop(signal.SIGKILL)
    offline = till.command("update", "status").document
    assert component(offline)["state"] == "probation", "known without a daemon too"
    till.start()
    await_end(till, "1.1", "committed")
    assert running(till) == "1.1"
    action = action_of(service_center, number, ended="finished")
    assert [row.type for row in action.rows].count("finished") == 1
    steps = [r["body"]["key"] for r in till.journal("update.") if "key" in r["body"]]
    assert len(set(steps)) == len(steps), "every step is recorded once, kill or not"
    till.verified()
