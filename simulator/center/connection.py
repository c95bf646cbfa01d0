"""HTTP/1.1 on a loopback port: one thread per connection, keep-alive, everything bounded.

Bodies up to 4 MiB, uploads of artifacts up to 64 MiB (413 beyond); 30 s of silence end a connection, 60 s a body;
at most 256 connections at once (further ones are closed at once). Errors go to the log, never to the client.
"""

import logging
import re
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulator.center import otlp, rules
from simulator.center.behaviour import Behaviour, Failure
from simulator.center.management import BASE as MANAGEMENT_BASE
from simulator.center.web import CenterError, Reply, Request, bad_body, error_reply, parse_query

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
IDLE_S, BODY_S, STOP_S = 30.0, 60.0, 1.0
MAX_CONNECTIONS = 256
_PIECE = 1 << 16
_SLICES = 16
_UPLOAD = re.compile(re.escape(MANAGEMENT_BASE) + r"/softwaremodules/\d+/artifacts/?")
_OVERHEAD = 1 << 16
_METHODS = frozenset({"do_GET", "do_HEAD", "do_POST", "do_PUT", "do_DELETE", "do_PATCH", "do_OPTIONS"})


class Server(ThreadingHTTPServer):
    """Knows its connections, so that all of them can be ended."""

    daemon_threads = True

    def __init__(
        self,
        listener: socket.socket,
        answer: Callable[[Request], Reply],
        behaviour: Behaviour,
        own_url: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__((HOST, 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.answer = answer
        self.behaviour = behaviour
        self.own_url = own_url
        self._tls = tls
        self.stopping = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="center", daemon=True)
        self._live: dict[Any, threading.Thread] = {}
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection; none beyond the bound."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._guard:
            full = len(self._live) >= MAX_CONNECTIONS
            if not full:
                self._live[request] = thread
        if full:
            self.shutdown_request(request)
        else:
            thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """TLS first, on the connection's own thread: a client that does not speak holds up nobody else."""
        if self._tls is not None:
            plain = request
            plain.settimeout(IDLE_S)
            request = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            with self._guard:
                self._live[request] = self._live.pop(plain)
            try:
                request.do_handshake()
            except OSError as error:
                log.debug("TLS with %s: %s", client_address, error)
                self.shutdown_request(request)
                return
        super().process_request_thread(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The connection is done."""
        super().shutdown_request(request)
        with self._guard:
            self._live.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A connection that broke is everyday; anything else is a mistake of ours, for the log."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.error("request from %s failed", client_address, exc_info=error)

    def start(self) -> None:
        """Accepts connections in a thread of its own."""
        self._thread.start()

    def _accept(self) -> None:
        """Like ``serve_forever``, but woken at once when it shall end, instead of looking around in between."""
        self.socket.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                with suppress(OSError):
                    self.process_request(*self.get_request())

    def end(self) -> None:
        """Stops accepting, cuts every connection, and waits (at most a second) for the threads."""
        self.stopping.set()
        self._waker.send(b"!")
        self._thread.join(STOP_S)
        for end in (self.socket, self._waker, self._woken):
            end.close()
        with self._guard:
            live = dict(self._live)
        for connection in live:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + STOP_S
        for thread in live.values():
            thread.join(max(0.0, deadline - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, has it answered, sends the answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # an unreadable request line is answered with a status too
    timeout = IDLE_S
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """To the log instead of stderr."""
        log.debug(format, *args)

    def version_string(self) -> str:
        """The Server header."""
        return "possim"

    def handle_expect_100(self) -> bool:
        """The client waits for this line before it sends its body."""
        wanted = super().handle_expect_100()
        self.wfile.flush()
        return wanted

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        try:
            body = self._body(path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            client = str(self.client_address[0])
            shown = self.connection.getpeercert(binary_form=True) if isinstance(self.connection, ssl.SSLSocket) else None
            request = Request(self.command, path, parse_query(query), headers, body, client, self.server.own_url, shown)
        except CenterError as error:
            self.close_connection = True
            self._send(error_reply(error))
            return
        exempt = path == "/" or path.startswith("/sim/")
        failure = None if exempt else self.server.behaviour.pick(self.command, path)
        if failure is None:
            self._send(self._answer(request))
        else:
            self._fail(failure, request)

    def __getattr__(self, name: str) -> Any:
        """``http.server`` looks for ``do_GET`` and the like: one method serves them all."""
        if name in _METHODS:
            return self._serve
        raise AttributeError(name)

    def _answer(self, request: Request) -> Reply:
        try:
            return self.server.answer(request)
        except CenterError as error:
            return error_reply(error)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return Reply(500)

    def _fail(self, failure: Failure, request: Request) -> None:
        if failure.mode == "hang":
            self.close_connection = True
            self.server.stopping.wait(failure.seconds)
        elif failure.mode in ("status", "html"):
            self._send(failure.reply())
        else:
            reply = self._answer(request)
            if failure.mode == "half":
                with reply.file or nullcontext():
                    whole = b"".join(self._pieces(reply))
                reply = Reply(reply.status, whole[: len(whole) // 2], reply.headers)
            self._send(reply, failure)

    def _body(self, path: str) -> bytes:
        limit = rules.MAX_ARTIFACT + _OVERHEAD if _UPLOAD.fullmatch(path) else otlp.MAX_BODY
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked(limit)
        text = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"\d{1,15}", text):
            raise bad_body()
        if int(text) > limit:
            raise CenterError(413, "", "body too large")
        return self._exactly(int(text))

    def _exactly(self, count: int) -> bytes:
        deadline = time.monotonic() + BODY_S
        pieces: list[bytes] = []
        while count > 0:
            piece = self.rfile.read1(min(count, _PIECE))
            if not piece or time.monotonic() > deadline:
                raise ConnectionError("body ended early, or came too slowly")
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _chunked(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        while True:
            size = self.rfile.readline(32).partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                raise bad_body()
            limit -= int(size, 16)
            if limit < 0:
                raise CenterError(413, "", "body too large")
            pieces.append(self._exactly(int(size, 16)))
            if self.rfile.readline(4).strip() and int(size, 16):
                raise bad_body()
            if int(size, 16) == 0:
                return b"".join(pieces)

    def _send(self, reply: Reply, failure: Failure | None = None) -> None:
        with reply.file or nullcontext():
            self._write(reply, failure)

    def _write(self, reply: Reply, failure: Failure | None) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, re.sub(r"[\r\n]", " ", value))
        if reply.status not in (204, 304):
            self.send_header("Content-Length", str(reply.size))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        bodiless = self.command == "HEAD" or reply.status in (204, 304)
        self._send_body(reply, None if bodiless else reply.size, failure)

    def _send_body(self, reply: Reply, size: int | None, failure: Failure | None) -> None:
        mode = failure.mode if failure else ""
        budget = (size or 0) // 2 if mode == "cut" else size or 0
        pause = failure.seconds / _SLICES if failure and mode == "slow" else 0.0
        step = max(1, (size or 0) // _SLICES) if mode == "slow" else _PIECE
        for piece in self._pieces(reply, step):
            if budget <= 0 or self.server.stopping.wait(pause):
                break
            self.wfile.write(piece[:budget])
            budget -= len(piece)
            if pause:
                self.wfile.flush()
        self.wfile.flush()
        if mode == "cut" or self.server.stopping.is_set():
            self.close_connection = True

    @staticmethod
    def _pieces(reply: Reply, step: int = _PIECE) -> Iterator[bytes]:
        """The body in pieces; a file that shrank meanwhile breaks the connection."""
        if reply.file is None:
            for at in range(0, len(reply.body), step):
                yield reply.body[at : at + step]
            return
        left = reply.size
        reply.file.seek(reply.offset)
        while left > 0:
            piece = reply.file.read(min(left, step))
            if not piece:
                raise ConnectionError("file became shorter while it was sent")
            yield piece
            left -= len(piece)
