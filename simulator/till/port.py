"""The till's printer port: opened when it is there, written to without ever blocking, at a till's pace."""

from __future__ import annotations

import os
import random
import select
import tty
from collections import deque
from pathlib import Path
from typing import Any

from simulator.line import set_line_speed
from simulator.till.sale import STATUS, sale

OPEN_EVERY_S = 0.3
"""The path may appear later, and go and come back."""
_PIECE_S = (0.002, 0.03)
_PAUSE_S = (0.1, 0.5)
"""Between two sales: shorter than any till counts as idle."""
_READ_SIZE = 4096


class TillPort:
    """Sells while `selling` is set; a sale that has begun is printed to its end."""

    def __init__(self, path: Path, baud: int, seed: int) -> None:
        self.path = path
        self.selling = False
        self.sales = 0
        self.bytes_out = 0
        self.bytes_in = 0
        self._baud = baud
        self._chance = random.Random(seed)
        self._descriptor = -1
        self._waiting: deque[bytes] = deque()
        self._open_at = 0.0
        self._due: float | None = None

    def show(self) -> dict[str, Any]:
        """What `possim show` tells of it."""
        state = {"printing": "yes" if self.selling else "no", "open": self._descriptor >= 0, "in_sale": bool(self._waiting)}
        return {"state": state, "sales": self.sales, "bytes_in": self.bytes_in, "bytes_out": self.bytes_out}

    def next_timer(self) -> float | None:
        """When `service` wants to be called; None: nothing to do."""
        if self._descriptor < 0:
            return self._open_at
        return self._due if self._waiting or self.selling else None

    def fileno(self) -> int:
        """-1 while it is not open."""
        return self._descriptor

    def service(self, now: float) -> None:
        """Do what is due; never blocks."""
        if self._descriptor < 0 and now >= self._open_at:
            self._open(now)
        if self._descriptor < 0:
            return
        try:
            self._hear()
            if self._due is None or now >= self._due:
                self._work(now)
        except OSError:  # unplugged: what was under way is lost, as it is for a till
            self.close()
            self._open_at = now + OPEN_EVERY_S

    def close(self) -> None:
        """Let go of the port; a sale under way is given up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._waiting.clear()

    def _open(self, now: float) -> None:
        self._open_at = now + OPEN_EVERY_S
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            tty.setraw(self._descriptor)
            set_line_speed(self._descriptor, self._baud)
        except OSError:
            self.close()

    def _hear(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if poll.poll(0):
            heard = os.read(self._descriptor, _READ_SIZE)
            if not heard:
                raise OSError("hung up")
            self.bytes_in += len(heard)

    def _work(self, now: float) -> None:
        if not self._waiting:
            if not self.selling:
                self._due = None
                return
            self.sales += 1
            self._waiting += [STATUS, *sale(self._chance, self.sales)]
        piece = self._waiting[0]
        try:
            taken = os.write(self._descriptor, piece)
        except BlockingIOError:
            taken = 0  # the printer says stop: it is tried again
        self.bytes_out += taken
        if taken < len(piece):
            self._waiting[0] = piece[taken:]
        else:
            self._waiting.popleft()
        self._due = now + self._chance.uniform(*(_PIECE_S if self._waiting else _PAUSE_S))
