"""What holds for every program of ours, the daemon and each command: no core file, and no traceback that was not swept."""

import logging
import threading

from agent.nocore import leave_no_core
from agent.redact import CardDataFilter

log = logging.getLogger(__name__)


def confine() -> None:
    """Of the whole process; once, at its beginning."""
    leave_no_core()
    # Without a handler logging writes warnings to stderr by itself: a command sets none up, and our threads log what went wrong.
    if logging.lastResort is not None:
        logging.lastResort.addFilter(CardDataFilter())
    threading.excepthook = _thread_failed


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and not isinstance(failure.exc_value, SystemExit):  # which ends a thread quietly
        name = failure.thread.name if failure.thread is not None else "?"
        log.error("thread %s", name, exc_info=failure.exc_value)
