"""One exchange, two servers: the real Eclipse hawkBit update server and the simulated centre (facts/updates.md section 2).

What is asserted here was seen on the real one; the simulated one is held to it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest

from protocols.center import ddi
from simulator.center.server import Center
from tests.peers import hawkbit_server
from tests.peers.hawkbit_server import DDI, GATEWAY_TOKEN, REST, Client, Peer, peer
from tests.peers.hawkbit_shop import REPORT_S, Both, Shop
from tests.peers.hawkbit_till import Till
from tests.system.harness import Host, report, wait_for
from tests.system.releases import BROKEN, COMPONENT, Releases

pytestmark = pytest.mark.timeout(300)

KINDS = ["simulated", pytest.param("hawkbit", marks=pytest.mark.peer)]
DEFAULT_POLLING = "00:05:00"


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """The one server and then the other, each for all tests of this module."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as running:
        if request.param == "simulated":
            url = running.enter_context(Center(folder)).url
        else:
            reason = hawkbit_server.missing()
            if reason:
                pytest.skip(reason)
            begun = time.monotonic()
            url = running.enter_context(hawkbit_server.running(folder))
            report("hawkBit", [("start", f"{time.monotonic() - begun:.1f} s")])
        yield running.enter_context(peer(request.param, url))


@pytest.fixture
def till(server: Peer) -> Iterator[Till]:
    """A controller that the server has not met."""
    with Client(server.url, f"GatewayToken {GATEWAY_TOKEN}") as client:
        yield Till(server, client)


@pytest.fixture
def polling(server: Peer) -> Iterator[Callable[[str], None]]:
    """Sets the tenant's polling time for the length of a test."""
    yield lambda value: server.configure("pollingTime", value)
    server.configure("pollingTime", DEFAULT_POLLING)


# -- registration, tokens, attributes, polling


def test_a_new_controller_registers_itself_with_the_gateway_token(till: Till) -> None:
    with Client(till.peer.url, "GatewayToken another") as stranger:
        assert stranger("GET", till.base).status == 401
    assert till.peer.rest("GET", till.record).status == 404, "an unauthorised question registers nobody"
    poll = till.poll()
    assert poll.config_data is not None
    assert (poll.deployment, poll.cancel, poll.confirmation, poll.installed) == (None, None, None, None)
    assert till.target()["updateStatus"] == "registered"


def test_a_target_token_speaks_for_its_own_till_alone(till: Till) -> None:
    with Client(till.peer.url, "TargetToken 0123456789") as stranger:
        assert stranger("GET", till.base).status == 401
    till.poll()
    with Client(till.peer.url, f"TargetToken {till.target()['securityToken']}") as own:
        assert own("GET", till.base).status == 200
        assert own("GET", f"{DDI}/{till.name}-other").status == 401
    assert till.peer.rest("GET", f"{till.record}-other").status == 404


def test_attributes_are_kept_and_asked_for_again_after_an_install(till: Till) -> None:
    assert till.ddi("PUT", f"{till.base}/configData", ddi.config_data({"a": "b"})).status == 404, "not registered yet"
    till.poll()
    for refused in ({"mode": "merge", "data": {"a": "~"}}, {"mode": "upsert", "data": {"a": "b"}}):
        assert till.ddi("PUT", f"{till.base}/configData", refused).status == 400
    given = {"version.agent": "1.0", "pos-1/printer.model": "TM-T88V~终"}
    assert till.ddi("PUT", f"{till.base}/configData", ddi.config_data(given, "replace")).status == 200
    assert till.peer.rest("GET", f"{till.record}/attributes").json == ddi.config_data(given)["data"]
    assert till.poll().config_data is None
    number = till.assign("1")
    assert till.feedback(number, "closed", "success") == 200
    assert till.poll().config_data is not None


def test_the_tenants_polling_time_reaches_the_till(till: Till, polling: Callable[[str], None]) -> None:
    assert till.poll().sleep_s == ddi.DEFAULT_SLEEP_S
    polling("00:00:30")
    assert till.poll().sleep_s == 30
    for refused in ("00:00:29", "now"):
        answer = till.peer.rest("PUT", f"{REST}/system/configs/pollingTime", {"value": refused})
        assert (answer.status, answer.json["errorCode"]) == (400, "hawkbit.server.error.configValueInvalid")
    assert till.poll().sleep_s == 30


# -- a deployment's life


