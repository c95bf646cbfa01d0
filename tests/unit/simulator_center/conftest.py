"""A running centre with a clock of its own, and a small HTTP client that tells statuses apart."""

import base64
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulator.center.server import Center

NOON = 1_700_000_000.0
USER = "Basic " + base64.b64encode(b"admin:admin").decode()
DDI = "/DEFAULT/controller/v1"
REST = "/rest/v1"


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Keeps one connection; ``auth`` goes with every request unless another is given."""

    port: int
    auth: str = ""
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Authorization": self.auth} if self.auth else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, sent)
        reply = self.connection.getresponse()
        content = reply.read()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, content)


@dataclass
class World:
    """A centre with one target ``pos-1``, one module and one set; ``ddi`` is the device, ``rest`` the operator."""

    center: Center
    clock: Clock
    ddi: Client
    rest: Client

    def upload(self, module: int, name: str, data: bytes, query: str = "") -> Answer:
        head = f'--XX\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        path = f"{REST}/softwaremodules/{module}/artifacts{query}"
        body = head + data + b"\r\n--XX--\r\n"
        return self.rest("POST", path, body, Content_Type="multipart/form-data; boundary=XX")

    def release(self, version: str, data: bytes = b"manifest bytes") -> int:
        """A module with one file in a set of its own; the set's id."""
        sm = {"name": "pos-agent", "version": version, "type": "application"}
        module = self.rest("POST", f"{REST}/softwaremodules", [sm]).json[0]["id"]
        assert self.upload(module, "a.bin", data).status == 201
        ds = {"name": "pos", "version": version, "type": "app", "modules": [{"id": module}]}
        return int(self.rest("POST", f"{REST}/distributionsets", [ds]).json[0]["id"])

    def assign(self, ds: int, kind: str = "forced", **more: Any) -> int:
        """Assigns a set to ``pos-1``; the action's id."""
        wanted = [{"id": "pos-1", "type": kind, **more}]
        answer = self.rest("POST", f"{REST}/distributionsets/{ds}/assignedTargets", wanted)
        assert answer.status == 200
        return int(answer.json["assignedActions"][0]["id"])

    def links(self) -> dict[str, str]:
        found = self.ddi("GET", f"{DDI}/pos-1").json.get("_links", {})
        return {name: link["href"].removeprefix(self.center.ddi) for name, link in found.items()}

    def feedback(self, action: int, execution: str, finished: str = "none", kind: str = "deploymentBase", **more: Any):
        timestamp = more.pop("timestamp", None)
        status = {"execution": execution, "result": {"finished": finished}, **more}
        body = {"status": status} | ({} if timestamp is None else {"timestamp": timestamp})
        return self.ddi("POST", f"{DDI}/pos-1/{kind}/{action}/feedback", body)

    def state(self, action: int) -> tuple[str, str, bool, str]:
        """(newest row's type, action's status, active, target's status)."""
        base = f"{REST}/targets/pos-1"
        found = self.rest("GET", f"{base}/actions/{action}").json
        row = self.rest("GET", f"{base}/actions/{action}/status?limit=1").json["content"][0]
        return row["type"], found["status"], found["active"], self.rest("GET", base).json["updateStatus"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def center(tmp_path: Path, clock: Clock) -> Iterator[Center]:
    with Center(tmp_path, wall=clock) as running:
        yield running


@pytest.fixture
def world(center: Center, clock: Clock) -> Iterator[World]:
    found = World(center, clock, Client(center.port, f"GatewayToken {center.gateway_token}"), Client(center.port, USER))
    assert found.rest("POST", f"{REST}/targets", [{"controllerId": "pos-1", "securityToken": "secret"}]).status == 201
    yield found
    found.ddi.connection.close()
    found.rest.connection.close()
