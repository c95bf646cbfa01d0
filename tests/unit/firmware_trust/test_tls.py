"""Certificates are always verified; an authority of one's own takes the place of the public ones."""

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware.errors import TransportError
from firmware.transport import Transport

from .conftest import Web, answer, drip_for_ever, start_web


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for ``address`` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "centre")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{address}.pem", folder / f"{address}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Web, Path]]:
    cert_file, key_file = certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    web, stop = start_web(context)
    web.routes["/a"] = answer(200, b"1")
    yield web, cert_file
    stop()


def code_of(transport: Transport, url: str) -> str:
    with transport, pytest.raises(TransportError) as caught:
        transport.get_json(url)
    return caught.value.code


def test_an_unknown_certificate_is_refused_and_never_asked_twice(secure: tuple[Web, Path]) -> None:
    web, _ = secure
    assert code_of(Transport(token="TargetToken s3cret"), f"{web.url}/a") == "tls"
    assert web.seen == []


def test_an_authority_of_ones_own_is_enough(secure: tuple[Web, Path]) -> None:
    web, cert_file = secure
    with Transport(ca=cert_file) as transport:
        assert transport.get_json(f"{web.url}/a") == 1


def test_a_protected_server_that_drips_its_answer_is_given_up(secure: tuple[Web, Path]) -> None:
    web, cert_file = secure
    web.routes["/drip"] = lambda handler: drip_for_ever(handler, b"HTTP/1.1 200 OK\r\nX-")
    assert code_of(Transport(ca=cert_file, timeout_s=0.3), f"{web.url}/drip") == "slow"


def test_a_certificate_for_another_name_is_refused(secure: tuple[Web, Path]) -> None:
    web, cert_file = secure
    assert code_of(Transport(ca=cert_file), f"{web.url}/a".replace("127.0.0.1", "localhost")) == "tls"


def test_a_missing_ca_file_is_an_error_and_not_the_public_ones(secure: tuple[Web, Path], tmp_path: Path) -> None:
    web, _ = secure
    assert code_of(Transport(ca=tmp_path / "none.pem"), f"{web.url}/a") in ("unreachable", "tls")
    assert web.seen == []


def test_a_protected_address_does_not_lead_to_an_unprotected_one(secure: tuple[Web, Path], web: Web) -> None:
    here, cert_file = secure
    here.routes["/a"] = answer(302, Location=f"{web.url}/b")
    assert code_of(Transport(ca=cert_file), f"{here.url}/a") == "plain_http"
    assert web.seen == []
