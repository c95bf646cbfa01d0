"""The network's door: what a server may do to us is bounded, and it never sees a token that is not its own."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler
from itertools import count

import pytest

from firmware.address import is_loopback, shown
from firmware.errors import HttpStatusError, TransportError, one_line
from firmware.transport import Transport, basic_token

from .conftest import Web, answer, cut, drip_for_ever, serve_range


def code_of(transport: Transport, url: str) -> str:
    with pytest.raises(TransportError) as caught:
        transport.get_json(url)
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_json_goes_out_and_comes_back(web: Web, transport: Transport) -> None:
    web.routes["/a"] = answer(200, '{"k": "值"}'.encode())
    web.routes["/empty"] = answer(200)
    assert transport.get_json(f"{web.url}/a") == {"k": "值"}
    assert transport.put_json(f"{web.url}/a", {"x": "纸"}) == {"k": "值"}
    assert transport.post_json(f"{web.url}/empty", [1]) is None
    assert transport.post_bytes(f"{web.url}/a", b"raw", {"Content-Type": "a/b"}) == '{"k": "值"}'.encode()
    assert [request.method for request in web.seen] == ["GET", "PUT", "POST", "POST"]
    assert json.loads(web.seen[1].body) == {"x": "纸"}
    assert web.seen[3].headers["Content-Type"] == "a/b"


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"half": ', b"", b"\xff\xfe", b"[" * 100_000], ids=["html", "half", "empty", "bytes", "deep"]
)
def test_what_is_no_json_is_said_so(web: Web, transport: Transport, body: bytes) -> None:
    web.routes["/a"] = answer(200, body)
    assert code_of(transport, f"{web.url}/a") == "bad_json"


def test_a_json_body_is_bounded(web: Web, transport: Transport) -> None:
    web.routes["/a"] = answer(200, b"[" + b" " * (1 << 20) + b"]")
    assert code_of(transport, f"{web.url}/a") == "endless_data"


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 410, 412, 416, 500, 503])
def test_a_no_carries_its_status(web: Web, transport: Transport, status: int) -> None:
    web.routes["/a"] = answer(status, b"<html>no</html>")
    with pytest.raises(HttpStatusError, match=str(status)) as caught:
        transport.get_json(f"{web.url}/a")
    assert caught.value.status == status
    assert caught.value.retry_after_s is None
    assert not caught.value.quota


def test_a_quota_is_told_from_a_rate_limit(web: Web, transport: Transport) -> None:
    web.routes["/quota"] = answer(429, b'{"errorCode": "hawkbit.server.error.quota.tooManyEntries"}')
    web.routes["/rate"] = answer(429, b"{}", Retry_After="7")
    answers = {}
    for path in ("/quota", "/rate"):
        with pytest.raises(HttpStatusError) as caught:
            transport.post_json(web.url + path, {})
        answers[path] = (caught.value.quota, caught.value.retry_after_s)
    assert answers == {"/quota": (True, None), "/rate": (False, 7.0)}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Wed, 01 Jan 2025 00:01:00 GMT", 60.0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0.0),
        ("999999999999999", 86_400.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_retry_after_is_bounded_and_a_date_counts_from_the_servers_own(
    web: Web, transport: Transport, value: str, seconds: float | None
) -> None:
    def refuse(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(503)
        for name, text in (("Date", "Wed, 01 Jan 2025 00:00:00 GMT"), ("Retry-After", value), ("Content-Length", "0")):
            handler.send_header(name, text)
        handler.end_headers()

    web.routes["/a"] = refuse
    with pytest.raises(HttpStatusError) as caught:
        transport.get_json(f"{web.url}/a")
    assert caught.value.retry_after_s == seconds


def test_the_token_stays_with_its_host_when_redirected(web: Web, other_web: Web) -> None:
    web.routes["/here"] = answer(302, Location="/there")
    web.routes["/there"] = answer(307, Location=f"{other_web.url}/away")
    other_web.routes["/away"] = answer(302, Location=f"{web.url}/back")
    web.routes["/back"] = answer(200, b"1")
    with Transport(token="TargetToken s3cret", timeout_s=3) as transport:
        assert transport.get_json(f"{web.url}/here") == 1
    assert [request.headers.get("Authorization") for request in web.seen] == ["TargetToken s3cret"] * 3
    assert [request.headers.get("Authorization") for request in other_web.seen] == [None]


def test_a_token_bound_to_one_address_goes_nowhere_else(web: Web, other_web: Web) -> None:
    web.routes["/a"] = other_web.routes["/a"] = answer(200, b"1")
    with Transport(token="TargetToken s3cret", token_for=f"{web.url}/ddi", timeout_s=3) as transport:
        transport.get_json(f"{other_web.url}/a")
        transport.get_json(f"{web.url}/a")
    assert "Authorization" not in other_web.seen[0].headers
    assert web.seen[0].headers["Authorization"] == "TargetToken s3cret"


def test_cookies_and_netrc_are_not_sent(web: Web, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    web.routes["/a"] = answer(200, b"1", Set_Cookie="id=7")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    transport.get_json(f"{web.url}/a")
    transport.get_json(f"{web.url}/a")
    assert "Cookie" not in web.seen[1].headers
    assert "Authorization" not in web.seen[1].headers


def test_redirects_are_bounded_and_writes_are_not_redirected(web: Web, transport: Transport) -> None:
    web.routes["/loop"] = answer(302, Location="/loop")
    assert code_of(transport, f"{web.url}/loop") == "redirects"
    assert len(web.seen) == 6
    with pytest.raises(HttpStatusError) as caught:
        transport.post_json(f"{web.url}/loop", {})
    assert caught.value.status == 302


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://releases.example/metadata", "plain_http"),
        ("ftp://127.0.0.1/x", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("http://", "bad_url"),
        ("http://[::1", "bad_url"),
        ("http://127.0.0.1:99999/", "bad_url"),
        ("not a url", "bad_url"),
        ("http://127.0.0.1:1/", "unreachable"),
    ],
)
def test_addresses_that_are_not_to_be_asked(transport: Transport, url: str, code: str) -> None:
    assert code_of(transport, url) == code


def test_a_redirect_does_not_reach_a_plain_http_host(web: Web, transport: Transport) -> None:
    web.routes["/a"] = answer(302, Location="http://releases.example/x")
    assert code_of(transport, f"{web.url}/a") == "plain_http"


def test_a_server_that_never_answers_is_given_up(web: Web) -> None:
    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)

    web.routes["/a"] = hang
    with Transport(timeout_s=0.05) as transport:
        assert code_of(transport, f"{web.url}/a") == "timeout"


def test_a_server_that_drips_bytes_is_given_up(web: Web) -> None:
    ticks = count(step=40)
    web.routes["/a"] = cut(b"x" * 9000, 9000)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(5):
            handler.wfile.write(b"1\r\nx\r\n")
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    web.routes["/drip"] = drip
    with Transport(timeout_s=30, mono=lambda: float(next(ticks))) as transport:
        with pytest.raises(TransportError) as caught:
            transport.get_bytes(f"{web.url}/drip", 100)
        assert caught.value.code == "slow"


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"],
    ids=["status", "header", "chunk"],
)
def test_every_wait_for_a_dripping_server_has_an_end(web: Web, before: bytes) -> None:
    web.routes["/a"] = lambda handler: drip_for_ever(handler, before)
    with Transport(timeout_s=0.1) as transport:
        assert code_of(transport, f"{web.url}/a") == "slow"


def test_a_dripping_proxy_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def proxy() -> None:
            with listener.accept()[0] as line, contextlib.suppress(OSError):
                line.sendall(b"HTTP/1.1 200 ")
                while not stop.wait(0.02):
                    line.sendall(b"a")

        thread = threading.Thread(target=proxy)
        thread.start()
        try:
            with Transport(timeout_s=0.1, proxy=f"http://127.0.0.1:{listener.getsockname()[1]}") as transport:
                assert code_of(transport, "https://centre.example/a") == "slow"
        finally:
            stop.set()
            thread.join()


def test_a_connection_is_kept_and_the_deadline_begins_anew(web: Web) -> None:
    clock = [0.0]
    web.routes["/a"] = answer(200, b"1")
    with Transport(timeout_s=5, mono=lambda: clock[0]) as transport:
        for _ in range(3):
            assert transport.get_json(f"{web.url}/a") == 1
            clock[0] += 1000.0


def test_a_body_that_breaks_off_is_an_error_and_not_a_short_file(web: Web, transport: Transport) -> None:
    web.routes["/a"] = cut(b"x" * 1000, 400)
    body = iter(transport.stream(f"{web.url}/a", max_bytes=1000))
    assert next(body) == b"x" * 400
    with pytest.raises(TransportError) as caught:
        next(body)
    assert caught.value.code == "cut"


def test_a_chunked_body_that_breaks_off_is_an_error(web: Web, transport: Transport) -> None:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nabcde\r\n")
        handler.close_connection = True

    web.routes["/a"] = send
    with pytest.raises(TransportError):
        transport.get_bytes(f"{web.url}/a", 100)


def test_a_stream_ends_at_its_bound(web: Web, transport: Transport) -> None:
    web.routes["/a"] = answer(200, b"x" * 11)
    assert transport.get_bytes(f"{web.url}/a", 11) == b"x" * 11
    with pytest.raises(TransportError) as caught:
        transport.get_bytes(f"{web.url}/a", 10)
    assert caught.value.code == "endless_data"


def test_a_range_goes_on_where_it_was_unless_the_file_has_changed(web: Web, transport: Transport) -> None:
    web.routes["/a"] = serve_range(b"0123456789", '"v1"')
    with transport.stream(f"{web.url}/a", offset=4, etag='"v1"', max_bytes=6) as body:
        assert (body.offset, body.etag, body.read()) == (4, '"v1"', b"456789")
    with transport.stream(f"{web.url}/a", offset=4, etag='"old"', max_bytes=10) as body:
        assert (body.offset, body.read()) == (0, b"0123456789")
    with transport.stream(f"{web.url}/a", offset=4, etag='W/"v1"', max_bytes=6) as body:
        assert body.offset == 4
    assert "If-Range" not in web.seen[2].headers


def test_a_part_that_does_not_say_which_is_refused(web: Web, transport: Transport) -> None:
    for where in ("bytes */9", "lines 1-2/3", "bytes x-y/9", ""):
        web.routes["/a"] = answer(206, b"x", Content_Range=where)
        with pytest.raises(TransportError) as caught:
            transport.stream(f"{web.url}/a", offset=1, max_bytes=9)
        assert caught.value.code == "bad_range"


def test_a_compressed_body_nobody_asked_for_is_refused(web: Web, transport: Transport) -> None:
    web.routes["/a"] = answer(200, b"x", Content_Encoding="gzip")
    assert code_of(transport, f"{web.url}/a") == "encoding"
    assert web.seen[0].headers["Accept-Encoding"] == "identity"


def test_a_token_with_a_line_break_is_an_error_of_ours(web: Web) -> None:
    with Transport(token="a\r\nX-Evil: 1", timeout_s=3) as transport:
        assert code_of(transport, f"{web.url}/a") == "unreachable"
    assert web.seen == []


def test_the_servers_words_cannot_forge_a_log_line(web: Web, transport: Transport) -> None:
    web.routes["/a"] = answer(400, b'{"errorCode": "x\\nroot: all is well\\u001b[2J"}')
    with pytest.raises(HttpStatusError) as caught:
        transport.get_json(f"{web.url}/a")
    assert str(caught.value).isprintable()


def test_small_helpers() -> None:
    assert basic_token("admin", "密") == "Basic YWRtaW465a+G"
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "10.0.0.1", "localhost.evil", None)] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert shown("https://user:pw@h:1/p?token=1#f") == "https://h:1/p"
    assert one_line("a\x1b[0m\u202eb\n" + "x" * 300, 10) == "a?[0m?b?x…"
