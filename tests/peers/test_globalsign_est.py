"""A foreign EST server, GlobalSign's (github.com/globalsign/est), gives our host its certificate and renews it.

It takes any token, so that what is proven here is the wire: cacerts, the first contact by fingerprint, simpleenroll, and
simplereenroll over mutual TLS. ``.ci/run`` builds it where Go is.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.enrolment.crypto import Crypto
from agent.enrolment.request import made
from agent.enrolment.state import State
from agent.enrolment.steps import Enrolling

VERSION = "1.0.6"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "posagent-peers"
PROGRAM = Path(os.environ.get("ESTSERVER", CACHE / f"estserver-{VERSION}"))
LIMIT_S = 20.0

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not PROGRAM.exists(), reason=f"GlobalSign's estserver is not here: {PROGRAM} (.ci/run builds it with Go)"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, str]]:
    """Address, CA file and the CA's fingerprint. The authority behind it is any: here, the simulated centre's."""
    from simulator.center.ca import Authority

    authority = Authority(tmp_path / "ca", time.time)
    authority.server_context("127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = {name: str(tmp_path / "ca" / name) for name in ("ca.pem", "ca.key", "server.pem", "server.key")}
    settings = {
        "mock_ca": {"certificates": files["ca.pem"], "private_key": files["ca.key"]},
        "tls": {
            "listen_address": f"127.0.0.1:{port}",
            "certificates": files["server.pem"],
            "private_key": files["server.key"],
            "client_cas": [files["ca.pem"]],
        },
        "allowed_hosts": ["127.0.0.1", f"127.0.0.1:{port}"],
        "rate_limit": 150,
        "timeout": 30,
    }
    (tmp_path / "est.json").write_text(json.dumps(settings))
    with (tmp_path / "est.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-config", tmp_path / "est.json"], stdout=log, stderr=log)
    try:
        _answers(port, process)
        yield f"https://127.0.0.1:{port}", authority.file, authority.fingerprint()
    finally:
        process.kill()
        process.wait()


def _answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + LIMIT_S
    while True:
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def enrolling(folder: Path) -> Enrolling:
    return Enrolling(folder, "pos-1", Crypto(), Clock(), clock_wrong=str, marks=lambda _salt: ())


@pytest.mark.parametrize("trust", ["ca", "fingerprint"])
def test_enrolled_and_renewed(server: tuple[str, Path, str], tmp_path: Path, trust: str) -> None:
    url, ca, fingerprint = server
    given = {"ca": ca.read_text()} if trust == "ca" else {"fingerprint": fingerprint}
    host = enrolling(tmp_path / "host")
    first = host.enroll(made(url, "any-token", **given))
    assert first.state is State.ENROLLED
    assert first.certificate is not None
    assert (first.certificate.binding.host, first.certificate.binding.tills) == ("pos-1", ())
    second = host.renew().certificate
    assert second is not None
    assert (second.number, second.binding) == (2, first.certificate.binding)
    assert second.sha256 != first.certificate.sha256
