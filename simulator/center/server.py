"""The simulated service centre: its parts put together on one loopback port, and ``possim center``."""

import json
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from simulator.center.behaviour import Behaviour
from simulator.center.connection import HOST, STOP_S, Server
from simulator.center.ddi import TENANT, Ddi
from simulator.center.files import PREFIX, Files
from simulator.center.intake import Intake
from simulator.center.management import BASE as MANAGEMENT_BASE
from simulator.center.management import Management
from simulator.center.page import Page
from simulator.center.settings import PASSWORD, USER, Settings
from simulator.center.sim import Sim
from simulator.center.store import Store
from simulator.center.web import Reply, Request

if TYPE_CHECKING:
    from simulator.center.est import Est


class App(Protocol):
    """One part of the centre: answers its own paths, and None to all others."""

    def handle(self, request: Request) -> Reply | None:
        """The answer."""


class Center:
    """The simulated service centre of a folder: ``DIR/repository`` is served as it is.

    ``wall`` (unix seconds) and ``mono`` (seconds) are the clocks of store and intake. ``tls`` serves all of it over TLS
    with an authority of the centre's own (``DIR/ca``) and offers EST; ``mutual`` besides asks every host for a certificate.
    Use it as a context manager, or call ``start`` and ``stop``. ``store``, ``settings``, ``intake``, ``behaviour`` and
    ``est`` may be used while it runs.
    """

    def __init__(
        self,
        dir: Path,  # noqa: A002
        port: int = 0,
        *,
        tls: bool = False,
        mutual: bool = False,
        wall: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = Store(wall, mono)
        self.settings = Settings()
        self.intake = Intake(wall, mono)
        self.behaviour = Behaviour()
        self.user, self.password = USER, PASSWORD
        self._port = port
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._reserved: socket.socket | None = None
        self._stopped = threading.Event()
        self._timers: list[threading.Thread] = []
        self.est: Est | None = None
        self._tls: ssl.SSLContext | None = None
        self._apps: tuple[App, ...] = (
            Ddi(self.store, self.settings),
            Management(self.store, self.settings),
            self.intake,
            Files(Path(dir) / "repository"),
            Sim(self.store, self.settings, self.intake, self.behaviour, self._down_for),
            Page(self.store, self.intake),
        )
        if tls or mutual:
            self._enrolment(Path(dir) / "ca", wall, mutual=mutual)

    def _enrolment(self, folder: Path, wall: Callable[[], float], *, mutual: bool) -> None:
        """Only a centre with TLS pays for cryptography."""
        from simulator.center.ca import Authority
        from simulator.center.est import Est

        self.authority = Authority(folder, wall)
        self.est, self._tls = Est(self.authority, wall, mutual=mutual), self.authority.server_context(HOST)
        self._apps = (self.est, *self._apps)

    def start(self) -> Self:
        """Listens; OSError if the port is taken."""
        with self._lock:
            self._stopped.clear()
            self._reserve()
            self.up()
        return self

    def stop(self) -> None:
        """Ends every thread and connection, within a second; harmless when stopped already."""
        self._stopped.set()
        with self._lock:
            self._end()
            if self._reserved:
                self._reserved.close()
                self._reserved = None
        for timer in self._timers:
            timer.join(STOP_S)

    def down(self) -> None:
        """Refuses connections from now on, cutting those that exist; the port stays ours."""
        with self._lock:
            if self._server:
                self._end()
                self._reserve()

    def up(self) -> None:
        """Accepts connections (again)."""
        with self._lock:
            if self._server or not self._reserved or self._stopped.is_set():
                return
            self._reserved.listen(64)
            self._server = Server(self._reserved, self._answer, self.behaviour, self.url, self._tls)
            self._reserved = None
            self._server.start()

    def _reserve(self) -> None:
        """A bound socket that does not listen: the port is kept, connections are refused."""
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind((HOST, self._port))
        except OSError:
            reserved.close()
            raise
        self._reserved = reserved
        self._port = reserved.getsockname()[1]

    def _end(self) -> None:
        if self._server:
            self._server.end()
            self._server = None

    def _down_for(self, seconds: float) -> None:
        def run() -> None:
            self._stopped.wait(0.05)  # lets the answer to the request go out
            self.down()
            self._stopped.wait(seconds)
            self.up()

        timer = threading.Thread(target=run, name="center-down", daemon=True)
        self._timers = [other for other in self._timers if other.is_alive()] + [timer]
        timer.start()

    def _answer(self, request: Request) -> Reply:
        for app in self._apps:
            reply = app.handle(request)
            if reply is not None:
                return reply
        return Reply(404)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port, known once started."""
        return self._port

    @property
    def url(self) -> str:
        """Base of everything."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self._port}"

    @property
    def ddi(self) -> str:
        """Base of the device API."""
        return f"{self.url}/{TENANT}/controller/v1"

    @property
    def management(self) -> str:
        """Base of the Management API."""
        return self.url + MANAGEMENT_BASE

    @property
    def otlp(self) -> str:
        """Base of the intake; ``/v1/logs`` and ``/v1/metrics`` follow."""
        return self.url

    @property
    def metadata(self) -> str:
        """Where TUF metadata lies."""
        return f"{self.url}{PREFIX}metadata"

    @property
    def targets(self) -> str:
        """Where TUF targets lie."""
        return f"{self.url}{PREFIX}targets"

    @property
    def gateway_token(self) -> str:
        """The tenant's gateway token."""
        return self.settings.gateway_key

    def ready(self) -> dict[str, object]:
        """What ``possim center`` prints when it can be used."""
        names = ("url", "ddi", "management", "otlp", "metadata", "targets", "gateway_token", "user", "password")
        more: dict[str, object] = {}
        if self.est is not None:
            more = {"est": self.url, "ca": str(self.authority.file), "fingerprint": self.authority.fingerprint()}
        return {"ready": True} | {name: getattr(self, name) for name in names} | more


def serve(dir: Path, port: int = 0, *, tls: bool = False, mutual: bool = False) -> int:  # noqa: A002
    """``possim center``: one JSON line on stdout, then runs until SIGTERM or SIGINT.

    The exit code: 0, or 3 if the port cannot be had.
    """
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    try:
        center = Center(dir, port, tls=tls, mutual=mutual).start()
    except OSError as error:
        sys.stderr.write(f"possim center: cannot listen on port {port}: {error.strerror or error}\n")
        return 3
    try:
        sys.stdout.write(json.dumps(center.ready()) + "\n")
        sys.stdout.flush()
        done.wait()
    finally:
        center.stop()
    return 0
