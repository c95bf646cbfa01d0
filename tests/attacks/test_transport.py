"""Attacks on the way: slow and broken servers, redirects, certificates, and HTTP that two readers read differently."""

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from firmware.transport import Transport

from .certificates import Authority
from .tars import plain
from .till import Till
from .web import Answer, Web, cut, endless, in_turn, moved, raw, says, start_web

TIMESTAMP, ARCHIVE = "*/timestamp.json", "*.till-app-2.0.tar.gz"


def archive_of(till: Till, version: str = "2.0") -> bytes:
    return next(till.repo.targets.glob(f"*.till-app-{version}.tar.gz")).read_bytes()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that runs a minute with each look at it: a drip of bytes takes hours, and no test waits."""
    minutes = iter(range(0, 10**9, 60))
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "mono", lambda: float(next(minutes)))


# -- slow, broken, gone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [TIMESTAMP, "*.till-app-2.0.json", ARCHIVE])
def test_slow_retrieval(till: Till, impatient: None, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A byte now and then keeps any read alive and the update away for ever: too slow is gone."""
    till.release("2.0")
    till.web.lie(path, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x", times=5))
    till.attack("slow", state="failed")
    monkeypatch.undo()
    till.honest()


def test_archive_cut_again_and_again(till: Till) -> None:
    """A server that hangs up after every byte makes the till come back and back: the tries are bounded."""
    till.release("2.0")
    till.web.lie(ARCHIVE, cut(archive_of(till), 1))
    till.refuses("cut", state="failed")
    assert len([path for path, _ in till.web.seen if path.endswith("2.0.tar.gz")]) <= 24


@pytest.mark.parametrize(
    ("path", "status"), [("*.snapshot.json", 404), ("*.till-app-2.0.json", 410), (ARCHIVE, 404), (ARCHIVE, 410), (ARCHIVE, 503)]
)
def test_gone_in_the_middle(till: Till, path: str, status: int) -> None:
    """A file that is there no more in the middle of an update ends it with nothing left, and the next one works."""
    till.release("2.0")
    till.web.lie(path, says(status=status))
    till.refuses("http_status", state="failed")


def test_retry_after_a_thousand_years(till: Till) -> None:
    """Retry-After is the server's wish: it must not put a till to sleep for ever."""
    till.web.lie(TIMESTAMP, says(status=503, Retry_After="99999999999"))
    till.attack("http_status", state="failed")
    assert max(till.waits) <= 300.0
    till.honest()


def test_new_root_hidden_by_an_error(till: Till) -> None:
    """Only "not found" means that there is no newer root: an error there must not keep a revoked key alive."""
    till.web.lie("*/2.root.json", says(status=500))
    till.refuses("http_status", state="failed")


# -- ranges -----------------------------------------------------------------------------------------------------------


def _resumed(till: Till, second: Answer) -> None:
    till.release("2.0")
    till.web.lie(ARCHIVE, in_turn(cut(archive_of(till), 20), second))


def test_another_part_than_asked_for(till: Till) -> None:
    """The answer to a resumed download begins elsewhere: put together it would be another file."""
    _resumed(till, says(b"x" * 10, 206, Content_Range="bytes 5-14/100"))
    till.refuses("bad_range", state="failed")


@pytest.mark.parametrize("where", ["bytes */100", "lines 20-30/100", "bytes -5-10/100", "bytes 20\u00b2-30/100", ""])
def test_part_that_does_not_say_where(till: Till, where: str) -> None:
    """A part whose place cannot be read is not guessed."""
    given = {"Content_Range": where} if where else {}
    _resumed(till, says(b"x" * 10, 206, **given))
    till.refuses("bad_range", state="failed")


def test_other_bytes_for_the_rest(till: Till) -> None:
    """The first half of the good file and the second of a bad one: the hash is of the whole, however it came."""
    till.release("2.0")
    good = archive_of(till)
    rest = says(b"x" * (len(good) - 20), 206, Content_Range=f"bytes 20-{len(good) - 1}/{len(good)}")
    till.web.lie(ARCHIVE, in_turn(cut(good, 20), rest, says(b"y" * len(good))))
    till.refuses("bad_hash")


def test_part_that_nobody_asked_for(till: Till) -> None:
    """A 206 to a plain question for metadata: half a file that calls itself one."""
    till.web.lie(TIMESTAMP, says(b"{}", 206))
    till.refuses("bad_range", state="failed")


# -- redirects and addresses ------------------------------------------------------------------------------------------


def test_redirect_to_another_host_with_the_token(till: Till, other_web: Web) -> None:
    """A redirect to the attacker's host must not carry the till's token there."""
    till.release("2.0")
    other_web.lie("*", says(b"x" * len(archive_of(till))))
    till.web.lie(ARCHIVE, moved(f"{other_web.url}/evil"))
    till.attack("bad_hash")
    assert [path for path, _ in other_web.seen] == ["/evil"]
    assert all("authorization" not in headers and "secret" not in str(headers) for _, headers in other_web.seen)
    assert any(headers.get("authorization") == "TargetToken secret" for _, headers in till.web.seen)
    till.honest()


def test_redirect_back_with_the_token(till: Till, other_web: Web) -> None:
    """There and back again: a chain of redirects that leaves the host and returns must not confuse who sees the token."""
    other_web.lie("*", moved(f"{till.web.url}/metadata/loop"))
    till.web.lie(TIMESTAMP, moved(f"{other_web.url}/away"))
    till.attack("http_status", state="failed")
    assert other_web.seen
    assert all("authorization" not in headers for _, headers in other_web.seen)
    till.honest()


def test_targets_on_another_host_never_see_the_token(till: Till, other_web: Web) -> None:
    """The token belongs to the metadata's host; a mirror of targets, perhaps somebody else's, must not be told it."""
    till.release("2.0")
    till.start(targets_url=f"{other_web.url}/targets")
    till.attack("http_status", state="failed")
    assert other_web.seen
    assert all("authorization" not in headers for _, headers in other_web.seen)
    till.start(targets_url=f"{till.web.url}/targets")
    till.honest()


@pytest.mark.parametrize("path", [TIMESTAMP, ARCHIVE])
def test_redirect_to_plain_http_elsewhere(till: Till, path: str) -> None:
    """Plain http beyond this machine can be changed on the way and shows the attacker what is fetched."""
    till.release("2.0")
    till.web.lie(path, moved("http://192.0.2.1/evil"))
    till.refuses("plain_http", state="failed")


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "https:///x", "http://[::1", "http://\x00/"]
)
def test_redirect_to_what_is_no_web_address(till: Till, to: str) -> None:
    """A redirect to a file of this machine or to another protocol is no address at all."""
    till.web.lie(TIMESTAMP, raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to.encode() + b"\r\n\r\n"))
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert (last.state, last.code) in {("failed", code) for code in ("bad_url", "plain_http", "unreachable")}, last
    assert last.reason.isprintable()
    till.honest()


