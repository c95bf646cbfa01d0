"""``posagent discover``: which ports are there, and what answers on them."""

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from agent.cli.context import Context
from agent.cli.views.discover import discover
from agent.clock import Clock
from agent.config.load import load
from agent.config.mistakes import ConfigError
from agent.config.model import Config
from agent.control import ask_owner
from agent.discover.report import document
from agent.discover.sign import Level, Sign
from agent.discover.survey import Surroundings, survey
from agent.doctor.machine import Machine
from agent.errors import AgentError, NotAvailable
from agent.memory import Memory
from agent.ports.serial_port import SerialPort

STATUS_LIMIT_S = 10.0
EXIT = {"ok": 0, "fault": 1, "unknown": 3}


def run(context: Context, arguments: Namespace) -> int:
    """0 nothing stands against it, 1 a fault on a line, 3 a port that is busy or a named device that does not answer."""
    config, unread = _config(context)
    around = Surroundings(
        Machine(),
        SerialPort,
        Clock().mono,
        config,
        _status(context),
        Memory(context.paths.statistics).load(heal=False),
    )
    named = [path if "://" in path else os.path.abspath(path) for path in arguments.port or ()]  # noqa: PTH100  (links are names)
    ports, machine = survey(named, around)
    found = document(ports, [*machine, *unread], context.text.lang, _new_till(config))
    context.answer(found, lambda: discover(found, context.text, context.style))
    return EXIT[found["result"]]


def _config(context: Context) -> tuple[Config | None, list[Sign]]:
    if not context.config_path.exists():
        return None, []
    try:
        return load(context.config_path), []
    except (AgentError, ConfigError) as error:
        return None, [Sign("config_unread", Level.WARNING, {"why": str(error)})]


def _status(context: Context) -> Mapping[str, Any] | None:
    """What the daemon knows; None where none runs. One that does not answer still has its ports locked: they show as held."""
    try:
        return ask_owner(context.paths.socket, {"do": "status"}, STATUS_LIMIT_S)
    except NotAvailable:
        return None


def _new_till(config: Config | None) -> str:
    """An id for a till that stands in no configuration yet: the host's, or the next that is free."""
    if config is None:
        return "pos-1"
    taken = {terminal.id for terminal in config.terminals}
    names = [config.host.id, *(f"{config.host.id}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
