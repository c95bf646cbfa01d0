"""The one queue in front of the owner of the state: what threads hand over, in order, with a bound."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

MAX_WAITING = 2048
"""At the bound a sender waits for room: a port that floods is slowed, and slows nobody else."""
ROOM_S = 0.02

T = TypeVar("T")
Work = Callable[[], None]


class Inbox:
    """Calls for the owner's thread. SimpleQueue: putting into it never waits for a lock that somebody may hold."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._closed = threading.Event()

    def post(self, work: Work) -> None:
        """Have ``work`` done; waits for room at the bound; drops it once the owner has stopped."""
        while self._queue.qsize() >= MAX_WAITING and not self._closed.wait(ROOM_S):
            pass
        if not self._closed.is_set():
            self._queue.put(work)

    def ask(self, work: Callable[[], T]) -> "Future[T]":
        """Have ``work`` done and its result, or its exception, brought back."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001  (it belongs to the one who asked, whatever it is)
                answer.set_exception(error)

        self.post(run)
        return answer

    def take(self, wait_s: float | None) -> Work | None:
        """The next call, or None after ``wait_s`` or when ``nudge`` came. For the owner's thread alone."""
        try:
            return self._queue.get(timeout=wait_s)
        except queue.Empty:
            return None

    def nudge(self) -> None:
        """Wake the owner; from any thread."""
        self._queue.put(None)

    def close(self) -> None:
        """Nothing is taken any more; senders that wait for room go on."""
        self._closed.set()
