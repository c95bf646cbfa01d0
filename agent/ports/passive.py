"""A line that belongs to another program: never opened, never written to; only what the system shows of it.

The device behind it stays unknown. That the port is there, and who holds it, is known.
"""

import os
import threading
from collections.abc import Callable

from agent.observations import LinkChanged, LinkState, Observation

LOOK_EVERY_S = 2.0


class PassiveLook:
    """Looks at the port's name every LOOK_EVERY_S; one stat call, no descriptor."""

    def __init__(self, name: str, path: str, *, find: Callable[[str], str], report: Callable[[list[Observation]], None]) -> None:
        self.name = name
        self._path = path
        self._find = find
        self._report = report
        self._there: bool | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"port-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> bool:
        """End the thread; False when it did not end in time."""
        self._stop.set()
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._look()
        while not self._stop.wait(LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        there = "://" in self._path or os.path.exists(self._find(self._path))
        if there == self._there:
            return
        self._there = there
        if there:
            self._report([LinkChanged(LinkState.PASSIVE, {"port": self._path})])
        else:
            self._report([LinkChanged(LinkState.UNPLUGGED, {"port": self._path, "why": "no such device"})])
