"""Checks of the host against loopback servers: each cause has its own code, and none outlasts its time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent import hostchecks
from agent.clock import ManualClock

NOW = time.monotonic


@contextmanager
def server(*, answers: bytes = b"", certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """A loopback port that takes one connection at a time, speaks TLS with ``certificate``, or just ``answers``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                talk(link)

    def talk(link: socket.socket) -> None:
        try:
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certificate)
                with context.wrap_socket(link, server_side=True) as tls:
                    tls.recv(1)
            else:
                link.sendall(answers)
                while link.recv(4096):  # until the other side has had enough
                    pass
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def network(*hosts: str, timeout_s: float = 3.0, ca: Path | None = None) -> tuple[str, str]:
    check = hostchecks.network(hostchecks.NETWORK, hosts, NOW, timeout_s=timeout_s, ca=ca)
    assert check.id == "host.network"
    assert check.took_s < timeout_s + 1
    return check.outcome, check.text


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_nothing_configured_is_skipped() -> None:
    assert network() == ("skip", "not_configured")


def test_tls_of_an_acquirer_and_of_a_centre(certificate: tuple[Path, Path]) -> None:
    with server(certificate=certificate) as port:
        assert network(f"localhost:{port}") == ("pass", "reachable")
        assert network(f"https://localhost:{port}") == ("fail", "tls_certificate")
        assert network(f"https://localhost:{port}/v1", ca=certificate[0]) == ("pass", "reachable")


def test_plain_http_of_a_test_centre() -> None:
    with server() as port:
        assert network(f"http://127.0.0.1:{port}/DEFAULT") == ("pass", "reachable")


def test_each_cause_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network(f"127.0.0.1:{closed_port()}") == ("fail", "tcp")
    assert network("not an address") == ("fail", "bad_address")
    assert network("host:99999") == ("fail", "bad_address")
    with server(answers=b"SSH-2.0-nothing\r\n") as port:
        assert network(f"127.0.0.1:{port}") == ("fail", "tls")

    def unknown(*_: object, **__: object) -> list:  # type: ignore[type-arg]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert network("acquirer.example:443") == ("fail", "dns")


def test_a_silent_handshake_ends_in_time() -> None:
    with server() as port:
        assert network(f"127.0.0.1:{port}", timeout_s=0.1) == ("fail", "tls_timeout")


def test_one_of_two_hosts_is_enough() -> None:
    with server() as port:
        assert network(f"127.0.0.1:{closed_port()}", f"tcp://127.0.0.1:{port}") == ("pass", "reachable")


def test_hanging_lookups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    asked = threading.Semaphore(0)

    def hang(*_: object, **__: object) -> list:  # type: ignore[type-arg]
        asked.release()
        go.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    for _ in range(hostchecks.MAX_LOOKUPS + 2):
        assert network("acquirer.example:443", timeout_s=0.02) == ("fail", "dns_timeout")
    taken = 0
    while asked.acquire(blocking=False):
        taken += 1
    go.set()
    assert taken == hostchecks.MAX_LOOKUPS
    for _ in range(hostchecks.MAX_LOOKUPS):
        assert hostchecks._lookups.acquire(timeout=5)
    for _ in range(hostchecks.MAX_LOOKUPS):
        hostchecks._lookups.release()


def test_clock() -> None:
    clock = ManualClock()
    start = (clock.mono(), clock.wall())
    clock.advance(3600)
    assert hostchecks.clock_sanity(clock, since=start, server=clock.wall()).outcome == "pass"
    clock.jump(-120)
    check = hostchecks.clock_sanity(clock, since=start)
    assert (check.id, check.outcome, check.text) == ("host.clock", "fail", "jumped")
    assert "-120 s" in check.detail
    assert hostchecks.clock_sanity(clock, server=clock.wall() + timedelta(hours=1)).text == "differs_from_center"
    clock.jump(-(10**8))
    assert hostchecks.clock_sanity(clock).text == "before_build"


def test_disk(tmp_path: Path) -> None:
    assert hostchecks.disk(tmp_path, NOW, least_bytes=1).outcome == "pass"
    low = hostchecks.disk(tmp_path, NOW, least_bytes=1 << 60)
    assert (low.id, low.outcome, low.text) == ("host.disk", "fail", "low")
    assert hostchecks.disk(tmp_path / "missing", NOW).outcome == "unknown"
