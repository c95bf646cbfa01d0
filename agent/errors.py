"""Errors of the agent, by what the person at the till can do about them.

AgentError                      exit 4
├── UsageError                  exit 2   the command was typed wrongly
├── ConfigError                 exit 2   agent.toml is wrong
├── NotAvailable                exit 3   not now: no daemon, a port that is busy, a centre that is away
│   ├── PortError                        a serial port that is missing, held, forbidden or gone
│   └── CenterError                      the centre answered nothing that can be used
└── JournalError                exit 4   the record could not be kept
    ├── JournalFull                      dropped at the bound of the queue, or its disk is full
    └── JournalTimeout                   not durable yet; it is still queued and may become so

Protocol errors (`protocols.errors`) and firmware errors (`firmware.errors`) keep their own trees.
"""


class AgentError(Exception):
    """Base of every error that leaves this package.

    ``code`` is stable (snake case); the text is one line for a person; ``remedy`` says what to do, where we know it.
    """

    code = "internal"
    exit_code = 4

    def __init__(self, message: str, *, code: str | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        if code is not None:
            self.code = code


class UsageError(AgentError):
    """The command was typed wrongly."""

    code = "usage"
    exit_code = 2


class ConfigError(AgentError):
    """The configuration is wrong; the text names file, line and key."""

    code = "config"
    exit_code = 2


class NotAvailable(AgentError):  # noqa: N818  (a state more than a mistake; the name is what status prints)
    """Not available or unknown now; later may be different."""

    code = "not_available"
    exit_code = 3


class PortError(NotAvailable):
    """A serial port that is missing, held by somebody, forbidden, or that went away."""

    code = "port"


class CenterError(NotAvailable):
    """The service centre answered nothing that can be used."""

    code = "center"


class JournalError(AgentError):
    """The record could not be kept."""

    code = "journal"


class JournalFull(JournalError):  # noqa: N818  (said of the journal, like the two above)
    """The record was dropped at the bound of the queue: it will never be stored."""

    code = "journal_full"


class JournalTimeout(JournalError):  # noqa: N818
    """Not durable within the time given. It is still queued and may become durable later."""

    code = "journal_timeout"
