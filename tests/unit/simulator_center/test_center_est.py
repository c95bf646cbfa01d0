"""The simulated centre's authority and its EST: what it gives, to whom, and what it refuses."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

Centers = Callable[..., Any]


class Device:
    """A host as EST sees it: a key, a request, and TLS with or without a certificate."""

    def __init__(self, center: Any, folder: Path, name: str = "pos-1") -> None:
        self.center, self.folder, self.name = center, folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.tls = ssl.create_default_context(cafile=str(center.authority.file))

    def request(self, uris: tuple[str, ...] = (), key: Any = None) -> bytes:
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        )
        if uris:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def call(self, path: str, body: bytes | None = None, token: str = "") -> tuple[int, bytes]:
        headers = {"Content-Type": "application/pkcs10"} if body is not None else {}
        if token:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{self.name}:{token}".encode()).decode()
        data = None if body is None else base64.encodebytes(body)
        asked = urllib.request.Request(self.center.url + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(asked, context=self.tls, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def enroll(self, token: str, body: bytes | None = None) -> tuple[int, bytes]:
        return self.call("/.well-known/est/simpleenroll", body or self.request(), token)

    def show(self, answer: bytes) -> x509.Certificate:
        """Use the certificate in an answer from now on."""
        (certificate,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self.folder / f"{self.name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        self.tls = ssl.create_default_context(cafile=str(self.center.authority.file))
        self.tls.load_cert_chain(file)
        return certificate


@pytest.fixture
def center(service_centers: Centers) -> Any:
    return service_centers(mutual=True)


def test_a_token_gives_one_certificate_with_host_and_tills(center: Any, tmp_path: Path) -> None:
    device = Device(center, tmp_path)
    token = center.est.issue("pos-1", [("shop & co", "site/1", "pos-1")], certificate_s=1000)
    status, answer = device.enroll(token)
    assert status == 200
    made = device.show(answer)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["posagent://shop%20%26%20co/site%2F1/pos-1"]
    assert (made.not_valid_after_utc - made.not_valid_before_utc).total_seconds() == 1060
    assert device.enroll(token) == (200, answer)
    assert Device(center, tmp_path).enroll(token) == (401, b"the token is used")


@pytest.mark.parametrize(("token", "why"), [("", b"unknown"), ("nobody's", b"unknown")])
def test_a_bad_token_gets_a_reason(center: Any, tmp_path: Path, token: str, why: bytes) -> None:
    assert Device(center, tmp_path).enroll(token) == (401, b"the token is " + why)


def test_requests_that_are_none(center: Any, tmp_path: Path) -> None:
    device, token = Device(center, tmp_path), center.est.issue("pos-1", [])
    weak = rsa.generate_private_key(65537, 2048)
    spoilt = bytearray(device.request())
    spoilt[-1] ^= 1
    for body in (b"nothing", device.request(key=weak), bytes(spoilt), Device(center, tmp_path, "pos-2").request()):
        assert device.enroll(token, body)[0] == 400
    assert device.enroll(token)[0] == 200


def test_only_whoever_shows_the_right_certificate_comes_in(center: Any, tmp_path: Path) -> None:
    device = Device(center, tmp_path)
    poll = "/DEFAULT/controller/v1/pos-1"
    assert device.call(poll)[0] == device.call("/v1/logs", b"")[0] == 403
    device.show(device.enroll(center.est.issue("pos-1", []))[1])
    assert device.call(poll)[0] == 200
    assert device.call(poll.replace("pos-1", "pos-2"))[0] == 403
    assert center.est.revoke("pos-1") == 1
    assert device.call(poll)[0] == 403


def test_a_renewal_must_keep_its_names(center: Any, tmp_path: Path) -> None:
    device = Device(center, tmp_path)
    path = "/.well-known/est/simplereenroll"
    assert device.call(path, device.request())[0] == 403
    device.show(device.enroll(center.est.issue("pos-1", [("m", "s", "pos-1")]))[1])
    assert device.call(path, device.request())[0] == 400
    device.key = ec.generate_private_key(ec.SECP256R1())
    status, answer = device.call(path, device.request(("posagent://m/s/pos-1",)))
    assert status == 200
    device.show(answer)
    assert device.call("/DEFAULT/controller/v1/pos-1")[0] == 200


def test_an_expired_certificate_ends_in_the_handshake(center: Any, tmp_path: Path) -> None:
    device = Device(center, tmp_path)
    device.show(device.enroll(center.est.issue("pos-1", [], certificate_s=-1))[1])
    with pytest.raises((ConnectionError, ssl.SSLError, urllib.error.URLError)):  # the alert may come before or after our bytes
        device.call("/DEFAULT/controller/v1/pos-1")


def test_the_operators_calls(center: Any, tmp_path: Path) -> None:
    device = Device(center, tmp_path)
    basic = {"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode(), "Content-Type": "application/json"}

    def operator(path: str, document: Any = None, headers: dict[str, str] = basic) -> Any:
        data = None if document is None else json.dumps(document).encode()
        asked = urllib.request.Request(center.url + path, data=data, headers=headers)
        with urllib.request.urlopen(asked, context=device.tls, timeout=20) as answer:
            return json.loads(answer.read())

    token = operator("/sim/enrolment/tokens", {"host": "pos-1", "tills": [{"merchant": "m", "site": "s"}]})["token"]
    assert operator("/sim/enrolment")["tokens_open"] == 1
    assert device.enroll(token)[0] == 200
    found = operator("/sim/enrolment")
    assert (found["tokens_open"], [one["host"] for one in found["enrolled"]]) == (0, ["pos-1"])
    assert operator("/sim/enrolment/revoke", {"host": "pos-1"}) == {"revoked": 1}
    for path, document in (("/sim/enrolment/tokens", {"host": "x", "valid_s": -1}), ("/sim/enrolment/tokens", {})):
        with pytest.raises(urllib.error.HTTPError) as caught:
            operator(path, document)
        caught.value.close()
        assert caught.value.code == 400
    with pytest.raises(urllib.error.HTTPError) as refused:
        operator("/sim/enrolment", headers={})
    refused.value.close()
    assert refused.value.code == 401


def test_it_is_the_same_authority_after_a_restart(service_centers: Centers) -> None:
    first, again = service_centers("one", tls=True), service_centers("one", tls=True)
    other = service_centers("two", tls=True)
    assert first.authority.fingerprint() == again.authority.fingerprint() != other.authority.fingerprint()
    assert first.ready()["fingerprint"] == first.authority.fingerprint()


def test_a_client_that_does_not_speak_tls_holds_up_nobody(center: Any, tmp_path: Path) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", center.port)), socket.create_connection(("127.0.0.1", center.port)) as rude:
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert Device(center, tmp_path).call("/.well-known/est/cacerts")[0] == 200
