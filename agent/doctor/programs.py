"""Versions of what posagent is made of, and whether a part is missing."""

import importlib.util
import platform
import sqlite3
import ssl
import sys
from collections.abc import Iterator

from agent import __version__
from agent.doctor.finding import Finding, Outcome
from agent.doctor.machine import Machine

TOPIC = "versions"
NEEDED = ("serial", "requests", "apscheduler", "tuf", "securesystemslib", "cryptography")


def look(machine: Machine) -> Iterator[Finding]:
    """One line of versions; a missing package is a fault of the installation."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding(TOPIC, "posagent", Outcome.FAIL, "package_missing", {"names": ", ".join(missing)})
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    values = {
        "posagent": __version__,
        "python": python,
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION.partition("  ")[0],
        "system": machine.distribution() or platform.platform(terse=True),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    yield Finding(TOPIC, "posagent", Outcome.PASS, "versions", values)
