"""The machine itself: clock and disk."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent import hostchecks
from agent.clock import Clock
from agent.doctor.finding import Finding, Outcome
from agent.doctor.machine import Machine
from agent.hostwatch import clock_wrong
from agent.paths import Paths

_OUTCOMES = {"pass": Outcome.PASS, "fail": Outcome.FAIL, "skip": Outcome.SKIP, "unknown": Outcome.UNKNOWN}


def clock(paths: Paths, clock_: Clock, machine: Machine) -> Iterator[Finding]:
    """Whether the wall clock can be right, and whether anybody sets it."""
    yield _told("clock", "", hostchecks.clock_sanity(clock_, wrong=clock_wrong(paths, clock_)))
    if (machine.root / "run/systemd/timesync/synchronized").exists():
        yield Finding("clock", "", Outcome.PASS, "clock_synchronised")
    elif not machine.running("systemd-timesyn", "chronyd", "ntpd", "ntpsec", "openntpd"):
        yield Finding("clock", "", Outcome.WARN, "clock_unset")


def disk(paths: Paths, clock_: Clock) -> Iterator[Finding]:
    """Room where the state lies, or would lie."""
    folder: Path = paths.state
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = {"free": str(_free_mib(folder)), "least": str(hostchecks.DISK_LEAST_BYTES >> 20), "folder": str(folder)}
    yield _told("disk", str(folder), hostchecks.disk(folder, clock_.mono), free)


def _free_mib(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free >> 20
    except OSError:
        return 0


def _told(topic: str, subject: str, check: hostchecks.Check, values: Mapping[str, str] | None = None) -> Finding:
    more = {"detail": check.detail, **(values or {})}
    return Finding(topic, subject, _OUTCOMES[check.outcome], f"{topic}_{check.text}", more)
