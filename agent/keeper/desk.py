"""The keeper's socket beside the link: one daemon at a time asks and is told. It never blocks; who does not read is dropped."""

import contextlib
import os
import socket

from agent.keeper.messages import ASK, HEARD, MAX_PACKET, SUFFIX, abstract_name, reachable

LATER = 16
"""Connections that wait in the kernel while one is served."""


class Desk:
    """Listens beside ``link``, and under a name made of ``port``'s device number for a daemon that knows the port alone."""

    def __init__(self, link: str, port: str) -> None:
        self._path = link + SUFFIX
        self._listeners: list[socket.socket] = []
        self._client: socket.socket | None = None
        self._listen(self._path)
        with contextlib.suppress(OSError):  # the port is away, or two keepers stand side by side: the link's name is enough
            self._listen(abstract_name(port))

    def _listen(self, name: str) -> None:
        if not name.startswith("\0"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108  (the link's owner is who holds the port, and that is us)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        before = os.umask(0o117)
        try:
            with reachable(name) as short:
                listener.bind(short)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        listener.listen(LATER)
        self._listeners.append(listener)

    def taken(self) -> bool:
        """A daemon is there."""
        return self._client is not None

    def descriptors(self) -> list[int]:
        """What to wait for."""
        if self._client is not None:
            return [self._client.fileno()]
        return [listener.fileno() for listener in self._listeners]

    def accept(self) -> bool:
        """Somebody came, where nobody was; True: he may be served."""
        if self._client is not None:
            return False
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                if _peer(client) not in (0, os.getuid()) and listener is not self._listeners[0]:
                    client.close()
                    continue
                client.setblocking(False)
                self._client = client
                return True
        return False

    def question(self) -> tuple[int, bytes] | None:
        """The next question: its number and its bytes; None when there is none. A daemon that has gone is forgotten."""
        if self._client is None:
            return None
        try:
            packet = self._client.recv(MAX_PACKET)
        except BlockingIOError:
            return None
        except OSError:
            packet = b""
        if not packet:
            self.drop()
            return None
        return (packet[1], packet[2:]) if packet[:1] == ASK and len(packet) > 2 else (0, b"")

    def tell(self, kind: bytes, data: bytes) -> bool:
        """One packet to the daemon; False: nobody was told."""
        if self._client is None:
            return False
        try:
            for at in range(0, max(1, len(data)), MAX_PACKET - 1) if kind == HEARD else (0,):
                self._client.send(kind + data[at : at + MAX_PACKET - 1])
        except OSError:  # it hangs or has gone: the till does not wait for it
            self.drop()
            return False
        return True

    def drop(self) -> None:
        """Done with this daemon."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self, *, remove: bool) -> None:
        """Away with it; the name too, where nobody comes after us."""
        self.drop()
        for listener in self._listeners:
            listener.close()
        if remove:
            with contextlib.suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108


def _peer(client: socket.socket) -> int:
    return int.from_bytes(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], "little")
