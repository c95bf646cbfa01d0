"""The real Eclipse hawkBit update server as a process of its own, and a small client for it and for the simulated one.

The executable jar is looked for in ``$HAWKBIT_JAR``, then where `.ci/run` puts it. Its database is in memory: nothing
survives the process.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

VERSION = "1.0.4"
HOST = "127.0.0.1"
USER, PASSWORD = "admin", "admin"
GATEWAY_TOKEN = "gateway-of-the-test"
DDI, REST = "/DEFAULT/controller/v1", "/rest/v1"
START_LIMIT_S = 150.0
STOP_LIMIT_S = 20.0
LEAN = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Starts a third sooner on two cores; the server's speed is not what is tested."""


def jar() -> Path:
    """Where the server's jar should lie."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HAWKBIT_JAR") or cache / "posagent-peers" / f"hawkbit-update-server-{VERSION}.jar")


def missing() -> str | None:
    """Why the real server cannot run here; None if it can."""
    if shutil.which("java") is None:
        return "no java on this machine (apt-get install openjdk-17-jre-headless)"
    if not jar().is_file():
        return f"hawkBit's jar is not at {jar()} (.ci/run fetches it; $HAWKBIT_JAR names another place)"
    return None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """One connection; `auth` is the whole Authorization value."""

    url: str
    auth: str
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)

    def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        """A request for `path`; a body goes as JSON."""
        sent = {"Authorization": self.auth, "Accept": "application/hal+json, application/json"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), sent)
            reply = self.connection.getresponse()
            return Answer(reply.status, reply.read())
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@dataclass(frozen=True)
class Peer:
    """A server with both kinds of token on; `rest` is the operator."""

    kind: str
    url: str
    rest: Client
    gateway_token: str = GATEWAY_TOKEN
    user: str = USER
    password: str = PASSWORD

    @property
    def ddi(self) -> str:
        return self.url + DDI

    @property
    def management(self) -> str:
        return self.url + REST

    def configure(self, key: str, value: object) -> None:
        """One key of the tenant's configuration."""
        assert self.rest("PUT", f"{REST}/system/configs/{key}", {"value": value}).status == 204


@contextmanager
def peer(kind: str, url: str) -> Iterator[Peer]:
    """The server at `url`, ready for devices."""
    with _operator(url) as rest:
        found = Peer(kind, url, rest)
        found.configure("authentication.targettoken.enabled", True)
        found.configure("authentication.gatewaytoken.enabled", True)
        found.configure("authentication.gatewaytoken.key", GATEWAY_TOKEN)
        yield found


def _operator(url: str) -> Client:
    return Client(url, "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a real server that works in `folder` and ends with the block."""
    port = _free_port()
    options = (f"--server.address={HOST}", f"--server.port={port}")
    command = ["java", *LEAN, f"-Djava.io.tmpdir={folder}", "-jar", str(jar()), *options]
    with (folder / "hawkbit.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://{HOST}:{port}"
        _await(process, url, folder / "hawkbit.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until it answers; fails with the end of its log when it ends or takes too long."""
    limit = time.monotonic() + START_LIMIT_S
    with _operator(url) as client:
        while True:
            try:
                if client("GET", f"{REST}/targets?limit=1").status == 200:
                    return
            except OSError:
                assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < limit, log.read_text(errors="replace")[-4000:]
            time.sleep(0.2)
