"""The owner's local socket: one JSON line in, one JSON line out. Only this user and its group may connect (0660).

A Unix socket's path holds 108 bytes at most, and a state folder may lie deeper: both sides go through the folder's descriptor.
"""

import contextlib
import json
import logging
import math
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.errors import AgentError, NotAvailable

log = logging.getLogger(__name__)

MAX_REQUEST = 64 * 1024
MAX_ANSWER = 8 * 1024 * 1024
MAX_CLIENTS = 8
"""Served at once; a further one waits in the kernel's backlog."""
REQUEST_LIMIT_S = 5.0
ANSWER_LIMIT_S = 60.0

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class ControlServer:
    """Answers requests with ``handler``, each on a thread of its own, at most MAX_CLIENTS at once."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._slots = threading.BoundedSemaphore(MAX_CLIENTS)
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def start(self) -> None:
        """Listen. A socket that a killed owner left is replaced: the owner's lock says that nobody serves it."""
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with _short(self._path) as short, contextlib.suppress(FileNotFoundError):
            Path(short).unlink()
        with _short(self._path) as short:
            before = os.umask(0o117)
            try:
                listening.bind(short)
            finally:
                os.umask(before)
        listening.listen(MAX_CLIENTS)
        self._socket = listening
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and take the socket away."""
        listening, self._socket = self._socket, None
        if listening is None:
            return
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        self._path.unlink(missing_ok=True)
        self._thread.join(1.0)

    def _serve(self) -> None:
        while (listening := self._socket) is not None:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self._slots.acquire()
            threading.Thread(target=self._answer, args=(client,), name="control-client", daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        try:
            with client:
                client.settimeout(REQUEST_LIMIT_S)
                with _Incoming(client) as incoming:
                    document = self._handled(_read_line(incoming, MAX_REQUEST), incoming.descriptor)
                client.sendall(json.dumps(document, ensure_ascii=False).encode() + b"\n")
        except (OSError, ValueError) as error:
            log.debug("control client left: %s", type(error).__name__)
        finally:
            self._slots.release()

    def _handled(self, line: bytes, descriptor: int | None) -> Mapping[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise NotAvailable("not a request", code="bad_request")
            request.pop("descriptor", None)
            return {"ok": self._handler(request if descriptor is None else {**request, "descriptor": descriptor})}
        except AgentError as error:
            return {"error": {"code": error.code, "message": str(error), "remedy": error.remedy, "exit": error.exit_code}}
        except ValueError:
            return {"error": {"code": "bad_request", "message": "not JSON", "remedy": "", "exit": 4}}
        except Exception as error:  # the caller gets one line, the log the place
            log.exception("control request failed")
            message = f"{type(error).__name__} while answering"
            return {"error": {"code": "internal", "message": message, "remedy": "", "exit": 4}}


class _Incoming:
    """What a client sends: bytes, and at most one open file with the first of them, which is closed at the end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.descriptor: int | None = None

    def __enter__(self) -> "_Incoming":
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        data, handed, _, _ = socket.recv_fds(self._connection, size, 1, socket.MSG_CMSG_CLOEXEC)
        for descriptor in handed:
            if self.descriptor is None:
                self.descriptor = descriptor
            else:
                os.close(descriptor)
        return data


def ask_owner(
    path: Path, request: Mapping[str, Any], limit_s: float = ANSWER_LIMIT_S, *, descriptor: int | None = None
) -> dict[str, Any]:
    """Ask the running owner; ``descriptor`` is an open file that goes with the request.

    Raises:
        NotAvailable: nobody listens (``code`` no_daemon), or no answer in time.
        AgentError: the owner's own error, with its code and exit code.
    """
    try:
        with _short(path) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            # A connect that may not block is refused at once where the backlog is full; a bounded one waits its turn.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", math.ceil(limit_s), 0))
            client.connect(short)
            client.settimeout(limit_s)
            _send(client, json.dumps(dict(request)).encode() + b"\n", descriptor)
            answer = json.loads(_read_line(client, MAX_ANSWER))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NotAvailable(
            "no posagent daemon runs here",
            code="no_daemon",
            remedy="start it: posagent run",
        ) from None
    except PermissionError:
        raise NotAvailable(
            f"{path}: permission denied", code="no_permission", remedy="join the group posagent, or use sudo"
        ) from None
    except (OSError, ValueError):
        raise NotAvailable("the daemon does not answer", code="no_answer", remedy="look at its log, then restart it") from None
    if "error" in answer:
        raise _their_error(answer["error"])
    found = answer.get("ok")
    return found if isinstance(found, dict) else {}


def _send(client: socket.socket, line: bytes, descriptor: int | None) -> None:
    """The whole line. The owner may have answered and left while we still send: its answer lies there, and counts.

    Nothing is ever sent of an empty rest: after the owner has left, even that is a broken pipe (unix(7), EPIPE).
    """
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sent = socket.send_fds(client, [line], [descriptor]) if descriptor is not None else 0
        if sent < len(line):
            client.sendall(line[sent:])


def _their_error(error: Mapping[str, Any]) -> AgentError:
    failure = AgentError(str(error.get("message")), code=str(error.get("code")), remedy=str(error.get("remedy", "")))
    failure.exit_code = int(error.get("exit", 4))
    return failure


def _read_line(connection: "socket.socket | _Incoming", limit: int) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            break
        data += part
        if len(data) > limit:
            raise ValueError("too long")
    return bytes(data)
