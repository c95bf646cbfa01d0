"""``posagent run``: the daemon."""

import logging
import os
import sys
from typing import Any

from agent.cli.context import Context
from agent.clock import Clock
from agent.config.load import load
from agent.errors import UsageError
from agent.nocore import leave_no_core
from agent.ports.serial_port import SerialPort
from agent.redact import CardDataFilter

LEVELS = ("debug", "info", "warning")
LIBRARIES = ("apscheduler", "urllib3", "requests", "tuf")


def run(context: Context, arguments: Any) -> int:
    """Until SIGTERM."""
    del arguments
    set_up_log(os.environ.get("POSAGENT_LOG", "info"))
    config = load(context.config_path)
    from agent.house import check_supported
    from agent.supervisor import Daemon

    check_supported(config)
    _shut_in()
    Daemon(config, context.paths, Clock(), SerialPort).run()
    return 0


def _shut_in() -> None:
    """What the daemon makes is for its group at most, and there is no core. The unit says so too; by hand there is no unit."""
    os.umask(0o027)
    leave_no_core()


def set_up_log(level: str) -> None:
    """Lines to stderr, swept for card data; the time is the service manager's business."""
    if level not in LEVELS:
        raise UsageError(f"$POSAGENT_LOG is {level!r}", remedy=f"choose one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(CardDataFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
