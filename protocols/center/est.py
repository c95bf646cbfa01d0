"""Enrolment over Secure Transport: what goes over the wire (RFC 7030; RFC 8951 for the encoding of bodies).

Requests are PKCS#10, answers certs-only PKCS#7, both in base64; reading the certificates themselves is left to whoever
has a library for it. A server's ``Content-Transfer-Encoding`` is ignored (RFC 8951 section 3.1), and white space in
base64 is allowed, since servers put line ends where they like.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from protocols.errors import LocalProtocolError, RemoteProtocolError

WELL_KNOWN: Final = "/.well-known/est"
"""RFC 7030 section 3.2.2; a label of the server's may follow it."""
CACERTS: Final = "/cacerts"
ENROLL: Final = "/simpleenroll"
REENROLL: Final = "/simplereenroll"
REQUEST_HEADERS: Final = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
"""RFC 7030 section 4.2.1. RFC 8951 makes the second one needless, servers of before still ask for it."""
ACCEPT: Final = {"Accept": "application/pkcs7-mime"}
CERTS_KIND: Final = "application/pkcs7-mime"
MAX_BODY: Final = 1 << 18
"""Bytes of an answer: a hundred certificates fit into it."""
LATER_S: Final = 60.0
"""Seconds to wait where a server says «later» and does not say when, which it must (RFC 7030 section 4.2.3)."""
MAX_SEGMENT: Final = 128
_LINE: Final = 64
_SPACE: Final = re.compile(rb"[ \t\r\n]+")
_LABEL: Final = re.compile(r"(?:/[A-Za-z0-9._~-]{1,64})?")
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
"""id-signedData, 1.2.840.113549.1.7.2 (RFC 5652 section 5.1)."""
_SCHEME: Final = "posagent"


@dataclass(frozen=True, slots=True)
class Issued:
    """``pkcs7`` is the DER of a ContentInfo that says it is signedData."""

    pkcs7: bytes


@dataclass(frozen=True, slots=True)
class Later:
    """A person has to agree first (RFC 7030 section 4.2.3): send the same request again after so many seconds."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class TillName:
    """One till as a certificate names it: an URI of its subjectAltName."""

    merchant: str
    site: str
    till: str

    def uri(self) -> str:
        """``posagent://merchant/site/till``, each part percent-encoded (RFC 3986 section 2.1)."""
        return f"{_SCHEME}://" + "/".join(quote(part, safe="") for part in (self.merchant, self.site, self.till))


def base_url(address: str) -> str:
    """The address under which the operations lie. Raises LocalProtocolError.

    ``https://centre.example`` becomes ``https://centre.example/.well-known/est``; with the path given it stays. Without
    TLS there is no EST (RFC 7030 section 3.3), to this machine neither.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and address.isprintable()
    except ValueError:
        usable, parts = False, SplitResult("", "", "", "", "")
    if not usable or parts.username is not None or parts.query or parts.fragment or " " in address:
        raise LocalProtocolError("an https:// address without user, query and fragment is needed")
    path = parts.path.rstrip("/")
    label = path.removeprefix(WELL_KNOWN)
    if path and (label == path or not _LABEL.fullmatch(label)):
        raise LocalProtocolError(f"the path must be {WELL_KNOWN}, with at most one label behind it")
    return f"https://{parts.netloc}{WELL_KNOWN}{label}"


def request_body(pkcs10: bytes) -> bytes:
    """The body of an enrolment: base64 in lines."""
    text = base64.b64encode(pkcs10)
    return b"".join(text[at : at + _LINE] + b"\n" for at in range(0, len(text), _LINE))


def parse_certs(content_type: str, body: bytes) -> bytes:
    """The PKCS#7 in an answer with certificates. RemoteProtocolError for anything else, such as a captive portal's page."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != CERTS_KIND:
        raise RemoteProtocolError(f"EST: certificates are expected, not {kind[:60]!r}")
    if len(body) > MAX_BODY:
        raise RemoteProtocolError(f"EST: {len(body)} bytes, more than {MAX_BODY}")
    try:
        der = base64.b64decode(_SPACE.sub(b"", body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError("EST: the answer is no base64") from error
    if not _is_signed_data(der):
        raise RemoteProtocolError("EST: the answer holds no signedData")
    return der


def parse_enrolment(status: int, content_type: str, retry_after_s: float | None, body: bytes) -> Issued | Later:
    """What the server says to a request (RFC 7030 section 4.2.3). ``status`` is one of 2xx."""
    if status == 202:
        return Later(LATER_S if retry_after_s is None else retry_after_s)
    if status != 200:
        raise RemoteProtocolError(f"EST: status {status} means nothing here")
    return Issued(parse_certs(content_type, body))


def parse_till(uri: str) -> TillName | None:
    """The till that an URI of a certificate names; None for an URI of somebody else's. RemoteProtocolError for a broken one."""
    scheme, mark, rest = uri.partition("://")
    if scheme.lower() != _SCHEME or not mark:
        return None
    parts = [unquote(part) for part in rest.split("/")]
    if len(parts) != 3 or not all(part and len(part) <= MAX_SEGMENT and part.isprintable() for part in parts):
        raise RemoteProtocolError("EST: the certificate names a till in a way that cannot be read")
    return TillName(*parts)


def _is_signed_data(der: bytes) -> bool:
    """One SEQUENCE over all bytes that begins with the OID of signedData; definite or indefinite length (X.690 8.1.3)."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    first = der[1]
    if first == 0x80:
        return der[2 : 2 + len(_SIGNED_DATA)] == _SIGNED_DATA
    count = first & 0x7F if first & 0x80 else 0
    if count > 4 or len(der) < 2 + count:
        return False
    length = int.from_bytes(der[2 : 2 + count], "big") if count else first
    return length == len(der) - 2 - count and der[2 + count :].startswith(_SIGNED_DATA)
