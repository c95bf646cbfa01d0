"""Checks of the machine itself: network to the acquirer and to the centre, clock sanity, disk.

Small functions, each bounded in time, each answering with a `Check` and raising nothing. A check that could not be made
is unknown, one that does not apply here is skip: neither is a fault.
"""

import os
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from agent.clock import Clock
from firmware.connecting import plain_name

NETWORK, CENTER, CLOCK, DISK = "host.network", "host.center", "host.clock", "host.disk"
BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock is right that shows an earlier moment: this program did not exist."""
CLOCK_SLACK_S = 300.0
JUMP_S = 30.0
DISK_LEAST_BYTES = 64 * 1024 * 1024
MAX_LOOKUPS = 4
"""Name look-ups that may hang at once; a further one fails at once instead of adding a thread."""

_lookups = threading.BoundedSemaphore(MAX_LOOKUPS)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Check:
    """``outcome`` is pass, fail, skip or unknown; ``text`` a stable code, ``detail`` one line of evidence."""

    id: str
    outcome: str
    text: str
    detail: str
    took_s: float


def network(
    ident: str, hosts: Sequence[str], now: Callable[[], float], *, ca: Path | None = None, timeout_s: float = 5.0
) -> Check:
    """Name, TCP connection and TLS to any of ``hosts`` ("host:port", "tcp://host:port" without TLS, or a URL).

    One that answers is enough. ``timeout_s`` bounds the whole. Certificates are verified for URLs and on port 443 only:
    an acquirer's port may speak its own TLS with its own authority, there an answer to the handshake is proof enough.
    ``ca`` is a PEM file that replaces the public authorities.
    """
    begun = now()
    if not hosts:
        return Check(ident, "skip", "not_configured", "no host is configured", 0.0)
    problems: list[tuple[str, str]] = []
    for number, host in enumerate(hosts):
        left = timeout_s - (now() - begun)
        if left <= 0:
            break
        code, detail = _reach(host, ca, left / (len(hosts) - number), now)
        if not code:
            return Check(ident, "pass", "reachable", detail, now() - begun)
        problems.append((code, detail))
    return Check(ident, "fail", problems[0][0], "; ".join(detail for _, detail in problems), now() - begun)


def clock_sanity(
    clock: Clock,
    *,
    since: tuple[float, datetime] | None = None,
    server: datetime | None = None,
    built: datetime = BUILT,
    wrong: str = "",
) -> Check:
    """Whether the wall clock can be right.

    ``wrong`` says why signed metadata speaks against it.
    ``since`` is an earlier (monotonic, wall) pair of this boot: both must have moved alike. ``server`` is the moment
    that the centre's Date header named just now.
    """
    wall, mono = clock.wall(), clock.mono()
    code, detail = "", f"{clock.rfc3339()}"
    if wall < built:
        code, detail = "before_build", f"{clock.rfc3339()} lies before this program was built ({built:%Y-%m-%d})"
    elif wrong:
        code, detail = "before_signed", wrong
    elif server is not None and abs((wall - server).total_seconds()) > CLOCK_SLACK_S:
        code, detail = "differs_from_center", f"{(wall - server).total_seconds():+.0f} s against the centre"
    elif since is not None and abs(jump := (wall - since[1]).total_seconds() - (mono - since[0])) > JUMP_S:
        code, detail = "jumped", f"the clock jumped by {jump:+.0f} s"
    return Check(CLOCK, "fail" if code else "pass", code or "plausible", detail, clock.mono() - mono)


def disk(folder: Path, now: Callable[[], float], *, least_bytes: int = DISK_LEAST_BYTES) -> Check:
    """Whether ``folder`` lies on a writable file system with ``least_bytes`` and some names left."""
    begun = now()
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return Check(DISK, "unknown", "unreadable", f"{folder}: {error.strerror}", now() - begun)
    free = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        code, detail = "read_only", f"{folder} is mounted read-only"
    elif free < least_bytes:
        code, detail = "low", f"{free // 2**20} MiB free in {folder}, at least {least_bytes // 2**20} are needed"
    elif found.f_files and not found.f_favail:
        code, detail = "no_inodes", f"no file can be made in {folder}: no inodes are left"
    else:
        return Check(DISK, "pass", "enough", f"{free // 2**20} MiB free in {folder}", now() - begun)
    return Check(DISK, "fail", code, detail, now() - begun)


def _reach(host: str, ca: Path | None, timeout_s: float, now: Callable[[], float]) -> tuple[str, str]:
    """("", what was reached) or (code, what is wrong)."""
    begun = now()
    parsed = _parse(host)
    if parsed is None:
        return "bad_address", f"{host} is no host:port"
    name, port, tls, verified = parsed
    addresses = _resolve(name, port, timeout_s)
    if isinstance(addresses, str):
        return ("dns_timeout" if addresses == "timeout" else "dns"), f"{name}: no address ({addresses})"
    try:
        with _connect(addresses, lambda: timeout_s - (now() - begun)) as link:
            if not tls:
                return "", f"{name}:{port} (TCP)"
            return _handshake(link, name, port, _context(ca, verified=verified))
    except TimeoutError:
        return "tcp_timeout", f"{name}:{port} does not answer"
    except OSError as error:
        return "tcp", f"{name}:{port}: {error.strerror or error}"


def _parse(host: str) -> tuple[str, int, bool, bool] | None:
    """(name, port, TLS?, verified?)"""
    try:
        parts = urlsplit(host if "://" in host else f"tls://{host}")
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or not port:
        return None
    return parts.hostname, port, parts.scheme in {"tls", "https"}, parts.scheme == "https" or port == 443


def _resolve(name: str, port: int, timeout_s: float) -> list[Address] | str:
    """Addresses, or why not. getaddrinfo knows no time-out: it runs in a thread that may outlive our patience."""
    if not _lookups.acquire(blocking=False):
        return "timeout"
    answer: queue.SimpleQueue[list[Address] | str] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(plain_name(name), port, type=socket.SOCK_STREAM)
            answer.put([(str(entry[4][0]), int(entry[4][1])) for entry in found])
        except (OSError, UnicodeError) as error:
            answer.put(str(getattr(error, "strerror", None) or error))
        finally:
            _lookups.release()

    threading.Thread(target=look_up, name=f"dns-{name}", daemon=True).start()
    try:
        return answer.get(timeout=max(0.01, timeout_s))
    except queue.Empty:
        return "timeout"


def _connect(addresses: Sequence[Address], left_s: Callable[[], float]) -> socket.socket:
    """The first address that answers. Raises OSError of the last one."""
    problem: OSError = TimeoutError("no time left")
    for address in addresses[:4]:
        limit_s = left_s()
        if limit_s <= 0:
            break
        try:
            return socket.create_connection(address, timeout=limit_s)
        except OSError as error:
            problem = error
    raise problem


def _context(ca: Path | None, *, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _handshake(link: socket.socket, name: str, port: int, context: ssl.SSLContext) -> tuple[str, str]:
    try:
        with context.wrap_socket(link, server_hostname=name) as tls:
            return "", f"{name}:{port} ({tls.version()})"
    except ssl.SSLCertVerificationError as error:
        return "tls_certificate", f"{name}:{port}: {error.verify_message}"
    except TimeoutError:
        return "tls_timeout", f"{name}:{port} does not answer the TLS handshake"
    except (ssl.SSLError, OSError) as error:
        return "tls", f"{name}:{port}: no TLS ({getattr(error, 'reason', None) or error})"
