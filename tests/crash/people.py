"""Runs in which somebody stands before the till, or the centre asks: the commands, and the daemon's side of hawkBit."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Loaded once, so that no run has to.
from agent import updating
from agent.cli import follow, install, views
from agent.cli.commands import update
from agent.cli.main import main as posagent
from agent.clock import Clock
from agent.config.load import load
from agent.enrolment.duty import Enrolment
from agent.house import House
from agent.journal import Journal
from agent.lock import OwnerLock
from agent.oneupdate import updating_alone
from agent.paths import Paths
from agent.ports.serial_port import SerialPort
from agent.reporting import Reporting
from agent.sinks import base
from agent.updating import Updating
from firmware.interfaces import Limits

LOADED = (install, views, update, updating_alone)
CENTRE_PACE_S = 0.005


def hurry(limits: Limits, pace_s: float) -> None:
    """Every wait short, in this process and its forks."""
    updating.Limits = lambda **_: limits  # type: ignore[assignment,misc]
    follow.POLL_S = pace_s
    base.FIRST_S = base.LONG_S = base.LONGEST_S = pace_s


def command(job: Mapping[str, Any]) -> int:
    """``posagent`` with the job's words, no daemon running; its exit code."""
    return posagent([*job["words"], "--json", "--lang", "en", "--root", job["root"]])


def centre(job: Mapping[str, Any]) -> int:
    """The daemon's updates and its reports to hawkBit, until the deployment has ended and nothing is left to tell."""
    paths, clock = Paths(Path(job["root"])), Clock()
    config = load(paths.config)
    lock = OwnerLock(paths.lock)
    lock.take()
    journal = Journal(paths.journal, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    house = House(config, journal.append_all, clock, opener=SerialPort)
    updating_ = Updating(config, paths, clock, house.owner, journal)
    enrolment = Enrolment(config, paths, clock, clock_wrong=str, tell=lambda _: None, record=lambda *_: None)
    reporting = Reporting(config, clock, house.owner, journal, updating_, enrolment)
    house.start(own_thread=True)
    updating_.start(watch=False)
    reporting.start()
    try:
        while updating_.outcome(job["deployment"])["ended"] is None or journal.backlog("hawkbit"):
            time.sleep(CENTRE_PACE_S)
    finally:
        reporting.stop()
        updating_.stop()
        house.stop()
        journal.close()
        lock.release()
    return 0
