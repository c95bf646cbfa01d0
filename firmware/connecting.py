"""From a name to a connected socket within one bound, whatever the system's resolver and the network do.

``socket.create_connection`` knows neither: getaddrinfo has no time-out at all, and each address of a name gets the whole
time-out anew. Here a name is looked up by a thread that is no longer waited for after the bound, and what is left is
shared among the addresses, so that a dead first one (IPv6 behind a bad router) leaves time for the next.
"""

import queue
import socket
import threading
import time
from typing import Any, Final

MAX_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""
LEAST_S: Final = 0.001
"""Never 0, which would make the socket one that does not wait at all."""

Address = tuple[Any, Any, int, str, Any]
"""As from ``socket.getaddrinfo``."""


class UnresolvedError(TimeoutError):
    """No name server has answered in time."""


class Lookup:
    """Look-ups of one Transport, one at a time; at most one thread hangs in the system, and then none is added."""

    def __init__(self) -> None:
        self._free = threading.Lock()

    def addresses(self, host: str, port: int, limit_s: float) -> list[Address]:
        """At most MAX_ADDRESSES of ``host``. Raises OSError: gaierror, UnresolvedError after ``limit_s`` seconds."""
        try:
            return _ask(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # a name, then
        if not self._free.acquire(blocking=False):
            raise UnresolvedError("the last question to the name server is still open")
        answer: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()
        threading.Thread(target=self._look_up, args=(host, port, answer), name=f"dns-{host}", daemon=True).start()
        try:
            found = answer.get(timeout=max(limit_s, LEAST_S))
        except queue.Empty:
            raise UnresolvedError("no name server answers") from None
        if isinstance(found, OSError):
            raise found
        return found

    def _look_up(self, host: str, port: int, answer: "queue.SimpleQueue[list[Address] | OSError]") -> None:
        found: list[Address] | OSError
        try:
            found = _ask(host, port, 0)
        except OSError as error:
            found = error
        except UnicodeError:
            found = socket.gaierror(socket.EAI_NONAME, "no name of a host")
        self._free.release()
        answer.put(found)


def _ask(host: str, port: int, flags: int) -> list[Address]:
    return list(socket.getaddrinfo(plain_name(host), port, type=socket.SOCK_STREAM, flags=flags))[:MAX_ADDRESSES]


def plain_name(host: str) -> str | bytes:
    """``host`` for getaddrinfo: a text goes through Python's tables of all languages (1 MiB), which an ASCII name needs not."""
    return host.encode("ascii") if host.isascii() and "\0" not in host else host


def connect(host: str, port: int, limit_s: float, lookup: Lookup, options: list[Any] | None = None) -> socket.socket:
    """A connected socket, whose time-out is ``limit_s`` from then on; look-up and all tries take no longer together.

    ``options`` are arguments of ``setsockopt``. Raises OSError, TimeoutError among them.
    """
    until = time.monotonic() + limit_s  # a socket waits in this time, whatever clock its user was handed
    addresses = lookup.addresses(host, port, limit_s)
    problem: OSError = TimeoutError("no time was left to connect")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(max(left_s / (len(addresses) - number), LEAST_S))
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
            continue
        sock.settimeout(limit_s)
        return sock
    raise problem
