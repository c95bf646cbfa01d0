"""Attacks by whoever holds the update server (hawkBit): it says when, and must not be able to say more."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.journal import Journal
from agent.sinks.hawkbit import HawkbitSink
from agent.updates import Recorder
from firmware.engine import Cancel
from firmware.errors import HttpStatusError, TransportError
from firmware.release.choices import Options
from firmware.state import Deployment, Wanted
from firmware.transport import Transport, basic_token
from protocols.center import ddi
from protocols.errors import RemoteProtocolError
from simulator.center.server import Center

from .till import Till
from .web import Web, raw, says

ALL_TEXT = {"part": "bApp", "artifacts": []}


class Desk:
    """The till's agent towards hawkBit: its sink, its journal and this till's engine."""

    def __init__(self, till: Till, url: str, folder: Path, token: str = "TargetToken secret") -> None:
        clock = ManualClock()
        self.till = till
        self.journal = Journal(folder / "journal.sqlite", boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
        self.transport = Transport(timeout_s=2.0, token=token, token_for=url)
        self.sink = HawkbitSink(url, self.transport, self.journal, self, controller_id="pos-1", attributes=dict)
        self.canceled: list[str] = []

    def on_deployment(self, deployment: ddi.Deployment) -> bool:
        wanted = tuple(Wanted(chunk.name, chunk.version) for chunk in deployment.chunks)
        return self.till.engine.request(Deployment(f"hawkbit-{deployment.action_id}", deployment.action_id, wanted))

    def on_cancel(self, action_id: str) -> str:
        self.canceled.append(action_id)
        return self.till.engine.cancel(action_id).value

    def installed(self) -> Sequence[tuple[str, str]] | None:
        return ()

    def poll(self) -> None:
        """Ask the server, do what it wants to the end, and report it."""
        self.sink.poked()
        self.sink.tick(0.0)
        seen = len(self.till.journal)
        self.till.run()
        recorder = Recorder(self.journal)
        for record in self.till.journal[seen:]:
            recorder.record(record)

    def report(self) -> None:
        records = self.journal.read(self.journal.cursor("hawkbit"), 1000)
        for done in self.sink.deliver(records) if records else ():
            self.journal.advance("hawkbit", done)

    def close(self) -> None:
        self.transport.close()
        self.journal.close()


@pytest.fixture
def desk(till: Till, other_web: Web, tmp_path: Path) -> Iterator[Desk]:
    """A till whose hawkBit is the attacker's (``other_web``)."""
    made = Desk(till, f"{other_web.url}/ddi", tmp_path)
    yield made
    made.close()


def polls(web: Web, **links: str) -> None:
    document = {"config": {"polling": {"sleep": "00:00:30"}}, "_links": {name: {"href": href} for name, href in links.items()}}
    web.lie("/ddi/pos-1", says(json.dumps(document).encode()))


def deploys(web: Web, action: object = 7, chunks: Any = None, **changes: Any) -> None:
    chunks = [{**ALL_TEXT, "name": "till-app", "version": "2.0"}] if chunks is None else chunks
    document = {"id": action, "deployment": {"download": "forced", "update": "forced", "chunks": chunks, **changes}}
    polls(web, deploymentBase=f"{web.url}/ddi/pos-1/deploymentBase/{action}")
    web.lie("/ddi/pos-1/deploymentBase/*", says(json.dumps(document).encode()))


def unharmed(till: Till) -> None:
    assert till.runs == "1.0"
    assert till.engine.status()["deployment"] is None


# -- the centre itself ------------------------------------------------------------------------------------------------


def _push(center: Center, name: str, version: str) -> int:
    api = center.management
    with Transport(timeout_s=2.0, token=basic_token(center.user, center.password)) as management:
        made = management.post_json(f"{api}/softwaremodules", [{"name": name, "version": version, "type": "application"}])
        modules = [{"id": made[0]["id"]}]
        one = {"name": name, "version": version, "type": "app", "modules": modules}
        ds = management.post_json(f"{api}/distributionsets", [one])[0]["id"]
        management.post_json(f"{api}/distributionsets/{ds}/assignedTargets", [{"id": "pos-1", "type": "forced"}])
    return max(center.store.actions)


def test_deployment_signed_for_another_terminal(till: Till, tmp_path: Path) -> None:
    """Whoever holds hawkBit assigns another shop's release to this till: refused, and hawkBit is told so."""
    till.release("2.0", options=Options(terminals=("pos-9",)))
    with Center(tmp_path / "center") as center:
        desk = Desk(till, center.ddi, tmp_path, f"GatewayToken {center.gateway_token}")
        try:
            desk.poll()
            action = center.store.actions[_push(center, "till-app", "2.0")]
            desk.poll()
            desk.report()
            assert till.journal[-1].code == "wrong_till"
            assert (action.active, action.status) == (False, "error")
            unharmed(till)
        finally:
            desk.close()
    till.honest()