def test_redirects_without_end(till: Till) -> None:
    """Each redirect leads to the next one: five are enough for any honest server."""
    till.web.lie(TIMESTAMP, moved("/metadata/timestamp.json"))
    till.refuses("redirects", state="failed")
    assert len([path for path, _ in till.web.seen if path.endswith("timestamp.json")]) <= 24


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/metadata", "http://localhost.evil.example/metadata", "http://127.0.0.1@192.0.2.1/"]
)
def test_plain_http_to_another_host(till: Till, url: str) -> None:
    """A configuration, or somebody who changed it, with plain http: nothing is even asked."""
    till.start(metadata_url=url)
    till.attack("plain_http", state="failed")
    till.start(metadata_url=f"{till.web.url}/metadata")
    till.honest()


# -- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def bad_server(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Iterator[Web]:
    """A server with the certificate that the test names."""
    contexts = {
        "self-signed": lambda: authority.server(self_signed=True),
        "expired": lambda: authority.server(days=(-9, -2)),
        "not yet valid": lambda: authority.server(days=(2, 9)),
        "another name": lambda: authority.server("127.0.0.2"),
        "another authority": lambda: Authority(tmp_path, "attacker's authority").server(),
    }
    web, stop = start_web(contexts[request.param]())
    yield web
    stop()


@pytest.mark.parametrize(
    "bad_server", ["self-signed", "expired", "not yet valid", "another name", "another authority"], indirect=True
)
def test_bad_certificate(till: Till, authority: Authority, bad_server: Web) -> None:
    """Whoever cannot show the right certificate is not the centre: nothing is asked, no token is shown."""
    bad_server.folder = till.repo.folder
    till.start(metadata_url=f"{bad_server.url}/metadata", ca=authority.file)
    till.attack("tls", state="failed")
    assert bad_server.seen == []
    good, stop = start_web(authority.server())
    try:
        good.folder = till.repo.folder
        till.start(metadata_url=f"{good.url}/metadata", targets_url=f"{good.url}/targets")
        till.honest()
    finally:
        stop()


def test_redirect_from_https_to_plain_http(till: Till, authority: Authority) -> None:
    """From https down to plain http, even on this machine: who can redirect can read along."""
    secure, stop = start_web(authority.server())
    try:
        secure.lie("*", moved(f"{till.web.url}/metadata/timestamp.json"))
        till.start(metadata_url=f"{secure.url}/metadata", ca=authority.file)
        till.attack("plain_http", state="failed")
        assert till.web.seen == []
    finally:
        stop()
    till.start(metadata_url=f"{till.web.url}/metadata")
    till.honest()


def test_missing_authority_file(till: Till) -> None:
    """The file of the shop's own authority is gone: nobody else's authority takes its place."""
    till.start(ca=till.folder / "gone.pem")
    floor, files = till.floor(), till.files()
    till.web.lie(TIMESTAMP, moved("https://127.0.0.1:9/x"))
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert last.state == "failed"
    till.start(ca=None)
    till.honest()


