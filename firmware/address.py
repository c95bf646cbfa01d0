"""Network addresses: taken apart, compared, and made fit to be shown."""

import ipaddress
from urllib.parse import SplitResult, urlsplit, urlunsplit

from firmware.errors import TransportError, one_line

Origin = tuple[str, str | None, int | None]
"""Scheme, host and port (RFC 6454 section 4): who may see a secret, and who is somebody else."""


def is_loopback(host: str | None) -> bool:
    """Tell whether ``host`` names this machine by itself (no look-up is made)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """Return ``url`` as it may be logged: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return one_line(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))
    except ValueError:
        return one_line(url)


def split(url: str) -> SplitResult:
    """The parts of ``url``. Raises TransportError (bad_url) where even the port makes no sense."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise TransportError(f"{shown(url)} is not a usable address: {error}", code="bad_url") from error
    return parts


def origin(url: str) -> Origin:
    """Whose ``url`` is. Raises TransportError (bad_url)."""
    parts = split(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
