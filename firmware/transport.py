"""The one door to the network: HTTP with verified TLS, bounded bodies, and a token that never leaves its host.

Everything that can go wrong leaves as TransportError or HttpStatusError, also while a body is being read.
A Transport belongs to one thread at a time; it keeps connections alive between requests and wants close().

Bounds: looking a name up and connecting to its addresses wait at most ``timeout_s`` together, each read as long; sending
and the head of the answer, and each piece of a body, ``HEAD_TIMEOUTS`` times that in all, however many bytes drip in, the
connecting before it included; a body must bring ``MIN_BYTES_PER_S`` over each window of
``timeout_s``, else it is given up as slow (so a server that drips bytes cannot hold us); JSON bodies end at
``JSON_MAX_BYTES``, streams at the caller's ``max_bytes`` (code ``endless_data``); at most ``MAX_REDIRECTS`` redirects.
"""

import base64
import http.client
import http.cookiejar
import json
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

from firmware.address import Origin, is_loopback, origin, shown, split
from firmware.connecting import UnresolvedError
from firmware.errors import HttpStatusError, TransportError, one_line
from firmware.light_imports import NO_METADATA, as_if_missing, stand_ins
from firmware.traffic import Traffic

# 3 MiB to guess the encoding of texts, and 1 MiB to unpack what is never asked for: bodies are plain bytes here. The
# tables for names of hosts that are not ASCII are loaded by the first such name.
with (
    as_if_missing("charset_normalizer", "chardet", "backports.zstd", "compression.zstd"),
    stand_ins({"idna": {}, "encodings.idna": {}, "importlib.metadata": NO_METADATA}),
):
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import HTTPError as Urllib3Error

    from firmware.deadline import Deadline, TooSlowError, pools

JSON_MAX_BYTES = 1 << 20
ERROR_MAX_BYTES = 1 << 16
CHUNK_BYTES = 1 << 18
MAX_REDIRECTS = 5
HEAD_TIMEOUTS = 2
MIN_BYTES_PER_S = 256
MAX_RETRY_AFTER_S = 86_400.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BROKEN = (requests.RequestException, Urllib3Error, http.client.HTTPException, OSError, ValueError)


def basic_token(user: str, password: str) -> str:
    """Return the Authorization value for HTTP Basic (RFC 7617), for ``Transport(token=…)``."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After (RFC 9110 10.2.3); a date counts from the server's own Date, never from our clock."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        if value.strip().isascii() and value.strip().isdigit():
            seconds = float(value[:12])
        else:
            seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


class Body:
    """A response body under way: iterate over it once, or close it. ``offset`` is where its first byte lies."""

    def __init__(self, response: requests.Response, url: str, max_bytes: int, pace: "_Pace") -> None:
        self._response, self._url, self._max, self._pace = response, url, max_bytes, pace
        self.offset = _range_start(response)
        self.etag = response.headers.get("ETag")
        self.status = response.status_code
        self.content_type = response.headers.get("Content-Type", "")
        self.retry_after_s = _retry_after(response.headers)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes as they come. Raises TransportError (endless_data, slow, cut, transport)."""
        received = 0
        self._pace.start()
        try:
            while chunk := self._piece():
                received += len(chunk)
                if received > self._max:
                    raise TransportError(
                        f"{shown(self._url)} sends more than the {self._max} bytes expected: given up",
                        code="endless_data",
                    )
                self._pace.note(len(chunk), self._url)
                yield chunk
        except _BROKEN as error:
            raise _explain(self._url, error) from error
        finally:
            self.close()

    def _piece(self) -> bytes:
        self._pace.deadline.start()
        return bytes(self._response.raw.read1(CHUNK_BYTES, decode_content=False))

    def expect(self, bytes_s: int) -> None:
        """Be less patient than MIN_BYTES_PER_S: there are others to ask."""
        self._pace.least_bytes_s = bytes_s

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self)

    def close(self) -> None:
        """Give the connection back; unread bytes make it close."""
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Pace:
    """The slow-retrieval guard: each window of ``window_s`` must bring its share of bytes, each piece keep ``deadline``."""

    def __init__(self, window_s: float, mono: Callable[[], float], deadline: Deadline) -> None:
        self._window_s, self._mono, self.deadline = window_s, mono, deadline
        self._since, self._bytes = 0.0, 0
        self.least_bytes_s = MIN_BYTES_PER_S

    def start(self) -> None:
        self._since, self._bytes = self._mono(), 0

    def note(self, count: int, url: str) -> None:
        self._bytes += count
        now = self._mono()
        if now - self._since < self._window_s:
            return
        if self._bytes < self.least_bytes_s * (now - self._since):
            raise TransportError(
                f"{shown(url)} sends too slowly ({self._bytes} bytes in {now - self._since:.0f} s): given up",
                code="slow",
            )
        self._since, self._bytes = now, 0


