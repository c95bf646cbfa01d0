"""A loopback web server that lies: files of a folder by default, and for chosen paths whatever the attacker wants."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Web:
    """``lies`` maps patterns of paths to answers, the last one wins; ``seen`` holds (path, headers) of every request."""

    url: str = ""
    folder: Path | None = None
    lies: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def lie(self, pattern: str, answer: Answer) -> None:
        self.lies[pattern] = answer

    def answer_for(self, path: str) -> Answer:
        for pattern, answer in reversed(self.lies.items()):
            if fnmatchcase(path, pattern):
                return answer
        file = self.folder / path.lstrip("/") if self.folder else None
        return says(file.read_bytes()) if file is not None and file.is_file() else says(status=404)


def says(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    """A whole, well-formed answer; header names use _ for -."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def raw(*pieces: bytes, times: int = 1) -> Answer:
    """These bytes as they are, the last piece ``times`` times, and then the end of the connection."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        for piece in pieces[:-1] + pieces[-1:] * times:
            handler.wfile.write(piece)

    return send


def endless(piece: bytes) -> Answer:
    """A body with no length and no end (64 MiB is more than any bound here)."""
    return raw(b"HTTP/1.1 200 OK\r\n\r\n", piece, times=(64 << 20) // len(piece))


def cut(body: bytes, after: int) -> Answer:
    """Promise all of ``body``, send ``after`` bytes of it and hang up."""
    return raw(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % len(body) + body[:after])


def moved(to: str) -> Answer:
    return says(status=302, Location=to)


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one for ever."""
    left = list(answers)

    def send(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return send


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            web.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            web.answer_for(self.path.partition("?")[0])(self)

        do_GET = do_PUT = do_POST = _serve  # noqa: N815 (http.server's names)

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End what clients have left open."""
        for left in list(self.open):
            with contextlib.suppress(OSError):
                left.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up on a liar is what these tests are about."""


def start_web(tls: ssl.SSLContext | None = None) -> tuple[Web, Callable[[], None]]:
    """The server, and how to stop it."""
    web = Web()
    server = _Server(("127.0.0.1", 0), _handler(web))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    web.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.hang_up()
        server.server_close()

    return web, stop