def test_success_is_installed_only_when_closed(till: Till) -> None:
    till.poll()
    number = till.assign("1")
    assert till.target()["updateStatus"] == "pending"
    assert till.deployment().action_id == str(number)
    for execution in ("proceeding", "download", "downloaded", "scheduled", "resumed", "rejected"):
        assert till.feedback(number, execution, "none", f"we are at {execution}") == 200
        assert till.action(number)[1], f"{execution} ends nothing"
    assert till.carries("installedDS") is None
    assert till.feedback(number, "closed", "success", "done") == 200
    assert till.action(number) == ("finished", False)
    assert (till.carries("installedDS"), till.target()["updateStatus"]) == ("1", "in_sync")
    assert till.rows(number)[-1] == ("finished", "done")
    poll = till.poll()
    assert poll.deployment is None
    assert poll.installed is not None
    assert ddi.parse_deployment(till.get(poll.installed).body).action_id == str(number)
    assert till.feedback(number, "closed", "success") == 410
    assert till.feedback(number, "proceeding") == 410


def test_failure_leaves_what_was_installed(till: Till) -> None:
    till.poll()
    assert till.feedback(till.assign("1"), "closed", "success") == 200
    number = till.assign("2")
    assert till.feedback(number, "proceeding") == 200
    assert till.feedback(number, "closed", "failure", "no database", "rolled back") == 200
    assert till.action(number) == ("error", False)
    assert till.rows(number)[-1][1] == "no database rolled back"
    assert till.target()["updateStatus"] == "error"
    assert (till.carries("installedDS"), till.carries("assignedDS")) == ("1", None)
    assert till.poll().deployment is None
    assert till.feedback(number, "proceeding") == 410


def test_what_was_installed_without_an_action_is_put_there(till: Till) -> None:
    """A stick: the device tells name and version of a set, hawkBit makes a finished action of it; again it is nothing new."""
    url, name = f"{till.base}/installedBase", f"app-{till.name}"
    till.poll()
    assert till.feedback(till.assign("1"), "closed", "success") == 200
    till.release("2")
    assert till.ddi("PUT", url, {"name": name, "version": "2"}).status == 201
    assert (till.carries("installedDS"), till.target()["updateStatus"]) == ("2", "in_sync")
    assert till.ddi("PUT", url, {"name": name, "version": "2"}).status == 200
    assert till.ddi("PUT", url, {"name": name, "version": "99"}).status == 404
    assert till.poll().deployment is None


def test_while_an_action_is_open_it_changes_nothing(till: Till) -> None:
    till.poll()
    till.release("2")
    number = till.assign("1")
    assert till.ddi("PUT", f"{till.base}/installedBase", {"name": f"app-{till.name}", "version": "2"}).status == 200
    assert till.carries("installedDS") is None
    assert till.deployment().action_id == str(number)


def test_soft_becomes_forced_and_the_link_says_so(till: Till) -> None:
    till.poll()
    number = till.assign("1", "soft")
    soft = till.deployment()
    assert (soft.download, soft.update, soft.forced) == ("attempt", "attempt", False)
    before = till.poll().deployment
    assert till.poll().deployment == before, "nothing changed, nothing to be read again"
    answer = till.peer.rest("PUT", f"{till.record}/actions/{number}", {"forceType": "forced"})
    assert (answer.status, answer.json["forceType"]) == (200, "forced")
    assert till.poll().deployment != before
    assert till.deployment().forced


def test_download_only_may_not_be_installed(till: Till) -> None:
    till.poll()
    number = till.assign("1", "downloadonly")
    found = till.deployment()
    assert (found.download, found.update) == ("forced", "skip")
    assert till.feedback(number, "downloaded") == 200
    assert till.action(number) == ("downloaded", False)
    assert till.carries("installedDS") is None


def test_what_is_no_feedback_changes_nothing(till: Till) -> None:
    till.poll()
    number = till.assign("1")
    url = f"{till.base}/deploymentBase/{number}/feedback"
    for status in (
        {"execution": "done", "result": {"finished": "none"}},
        {"execution": "closed"},
        {"result": {"finished": "success"}},
    ):
        assert till.ddi("POST", url, {"status": status}).status == 400
    many = {"execution": "proceeding", "result": {"finished": "none"}, "details": ["x"] * (ddi.MAX_DETAILS + 1)}
    quota = till.ddi("POST", url, {"status": many})
    assert (quota.status, ddi.error_code(quota.body)) == (429, ddi.QUOTA_ERROR)
    assert till.action(number)[1]
    assert till.feedback(number, "proceeding", "none", "é" * ddi.MAX_DETAIL) == 200
    assert till.rows(number)[-1][1] == "é" * ddi.MAX_DETAIL


