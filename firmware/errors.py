"""Errors of this package, by who is at fault.

FirmwareError
├── ReleaseRefused     what was offered may not run here: bad signature, old, not for this till, hostile archive
├── TransportError     the network or the server; trying again later may help
│   └── HttpStatusError    the server answered, and said no
├── InstallFailed      this machine: full disk, unwritable folder, handler that failed
├── StateError         our own state on disk is damaged in both copies
└── UsageError         posrelease was told something that cannot be done
"""


class FirmwareError(Exception):
    """Base of every error that leaves this package: ``code`` is stable (snake case), the text one line for a person."""

    code = "firmware_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ReleaseRefused(FirmwareError):  # noqa: N818 (it tells a decision)
    """The release is not trusted or not for this till. Nothing of it was kept."""

    code = "refused"


class TransportError(FirmwareError):
    """No answer, or not a whole one. ``retry_after_s`` is the server's wish, where it had one."""

    code = "transport"

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class HttpStatusError(TransportError):
    """The server answered with ``status`` (RFC 9110 section 15); ``said`` is its plain text, one line of it."""

    code = "http_status"

    def __init__(
        self, message: str, *, status: int, retry_after_s: float | None = None, quota: bool = False, said: str = ""
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status
        self.quota = quota
        self.said = said


class InstallFailed(FirmwareError):  # noqa: N818 (it tells an outcome)
    """This machine could not do it; the old version still runs."""

    code = "install_failed"


class StateError(FirmwareError):
    """Both copies of a state file are damaged."""

    code = "state_damaged"


class UsageError(FirmwareError):
    """posrelease: wrong order, missing signature, key in the wrong role."""

    code = "usage"


def one_line(text: object, limit: int = 200) -> str:
    """Make foreign text fit for one line of a log or a terminal: control and invisible characters become ``?``.

    What servers and files say ends up before people's eyes; escape codes and line breaks in it could forge a line.
    """
    shown = "".join(char if char.isprintable() else "?" for char in str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
