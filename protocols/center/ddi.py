"""Messages of Eclipse hawkBit's Direct Device Integration API, version 1 (facts updates.md section 2; Ddi*.java).

Documents of the server are parsed strictly where we act on them and tolerantly elsewhere; whatever comes, only
RemoteProtocolError leaves a parser. hawkBit says when and which, never whether to trust: hashes and links in here are
hints, the signed metadata decides. Pure: nothing here reads a clock or opens a connection.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from protocols.center import _documents as documents
from protocols.errors import LocalProtocolError, RemoteProtocolError

MAX_POLL_BYTES = 64 * 1024
MAX_DEPLOYMENT_BYTES = 1024 * 1024
MAX_HREF = 2048
MAX_NAME = 256
MAX_CHUNKS, MAX_ARTIFACTS, MAX_METADATA = 64, 64, 256
MAX_ARTIFACT_BYTES = 1 << 40
MAX_METADATA_VALUE = 64 * 1024

DEFAULT_SLEEP_S = 300.0
SLEEP_BOUNDS_S = (1.0, 86399.0)
"""hawkBit itself keeps to 30 s and 23:59:59; shorter ones exist in test centres, and 0 would be a busy loop"""

HANDLING = ("skip", "attempt", "forced")
EXECUTIONS = ("closed", "download", "downloaded", "proceeding", "scheduled", "resumed", "rejected")
"""what we may report; never hawkBit's ``canceled``, which leaves the action open for ever (hawkbit#952)"""
FINISHED = ("none", "success", "failure")
MAX_DETAILS, MAX_DETAIL = 50, 512
MODES = ("merge", "replace", "remove")
MAX_ATTRIBUTES, MAX_ATTRIBUTE = 100, 128
QUOTA_ERROR = "hawkbit.server.error.quota.tooManyEntries"
"""errorCode of a 429 that must not be repeated; the same status as the rate limiter's, which may"""

