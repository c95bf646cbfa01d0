"""The centre's side of EST (RFC 7030, RFC 8951), its one-time tokens, and who may come in with which certificate.

``/.well-known/est/cacerts``, ``simpleenroll`` (HTTP Basic: the host's id and a token), ``simplereenroll`` (the
certificate in use). Beside it, for the operator and for tests: ``POST /sim/enrolment/tokens``, ``GET /sim/enrolment``,
``POST /sim/enrolment/revoke``.

A token works once. The same token with the same key gives the same certificate again: the first answer may have been
lost on its way (RFC 7030 says nothing about it, and a host whose power failed could never come in otherwise). A token that
is issued without ``repeats`` is used up by its first answer, as at centres that know no such mercy.
"""

import base64
import binascii
import hmac
import re
import secrets
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from cryptography import x509

from simulator.center.bodies import object_, objects, optional, text
from simulator.center.ca import Authority, BadRequestError, Wanted, names_of, read_request
from simulator.center.settings import is_user
from simulator.center.web import CenterError, Json, Reply, Request, Router, bad_body, json_reply

BASE: Final = "/.well-known/est"
TOKEN_S, CERTIFICATE_S = 7 * 86400.0, 90 * 86400.0
"""Lifetimes in seconds where the operator names none."""
MAX_TOKENS: Final = 10_000
_DDI = re.compile(r"/[^/]+/controller/v1/([^/]+)(/.*)?")
_OTLP = re.compile(r"/v1/(logs|metrics)")


@dataclass
class Token:
    """One host's permission to come in once. ``tills`` are URIs of the future certificate. Times are unix seconds."""

    secret: str
    host: str
    tills: tuple[str, ...]
    until: float
    certificate_s: float
    approvals: int
    """Requests that are answered «later» before one is granted."""
    repeats: bool
    key: bytes | None = None
    certificate: x509.Certificate | None = None


@dataclass
class Enrolled:
    """A certificate that was given out."""

    host: str
    serial: int
    until: float
    renewal: bool
    revoked: bool = field(default=False)


