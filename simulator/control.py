"""The control socket of a running terminal: one JSON line in, one JSON line out, then the connection ends.

A unix socket's name may have 107 bytes only, and a folder's more. So both sides reach the folder through a descriptor,
as /proc/self/fd/N.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.settings import BadSettingError

SOCKET = "control.sock"
LONGEST_REQUEST = 4096
"""Bytes; a client that sends more is dropped."""
MOST_CLIENTS = 16
"""At once; a further one is dropped."""
ANSWER_TIMEOUT = 10.0
"""Seconds that a client waits for a running terminal."""

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class NoTerminalError(RuntimeError):
    """No terminal answers in that folder."""


class RefusedError(RuntimeError):
    """Something the terminal does not have, or that another process has; the text is one line for a person."""


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """A short name of the socket in `folder`, good while the context lasts."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


class Listener:
    """The terminal's side: never blocks, serves whatever descriptor its owner found readable."""

    name = SOCKET

    def __init__(self, folder: Path, handle: Handler) -> None:
        self._path = folder / SOCKET
        self._handle = handle
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        # The folder is locked by its owner: a socket that lies there belongs to nobody.
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with _reachable(folder) as name:
                self._socket.bind(name)
            self._socket.listen(MOST_CLIENTS)
        except OSError:
            self._socket.close()
            raise

    def descriptors(self) -> list[int]:
        """What to wait for."""
        return [self._socket.fileno(), *self._clients]

    def close(self) -> None:
        """Drop everybody and remove the socket."""
        for client, _ in self._clients.values():
            client.close()
        self._clients.clear()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def service(self, descriptor: int) -> None:
        """Something came on `descriptor`; one that is not the listener's is left alone."""
        if descriptor == self._socket.fileno():
            self._accept()
        elif descriptor in self._clients:
            self._read(descriptor)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = self._socket.accept()
            client.setblocking(False)
            if len(self._clients) < MOST_CLIENTS:
                self._clients[client.fileno()] = (client, bytearray())
            else:
                client.close()

    def _read(self, descriptor: int) -> None:
        client, request = self._clients[descriptor]
        try:
            data = client.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        request += data
        if data and b"\n" not in request and len(request) <= LONGEST_REQUEST:
            return
        del self._clients[descriptor]
        with client:
            if b"\n" in request:
                # The answer of a long receipt is larger than the socket's buffer; the client reads at once.
                client.settimeout(ANSWER_TIMEOUT)
                with contextlib.suppress(OSError):
                    client.sendall(self._answer(bytes(request)))

    def _answer(self, request: bytes) -> bytes:
        try:
            document = json.loads(request)
        except ValueError:
            document = None
        try:
            answer = dict(self._handle(document if isinstance(document, dict) else {}))
        except BadSettingError as error:
            answer = {"wrong": str(error)}
        except (RuntimeError, OSError) as error:
            answer = {"refused": str(error)}
        return json.dumps(answer).encode() + b"\n"


def call(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the terminal that runs in `folder`.

    NoTerminalError, RefusedError or BadSettingError tell why it did not do it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_TIMEOUT)
        try:
            with _reachable(folder) as name:
                client.connect(name)
            client.sendall(json.dumps(dict(request)).encode() + b"\n")
            answer = _read_all(client)
            document = json.loads(answer)
        except (OSError, ValueError) as error:
            raise NoTerminalError(f"no terminal answers in {folder}: start one with possim terminal --dir {folder}") from error
    if "wrong" in document:
        raise BadSettingError(document["wrong"])
    if "refused" in document:
        raise RefusedError(document["refused"])
    return dict(document)


def _read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)
