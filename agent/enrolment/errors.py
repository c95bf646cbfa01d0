"""Why an enrolment goes no further, as two exceptions with stable codes."""

from agent.errors import AgentError, NotAvailable


class EnrolmentRefused(AgentError):  # noqa: N818 (it tells a decision)
    """The centre, or what it sent, or our own rules say no. Exit code 1; 2 where what was typed or written is wrong."""

    code = "enrolment_refused"
    exit_code = 1


class NotYet(NotAvailable):
    """It may go on by itself: clock_wrong, waiting_approval, no_request. ``retry_after_s`` is the centre's wish."""

    code = "not_yet"

    def __init__(self, message: str, *, code: str, remedy: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.retry_after_s = retry_after_s
