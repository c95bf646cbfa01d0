"""Attacks on the enrolment: who would like to have the token, and who would like to be trusted."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.enrolment.errors import EnrolmentRefused
from agent.enrolment.request import erase, find, made, read
from agent.enrolment.state import State
from agent.errors import AgentError
from firmware.errors import FirmwareError, TransportError
from tests.unit.enrolment.stage import Stage

from .certificates import Authority
from .web import Web, says, start_web

P7 = "application/pkcs7-mime"
TOKEN = "one-time-token-of-pos-1"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A host, and the honest centre that it knows by its CA."""
    from simulator.center.server import Center

    (tmp_path / "host").mkdir()
    with Center(tmp_path / "center", mutual=True) as center:
        yield Stage(tmp_path / "host", center)


@pytest.fixture
def thief(tmp_path: Path) -> Iterator[Web]:
    """Another host, whose certificate the same public authority has signed."""
    web, stop = start_web(Authority(tmp_path).server())
    try:
        yield web
    finally:
        stop()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[tuple[Web, Path]]:
    """A server that the host trusts, under the attacker's hand; and the CA."""
    (tmp_path / "front").mkdir()
    authority = Authority(tmp_path / "front")
    web, stop = start_web(authority.server())
    try:
        yield web, authority.file
    finally:
        stop()


def authorities(stage: Stage) -> bytes:
    return base64.encodebytes(stage.center.authority.certs_only())


def credentials(web: Web) -> list[str]:
    return [headers["authorization"] for _, headers in web.seen if "authorization" in headers]


def refused(stage: Stage, url: str, ca: Path) -> AgentError | FirmwareError:
    with pytest.raises((AgentError, FirmwareError)) as caught:
        stage.enroll(token=TOKEN, url=url, ca=str(ca))
    assert TOKEN not in str(caught.value)
    assert not (stage.state / "certificate-1.pem").exists()
    found: AgentError | FirmwareError = caught.value
    return found


