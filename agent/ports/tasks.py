"""What somebody waits for on one line: everything asked anew, a test slip printed. Each ends in exactly one observation."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.observations import Observation, Refreshed, SlipDone

BY_RECEIPT = "GS ( H"
"""The printer has answered a marker behind the slip: the only word that it was printed (devices.md 1.4)."""
BY_QUEUE = "GS r"
"""The printer has answered a question that waits its turn behind the slip: it has taken and worked off all of it."""
CANNOT_TELL = "the printer cannot tell"


@dataclass(frozen=True, slots=True)
class _Slip:
    token: str
    marker: str
    deadline: float
    by: str
    """what it waits for: BY_RECEIPT or BY_QUEUE"""


class Tasks:
    """At most one refresh and one slip at a time; ``tell`` takes their ends."""

    def __init__(self, tell: Callable[[Observation], None]) -> None:
        self._tell = tell
        self._refresh: str | None = None
        self._running = False
        self._slip: _Slip | None = None

    # -- refresh ---------------------------------------------------------------------------------------------------

    @property
    def refresh_wanted(self) -> bool:
        """One is wanted or under way."""
        return self._refresh is not None

    @property
    def refresh_running(self) -> bool:
        """Its questions have been asked."""
        return self._running

    def want_refresh(self, token: str) -> None:
        """A second one replaces the first, which ends as not answered."""
        if self._refresh is not None:
            self._tell(Refreshed(self._refresh, answered=False))
        self._refresh = token

    def refresh_begun(self) -> None:
        """Its questions are asked now."""
        self._running = True

    def end_refresh(self, *, answered: bool) -> None:
        """Tell the end, if somebody waits."""
        if self._refresh is not None:
            self._tell(Refreshed(self._refresh, answered=answered))
        self._refresh = None
        self._running = False

    # -- slip ------------------------------------------------------------------------------------------------------

    @property
    def slip_due(self) -> float | None:
        """When a slip that was not confirmed counts as unknown."""
        return self._slip.deadline if self._slip is not None else None

    def slip_begun(self, token: str, marker: str, deadline: float, by: str = BY_RECEIPT) -> None:
        """A slip is on its way; ``marker``, or with BY_QUEUE the next answer in its turn, will tell that it was printed."""
        self._slip = _Slip(token, marker, deadline, by)
        if by == CANNOT_TELL:
            self._end_slip(printed=None, how=by)

    def refuse_slip(self, token: str) -> None:
        """There can be none now."""
        self._tell(SlipDone(token, printed=None, how="not ready"))

    def printed(self, marker: str) -> None:
        """The printer answered a marker; of another slip it says nothing."""
        if self._slip is not None and self._slip.marker == marker:
            self._end_slip(printed=True, how=BY_RECEIPT)

    def drained(self) -> None:
        """What was asked behind the slip has been answered."""
        if self._slip is not None and self._slip.by == BY_QUEUE:
            self._end_slip(printed=True, how=BY_QUEUE)

    def settle(self, now: float) -> None:
        """Give up on a slip that was not confirmed in time."""
        if self._slip is not None and self._slip.deadline <= now:
            self._end_slip(printed=None, how=f"no answer to {self._slip.by}")

    def fail(self) -> None:
        """The line is lost, and with it all that was under way."""
        self.end_refresh(answered=False)
        self._end_slip(printed=None, how="line lost")

    def _end_slip(self, *, printed: bool | None, how: str) -> None:
        slip, self._slip = self._slip, None
        if slip is not None:
            self._tell(SlipDone(slip.token, printed=printed, how=how))
