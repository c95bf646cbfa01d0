"""The questions on one line: a connection, what has been asked on it, and what is known of the device's family."""

from collections.abc import Callable, Iterable

from protocols.connection import Connection
from protocols.events import Answered, Refused, Unanswered
from protocols.profiles import Profile


class Asking:
    """One connection after the other; ``new`` makes one. A question that is out is not asked again."""

    def __init__(self, new: Callable[[], Connection]) -> None:
        self._new = new
        self._pending: set[str] = set()
        self.connection = new()

    def begin(self) -> None:
        """A new line, or a new speed of it: nothing is carried over."""
        self.connection = self._new()
        self._pending.clear()

    def adapt(self, profile: Profile | None) -> None:
        """What the device's bits mean from now on; None: nothing is known."""
        if profile is not None:
            self.connection.adapt(profile)

    def ask(self, queries: Iterable[str], now: float) -> None:
        """Ask what is not asked already: a device that floods us with notices must not fill the queue."""
        for query in queries:
            if query not in self._pending:
                self._pending.add(query)
                self.connection.ask(query, now)

    def ended(self, event: Answered | Unanswered | Refused) -> None:
        """One question is through."""
        self._pending.discard(event.query)

    @property
    def pending(self) -> set[str]:
        """The names of the questions that are out."""
        return set(self._pending)

    @property
    def idle(self) -> bool:
        """Nothing is on the wire and nothing waits."""
        return self.connection.idle