def test_another_tills_action_is_not_found(till: Till) -> None:
    till.poll()
    number = till.assign("1")
    other = Till(till.peer, till.ddi)
    other.poll()
    for path in (f"deploymentBase/{number}", f"cancelAction/{number}", f"installedBase/{number}", "deploymentBase/99999999"):
        assert other.ddi("GET", f"{other.base}/{path}").status == 404, path
    assert other.feedback(number, "closed", "success") == 404
    assert till.action(number)[1]


# -- taking back


@pytest.mark.parametrize("phase", ["offered", "retrieved", "proceeding"])
def test_a_cancellation_is_accepted_with_closed_and_success(till: Till, phase: str) -> None:
    till.poll()
    number = till.assign("1")
    if phase != "offered":
        till.deployment()
    if phase == "proceeding":
        assert till.feedback(number, "proceeding") == 200
    assert till.cancel(number) == 204
    assert till.cancel(number) == 405
    link = till.poll().cancel
    assert link is not None
    assert till.ddi("GET", f"{till.base}/deploymentBase/{number}").status == 404
    wanted = ddi.parse_cancel(till.get(link).body)
    assert (wanted.action_id, wanted.stop_id) == (str(number), str(number))
    assert till.action(number) == ("canceling", True)
    assert till.feedback(number, "proceeding", part="cancelAction") == 200
    assert till.action(number)[1], "only closed ends it"
    assert till.feedback(number, "closed", "success", "nothing was changed", part="cancelAction") == 200
    assert till.action(number) == ("canceled", False)
    assert till.poll().cancel is None
    assert till.feedback(number, "closed", "success") == 410
    assert (till.carries("assignedDS"), till.target()["updateStatus"]) == (None, "in_sync")


@pytest.mark.parametrize("answer", [("rejected", "none"), ("closed", "failure")])
def test_a_cancellation_that_comes_too_late_is_refused_and_the_deployment_goes_on(till: Till, answer: tuple[str, str]) -> None:
    till.poll()
    number = till.assign("1")
    till.deployment()
    assert till.feedback(number, "closed", "success", part="cancelAction") == 405, "nobody asked"
    assert till.cancel(number) == 204
    assert till.feedback(number, *answer, "already installing", part="cancelAction") == 200
    assert till.action(number) == ("running", True)
    assert till.poll().deployment is not None
    assert till.feedback(number, "closed", "success") == 200
    assert till.carries("installedDS") == "1"


def test_a_deployment_that_ends_while_it_is_being_cancelled_has_ended(till: Till) -> None:
    till.poll()
    number = till.assign("1")
    assert till.cancel(number) == 204
    assert till.feedback(number, "closed", "success") == 200
    assert till.action(number) == ("finished", False)
    assert till.carries("installedDS") == "1"
    assert till.poll().cancel is None


def test_a_newer_deployment_cancels_the_older_one_first(till: Till) -> None:
    till.poll()
    older = till.assign("1")
    till.deployment()
    newer = till.assign("2")
    assert till.action(older) == ("canceling", True)
    link = till.poll().cancel
    assert link is not None
    assert link.action_id == str(older)
    assert till.feedback(older, "closed", "success", part="cancelAction") == 200
    assert till.deployment().action_id == str(newer)
    assert till.feedback(newer, "closed", "success") == 200
    assert (till.carries("installedDS"), till.target()["updateStatus"]) == ("2", "in_sync")
    assert (till.action(older), till.action(newer)) == (("canceled", False), ("finished", False))


# -- the whole agent


@pytest.fixture
def shop(till: Till, service_center: Center, tmp_path: Path) -> Iterator[Shop]:
    """A signed repository with one release, and a host that trusts it; its daemon ends with the test."""
    releases = Releases(Both(till.peer, service_center), tmp_path / "center-1")
    releases.folder.mkdir(exist_ok=True)
    releases.init()
    till.name = f"pos-{uuid4().hex[:8]}"
    host = Host(tmp_path / "root")
    made = Shop(host, till, releases)
    made.release(0)
    yield made
    host.stop_all()


