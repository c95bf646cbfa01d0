"""One deadline over many reads: a server that sends a byte now and then cannot hold a connection for ever.

A socket's own time-out begins anew with every byte. Here each read of an answer waits for what is left of the deadline
at most, in the status line, the headers, the lines between chunks and a proxy's answer to CONNECT alike, and without a
thread. (A TLS handshake needs none of it: Python's ssl bounds it as a whole.) Connecting, which comes before, has a bound of
its own (``firmware.connecting``), and the deadline runs meanwhile.
"""

import http.client
import io
import socket
from collections.abc import Callable
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from firmware.connecting import LEAST_S, Lookup, connect
from firmware.files import names_token_key
from firmware.traffic import Traffic

CONNECT_S: Final = 30.0
"""For a connection that was given no time-out of its own."""


class TooSlowError(TimeoutError):
    """The deadline passed although bytes kept coming."""


class Deadline:
    """What is left of ``limit_s`` since ``start`` (seconds of ``mono``). Belongs to one thread, like its Transport."""

    def __init__(self, limit_s: float, mono: Callable[[], float]) -> None:
        self._limit_s, self._mono = limit_s, mono
        self._until = mono() + limit_s

    def start(self) -> None:
        """Begin anew."""
        self._until = self._mono() + self._limit_s

    def left_s(self) -> float:
        """Seconds that are left; negative when it has passed."""
        return self._until - self._mono()


class _Guarded(io.RawIOBase):
    """A socket's bytes, no later than the deadline. ``raw`` is what ``socket.makefile(buffering=0)`` gives."""

    def __init__(self, sock: socket.socket, raw: Any, deadline: Deadline, traffic: Traffic) -> None:
        self._sock, self._raw, self._deadline, self._traffic = sock, raw, deadline, traffic
        self._patience_s = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline.left_s()
        if left_s <= 0:
            raise TooSlowError("the deadline has passed")
        patience_s = self._patience_s
        if patience_s is None or left_s < patience_s:
            self._sock.settimeout(max(left_s, LEAST_S))
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError as error:
            raise TooSlowError("the deadline has passed") if self._deadline.left_s() <= 0 else error from None
        finally:
            if self._sock.fileno() >= 0:
                self._sock.settimeout(patience_s)
        self._traffic.add(count or 0)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def pools(deadline: Deadline, traffic: Traffic) -> dict[str, Any]:
    """urllib3's pools by scheme, with deadline and count built in: a pool makes its connections from a class and no more."""

    class Answer(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp = io.BufferedReader(_Guarded(sock, self.fp.detach(), deadline, traffic))

    lookup = Lookup()

    class Plain(HTTPConnection):
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            return _connected(self, lookup)

        def send(self, data: Any) -> None:
            super().send(data)
            traffic.add(len(data) if isinstance(data, bytes) else 0)

    class Secure(Plain, HTTPSConnection):
        def connect(self) -> None:
            if self.key_file and self.cert_file and names_token_key(self.key_file):
                from firmware.token_key import context  # few tills keep their key in a token

                self.ssl_context = context(self.cert_file, self.key_file)
                self.cert_file = self.key_file = None
            super().connect()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _connected(connection: HTTPConnection, lookup: Lookup) -> socket.socket:
    """What urllib3's connection does to connect, in its words for what goes wrong, but within its time-out as a whole."""
    limit_s = connection.timeout if isinstance(connection.timeout, (int, float)) else CONNECT_S
    try:
        # The name with its last dot, if it has one: fully qualified for the resolver, which http.client would strip.
        return connect(connection._dns_host, connection.port, limit_s, lookup, connection.socket_options)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection to {connection.host} in time") from error
    except OSError as error:
        raise NewConnectionError(connection, f"no connection to {connection.host}: {error}") from error