def test_hawkbits_copy_of_the_release_is_not_believed(till: Till, other_web: Web, desk: Desk) -> None:
    """hawkBit names its own artifact, with a hash that fits to it: the bytes come from the signed repository alone."""
    evil = {"filename": "till-app-2.0.tar.gz", "size": 4, "hashes": {"sha256": "0" * 64, "md5": "0", "sha1": "0"}}
    link = {"_links": {"download-http": {"href": f"{other_web.url}/evil"}}}
    deploys(other_web, chunks=[{"part": "bApp", "name": "till-app", "version": "2.0", "artifacts": [evil | link]}])
    desk.poll()
    assert till.journal[-1].code == "unknown_target"
    assert not any("evil" in path for path, _ in other_web.seen)
    unharmed(till)
    till.honest()


# -- links and names --------------------------------------------------------------------------------------------------


def test_link_to_another_host(till: Till, web: Web, other_web: Web, desk: Desk) -> None:
    """The poll's link leads to another host: the till's token must not follow it."""
    polls(other_web, deploymentBase=f"{web.url}/steal/pos-1/deploymentBase/7")
    desk.poll()
    assert not any("steal" in path for path, _ in web.seen)
    unharmed(till)
    till.honest()


def test_poll_redirected_to_another_host(till: Till, web: Web, other_web: Web, desk: Desk) -> None:
    """A redirect of the poll itself must not carry the token to where it leads."""
    web.lie("/steal", says(b"{}"))
    other_web.lie("/ddi/pos-1", says(status=302, Location=f"{web.url}/steal"))
    desk.poll()
    assert [headers.get("authorization") for path, headers in web.seen if path == "/steal"] == [None]
    unharmed(till)
    till.honest()


@pytest.mark.parametrize("action", ["../../pos-2", "..", "7/../8", "7%2f..", "7\u0000", "7?x=1", "-7", "７", "x" * 65])
def test_action_id_that_is_a_path(till: Till, other_web: Web, desk: Desk, action: str) -> None:
    """The action's id becomes part of an address and a key of our state: it is a short plain word."""
    deploys(other_web, action)
    polls(other_web, deploymentBase=f"{other_web.url}/ddi/pos-1/deploymentBase/7")
    with pytest.raises(RemoteProtocolError):
        desk.poll()
    unharmed(till)
    till.honest()


@pytest.mark.parametrize(
    "name", ["../../etc", "till-app\x1b[2J", "tіll-app", "", "x" * 300, "till-app\nupdate.committed", None, 7]
)
def test_component_names_of_the_server(till: Till, other_web: Web, desk: Desk, name: object) -> None:
    """Names from hawkBit reach the state, the journal and people's screens before anything is verified."""
    deploys(other_web, chunks=[{**ALL_TEXT, "name": name, "version": "2.0"}])
    if isinstance(name, str) and 0 < len(name) <= ddi.MAX_NAME:
        desk.poll()
        assert (till.journal[-1].state, till.journal[-1].code) == ("refused", "unknown_component")
        assert till.journal[-1].reason.isprintable()
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            desk.poll()
        assert str(caught.value).isprintable()
    unharmed(till)
    till.honest()


def test_the_same_component_twice(till: Till, other_web: Web, desk: Desk) -> None:
    """Two versions of one component in one deployment: which one ran would be a matter of luck."""
    till.release("2.0")
    deploys(other_web, chunks=[{**ALL_TEXT, "name": "till-app", "version": version} for version in ("2.0", "1.0")])
    desk.poll()
    assert (till.journal[-1].state, till.journal[-1].code) == ("refused", "bad_deployment")
    unharmed(till)
    till.honest()


@pytest.mark.parametrize("count", [0, 40, 65])
def test_too_many_components(till: Till, other_web: Web, desk: Desk, count: int) -> None:
    """A deployment of nothing, or of more components than any till has, is refused and not half carried out."""
    deploys(other_web, chunks=[{**ALL_TEXT, "name": f"c{number}", "version": "1"} for number in range(count)])
    try:
        desk.poll()
    except RemoteProtocolError:
        assert count > ddi.MAX_CHUNKS
    else:
        assert (till.journal[-1].state, till.journal[-1].code) == ("refused", "bad_deployment")
    unharmed(till)
    till.honest()


DDI_TRICKS: dict[str, bytes] = {
    "NaN": b'{"id": 7, "x": NaN}',
    "deep nesting": b'{"_links":' * 5_000,
    "huge integer": b'{"id": ' + b"9" * 9_000 + b"}",
    "array": b"[1, 2]",
    "null": b"null",
    "page of a portal": b"<html>Welcome",
    "no UTF-8": b"\xff\xfe",
    "links of wrong types": b'{"config": {}, "_links": {"deploymentBase": ["x"]}}',
    "sleep of wrong type": b'{"config": {"polling": {"sleep": 1e308}}, "_links": {}}',
    "sleep of a word": b'{"config": {"polling": {"sleep": "99:99:99"}}, "_links": {}}',
    "a link that is none": b'{"_links": {"deploymentBase": {"href": "javascript:alert(7)/7"}}}',
}