@pytest.mark.slow
def test_a_push_may_be_repeated_and_carries_the_signed_manifest(shop: Shop) -> None:
    version = shop.version(0)
    first, again = shop.push(version, "--type", "soft"), shop.push(version, "--type", "soft")
    assert (first["new"], again["new"]) == (True, False)
    assert first["action"] == again["action"]
    found = shop.till.deployment()
    assert not found.forced
    (chunk,) = found.chunks
    assert (chunk.part, chunk.name, chunk.version) == ("bApp", COMPONENT, version)
    assert chunk.metadata["posagent.manifest"] == f"{COMPONENT}-{version}.json"
    (artifact,) = chunk.artifacts
    signed = next((shop.releases.repo / "targets").glob(f"*{COMPONENT}-{version}.json")).read_bytes()
    assert (artifact.size, artifact.sha256) == (len(signed), hashlib.sha256(signed).hexdigest())
    assert artifact.href is not None
    assert shop.till.get(ddi.Link(artifact.href, None)).body == signed


@pytest.mark.slow
def test_the_agent_commits_a_good_release_and_takes_a_broken_one_back(shop: Shop) -> None:
    shop.start()
    good = shop.deploy(shop.version(0), "finished")
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(0)
    assert shop.till.target()["updateStatus"] == "in_sync"
    types = [kind for kind, _ in shop.till.rows(good)]
    assert types[-1] == "finished", "nothing is said after the end"
    assert {"retrieved", "running", "download", "downloaded"} <= set(types)
    assert types.count("finished") == 1
    assert shop.attributes()["posagent.version"]
    broken = shop.deploy(shop.release(1, BROKEN), "error")
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(0)
    assert "no database" in shop.till.rows(broken)[-1][1]
    assert shop.till.target()["updateStatus"] == "error"
    shop.deploy(shop.release(2), "finished")
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(2)


@pytest.mark.slow
def test_a_deployment_that_waits_is_cancelled_and_a_newer_one_takes_its_place(shop: Shop) -> None:
    busy = shop.host.root.with_name("busy")
    busy.touch()
    shop.start(f'idle_check = ["/usr/bin/test", "!", "-e", "{busy}"]\n')
    number = int(shop.push(shop.version(0), "--type", "soft")["action"])
    shop.poll()
    shop.state("waiting")
    assert shop.till.cancel(number) == 204
    shop.poll()
    shop.ended(number, "canceled")
    older = int(shop.push(shop.version(0))["action"])
    shop.poll()
    shop.state("waiting")
    newer = int(shop.push(shop.release(1))["action"])
    assert shop.till.action(older) == ("canceling", True)
    shop.poll()
    shop.ended(older, "canceled")
    busy.unlink()
    shop.ended(newer, "finished")
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(1)


@pytest.mark.slow
def test_a_cancellation_in_the_probation_comes_too_late_and_the_server_learns_the_truth(shop: Shop) -> None:
    shop.start(probation_s=3)
    number = int(shop.push(shop.version(0))["action"])
    shop.poll()
    shop.state("probation")
    assert shop.till.cancel(number) == 204
    shop.poll()
    shop.ended(number, "finished")
    assert any("cancel_too_late" in text for _, text in shop.till.rows(number)), shop.till.rows(number)
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(0)


@pytest.mark.slow
def test_a_download_only_action_brings_the_release_and_a_later_update_takes_it(shop: Shop) -> None:
    shop.start()
    shop.deploy(shop.version(0), "finished")
    version = shop.release(1)
    number = int(shop.push(version, "--type", "downloadonly")["action"])
    shop.poll()
    shop.ended(number, "downloaded")
    types = [kind for kind, _ in shop.till.rows(number)]
    assert (types[-1], types.count("downloaded")) == ("downloaded", 1), "nothing is said after the end"
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(0)
    assert (shop.host.state / "releases" / COMPONENT / version / "VERSION").read_text() == version
    told = shop.host.ask("update.status")
    assert (told["components"][COMPONENT]["ready"], told["deployment"]) == (version, None)
    for archive in (shop.releases.repo / "targets").glob(f"*{COMPONENT}-{version}.tar.*"):
        archive.unlink()
    again = shop.deploy(version, "finished")
    assert again != number
    assert shop.runs() == shop.till.carries("installedDS") == version