def _range_start(response: requests.Response) -> int:
    """First byte of a 206 from Content-Range (RFC 9110 14.4); 0 for any other answer."""
    if response.status_code != 206:
        return 0
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    if unit.lower() != "bytes" or not (first.isascii() and first.isdigit()) or len(first) > 15:
        response.close()
        raise TransportError("the server answers with a part of the file but does not say which", code="bad_range")
    return int(first)


def _explain(url: str, error: BaseException) -> TransportError:
    """One plain line for an exception of requests, urllib3 or http.client; their texts are long and nested."""
    where = shown(url)
    if _caused_by(error, TooSlowError):
        return TransportError(f"{where} sends its answer too slowly: given up", code="slow")
    if isinstance(error, requests.exceptions.SSLError):
        return TransportError(f"{where}: the certificate is not accepted: {one_line(_root_cause(error))}", code="tls")
    if _caused_by(error, UnresolvedError):
        return TransportError(f"{where}: the name server does not answer in time", code="timeout")
    if isinstance(error, requests.Timeout) or "Timeout" in type(error).__name__ or isinstance(error, TimeoutError):
        return TransportError(f"{where} does not answer in time", code="timeout")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return TransportError(f"{where} is not a usable address", code="bad_url")
    if "IncompleteRead" in type(error).__name__ or "IncompleteRead" in str(error):
        return TransportError(f"{where}: the connection broke in the middle of the file", code="cut")
    return TransportError(f"{where} cannot be reached: {one_line(_root_cause(error), 120)}", code="unreachable")


def _caused_by(error: BaseException | None, kind: type[Exception]) -> bool:
    for _ in range(10):
        if error is None or isinstance(error, kind):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, kind)


def _root_cause(error: BaseException) -> BaseException:
    for _ in range(10):
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