@pytest.mark.parametrize("trick", DDI_TRICKS)
def test_json_tricks_of_the_server(till: Till, other_web: Web, desk: Desk, trick: str) -> None:
    """A poll's answer that trips a parser would silence the till for ever: it is one error, and the next poll counts."""
    other_web.lie("/ddi/pos-1", says(DDI_TRICKS[trick]))
    with pytest.raises(RemoteProtocolError) as caught:
        desk.poll()
    assert str(caught.value).isprintable()
    unharmed(till)
    polls(other_web)
    desk.poll()
    till.honest()


def test_busy_loop_by_the_server(till: Till, other_web: Web, desk: Desk) -> None:
    """A polling time of zero would make every till of the fleet attack its centre and burn its own processor."""
    other_web.lie("/ddi/pos-1", says(b'{"config": {"polling": {"sleep": "00:00:00"}}, "_links": {}}'))
    assert desk.sink.tick(0.0) >= 0.5
    till.honest()


def test_endless_poll(till: Till, other_web: Web, desk: Desk) -> None:
    """A poll's answer without end would fill the daemon's memory."""
    other_web.lie("/ddi/pos-1", raw(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536, times=100))
    with pytest.raises(TransportError) as caught:
        desk.poll()
    assert caught.value.code == "endless_data"
    till.honest()


# -- taking back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
def test_deployment_gone_between_poll_and_reading(till: Till, other_web: Web, desk: Desk, status: int) -> None:
    """Taken back between two requests: nothing to do, no error that goes on for ever, and the next one is taken."""
    till.release("2.0")
    deploys(other_web)
    other_web.lie("/ddi/pos-1/deploymentBase/*", says(status=status))
    desk.poll()
    unharmed(till)
    deploys(other_web, 8)
    desk.poll()
    assert till.runs == "2.0"
    till.honest()


@pytest.mark.parametrize("status", [404, 410, 409, 500])
def test_feedback_that_nobody_wants(till: Till, other_web: Web, desk: Desk, status: int) -> None:
    """An action that is gone must not stop the reports behind it; a server in trouble gets them later, in order."""
    deploys(other_web)
    desk.poll()
    head = desk.journal.head().seq
    other_web.lie("*/feedback", says(status=status))
    if status == 500:
        with pytest.raises(HttpStatusError):
            desk.report()
        assert desk.journal.cursor("hawkbit") < head
    else:
        desk.report()
    other_web.lie("*/feedback", says(b""))
    desk.report()
    assert desk.journal.cursor("hawkbit") >= head
    unharmed(till)
    till.honest()


@pytest.mark.parametrize("verb", ["verify", "fetch", "stage"])
def test_cancel_while_it_is_under_way(till: Till, verb: str) -> None:
    """A cancel that comes in the middle of a step ends it there: the old version runs and nothing is left."""
    till.release("2.0")
    answers: list[Cancel] = []
    till.child.before = lambda now: answers.append(till.engine.cancel("7")) if now == verb else None
    till.attack("canceled", state="canceled")
    assert answers == [Cancel.ACCEPTED]
    till.start()
    till.honest()


def test_cancel_after_the_switch_comes_too_late(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel behind the switch must not leave the till between two versions: it is told that it is too late."""
    till.release("2.0")
    answers: list[Cancel] = []
    switch = till.effects.switch

    def and_cancel(component: str, version: str | None) -> None:
        switch(component, version)
        answers.append(till.engine.cancel("7"))

    monkeypatch.setattr(till.effects, "switch", and_cancel)
    assert till.update("2.0").state == "committed"
    assert answers == [Cancel.TOO_LATE]
    monkeypatch.undo()
    till.honest()


def test_cancel_of_another_action(till: Till) -> None:
    """A cancel for an action that does not run here stops nothing, however often it comes."""
    till.release("2.0")
    answers: list[Cancel] = []
    till.child.before = lambda _verb: answers.append(till.engine.cancel("8"))
    assert till.update("2.0").state == "committed"
    assert set(answers) == {Cancel.UNKNOWN}
    till.honest()


def test_replayed_deployment(till: Till, other_web: Web, desk: Desk) -> None:
    """The same action offered again after it ended must not start again: a loop would wear the disk out."""
    deploys(other_web)
    desk.poll()
    ended = len(till.journal)
    other_web.lie("/ddi/pos-1/deploymentBase/*", says(b'{"id": 7, "deployment": {"download": "forced", "update": "attempt", '
        b'"chunks": [{"part": "bApp", "name": "till-app", "version": "2.0", "artifacts": []}]}}'))  # fmt: skip
    desk.sink._taken = None
    desk.poll()
    assert len(till.journal) == ended
    unharmed(till)
    till.honest()
