"""The small grammars of single values: identities, ports, URLs, network places, names that become folders."""

import ipaddress
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from agent.config.table import Table
from agent.redact import holds_card_data
from firmware.handlers import COMPONENT, RESERVED

_IDENTITY = re.compile(r"[^\s/]{1,128}")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(r"pkcs11:(?=[^?]*token=)[^?&]+\?(?=.*module-path=/)(?=.*pin-source=file:/)[a-z-]+=[^&]+(?:&[a-z-]+=[^&]+)+")
_PORT_SCHEMES = ("socket", "rfc2217", "loop", "spy", "alt", "hwgrep")
_HOMES = {
    "printer": ("protocols.printers", "posagent.printers"),
    "reader": ("protocols.readers", "posagent.readers"),
    "handler": ("firmware.handlers", "posagent.handlers"),
}


def identity(table: Table, key: str, *, required: bool = False) -> str | None:
    """A name at the centre: no space, no slash (subjects are ``<terminal>/<device>``), at most 128 characters, no card number."""
    value = table.text(key, required=required)
    if value is not None and not _IDENTITY.fullmatch(value):
        table.wrong("identity", key, value=value)
    elif value is not None and holds_card_data(value):
        table.wrong("card_data", key)
    return value


def component_name(table: Table, name: str) -> None:
    """A component's name becomes a folder and a part of target names: it may hold nothing that leaves its place."""
    if not COMPONENT.fullmatch(name) or name in RESERVED:
        table.notes.add("component_name", table.path, value=name)
    elif holds_card_data(name):
        table.notes.add("card_data", table.path)


def port(table: Table, key: str, folder: Path) -> str:
    """``auto``, a pyserial URL, or a path; a relative path is relative to the file. Left out means ``auto``."""
    value = table.text(key)
    if value is None or value == "auto":
        return "auto"
    scheme, marker, rest = value.partition("://")
    if not marker:
        return str(folder / value)
    if scheme not in _PORT_SCHEMES:
        table.unknown_value(key, scheme + marker, [known + marker for known in _PORT_SCHEMES])
    elif scheme in ("socket", "rfc2217") and _place(rest.partition("?")[0].strip("/")) is None:
        table.wrong("not_a_place", key, value=value)
    return value


def url(table: Table, key: str) -> str | None:
    """An http(s) address without user, query or fragment. Plain http only to this machine: a token travels on it."""
    value = table.text(key)
    return None if value is None else _address(table, key, value)


def urls(table: Table, key: str) -> tuple[str, ...]:
    """Different addresses, each like ``url``'s."""
    return tuple(dict.fromkeys(_address(table, key, value) for value in table.texts(key)))


def _address(table: Table, key: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in value
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.query or parts.fragment:
        table.wrong("url", key)
    elif parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        table.wrong("plain_http", key, value=parts.hostname or "")
    return value.rstrip("/")


def network_place(table: Table, key: str, value: str) -> tuple[str, int] | None:
    """``host:port``; an IPv6 address stands in brackets."""
    place = _place(value)
    if place is None:
        table.wrong("not_a_place", key, value=value)
    return place


def command(table: Table, key: str) -> tuple[str, ...]:
    """An argv whose program does not climb out of the release with ``..``."""
    argv = table.argv(key)
    if argv and ".." in Path(argv[0]).parts:
        table.wrong("climbing", key, value=argv[0])
    return argv


def is_protocol(kind: str, name: str, known: Sequence[str]) -> bool:
    """Tell whether ``name`` is built in, is a file of our package, or is offered by an installed one (entry points)."""
    if name in known:
        return True
    package, group = _HOMES[kind]
    if _WORD.fullmatch(name) and find_spec(f"{package}.{name}") is not None:
        return True
    from importlib.metadata import entry_points  # heavy; only needed for names that are not ours

    return name in entry_points(group=group).names


def _place(value: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(f"//{value}")
        host, number = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not number or parts.path or parts.query or parts.username is not None or " " in value:
        return None
    return host, number


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_place(table: Table, default: str) -> str:
    """``key``: ``file``, or a token with its library and the file of its PIN (RFC 7512)."""
    value = table.text("key") or default
    if value != default and not _TOKEN.fullmatch(value):
        table.wrong("key_store", "key", value=value)
    return value
