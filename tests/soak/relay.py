"""The wire between a host and the centre, and everything that a shop's network does to it."""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from urllib.parse import urlsplit

PIECE = 16384
LOOK_S = 0.2
DRIP_BYTES = 400
MODES = ("pass", "reset", "hang", "cut", "drip", "corrupt")


class Relay:
    """Passes TCP on to the host and port of ``upstream``; ``mode`` is changed while it runs.

    reset: nobody is let in, and who is in is thrown out; hang: bytes stay where they are; cut: the answer ends after some
    thousand bytes; drip: 400 bytes at a time; corrupt: one bit of an answer's piece is wrong.
    """

    def __init__(self, upstream: str, seed: int) -> None:
        self.mode = "pass"
        self.upstream = upstream
        self.harmed = 0
        self._random = random.Random(seed)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """End the connections that there are, with a reset."""
        with self._lock:
            left = list(self._open)
        for one in left:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self._listening.close()
        self.hang_up()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        parts = urlsplit(self.upstream)
        with client, contextlib.suppress(OSError):
            if self.mode == "reset":
                self.harmed += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            with socket.create_connection((str(parts.hostname), int(parts.port or 0)), 5.0) as server:
                with self._lock:
                    self._open |= {client, server}
                try:
                    self._pass(client, server)
                finally:
                    with self._lock:
                        self._open -= {client, server}

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        came, cut_at = 0, 0
        while not self._closed:
            if self.mode == "hang":
                time.sleep(LOOK_S)
                continue
            ready = select.select([client, server], [], [], LOOK_S)[0]
            if self.mode == "cut" and not cut_at:
                cut_at = came + self._random.randrange(1, 40_000)
            for one in ready:
                data = one.recv(DRIP_BYTES if self.mode == "drip" else PIECE)
                if not data:
                    return
                if one is client:
                    server.sendall(data)
                    continue
                came += len(data)
                if self.mode == "cut" and came >= cut_at:
                    self.harmed += 1
                    client.sendall(data[: max(0, len(data) - (came - cut_at))])
                    return
                client.sendall(self._harm(data))

    def _harm(self, data: bytes) -> bytes:
        if self.mode == "drip":
            self.harmed += 1
            time.sleep(0.05)
        elif self.mode == "corrupt" and len(data) > 1000:
            self.harmed += 1
            spoilt = bytearray(data)
            spoilt[self._random.randrange(500, len(data))] ^= 1 << self._random.randrange(8)
            return bytes(spoilt)
        return data
