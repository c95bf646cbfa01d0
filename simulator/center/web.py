"""Requests, replies and routes of the simulated service centre, free of sockets.

One ``Request`` in, one ``Reply`` out. Errors carry hawkBit's own error document
(``ExceptionInfo``: exceptionClass, errorCode, message, info; empty ones left out).
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from itertools import pairwise
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote

Json = Any
"""A decoded JSON document; its shape is checked where it is used."""

HAL, PLAIN = "application/hal+json;charset=UTF-8", "application/json;charset=UTF-8"
"""Media types as hawkBit writes them into its answers."""

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?")
_RANGE = re.compile(r"bytes=\d*-\d*(,\d*-\d*)*")
_BOUNDARY = "THIS_STRING_SEPARATES_MULTIPART"
_NOT_READABLE = "hawkbit.server.error.rest.body.notReadable"
MAX_RANGES = 64


def _no_constant(name: str) -> None:
    """NaN and the infinities are no JSON."""
    raise ValueError(name)


class CenterError(Exception):
    """A refusal with its HTTP status and hawkBit's error code."""

    def __init__(self, status: int, code: str, message: str, java: str = "", info: Mapping[str, Json] | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.java = java
        self.info = dict(info or {})

    def document(self) -> dict[str, Json]:
        """The error as hawkBit writes it."""
        full = {"exceptionClass": self.java, "errorCode": self.code, "message": self.message, "info": self.info}
        return {key: value for key, value in full.items() if value}


def bad_body() -> CenterError:
    """400: the body is no JSON document of the expected shape."""
    java = "org.eclipse.hawkbit.rest.exception.MessageNotReadableException"
    return CenterError(400, _NOT_READABLE, "The given request body is not well formed", java)


@dataclass
class Request:
    """One request, its body read whole; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes
    client: str
    own_url: str
    peer: bytes | None = None
    """the certificate that the client showed (DER), proven by TLS"""
    certified: str = ""
    """whose request it is, by that certificate, where the centre asks for one"""

    @property
    def base(self) -> str:
        """Scheme and authority as the client wrote them (hawkBit builds its links from the request)."""
        host = self.headers.get("host", "")
        return f"{self.own_url.partition(':')[0]}://{host}" if _HOST.fullmatch(host) else self.own_url

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def number(self, name: str, default: int) -> int:
        """A whole number from the query; 400 if it is none."""
        try:
            return int(self.first(name, str(default)))
        except ValueError:
            raise bad_body() from None

    def json(self) -> Json:
        """The body as JSON; 415 for another media type, 400 if it does not parse."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {"application/json", "application/hal+json"}:
            raise CenterError(415, "", f"Content-Type '{kind}' is not supported")
        return self.loads(self.body)

    @staticmethod
    def loads(body: bytes) -> Json:
        """Parses a JSON text; 400 if it is none, or is nested too deeply."""
        try:
            return json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise bad_body() from None


@dataclass
class Reply:
    """One answer: a body in memory, or ``length`` bytes of an open file from ``offset`` (the sender closes it)."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: BinaryIO | None = None
    offset: int = 0
    length: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body) if self.length is None else self.length


def json_reply(document: Json, status: int = 200, kind: str = "application/json") -> Reply:
    """A JSON answer."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Reply(status, text.encode("utf-8", "replace"), {"Content-Type": kind})


def error_reply(error: CenterError) -> Reply:
    """The answer to a refused request; 401 is empty, as hawkBit's is."""
    document = error.document()
    if error.status == 401 or not error.code:
        return Reply(error.status)
    return json_reply(document, error.status, PLAIN)


def conditional(request: Request, reply: Reply) -> Reply:
    """Spring's shallow ETag of a JSON answer to GET, and 304 where the client has it already."""
    if request.method != "GET" or reply.status != 200 or reply.file or "ETag" in reply.headers:
        return reply
    etag = '"0' + hashlib.md5(reply.body, usedforsecurity=False).hexdigest() + '"'
    if etag in [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]:
        return Reply(304, headers={"ETag": etag})
    reply.headers["ETag"] = etag
    return reply


def hal_kind(request: Request) -> str:
    """The media type hawkBit answers with: HAL unless plain JSON is asked for; 406 for anything else."""
    accept = request.headers.get("accept", "*/*").lower()
    if "application/json" in accept:
        return PLAIN
    if any(kind in accept for kind in ("application/hal+json", "*/*", "application/*")):
        return HAL
    raise CenterError(406, "", "Not acceptable")


class Router:
    """Paths with ``{names}`` → handlers; 405 where only the method is wrong, None where no path fits."""

    def __init__(self, routes: Sequence[tuple[str, str, Callable[..., Reply]]]) -> None:
        self._routes = [(method, self._compile(path), handler) for method, path, handler in routes]

    @staticmethod
    def _compile(path: str) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", path)
        return re.compile("".join(f"(?P<{p}>[^/]+?)" if i % 2 else re.escape(p) for i, p in enumerate(parts)) + "/?")

    def dispatch(self, request: Request, path: str) -> Reply | None:
        """Answers ``path`` (still percent-encoded, without the base)."""
        allowed = []
        for method, pattern, handler in self._routes:
            if match := pattern.fullmatch(path):
                if method == request.method:
                    return handler(request, **{name: unquote(text) for name, text in match.groupdict().items()})
                allowed.append(method)
        return Reply(405, headers={"Allow": ",".join(allowed)}) if allowed else None


def parse_query(text: str) -> dict[str, list[str]]:
    """A query string; at most 100 parameters, 400 beyond."""
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise bad_body() from None


def whole(text: str) -> int:
    """A path's numeric id; 400 for anything else, as Spring's conversion error."""
    if not re.fullmatch(r"\d{1,18}", text):
        raise bad_body()
    return int(text)


def parse_ranges(request: Request, etag: str, modified: float, length: int) -> list[tuple[int, int]] | None:
    """The byte ranges asked for (first, last), ordered; None = send all.

    Raises:
        CenterError: 416, for a header out of form and for unsatisfiable or overlapping ranges
            (hawkBit ``FileStreamingUtil``).
    """
    header = request.headers.get("range")
    if header is None or request.method != "GET" or _stale(request.headers.get("if-range"), etag, modified):
        return None
    if not _RANGE.fullmatch(header) or header.count(",") >= MAX_RANGES:
        raise CenterError(416, "", "range out of form")
    ranges = sorted(_one_range(part, length) for part in header.removeprefix("bytes=").split(","))
    if any(last >= following for (_, last), (following, _) in pairwise(ranges)):
        raise CenterError(416, "", "ranges overlap")
    return ranges


def _one_range(part: str, length: int) -> tuple[int, int]:
    first, _, last = part.partition("-")
    if not first and not last:
        raise CenterError(416, "", "range without numbers")
    start = int(first) if first else max(length - int(last), 0)
    end = min(int(last), length - 1) if first and last else length - 1
    if start > end:
        raise CenterError(416, "", "range not satisfiable")
    return start, end


def _stale(if_range: str | None, etag: str, modified: float) -> bool:
    if if_range is None or if_range == etag:
        return False
    try:
        return parsedate_to_datetime(if_range).timestamp() < int(modified)
    except (ValueError, TypeError, OverflowError):
        return True


def file_headers(etag: str, modified: float) -> dict[str, str]:
    """What every download carries."""
    return {
        "Content-Type": "application/octet-stream",
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Last-Modified": formatdate(modified, usegmt=True),
        "X-Content-Type-Options": "nosniff",
    }


def bytes_reply(request: Request, data: bytes, etag: str, modified: float) -> Reply:
    """A download from memory: 200, 206 (one range or multipart/byteranges) or 416."""
    headers = file_headers(etag, modified)
    try:
        ranges = parse_ranges(request, etag, modified, len(data))
    except CenterError:
        return Reply(416, headers=headers | {"Content-Range": f"bytes */{len(data)}"})
    if ranges is None:
        return Reply(200, data, headers)
    spans = [(f"bytes {first}-{last}/{len(data)}", data[first : last + 1]) for first, last in ranges]
    if len(spans) == 1:
        return Reply(206, spans[0][1], headers | {"Content-Range": spans[0][0]})
    headers["Content-Type"] = f"multipart/byteranges; boundary={_BOUNDARY}"
    kind = "Content-Type: application/octet-stream"
    parts = [f"--{_BOUNDARY}\r\n{kind}\r\nContent-Range: {span}\r\n\r\n".encode() + piece for span, piece in spans]
    return Reply(206, b"\r\n".join([*parts, f"--{_BOUNDARY}--".encode()]), headers)


def multipart_file(request: Request, name: str) -> tuple[str, bytes]:
    """File name and bytes of one part of a multipart/form-data body; 400 if it is not there."""
    kind = request.headers.get("content-type", "")
    match = re.search(r'boundary="?([^";,]{1,70})"?', kind)
    if not kind.lower().startswith("multipart/form-data") or not match:
        raise CenterError(415, "", "multipart/form-data expected")
    for part in (b"\r\n" + request.body).split(b"\r\n--" + match[1].encode("latin-1", "replace")):
        head, blank, data = part.partition(b"\r\n\r\n")
        disposition = next((t for t in head.split(b"\r\n") if t.lower().startswith(b"content-disposition:")), b"")
        fields = dict(re.findall(r'(\w+)="([^"]*)"', disposition.decode("utf-8", "replace")))
        if blank and fields.get("name") == name:
            return fields.get("filename", ""), data
    raise bad_body()
