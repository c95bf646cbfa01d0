"""How many bytes went over the network: what a till behind a mobile connection pays for."""

import threading


class Traffic:
    """One count for several Transports; any thread. Payload both ways: headers and bodies, without TLS and TCP of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved = 0

    def add(self, count: int) -> None:
        """``count`` more bytes came or went."""
        with self._lock:
            self._moved += count

    @property
    def moved(self) -> int:
        """Bytes since the start."""
        with self._lock:
            return self._moved
