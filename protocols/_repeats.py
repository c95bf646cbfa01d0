"""Whether one answer has come twice in a row with nothing else between: then a third changes nothing (Connection.routine)."""

from protocols.events import Answered, Event, Status


class Repeats:
    """Of one question on one line, whose answer gives a Status of ``source``."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._last: bytes | None = None
        self._again = False

    def came(self, answer: bytes) -> None:
        """The question was asked and answered whole."""
        self._again = answer == self._last
        self._last = answer

    def other(self) -> None:
        """Anything else was asked, or came, or stayed away."""
        self._last, self._again = None, False

    def heed(self, events: list[Event]) -> list[Event]:
        """What one call of the connection has brought, handed back: only that status and its end are nothing else."""
        for event in events:
            if not isinstance(event, Answered) and not (isinstance(event, Status) and event.source == self._source):
                self.other()
        return events

    @property
    def same(self) -> bytes | None:
        """The answer that has come twice; None: not yet."""
        return self._last if self._again else None
