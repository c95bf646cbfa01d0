"""The simulated centre's own small certificate authority: one root, certificates for itself and for hosts, and who is revoked.

Lies in a folder (``ca.pem``, ``ca.key``), so that a centre that is started again is still the one that hosts know.
Everything here is for tests and demonstrations on loopback.
"""

import ipaddress
import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_DAYS, SERVER_DAYS = 3650, 30
EARLY_S: Final = 60.0
"""Certificates begin this much before they are made: the clocks of hosts lag."""
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


class BadRequestError(Exception):
    """The request for a certificate cannot be granted; the text says why."""


@dataclass(frozen=True)
class Wanted:
    """What a host asks for, proven to hold the key (PKCS#10, RFC 2986)."""

    name: str
    uris: tuple[str, ...]
    key: bytes
    """SubjectPublicKeyInfo, DER"""


def read_request(der: bytes) -> Wanted:
    """Reads PKCS#10. BadRequestError for what is none, is not signed by its own key, or has another kind of key."""
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        proven = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise BadRequestError("this is no certificate request") from None
    if not proven:
        raise BadRequestError("the request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise BadRequestError("the key must be EC or Ed25519")
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        uris = ()
    except ValueError:
        raise BadRequestError("the request's extensions cannot be read") from None
    return Wanted(_common_name(request.subject), uris, key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def names_of(certificate: x509.Certificate) -> tuple[str, tuple[str, ...]]:
    """Common name and URIs."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return _common_name(certificate.subject), tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        return _common_name(certificate.subject), ()


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


class Authority:
    """Makes certificates. ``wall`` gives unix seconds. OSError where the folder cannot be written."""

    def __init__(self, folder: Path, wall: Callable[[], float]) -> None:
        self._folder, self._wall = folder, wall
        self.file = folder / "ca.pem"
        self._revoked: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            self._found()
        self._key = _ec_key(folder / "ca.key")
        self.root = x509.load_pem_x509_certificate(self.file.read_bytes())

    def fingerprint(self) -> str:
        """SHA-256 of the root, as hex."""
        return self.root.fingerprint(hashes.SHA256()).hex()

    def certs_only(self, certificates: Iterable[x509.Certificate] = ()) -> bytes:
        """A certs-only PKCS#7 (RFC 5652) of these, or of the root."""
        return pkcs7.serialize_certificates(list(certificates) or [self.root], _DER)

    def issue(self, wanted: Wanted, name: str, uris: Iterable[str], seconds: float) -> x509.Certificate:
        """A certificate for a host's key, valid for ``seconds`` from now."""
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), seconds)
        builder = builder.public_key(serialization.load_der_public_key(wanted.key))  # type: ignore[arg-type]
        listed = [x509.UniformResourceIdentifier(uri) for uri in uris]
        if listed:
            builder = builder.add_extension(x509.SubjectAlternativeName(listed), critical=False)
        return self._signed(builder, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server_context(self, host: str) -> ssl.SSLContext:
        """TLS at ``host`` (an address). A client may show a certificate of ours; one that has expired ends the handshake."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), SERVER_DAYS * 86400.0)
        names = [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")]
        builder = builder.public_key(key.public_key()).add_extension(x509.SubjectAlternativeName(names), critical=False)
        chain, private = self._folder / "server.pem", self._folder / "server.key"
        _write_key(private, key)
        chain.write_bytes(self._signed(builder, ExtendedKeyUsageOID.SERVER_AUTH).public_bytes(_PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, private)
        context.load_verify_locations(self.file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def revoke(self, serial: int) -> None:
        """Nobody believes that certificate any more."""
        self._revoked.add(serial)

    def holder(self, der: bytes | None) -> x509.Certificate | None:
        """The certificate that a client showed (TLS has proven it), None where there is none or where it was revoked."""
        if der is None:
            return None
        certificate = x509.load_der_x509_certificate(der)
        return None if certificate.serial_number in self._revoked else certificate

    def _builder(self, subject: x509.Name, seconds: float, issuer: x509.Name | None = None) -> x509.CertificateBuilder:
        now = datetime.fromtimestamp(self._wall(), UTC).replace(microsecond=0)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or self.root.subject)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(seconds=EARLY_S)).not_valid_after(now + timedelta(seconds=seconds))

    def _signed(self, builder: x509.CertificateBuilder, use: x509.ObjectIdentifier) -> x509.Certificate:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        known = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(known, critical=False).sign(self._key, hashes.SHA256())

    def _found(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "possim centre's authority")])
        builder = self._builder(name, ROOT_DAYS * 86400.0, name).public_key(key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        use = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(use, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        _write_key(self._folder / "ca.key", key)
        self.file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(_PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)


def _ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OSError(0, "not the key of an authority of ours", str(path))
    return key
