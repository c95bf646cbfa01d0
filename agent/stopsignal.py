"""SIGTERM and SIGINT, without fail: the interpreter runs a handler between two steps of the main thread, and a main thread that
is just about to wait would miss it. The kernel's side writes a byte to a pipe instead, and a thread waits for that.
"""

import os
import signal
import threading
from collections.abc import Callable

STOP = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Calls ``stop`` once a signal has come. Made and started in the main thread."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._out, self._in = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._in, False)
        self._thread = threading.Thread(target=self._wait, name="signals", daemon=True)

    def start(self) -> None:
        """From here on a signal ends the daemon in order."""
        for number in STOP:
            signal.signal(number, lambda *_: None)  # a handler in Python is what makes the wake-up byte be written
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        self._thread.start()

    def close(self) -> None:
        """Let the default hold again; the thread ends with its pipe."""
        signal.set_wakeup_fd(-1)
        os.close(self._in)
        if self._thread.ident is not None:
            self._thread.join(1.0)
        os.close(self._out)

    def _wait(self) -> None:
        while data := os.read(self._out, 64):
            if any(byte in STOP for byte in data):
                self._stop()
