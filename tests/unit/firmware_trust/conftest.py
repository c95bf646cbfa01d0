"""A loopback web server whose answers the tests choose, byte for byte."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from firmware.transport import Transport

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """Routes by path, then files below ``folder``; every request is kept in ``seen``."""

    url: str = ""
    folder: Path | None = None
    routes: dict[str, Answer] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [request.path for request in self.seen]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """A whole answer; header names use _ for -."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def cut(body: bytes, after: int, **headers: str) -> Answer:
    """Promise all of ``body``, send ``after`` bytes of it and close."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        answer(200, body[:after], **{**headers, "Content_Length": str(len(body)), "Content-Length": str(len(body))})(handler)
        handler.close_connection = True

    return send


def drip_for_ever(handler: BaseHTTPRequestHandler, before: bytes) -> None:
    """Send ``before``, then a byte now and then, until the other side has had enough."""
    handler.close_connection = True
    pause = threading.Event()
    handler.wfile.write(before)
    with contextlib.suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            pause.wait(0.02)


def serve_range(body: bytes, etag: str) -> Answer:
    """A server that knows Range and If-Range."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        if wanted is None or handler.headers.get("If-Range", etag) != etag:
            return answer(200, body, ETag=etag)(handler)
        first = int(wanted.removeprefix("bytes=").rstrip("-"))
        if first >= len(body):
            return answer(416, b"", Content_Range=f"bytes */{len(body)}")(handler)
        where = f"bytes {first}-{len(body) - 1}/{len(body)}"
        return answer(206, body[first:], ETag=etag, Content_Range=where)(handler)

    return send


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            web.seen.append(Seen(self.command, self.path, dict(self.headers), body))
            path = self.path.partition("?")[0]
            if path in web.routes:
                return web.routes[path](self)
            file = web.folder / path.lstrip("/") if web.folder else None
            if file is None or not file.is_file():
                return answer(404)(self)
            return answer(200, file.read_bytes())(self)

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 (http.server's names)

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


def start_web(tls: ssl.SSLContext | None = None) -> tuple[Web, Callable[[], None]]:
    web = Web()
    server = _Server(("127.0.0.1", 0), _handler(web))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    web.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return web, stop


@pytest.fixture
def web() -> Iterator[Web]:
    made, stop = start_web()
    yield made
    stop()


@pytest.fixture
def other_web() -> Iterator[Web]:
    made, stop = start_web()
    yield made
    stop()


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Transport(timeout_s=3.0) as made:
        yield made
