"""The HTTP side of one enrolment: three requests of EST, and what the centre's answers mean.

Nothing is followed to another address, nothing goes without TLS, and the token goes nowhere but to the address of the
request (RFC 7030 sections 3.2.1 and 3.3).
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from agent.enrolment.errors import EnrolmentRefused, NotYet
from firmware.errors import HttpStatusError, TransportError
from firmware.transport import Transport, basic_token
from protocols.center import est
from protocols.errors import RemoteProtocolError

T = TypeVar("T")

LIMIT_S = 20.0
_REFUSALS = {
    400: ("request_refused", "the centre refuses the request"),
    401: ("token_refused", "the centre does not take the token: it is wrong, used or expired"),
    403: ("token_refused", "the centre does not let this host in"),
    404: ("no_est", "there is no enrolment at this address"),
    405: ("no_est", "there is no enrolment at this address"),
}

Files = tuple[str, str]
"""Certificate and key of ours, as TLS wants them."""


class CenterDoor:
    """A centre at ``url`` (`protocols.center.est.base_url`); a context manager.

    ``ca`` is a PEM file, None the system's authorities. ``user`` and ``token`` are for the first enrolment, ``files`` for a
    renewal. Methods raise TransportError, EnrolmentRefused or NotYet.
    """

    def __init__(self, url: str, ca: Path | None, *, user: str = "", token: str = "", files: Files | None = None) -> None:
        self._url, self._token = url, token
        # Only the one request that needs the token carries it; with no redirect it goes nowhere else.
        self._authorization = {"Authorization": basic_token(user, token)} if token else {}
        self._transport = Transport(
            ca=ca,
            timeout_s=LIMIT_S,
            token_for=url,
            client=lambda: files,
            redirects=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._transport.close()

    def authorities(self) -> bytes:
        """The centre's authorities (PKCS#7)."""

        def ask() -> bytes:
            with self._transport.stream(self._url + est.CACERTS, max_bytes=est.MAX_BODY) as body:
                return est.parse_certs(body.content_type, body.read())

        return self._told(ask)

    def enroll(self, csr: bytes, *, again: bool) -> bytes:
        """The certificate for a request (PKCS#7); ``again`` renews the one in use. NotYet while a person must agree first."""

        def ask() -> est.Issued | est.Later:
            where = self._url + (est.REENROLL if again else est.ENROLL)
            headers = {**est.REQUEST_HEADERS, **est.ACCEPT, **self._authorization}
            with self._transport.post(where, est.request_body(csr), headers) as body:
                return est.parse_enrolment(body.status, body.content_type, body.retry_after_s, body.read())

        answer = self._told(ask)
        if isinstance(answer, est.Later):
            raise NotYet("the centre has to agree first", code="waiting_approval", retry_after_s=answer.retry_after_s)
        return answer.pkcs7

    def _told(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except RemoteProtocolError as error:
            raise EnrolmentRefused(str(error), code="bad_answer") from None
        except HttpStatusError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: HttpStatusError) -> EnrolmentRefused | TransportError:
        if 300 <= error.status < 400:
            return EnrolmentRefused("the centre sends us to another address: refused", code="redirect_refused")
        if error.status not in _REFUSALS:
            return TransportError(self._clean(str(error)), code=error.code, retry_after_s=error.retry_after_s)
        code, text = _REFUSALS[error.status]
        if not self._token and code == "token_refused":
            code, text = "renewal_refused", "the centre does not renew the certificate"
        return EnrolmentRefused(f"{text} ({self._clean(error.said)})" if error.said else text, code=code)

    def _clean(self, text: str) -> str:
        """A server may repeat what it was sent."""
        return text.replace(self._token, "[token]") if self._token else text
