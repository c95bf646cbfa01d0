"""The same question and the same answer, for months: what an idle line does, done with as little as can be.

A protocol that has had the same answer twice, and nothing else in between, says what the next question and this answer would
be (``Connection.routine``). While the watch has nothing else in mind, the pump then writes those bytes and compares: nothing is
classified, nothing is told, because nothing would come of it. Any other byte, an answer that stays away, or somebody who
wants the port, ends the routine, and the watch goes on as if it had asked the question itself at that moment.
"""

from collections.abc import Callable
from math import inf

from agent.ports.port import Port
from agent.ports.stage import Stage
from agent.ports.watch import Watch
from protocols.connection import Routine

ANSWER_S = 0.1
"""What has not come by then is waited for in the usual way, with the time-out of its protocol."""


class RoutineWatch(Watch):
    """A watch that knows when its next question is routine."""

    def routine(self) -> tuple[float, float, Routine] | None:
        """When the next question is due, until when it stays routine, and what it is; None: ask it in the usual way."""
        due, poll = self._next_ask, self._abilities.poll
        if due is None or self.stage is not Stage.WATCHING or self.protocol.survey or len(poll) != 1:
            return None
        busy = not self._asking.idle or self._asking.pending or self._misses or self._effects or self._observations
        open_yet = self._tasks.refresh_wanted or self._doubts.there or not self._naming.settled(self._known.get("online"))
        until = min(self._abilities.rest_until(self._known), self._other_timer() or inf)
        if busy or open_yet or due >= until or self.next_timer() != due:
            return None
        found = self._asking.connection.routine(poll[0])
        return (due, until, found) if found is not None else None

    def repeated(self, due: float) -> None:
        """The routine's question was answered as always up to now; the next one is due at ``due``."""
        self._next_ask = due

    def asked(self, now: float) -> None:
        """The routine's question was written at ``now``, and another answer came, or none: go on as if it had been asked."""
        self.timer(now)
        self._asking.connection.data_to_send()  # it is on the wire already


def repeat(watch: Watch, port: Port, now: Callable[[], float], until: float, woken: Callable[[], bool]) -> bytes | None:
    """Ask and compare until something else happens, or ``until``. None: nothing is routine; else what ``port.read`` gave at last.

    ``woken``: somebody has called ``wake``; the wait for an answer may have taken that for its own end.
    Raises PortLostError.
    """
    found = watch.routine() if isinstance(watch, RoutineWatch) else None
    if found is None or not isinstance(watch, RoutineWatch):
        return None
    due, at_rest_until, routine = found
    until = min(until, at_rest_until)
    if due >= until:
        return None
    period = watch.protocol.poll_s
    while True:  # nobody else touches watch and connection meanwhile: what was found at rest stays so
        data = port.read(max(0.0, due - now()))
        at = now()
        if data or at < due:
            watch.repeated(due)
            return data
        port.write(routine.question)
        data = port.read(ANSWER_S)
        if data != routine.answer:
            data = _completed(data, routine.answer, port, now, at + ANSWER_S)
        if data != routine.answer:
            watch.asked(at)
            return data
        routine.again()
        due = at - at % period + period
        if due >= until or woken():
            watch.repeated(due)
            return b""


def _completed(data: bytes, expected: bytes | bytearray, port: Port, now: Callable[[], float], until: float) -> bytes:
    """``data`` and what else comes, as long as it may still become what is expected."""
    while expected.startswith(data) and len(data) < len(expected):
        more = port.read(max(0.0, until - now()))
        if not more:
            break
        data += more
    return data
