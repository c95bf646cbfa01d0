"""Keeps what the devices have counted, rarely: flash wears with each write. What is reported is what is kept.

A kill takes what was counted since the last keeping, and no receiver has been told of it: so no count that somebody has
heard of ever falls.
"""

import math
import threading
from collections.abc import Mapping
from typing import Any

from agent.clock import Clock
from agent.house import House
from agent.memory import Memory

EVERY_S = 600.0
"""The daemon's own rhythm."""
REPORT_S = 120.0
"""A report that comes this long after the last keeping, or later, is preceded by one."""
NEW_S = 5.0
"""After so long already where another device stands here than at the last keeping: of that one nothing could be told before."""
OWNER_LIMIT_S = 5.0


class Keeper:
    """One per daemon. ``keep`` and ``reported`` may be called from any thread but the owner's."""

    def __init__(self, memory: Memory, house: House, clock: Clock) -> None:
        self._memory = memory
        self._house = house
        self._clock = clock
        self._lock = threading.Lock()
        self._kept_at: float | None = None
        self._stopped = False

    def keep(self) -> None:
        """Durable on return. Raises TimeoutError where the owner does not answer."""
        # The owner is waited for without the lock: at the end he answers nobody, and the last keeping must not wait for that.
        remembered = self._house.owner.inbox.ask(self._house.remember).result(OWNER_LIMIT_S)
        with self._lock:
            if not self._stopped:  # what came late is older than what was kept last
                self._memory.store(remembered)
                self._kept_at = self._clock.mono()

    def reported(self) -> Mapping[str, Mapping[str, Any]]:
        """Subject to the ``identity`` and the ``statistics`` that may be told: they outlive whatever happens next."""
        passed_s = math.inf if self._kept_at is None else self._clock.mono() - self._kept_at
        if passed_s >= REPORT_S or (passed_s >= NEW_S and self._others_stand_here()):
            self.keep()
        return self._memory.kept()

    def _others_stand_here(self) -> bool:
        here, kept = self._house.owner.inbox.ask(self._house.remember).result(OWNER_LIMIT_S), self._memory.kept()
        return any(kept.get(subject, {}).get("identity", {}) != found["identity"] for subject, found in here.items())

    def stop(self) -> None:
        """The last one, to the second; once the owner has finished."""
        with self._lock:
            self._stopped = True
            self._memory.store(self._house.remember(exact=True))