@pytest.mark.parametrize("path", ["*/cacerts", "*/simpleenroll"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_token_by_redirect(stage: Stage, front: tuple[Web, Path], thief: Web, path: str, status: int) -> None:
    """The centre's address sends on to a thief's: nothing is followed, and no token and no request arrives there."""
    web, ca = front
    web.lie("*/cacerts", says(authorities(stage), **{"Content-Type": P7}))
    web.lie(path, says(status=status, Location=thief.url + "/.well-known/est/simpleenroll"))
    assert refused(stage, web.url, ca).code in ("redirect_refused", "redirects")
    assert thief.seen == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://centre.example", "HTTP://centre.example", "ftp://centre.example"])
def test_token_over_plain_http(url: str) -> None:
    """Whoever listens on the way would have the token: without TLS there is no enrolment, to this machine neither."""
    with pytest.raises(EnrolmentRefused) as caught:
        made(url, TOKEN)
    assert caught.value.code == "bad_url"


def test_man_in_the_middle_of_the_first_contact(stage: Stage, thief: Web) -> None:
    """With a fingerprint the first GET proves nothing: another CA in it is refused, and no token was sent."""
    thief.lie("*/cacerts", says(authorities(stage), **{"Content-Type": P7}))
    fingerprint = stage.center.authority.fingerprint()
    with pytest.raises((AgentError, FirmwareError)) as caught:
        stage.enroll(token=TOKEN, url=thief.url, ca="", fingerprint=fingerprint)
    assert caught.value.code == "tls"  # the right CA was shown, but the server has no certificate of it
    assert credentials(thief) == []
    thief.lie("*/cacerts", says(base64.encodebytes(b"0\x03\x02\x01\x00"), **{"Content-Type": P7}))
    with pytest.raises((AgentError, FirmwareError)):
        stage.enroll(token=TOKEN, url=thief.url, ca="", fingerprint=fingerprint)
    assert credentials(thief) == []


def test_token_in_what_the_centre_says(stage: Stage, front: tuple[Web, Path]) -> None:
    """A server that repeats the token in its refusal would bring it into our log and journal: it is taken out."""
    web, ca = front
    web.lie("*/cacerts", says(authorities(stage), **{"Content-Type": P7}))
    said = f"no: {TOKEN} \x1b[31m".encode()
    web.lie("*/simpleenroll", says(said, status=401, **{"Content-Type": "text/plain"}))
    error = refused(stage, web.url, ca)
    assert error.code == "token_refused"
    assert "[token]" in str(error)
    assert "\x1b" not in str(error)
    assert len(credentials(web)) == 1


def test_answer_of_a_hostile_centre(stage: Stage, front: tuple[Web, Path]) -> None:
    """A trusted address that answers with the CA itself, nothing, rubbish or a huge body gives no certificate."""
    web, ca = front
    web.lie("*/cacerts", says(authorities(stage), **{"Content-Type": P7}))
    bodies = (authorities(stage), b"", b"\x00" * 64, base64.encodebytes(b"0" * 5000), b"A" * (1 << 21))
    for body in bodies:
        web.lie("*/simpleenroll", says(body, **{"Content-Type": P7}))
        refused(stage, web.url, ca)
    assert stage.enrolling().standing().state is State.ASKING
    assert stage.enroll().state is State.ENROLLED


def test_certificate_of_another_authority(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can sign somewhere, but not with the centre's key, hands out no identities: the chain must lead to the served CA."""
    from simulator.center.ca import Authority as Stranger

    stranger = Stranger(tmp_path / "stranger", lambda: float(stage.clock.wall().timestamp()))
    monkeypatch.setattr(
        stage.center.est, "_give", lambda wanted, uris, seconds, **_: stranger.issue(wanted, "pos-1", uris, seconds)
    )
    with pytest.raises(EnrolmentRefused) as caught:
        stage.enroll()
    assert caught.value.code == "wrong_issuer"


def test_request_by_a_link(stage: Stage, tmp_path: Path) -> None:
    """A link in the place of enroll.toml would make us read, and then overwrite, a file of somebody else's."""
    victim = tmp_path / "victim"
    victim.write_text('url = "https://centre.example"\ntoken = "t"\n')
    stage.file.symlink_to(victim)
    with pytest.raises(EnrolmentRefused):
        read(stage.file)
    with pytest.raises(FirmwareError):
        erase(stage.file, "now")
    assert "token" in victim.read_text()


def test_stick_where_none_is_wanted(stage: Stage, tmp_path: Path) -> None:
    """A stranger's stick with an enrolment for the stranger's centre is not looked at unless the site says where."""
    stick = tmp_path / "media" / "stick"
    stick.mkdir(parents=True)
    (stick / "posagent-enroll.toml").write_text('url = "https://thief.example"\ntoken = "t"\n')
    assert find(stage.folder, "pos-1", ()) is None
    found = find(stage.folder, "pos-1", (f"{tmp_path}/media/*",))
    assert found is not None
    assert found.url == "https://thief.example/.well-known/est"


def test_certificate_shown_to_a_stranger(stage: Stage, thief: Web) -> None:
    """A server that is not the centre's never sees the till's certificate asked for: the connection ends before."""
    from firmware.transport import Transport

    stage.enroll()
    files = stage.enrolling().files(1)
    with Transport(ca=stage.center.authority.file, client=lambda: files) as transport, pytest.raises(TransportError) as caught:
        transport.get_bytes(thief.url + "/DEFAULT/controller/v1/pos-1", 4096)
    assert caught.value.code == "tls"
    assert thief.seen == []


def test_key_that_others_may_read(stage: Stage) -> None:
    """A key that every user of the till could copy is used no more, and the way out is said."""
    stage.enroll()
    (stage.state / "key-1.pem").chmod(0o644)
    worker: Any = stage.enrolling()._crypto
    with pytest.raises(FirmwareError) as caught:
        worker.request(stage.state / "key-1.pem", "pos-1", None)
    assert caught.value.code == "unsafe_mode"