_SLEEP = re.compile(r"(\d{2}):([0-5]\d):([0-5]\d)", re.ASCII)
_ACTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_REFUSED = re.compile(r"[^a-zA-Z0-9_\-!@#$%^&*()+=\[\]{}|;:'\",.<>/\\?\s]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """Where to go next. ``href`` may name another host: the caller decides whether its token goes there."""

    href: str
    action_id: str | None
    """of the action that it leads to; None for configData"""


@dataclass(frozen=True, slots=True)
class Poll:
    """The answer to a poll: how long to wait for the next one, and what is to be done (at most one action)."""

    sleep_s: float
    deployment: Link | None = None
    confirmation: Link | None = None
    cancel: Link | None = None
    config_data: Link | None = None
    installed: Link | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a software module; ``size`` in bytes. ``sha256`` is the server's word, not a signature."""

    filename: str
    size: int
    sha256: str | None
    href: str | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One software module of a deployment."""

    part: str
    name: str
    version: str
    artifacts: tuple[Artifact, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """An action to carry out. The order of ``chunks`` means nothing: hawkBit keeps them in a set."""

    action_id: str
    download: str
    """skip, attempt or forced; so is ``update``"""
    update: str
    window_open: bool | None
    """the server's maintenance window; None: there is none"""
    chunks: tuple[Chunk, ...]

    @property
    def forced(self) -> bool:
        """The server leaves no choice of time."""
        return self.update == "forced"


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request to stop the action ``stop_id``; it is answered under ``action_id``."""

    action_id: str
    stop_id: str


def parse_sleep(value: str) -> float:
    """``HH:mm:ss`` in seconds, kept within SLEEP_BOUNDS_S. Raises RemoteProtocolError for anything else."""
    found = _SLEEP.fullmatch(value)
    if found is None:
        raise RemoteProtocolError(f"poll: sleep is HH:mm:ss, not {value[:20]!r}")
    hours, minutes, seconds = (int(part) for part in found.groups())
    least, most = SLEEP_BOUNDS_S
    return min(max(float(hours * 3600 + minutes * 60 + seconds), least), most)


def parse_poll(body: bytes) -> Poll:
    """The document of GET /{controllerId}. Raises RemoteProtocolError."""
    document = documents.load(body, "poll", MAX_POLL_BYTES)
    polling = documents.obj(documents.obj(document, "config", "poll"), "polling", "poll")
    sleep = documents.optional_text(polling, "sleep", "poll", 32)
    links = documents.obj(document, "_links", "poll")
    return Poll(
        sleep_s=DEFAULT_SLEEP_S if sleep is None else parse_sleep(sleep),
        deployment=_action_link(links, "deploymentBase"),
        confirmation=_action_link(links, "confirmationBase"),
        cancel=_action_link(links, "cancelAction"),
        config_data=_plain_link(links, "configData"),
        installed=_action_link(links, "installedBase"),
    )


def parse_deployment(body: bytes) -> Deployment:
    """The document of deploymentBase and installedBase. Raises RemoteProtocolError."""
    document = documents.load(body, "deployment", MAX_DEPLOYMENT_BYTES)
    inner = documents.obj(document, "deployment", "deployment")
    window = documents.optional_text(inner, "maintenanceWindow", "deployment", 32)
    return Deployment(
        action_id=_action_id(document, "id", "deployment"),
        download=_handling(inner, "download"),
        update=_handling(inner, "update"),
        window_open=None if window is None else window == "available",
        chunks=tuple(_chunk(c) for c in documents.objects(inner, "chunks", "deployment", MAX_CHUNKS)),
    )


def parse_history(body: bytes) -> tuple[str, ...]:
    """What was reported of an action, newest first: from a deploymentBase that was asked with ``actionHistory=-1``, which
    gives the newest 100 messages. Empty where there are none. Raises RemoteProtocolError.
    """
    document = documents.load(body, "deployment", MAX_DEPLOYMENT_BYTES)
    messages = documents.obj(document, "actionHistory", "deployment").get("messages")
    return tuple(text for text in messages if isinstance(text, str)) if isinstance(messages, list) else ()


def parse_cancel(body: bytes) -> Cancel:
    """The document of cancelAction. Raises RemoteProtocolError."""
    document = documents.load(body, "cancel", MAX_POLL_BYTES)
    inner = documents.obj(document, "cancelAction", "cancel")
    return Cancel(_action_id(document, "id", "cancel"), _action_id(inner, "stopId", "cancel"))


def error_code(body: bytes) -> str | None:
    """hawkBit's own code of an error answer, such as QUOTA_ERROR; None where the body has none, whatever it is."""
    try:
        return documents.optional_text(documents.load(body, "error", MAX_POLL_BYTES), "errorCode", "error", MAX_NAME)
    except RemoteProtocolError:
        return None


def feedback(
    execution: str,
    finished: str = "none",
    details: Sequence[str] = (),
    *,
    timestamp_ms: int | None = None,
) -> dict[str, Any]:
    """Body of a feedback on a deployment or a cancellation.

    Leave ``timestamp_ms`` (Unix time) out unless the clock is trusted: after one report from the future hawkBit never
    shows a later installation. Beyond MAX_DETAILS the first details are dropped; each is cut to MAX_DETAIL characters.
    Raises LocalProtocolError for words that are not in EXECUTIONS and FINISHED.
    """
    if execution not in EXECUTIONS or finished not in FINISHED:
        raise LocalProtocolError(f"no feedback {execution!r} with {finished!r}")
    status: dict[str, Any] = {"execution": execution, "result": {"finished": finished}}
    if details:
        status["details"] = [_one_line(d)[:MAX_DETAIL] for d in details[-MAX_DETAILS:]]
    body: dict[str, Any] = {"status": status}
    if timestamp_ms is not None:
        body["timestamp"] = timestamp_ms
    return body


def config_data(attributes: Mapping[str, str | None], mode: str = "merge") -> dict[str, Any]:
    """Body of PUT configData. What hawkBit refuses (~, backtick, all beyond ASCII) becomes ?; None deletes in merge.

    Raises LocalProtocolError for another mode, an empty key, more than MAX_ATTRIBUTES, a None outside merge, or two
    keys that become the same.
    """
    if mode not in MODES or len(attributes) > MAX_ATTRIBUTES:
        raise LocalProtocolError(f"configData: {len(attributes)} attributes in mode {mode!r}")
    data: dict[str, str | None] = {}
    for key, value in attributes.items():
        name = _attribute(key)
        if not name or name in data or (value is None and mode != "merge"):
            raise LocalProtocolError(f"configData: attribute {key!r} is empty, not unique or deleted outside merge")
        data[name] = None if value is None else _attribute(value)
    return {"mode": mode, "data": data}


def _attribute(value: str) -> str:
    return _REFUSED.sub("?", value)[:MAX_ATTRIBUTE]


def _one_line(value: str) -> str:
    return "".join(c if c.isprintable() else " " for c in value)


def _action_id(parent: dict[str, Any], key: str, what: str) -> str:
    found = parent.get(key)
    value = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    if not isinstance(value, str) or not _ACTION_ID.fullmatch(value):
        raise RemoteProtocolError(f"{what}: {key} is no action id")
    return value


def _plain_link(links: dict[str, Any], name: str) -> Link | None:
    if links.get(name) is None:
        return None
    return Link(_href(documents.obj(links, name, "poll"), "poll"), None)


def _action_link(links: dict[str, Any], name: str) -> Link | None:
    plain = _plain_link(links, name)
    if plain is None:
        return None
    action_id = urlsplit(plain.href).path.rpartition("/")[2]
    if not _ACTION_ID.fullmatch(action_id):
        raise RemoteProtocolError(f"poll: {name} leads to no action")
    return Link(plain.href, action_id)


def _href(link: dict[str, Any], what: str) -> str:
    href = documents.text(link, "href", what, MAX_HREF)
    try:
        parts = urlsplit(href)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not href.isascii() or not href.isprintable() or " " in href:
        raise RemoteProtocolError(f"{what}: no link: {href[:60]!r}")
    return href


def _handling(inner: dict[str, Any], key: str) -> str:
    found = documents.text(inner, key, "deployment", 16)
    if found not in HANDLING:
        raise RemoteProtocolError(f"deployment: {key} is one of {', '.join(HANDLING)}, not {found!r}")
    return found


def _chunk(chunk: dict[str, Any]) -> Chunk:
    metadata = documents.objects(chunk, "metadata", "chunk", MAX_METADATA)
    return Chunk(
        part=documents.text(chunk, "part", "chunk", MAX_NAME),
        name=documents.text(chunk, "name", "chunk", MAX_NAME),
        version=documents.text(chunk, "version", "chunk", MAX_NAME),
        artifacts=tuple(_artifact(a) for a in documents.objects(chunk, "artifacts", "chunk", MAX_ARTIFACTS)),
        metadata={
            documents.text(m, "key", "metadata", MAX_NAME): documents.optional_text(m, "value", "metadata", MAX_METADATA_VALUE)
            or ""
            for m in metadata
        },
    )


def _artifact(artifact: dict[str, Any]) -> Artifact:
    links = documents.obj(artifact, "_links", "artifact")
    # hawkBit calls the link download-http where the server itself speaks plain http.
    link = documents.obj(links, "download", "artifact") or documents.obj(links, "download-http", "artifact")
    hashes = documents.obj(artifact, "hashes", "artifact")
    return Artifact(
        filename=documents.text(artifact, "filename", "artifact", MAX_NAME),
        size=documents.whole_number(artifact, "size", "artifact", MAX_ARTIFACT_BYTES),
        sha256=documents.optional_text(hashes, "sha256", "artifact", 64),
        href=_href(link, "artifact") if link else None,
    )
