"""A TCP relay that counts: what crosses it to and from the centre, as payload of TCP."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

_PIECE = 65536


class Relay:
    """Listens on a free port of loopback and passes everything on to ``port``. One thread for each connection."""

    def __init__(self, port: int) -> None:
        self._onward = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._count = 0
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Bytes so far, both ways."""
        with self._lock:
            return self._count

    def close(self) -> None:
        """End all connections."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        with self._lock:
            left = list(self._open)
        for one in left:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._onward) as server:
            with self._lock:
                self._open |= {client, server}
            try:
                self._pass(client, server)
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        while True:
            for one in select.select(list(other), [], [])[0]:
                data = one.recv(_PIECE)
                if not data:
                    return
                with self._lock:
                    self._count += len(data)
                other[one].sendall(data)


@contextlib.contextmanager
def relay(port: int) -> Iterator[Relay]:
    """A relay to ``port`` for the block."""
    one = Relay(port)
    try:
        yield one
    finally:
        one.close()
