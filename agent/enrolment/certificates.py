"""Reads what an EST server sent, and proves it. Used in the worker only: these are bytes from the network."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.clock import to_rfc3339
from firmware.errors import ReleaseRefused
from protocols.center.est import parse_till
from protocols.errors import RemoteProtocolError

MAX_CERTIFICATES: Final = 64
MAX_CHAIN: Final = 8
_PEM = serialization.Encoding.PEM
_BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.ExtensionNotFound, x509.DuplicateExtension)


@dataclass(frozen=True, slots=True)
class Proven:
    """The certificate for us with those that lead to the authority, as PEM, and what the first says."""

    chain: str
    facts: dict[str, object]


def certificates(der: bytes) -> list[x509.Certificate]:
    """The certificates of a certs-only PKCS#7. Raises ReleaseRefused (bad_answer)."""
    try:
        with warnings.catch_warnings():
            # What RFC 7030 itself shows in appendix A.1 is BER (a SET out of order), and cryptography says so.
            warnings.simplefilter("ignore", UserWarning)
            found = pkcs7.load_der_pkcs7_certificates(der)
    except _BROKEN as error:
        raise ReleaseRefused("the centre's answer holds no certificates that can be read", code="bad_answer") from error
    if not 0 < len(found) <= MAX_CERTIFICATES:
        raise ReleaseRefused(f"the centre's answer holds {len(found)} certificates", code="bad_answer")
    return found


def pem_certificates(text: str) -> list[x509.Certificate]:
    """The certificates of a PEM text. Raises ReleaseRefused (bad_ca)."""
    try:
        return x509.load_pem_x509_certificates(text.encode("ascii", "replace"))
    except _BROKEN as error:
        raise ReleaseRefused("the CA is no certificate that can be read", code="bad_ca") from error


def with_fingerprint(found: Iterable[x509.Certificate], fingerprint: str) -> str:
    """PEM of the one CA whose SHA-256 it is. Raises ReleaseRefused (wrong_centre)."""
    for one in found:
        if one.fingerprint(hashes.SHA256()).hex() == fingerprint and is_authority(one):
            return one.public_bytes(_PEM).decode("ascii")
    raise ReleaseRefused("none of the centre's authorities has the fingerprint that was given", code="wrong_centre")


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others (RFC 5280 section 4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _BROKEN:
        return False


def anchors(pinned: str, served: Sequence[x509.Certificate]) -> str:
    """What to trust from now on, as PEM: what was given to us, and the centre's roots (RFC 7030 section 4.1.3).

    A root that takes over is known before the old one ends, since ``cacerts`` is read at each renewal. What is served is only
    asked for over a connection that the anchors before have proven.
    """
    roots = [one for one in served if is_authority(one) and one.subject == one.issuer]
    known = {one.fingerprint(hashes.SHA256()): one for one in (*pem_certificates(pinned), *roots)}
    return "".join(one.public_bytes(_PEM).decode("ascii") for one in known.values())


def proven(
    answer: Sequence[x509.Certificate], served: Sequence[x509.Certificate], public: bytes, host: str, now: datetime
) -> Proven:
    """The certificate for our key, proven up to one of the authorities that the centre serves.

    Raises ReleaseRefused: wrong_key, wrong_host, wrong_issuer, certificate_ended, wrong_use, bad_answer.
    """
    ours = next((one for one in answer if _public(one) == public), None)
    if ours is None:
        raise ReleaseRefused("the certificate that came is for another key", code="wrong_key")
    chain = _chain(ours, [*answer, *served], set(served))
    if not _may_be_client(ours):
        raise ReleaseRefused("the certificate may not be used as a client's", code="wrong_use")
    if now >= ours.not_valid_after_utc:
        raise ReleaseRefused("the certificate that came has ended already: check this machine's date", code="certificate_ended")
    name, tills = _names(ours)
    if name != host:
        raise ReleaseRefused("the certificate names another host than this one", code="wrong_host")
    facts: dict[str, object] = {
        "serial": f"{ours.serial_number:x}",
        "sha256": ours.fingerprint(hashes.SHA256()).hex(),
        "begins": to_rfc3339(ours.not_valid_before_utc),
        "ends": to_rfc3339(ours.not_valid_after_utc),
        "host": name,
        "tills": tills,
    }
    return Proven("".join(one.public_bytes(_PEM).decode("ascii") for one in chain), facts)


def names_for_renewal(text: str) -> tuple[str, list[str]]:
    """Common name and URIs of the certificate in use: a renewal must repeat them (RFC 7030 section 4.2.2)."""
    current = pem_certificates(text)[0]
    return _common_name(current), _uris(current)


def _chain(leaf: x509.Certificate, known: Sequence[x509.Certificate], trusted: set[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf and the authorities between it and a root, without the root. Raises ReleaseRefused (wrong_issuer)."""
    chain = [leaf]
    for _ in range(MAX_CHAIN):
        issuer = next((one for one in known if one != chain[-1] and is_authority(one) and _issued(chain[-1], one)), None)
        if issuer is None:
            break
        if issuer in trusted:
            return chain if issuer.subject == issuer.issuer else [*chain, issuer]
        chain.append(issuer)
    raise ReleaseRefused("the certificate that came is not of the centre's authority", code="wrong_issuer")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except _BROKEN:
        return False
    return True


def _may_be_client(certificate: x509.Certificate) -> bool:
    if is_authority(certificate):
        return False
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except _BROKEN:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


def _names(certificate: x509.Certificate) -> tuple[str, list[list[str]]]:
    try:
        tills = [till for uri in _uris(certificate) if (till := parse_till(uri)) is not None]
    except (RemoteProtocolError, *_BROKEN) as error:
        raise ReleaseRefused("the certificate names a till in a way that cannot be read", code="bad_answer") from error
    return _common_name(certificate), [[till.merchant, till.site, till.till] for till in tills]


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def _public(certificate: x509.Certificate) -> bytes:
    try:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    except _BROKEN:
        return b""