@pytest.mark.slow
def test_what_a_stick_brings_while_an_action_is_open_wins_when_that_has_ended(shop: Shop) -> None:
    """A till without a daemon: the centre pushes 1, a person installs 2 from a stick, then the till comes back."""
    shop.start()
    shop.deploy(shop.version(0), "finished")
    shop.host.stop()
    opened = int(shop.push(shop.release(1))["action"])
    shop.push(shop.release(2))
    shop.settle_all_but(opened)
    shop.stick(shop.version(2))
    assert (shop.runs(), shop.till.carries("installedDS")) == (shop.version(2), shop.version(0))
    shop.host.start()
    shop.ended(opened, "error")
    wait_for(lambda: shop.till.carries("installedDS") == shop.version(2), REPORT_S, lambda: shop.till.rows(opened))
    assert shop.runs() == shop.version(2)
    assert "code: downgrade" in shop.till.rows(opened)[-1][1]


@pytest.mark.slow
def test_an_action_for_what_a_stick_has_brought_ends_as_done(shop: Shop) -> None:
    shop.start()
    shop.deploy(shop.version(0), "finished")
    shop.host.stop()
    opened = int(shop.push(shop.release(1))["action"])
    shop.stick(shop.version(1))
    shop.host.start()
    shop.ended(opened, "finished")
    assert shop.runs() == shop.till.carries("installedDS") == shop.version(1)


@pytest.mark.slow
def test_a_cancelled_action_and_a_stick_end_with_what_runs(shop: Shop) -> None:
    shop.start()
    shop.deploy(shop.version(0), "finished")
    shop.host.stop()
    opened = int(shop.push(shop.release(1))["action"])
    assert shop.till.cancel(opened) == 204
    shop.stick(shop.version(1))
    shop.host.start()
    shop.ended(opened, "canceled")
    wait_for(lambda: shop.till.carries("installedDS") == shop.version(1), REPORT_S, lambda: shop.till.rows(opened))


@pytest.mark.slow
def test_reports_are_found_again_in_the_actions_history(till: Till) -> None:
    """By this the agent knows what was heard before a kill: of an open action, of a closed one, and not of a cancelled one."""
    till.poll()
    number = till.assign("1")
    for execution, said in (("proceeding", "record: 1 a"), ("download", "record: 2 b")):
        assert till.feedback(number, execution, "none", "on the way", said) == 200
    query = "?actionHistory=-1"
    assert till.ddi("GET", f"{till.base}/installedBase/{number}{query}").status == 404
    heard = ddi.parse_history(till.ddi("GET", f"{till.base}/deploymentBase/{number}{query}").body)
    assert {"record: 1 a", "record: 2 b"} <= set(heard)
    assert till.action(number)[1]
    assert till.feedback(number, "closed", "failure", "record: 3 c") == 200
    closed = till.ddi("GET", f"{till.base}/installedBase/{number}{query}")
    assert closed.status == 200
    assert {"record: 1 a", "record: 2 b", "record: 3 c"} <= set(ddi.parse_history(closed.body))
    assert till.action(number) == ("error", False), "looking changes nothing"
    cancelled = till.assign("2")
    assert till.cancel(cancelled) == 204
    for part in ("installedBase", "deploymentBase"):
        assert till.ddi("GET", f"{till.base}/{part}/{cancelled}{query}").status == 404


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sleep", ["00:00:30", DEFAULT_POLLING])
def test_how_soon_a_push_begins_to_install(shop: Shop, polling: Callable[[str], None], sleep: str) -> None:
    """The worst case: the push comes right after a poll. Nobody asks the agent to poll."""
    polling(sleep)
    shop.start()
    wait_for(lambda: shop.till.peer.rest("GET", shop.till.record).status == 200, REPORT_S)
    number = int(shop.push(shop.version(0))["action"])
    begun = time.time()
    limit = ddi.parse_sleep(sleep) * 1.1 + REPORT_S
    wait_for(lambda: not shop.till.action(number)[1], limit, shop.host.log_text)
    assert shop.till.action(number) == ("finished", False)
    at = {
        r["body"]["state"]: datetime.fromisoformat(r["wall"]).timestamp() - begun
        for r in shop.host.journal("update.")
        if "state" in r["body"]
    }
    report(
        f"{shop.till.peer.kind}, polling {sleep}, pushed right after a poll",
        [(f"push to {state}", f"{seconds:.2f} s") for state, seconds in at.items()],
    )
    assert at["switching"] < limit