class _Adapter(HTTPAdapter):
    """All of its connections, a proxy's too, read their answers under ``deadline``."""

    def __init__(self, deadline: Deadline, traffic: Traffic, **options: Any) -> None:
        self._pools = pools(deadline, traffic)
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class Transport:
    """Requests to any host; ``token`` is the whole Authorization value, as in ``TargetToken 12ab…``.

    ``token_for`` is the address whose scheme, host and port alone may see the token; without it the token goes to the
    host that is asked. In both cases a redirect to another host goes on without it. ``ca`` is a PEM file that replaces
    the public authorities; certificates are always verified. Plain http is refused for other than loopback hosts unless
    ``allow_http``. ``client`` gives the files of our own certificate and its key at each request (mutual TLS), for the hosts
    that the token may go to. ``unproven`` verifies nobody: only for what is proven by other means. Nothing is taken from
    the environment or from ~/.netrc; ``proxy`` is an http:// address. ``traffic`` counts what this and others move.
    """

    def __init__(
        self,
        *,
        ca: Path | None = None,
        timeout_s: float = 30.0,
        token: str | None = None,
        token_for: str | None = None,
        allow_http: bool = False,
        proxy: str | None = None,
        client: Callable[[], tuple[str, str] | None] = lambda: None,
        redirects: int = MAX_REDIRECTS,
        unproven: bool = False,
        user_agent: str = "posagent",
        traffic: Traffic | None = None,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s, self._mono = timeout_s, mono
        self._deadline = Deadline(HEAD_TIMEOUTS * timeout_s, mono)
        self._token, self._token_for = token, origin(token_for) if token_for else None
        self._allow_http, self._client, self._redirects = allow_http, client, redirects
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = not unproven and (str(ca) if ca else True)
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        if proxy:
            self._session.proxies.update({"http": proxy, "https": proxy})
        counted = traffic or Traffic()

        def adapter() -> _Adapter:
            return _Adapter(self._deadline, counted, max_retries=0, pool_connections=2, pool_maxsize=2)

        for prefix in ("http://", "https://"):
            self._session.mount(prefix, adapter())

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def get_json(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """GET a JSON document of at most 1 MiB. Raises TransportError (bad_json for anything else than JSON)."""
        accept = {"Accept": "application/hal+json, application/json", **(headers or {})}
        with self._open("GET", url, headers=accept, max_bytes=JSON_MAX_BYTES) as body:
            return _parse(url, body.read())

    def get_bytes(self, url: str, max_bytes: int) -> bytes:
        """GET at most ``max_bytes``."""
        with self.stream(url, max_bytes=max_bytes) as body:
            return body.read()

    def put_json(self, url: str, body: object) -> Any:
        """PUT a JSON document; returns the answer's JSON, None where it is empty."""
        return self._send_json("PUT", url, body)

    def post_json(self, url: str, body: object) -> Any:
        """POST a JSON document; returns the answer's JSON, None where it is empty."""
        return self._send_json("POST", url, body)

    def post_bytes(self, url: str, data: bytes, headers: Mapping[str, str]) -> bytes:
        """POST ``data`` as it is; returns the answer's bytes."""
        with self.post(url, data, headers) as answer:
            return answer.read()

    def post(self, url: str, data: bytes, headers: Mapping[str, str]) -> Body:
        """POST ``data`` as it is; the answer with its status and headers, to be read or closed."""
        return self._open("POST", url, headers=headers, data=data, max_bytes=JSON_MAX_BYTES)

    def stream(self, url: str, *, offset: int = 0, etag: str | None = None, max_bytes: int) -> Body:
        """GET ``url`` from byte ``offset`` on, at most ``max_bytes`` of it, as an iterable of chunks.

        With ``etag`` (a strong one) the server sends the whole file if it has changed (If-Range, RFC 9110 13.1.5):
        look at ``Body.offset``. Raises HttpStatusError, 416 among them when ``offset`` lies behind the end.
        """
        headers = {"Accept": "*/*"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if etag and not etag.startswith("W/"):
                headers["If-Range"] = etag
        return self._open("GET", url, headers=headers, max_bytes=max_bytes)

    def _send_json(self, method: str, url: str, body: object) -> Any:
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/hal+json, application/json"}
        with self._open(method, url, headers=headers, data=data, max_bytes=JSON_MAX_BYTES) as answer:
            raw = answer.read()
        return _parse(url, raw) if raw.strip() else None

    def _open(self, method: str, url: str, *, headers: Mapping[str, str], data: bytes | None = None, max_bytes: int) -> Body:
        """Send, follow redirects of a GET, and hand over the body of a 2xx answer."""
        asked = origin(url)
        for _ in range(self._redirects + 1):
            self._check_address(url)
            response = self._send(method, url, headers, data, asked)
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or location is None or method != "GET":
                return self._body(response, url, max_bytes)
            response.close()
            following = urljoin(url, location)
            if split(url).scheme == "https" and split(following).scheme != "https":
                raise TransportError(f"{shown(url)} redirects to an unprotected address: refused", code="plain_http")
            url = following
        raise TransportError(f"{shown(url)}: more than {self._redirects} redirects", code="redirects")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | None,
        asked: Origin,
    ) -> requests.Response:
        own, whose = dict(headers), origin(url)
        trusted = whose == asked and self._token_for in (None, whose)
        if self._token is not None and trusted:
            own["Authorization"] = self._token
        files = self._client() if trusted else None
        self._deadline.start()
        try:
            return self._session.request(
                method, url, headers=own, data=data, stream=True, allow_redirects=False, timeout=self._timeout_s, cert=files
            )
        except _BROKEN as error:
            raise _explain(url, error) from error

    def _body(self, response: requests.Response, url: str, max_bytes: int) -> Body:
        if not 200 <= response.status_code < 300:
            raise self._refusal(response, url)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            response.close()
            raise TransportError(f"{shown(url)} sends a compressed body though none was asked for", code="encoding")
        return Body(response, url, max_bytes, _Pace(self._timeout_s, self._mono, self._deadline))

    def _refusal(self, response: requests.Response, url: str) -> HttpStatusError:
        """The server's no, with hawkBit's errorCode where there is one (a quota's 429 must never be tried again)."""
        status, code, raw = response.status_code, "", b""
        try:
            raw = Body(response, url, ERROR_MAX_BYTES, _Pace(self._timeout_s, self._mono, self._deadline)).read()
            document = json.loads(raw)
            code = str(document.get("errorCode", "")) if isinstance(document, dict) else ""
        except (TransportError, ValueError, RecursionError):
            code = ""
        said = raw if response.headers.get("Content-Type", "").lower().startswith("text/plain") else b""
        reason = f" ({one_line(code, 80)})" if code else ""
        return HttpStatusError(
            f"{shown(url)} answers {status} {http.client.responses.get(status, '')}".rstrip() + reason,
            status=status,
            retry_after_s=_retry_after(response.headers),
            quota="quota" in code.lower(),
            said=one_line(said.decode("utf-8", "replace").strip()),
        )

    def _check_address(self, url: str) -> None:
        parts = split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TransportError(f"{shown(url)} is not an http or https address", code="bad_url")
        if parts.scheme == "http" and not (self._allow_http or is_loopback(parts.hostname)):
            raise TransportError(f"{shown(url)} is not protected by TLS: use https", code="plain_http")


def _parse(url: str, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise TransportError(f"{shown(url)} answers with something that is no JSON", code="bad_json") from error
