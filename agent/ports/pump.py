"""The thread of one port: opens it, pumps bytes, closes it at once when it is lost, opens it again with back-off."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from agent.observations import LinkState, Observation, ResumeOutput, SetBaud, Write
from agent.ports.errors import LineError
from agent.ports.port import AdjustablePort, Port, PortOpener
from agent.ports.routine import repeat
from agent.ports.side import LineSide
from agent.ports.stage import Stage
from agent.ports.trace import Trace
from agent.ports.watch import Watch
from agent.ports.whereabouts import Whereabouts
from protocols.connection import LineSettings

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 2.0
"""A technician who plugs a cable in should not wait longer than this to see it."""
MAX_TASKS = 8
"""Tasks that may wait for the thread; a further one is refused to its asker."""


class Doctor(Protocol):
    """Looks further at a line that has gone bad (agent/discover/linedoctor.py)."""

    def heed(self, seen: list[Observation], now: float) -> list[Observation]:
        """What the watch has seen; returns what is therefore no longer there."""

    def doubt(self, now: float) -> None:
        """A question was not answered, which may be nothing."""

    def due(self) -> float | None:
        """When ``examine`` has something to look at; None on a healthy line."""

    def examine(
        self, port: object, now: Callable[[], float], stop: Callable[[], bool]
    ) -> tuple[list[Observation], LineSettings | None]:
        """What was found, and the settings at which the device answers where that was searched for."""


Report = Callable[[list[Observation]], None]
Task = Callable[[Watch, float], None]


class Pump:
    """Runs one watch on one line. ``report`` is called on this thread with what was seen; it must not block."""

    def __init__(
        self,
        name: str,
        path: str,
        watch: Watch,
        *,
        opener: PortOpener,
        find: Callable[[str], str],
        now: Callable[[], float],
        report: Report,
        doctor: Doctor | None = None,
        news: Callable[[], list[Observation]] | None = None,
        trace: Trace | None = None,
    ) -> None:
        """``news`` gives what the port itself has to tell, beside the device's bytes; ``trace`` is told what passes."""
        self.name = name
        self._path = path
        self._watch = watch
        self._opener = opener
        self._find = find
        self._now = now
        self._report = report
        self._doctor = doctor
        self._news = news
        self._trace = Trace(with_bytes=False) if trace is None else trace
        self._where = Whereabouts(path)
        self._side = LineSide()
        self._port: Port | None = None
        self._tasks: deque[Task] = deque()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = False
        self._backoff_s = FIRST_BACKOFF_S
        self._told = ""
        self._thread = threading.Thread(target=self._run, name=f"port-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> bool:
        """Close the port and end the thread; False when it did not end in time."""
        self._stopping = True
        self._wake()
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def submit(self, task: Task) -> bool:
        """Have the port's own thread do ``task(watch, now)``; False when too many wait."""
        with self._lock:
            if len(self._tasks) >= MAX_TASKS:
                return False
            self._tasks.append(task)
        self._wake()
        return True

    def _wake(self) -> None:
        self._woken.set()
        port = self._port
        if port is not None:
            port.wake()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._life()
                self._rest()
            except Exception:  # and one while that was told: what is not told now is told at the next opening
                log.exception("port %s, while it is away", self.name)
                self._close()
                self._woken.wait(LAST_BACKOFF_S)
                self._woken.clear()
        self._close()

    def _life(self) -> None:
        """From an opening until the port is lost, and that told."""
        try:
            port = self._open()
            while not self._stopping:
                self._turn(port)
        except LineError as error:
            if str(error) != self._told:  # once, not with every try
                self._told = str(error)
                log.info("port %s: %s", self.name, error)
            self._lost(error.state, error.detail)
        except Exception as error:  # our own mistake: the line is unknown, not fine for ever, and is tried again
            log.exception("port %s", self.name)
            self._lost(LinkState.CONNECTING, {"port": self._path, "why": f"own error: {type(error).__name__}"})

    def _lost(self, state: LinkState, detail: dict[str, str]) -> None:
        self._close()
        self._watch.lost(state, detail, self._now())
        self._say(self._where.lost(detail["why"]))
        with contextlib.suppress(Exception):  # a task that fails here was the mistake that brought us here
            self._do_tasks()
        self._tell()

    def _open(self) -> Port:
        line = self._watch.protocol.line
        settings = LineSettings(self._watch.configured_baud, line.bytesize, line.parity, line.stopbits)
        path = self._find(self._path)
        port = self._port = self._opener(path, settings)
        self._backoff_s = FIRST_BACKOFF_S
        self._told = ""
        self._side.opened()
        self._say(self._where.opened(path))
        self._watch.opened(self._now())
        self._act(port)
        return port

    def _turn(self, port: Port) -> None:
        """One wait and all that follows from it."""
        due = self._watch.next_timer()
        look = self._doctor.due() if self._doctor is not None and self._watch.stage is not Stage.SWEEPING else None
        first = due if look is None or (due is not None and due < look) else look
        until = self._side.next_look if isinstance(port, AdjustablePort) else inf
        data = repeat(self._watch, port, self._now, until, self._woken.is_set) if look is None else None
        now = self._now()
        if data is None:
            data = port.read(None if first is None else max(0.0, first - now))
            now = self._now()
        else:
            self._trace.repeated(now)
        if data:
            self._trace.heard(data, self._watch.receive(data, now), now)
        if not data or (due is not None and due <= now):
            self._watch.timer(now)  # what the bytes brought about becomes due in a later turn
        if self._woken.is_set():
            self._do_tasks()
        self._act(port)
        self._tell()
        if self._side.due(now) and isinstance(port, AdjustablePort):
            self._say([*self._side.look(port.modem_lines(), port.lost_bytes(), online=self._watch.online, now=now)])
        if self._doctor is not None and self._watch.doubtful:
            self._doctor.doubt(now)
        if self._doctor is not None and look is not None and look <= now:
            self._examine(port, self._doctor)

    def _examine(self, port: Port, doctor: Doctor) -> None:
        """Takes seconds where the line is searched; ends at once when somebody wants the port."""
        found, settings = doctor.examine(port, self._now, lambda: self._stopping or self._woken.is_set())
        if settings is not None:
            self._watch.adopt(settings.baud, self._now())
            self._act(port)
        self._say(found)

    def _do_tasks(self) -> None:
        self._woken.clear()
        while True:
            with self._lock:
                if not self._tasks:
                    return
                task = self._tasks.popleft()
            task(self._watch, self._now())

    def _act(self, port: Port) -> None:
        for effect in self._watch.take_effects():
            match effect:
                case Write(data):
                    self._trace.sent(data, self._now())
                    port.write(data)
                case SetBaud(baud):
                    port.set_baud(baud)
                case ResumeOutput():
                    port.resume()

    def _tell(self) -> None:
        seen = self._watch.take_observations()
        if self._news is not None:
            seen = [*self._news(), *seen]
        if seen:
            gone = self._doctor.heed(seen, self._now()) if self._doctor is not None else []
            self._report([*gone, *seen])

    def _say(self, found: Sequence[Observation]) -> None:
        if found:
            self._report([*found])

    def _rest(self) -> None:
        if self._stopping:
            return
        self._woken.wait(self._backoff_s)
        self._backoff_s = min(self._backoff_s * 2, LAST_BACKOFF_S)
        if not self._stopping:
            self._do_tasks()
            self._tell()

    def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()  # at once: a descriptor that stays open makes the kernel give a re-plugged device a new name