class Est:
    """Answers hosts that want to come in; ``mutual`` asks every host's request at DDI and OTLP for a certificate."""

    def __init__(self, authority: Authority, wall: Callable[[], float], *, mutual: bool) -> None:
        self._authority, self._wall = authority, wall
        self.mutual = mutual
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self.enrolled: list[Enrolled] = []
        self._est = Router(
            [
                ("GET", "/cacerts", self._cacerts),
                ("POST", "/simpleenroll", self._enroll),
                ("POST", "/simplereenroll", self._reenroll),
            ]
        )
        self._sim = Router(
            [
                ("POST", "/sim/enrolment/tokens", self._make_token),
                ("GET", "/sim/enrolment", self._listed),
                ("POST", "/sim/enrolment/revoke", self._revoke),
            ]
        )

    def issue(
        self,
        host: str,
        tills: list[tuple[str, str, str]],
        *,
        valid_s: float = TOKEN_S,
        certificate_s: float = CERTIFICATE_S,
        approvals: int = 0,
        repeats: bool = True,
    ) -> str:
        """A new token for ``host`` and its tills, each (merchant, site, till)."""
        uris = tuple("posagent://" + "/".join(quote(part, safe="") for part in till) for till in tills)
        secret = "t" + secrets.token_urlsafe(24)  # a word that begins with a dash is no value on a command line
        with self._lock:
            if len(self._tokens) >= MAX_TOKENS:
                raise CenterError(429, "", "too many tokens")
            self._tokens[secret] = Token(secret, host, uris, self._wall() + valid_s, certificate_s, approvals, repeats)
        return secret

    def handle(self, request: Request) -> Reply | None:
        """The answer; None for another path. A request that lacks the certificate that it needs is refused here."""
        if request.path.startswith("/sim/enrolment"):
            if not is_user(request):
                return Reply(401, headers={"WWW-Authenticate": 'Basic realm="possim"'})
            return self._sim.dispatch(request, request.path)
        if request.path.startswith(BASE + "/"):
            with self._lock:
                return self._est.dispatch(request, request.path.removeprefix(BASE)) or Reply(404)
        return self._stopped(request) if self.mutual else None

    def _stopped(self, request: Request) -> Reply | None:
        """A refusal for a host that is not who its request says; None lets it pass."""
        device = _DDI.fullmatch(request.path)
        if device is None and not _OTLP.fullmatch(request.path):
            return None
        holder = self._authority.holder(request.peer)
        if holder is None:
            return _no(403, "a certificate of this centre is needed")
        if device is not None and names_of(holder)[0] != unquote(device[1]):
            return _no(403, "the certificate is another host's")
        request.certified = names_of(holder)[0]
        return None

    # What a host asks for

    def _cacerts(self, _: Request) -> Reply:
        return _certs(self._authority.certs_only())

    def _enroll(self, request: Request) -> Reply:
        token = self._token_of(request)
        if isinstance(token, Reply):
            return token
        try:
            wanted = read_request(_body(request))
        except BadRequestError as error:
            return _no(400, str(error))
        if wanted.name != token.host:
            return _no(400, "the request is for another name than the token")
        if token.key is not None and token.certificate is not None:
            again = token.repeats and token.key == wanted.key
            return _certs(self._authority.certs_only([token.certificate])) if again else _unknown("used")
        if token.approvals > 0:
            token.approvals -= 1
            return Reply(202, headers={"Retry-After": "1"})
        token.key, token.certificate = wanted.key, self._give(wanted, token.tills, token.certificate_s, renewal=False)
        return _certs(self._authority.certs_only([token.certificate]))

    def _reenroll(self, request: Request) -> Reply:
        holder = self._authority.holder(request.peer)
        if holder is None:
            return _no(403, "the certificate in use is needed")
        try:
            wanted = read_request(_body(request))
        except BadRequestError as error:
            return _no(400, str(error))
        name, uris = names_of(holder)
        if (wanted.name, wanted.uris) != (name, uris):
            return _no(400, "subject and subjectAltName must stay as they are")  # RFC 7030 4.2.2
        lifetime = next((token.certificate_s for token in self._tokens.values() if token.host == name), CERTIFICATE_S)
        return _certs(self._authority.certs_only([self._give(wanted, uris, lifetime, renewal=True)]))

    def _token_of(self, request: Request) -> Token | Reply:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return _unknown("malformed")
        found = next((t for t in self._tokens.values() if hmac.compare_digest(t.secret.encode(), secret.encode())), None)
        if scheme.lower() != "basic" or found is None or found.host != user:
            return _unknown("unknown")
        return _unknown("expired") if found.until <= self._wall() else found

    def _give(self, wanted: Wanted, uris: tuple[str, ...], seconds: float, *, renewal: bool) -> x509.Certificate:
        made = self._authority.issue(wanted, wanted.name, uris, seconds)
        self.enrolled.append(Enrolled(wanted.name, made.serial_number, made.not_valid_after_utc.timestamp(), renewal))
        return made

    # What the operator asks for

    def _make_token(self, request: Request) -> Reply:
        wanted = object_(request.json())
        host = text(wanted, "host")
        tills = [
            (text(till, "merchant"), text(till, "site"), optional(till, "till") or host)
            for till in objects(wanted.get("tills", []))
        ]
        times = [wanted.get("valid_s", TOKEN_S), wanted.get("certificate_s", CERTIFICATE_S)]
        if any(type(seconds) not in (int, float) or not 0 < seconds < 10**9 for seconds in times):
            raise bad_body()
        return json_reply({"token": self.issue(host, tills, valid_s=times[0], certificate_s=times[1])}, 201)

    def _listed(self, _: Request) -> Reply:
        with self._lock:
            given: Json = [vars(one) | {"serial": f"{one.serial:x}"} for one in self.enrolled]
            return json_reply({"enrolled": given, "tokens_open": sum(t.key is None for t in self._tokens.values())})

    def _revoke(self, request: Request) -> Reply:
        return json_reply({"revoked": self.revoke(text(object_(request.json()), "host"))})

    def revoke(self, host: str) -> int:
        """Every certificate of ``host`` is worthless from now on; how many there were."""
        with self._lock:
            found = [one for one in self.enrolled if one.host == host and not one.revoked]
            for one in found:
                one.revoked = True
                self._authority.revoke(one.serial)
            return len(found)


def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/pkcs10":
        raise BadRequestError("application/pkcs10 is expected")
    try:
        return base64.b64decode(b"".join(request.body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("the request is not in base64") from None


def _certs(der: bytes) -> Reply:
    lines = "\r\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64)) + "\r\n"
    headers = {"Content-Type": "application/pkcs7-mime; smime-type=certs-only", "Content-Transfer-Encoding": "base64"}
    return Reply(200, lines.encode(), headers)


def _no(status: int, why: str) -> Reply:
    return Reply(status, why.encode(), {"Content-Type": "text/plain"})


def _unknown(why: str) -> Reply:
    """401 with the reason in plain text (RFC 7030 section 4.2.3), and the challenge that RFC 7235 asks for."""
    return Reply(401, f"the token is {why}".encode(), {"Content-Type": "text/plain", "WWW-Authenticate": 'Basic realm="EST"'})
