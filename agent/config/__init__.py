"""The typed configuration of one host: ``load(path)`` gives a :class:`Config` or every mistake at once."""

from agent.config.load import check_surroundings, load
from agent.config.mistakes import ConfigError, Mistake
from agent.config.model import Center, Component, Config, Device, Enrolment, Host, Money, Terminal, Update

__all__ = [
    "Center",
    "Component",
    "Config",
    "ConfigError",
    "Device",
    "Enrolment",
    "Host",
    "Mistake",
    "Money",
    "Terminal",
    "Update",
    "check_surroundings",
    "load",
]