# -- HTTP tricks ------------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
HTTP_TRICKS = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 500\r\n\r\n" + b"x" * 500,
    "length of minus one": OK + b"Content-Length: -1\r\n\r\nx",
    "length of a word": OK + b"Content-Length: many\r\n\r\nx",
    "chunk of minus one": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nxxxxx\r\n0\r\n\r\n",
    "chunk without end": OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx",
    "chunk of a word": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    "chunked and a length": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a thousand headers": OK + b"X-A: b\r\n" * 1000 + b"\r\n{}",
    "header of a megabyte": OK + b"X-A: " + b"b" * (1 << 20) + b"\r\n\r\n{}",
    "header without a name": OK + b": b\r\n: c\r\n\r\n{}",
    "header in two lines": OK + b"Content-Length: 2\r\n \x1b[2J\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "status of six digits": b"HTTP/1.1 200000 OK\r\n\r\n",
    "escape codes in the reason": b"HTTP/1.1 500 \x1b[2J\x1b]0;x\x07\r\nContent-Length: 0\r\n\r\n",
    "HTTP of long ago": b"HTTP/0.9 200 OK\r\n\r\n{}",
}


@pytest.mark.parametrize("trick", HTTP_TRICKS)
@pytest.mark.parametrize("path", [TIMESTAMP, ARCHIVE], ids=["metadata", "archive"])
def test_http_tricks(till: Till, path: str, trick: str) -> None:
    """Headers that two readers read differently, or that never end: no crash, no hang, no half of a file."""
    till.release("2.0")
    till.web.lie(path, raw(HTTP_TRICKS[trick]))
    floor, files = till.floor(), till.files()
    last = till.update("2.0")
    till.unharmed(floor, files)
    assert last.state in {"failed", "refused"}, last
    assert last.code not in {"internal", "worker_failed", ""}, last
    assert last.reason.isprintable(), last
    till.honest()


@pytest.mark.parametrize("encoding", ["gzip", "identity, gzip", "GZIP"])
def test_compressed_bomb(till: Till, encoding: str) -> None:
    """A small compressed answer that unpacks to gigabytes: nothing compressed was asked for, so nothing is unpacked."""
    bomb = gzip.compress(bytes(4 << 20))
    till.web.lie(TIMESTAMP, says(bomb, Content_Encoding=encoding))
    till.refuses("encoding", state="failed")


def test_endless_chunks(till: Till) -> None:
    """Chunks without end have no length that could be looked at beforehand: what arrives is counted."""
    till.release("2.0")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    till.web.lie(ARCHIVE, raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk, times=400))
    till.refuses("endless_data")


def test_endless_body_without_a_length(till: Till) -> None:
    """A body with neither length nor chunks ends when the server hangs up, or never: what arrives is counted."""
    till.release("2.0")
    till.web.lie(ARCHIVE, endless(b"x" * 65536))
    till.refuses("endless_data")


def test_endless_refusal(till: Till) -> None:
    """The body of an error is read for hawkBit's code: it ends as every body does."""
    till.web.lie(TIMESTAMP, raw(b"HTTP/1.1 500 no\r\n\r\n", b"x" * 65536, times=200))
    till.refuses("http_status", state="failed")


def test_strange_etags(till: Till) -> None:
    """An ETag comes back in our next request: one with control characters would write headers of its own."""
    till.release("2.0")
    good = archive_of(till)
    first = raw(OK + b'ETag: "\xc2\x9b1\tX-Evil: yes"\r\nContent-Length: %d\r\n\r\n' % len(good) + good[:20])
    till.web.lie(ARCHIVE, in_turn(first, says(plain("9"), 206, Content_Range="bytes 5-9/10")))
    till.attack("bad_range", state="failed")
    assert all("x-evil" not in headers for _, headers in till.web.seen)
    till.honest()


def _dripping(first: bytes, piece: bytes) -> Answer:
    """An answer whose head comes a little at a time, for some seconds at most."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(first)
        for _ in range(250):
            handler.wfile.write(piece)
            time.sleep(0.02)

    return send


@pytest.mark.parametrize(
    ("first", "piece"),
    [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (OK + b"X-A: ", b"x"), (b"HTTP/1.1 200 ", b"x")],
    ids=["continue", "header", "status"],
)
def test_head_of_an_answer_that_never_ends(
    till: Till, other_web: Web, monkeypatch: pytest.MonkeyPatch, first: bytes, piece: bytes
) -> None:
    """Each byte of a header keeps the read alive, and no body has begun whose pace could be judged: it is bounded as well."""
    with monkeypatch.context() as patch:
        patch.setitem(Transport.__init__.__kwdefaults__, "timeout_s", 0.2)
        other_web.lie("*", _dripping(first, piece))
        till.start(metadata_url=f"{other_web.url}/metadata")
        till.attack("slow", state="failed")
    till.start(metadata_url=f"{till.web.url}/metadata")
    till.honest()
