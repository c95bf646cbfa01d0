"""When a reader's own faults are there, from what is known of it. Pure functions; the table is in rules.py."""

from agent.health.facts import Evidence, Facts
from agent.health.readerfacts import LOST_TIME_S, drift_s

DRIFT_S = 180.0
"""Two minutes (devices.md C22), and one for a clock that shows no seconds."""
LOW_MV = 2500
"""A lithium coin cell of 3 V is spent below this (its makers' curves); the reader's keys go with it."""


def no_keys(facts: Facts) -> Evidence | None:
    """C20: the reader holds no key, or says that its secure unit does not work."""
    found = {name: facts.readings.value(name) for name in ("keys", "secure_unit")}
    bad = {name: value for name, value in found.items() if value in ("missing", "down")}
    return {name: str(value) for name, value in bad.items()} or None


def in_boot_loader(facts: Facts) -> Evidence | None:
    """C26: it answers, but its application does not run."""
    if facts.readings.value("boot_loader") == "yes":
        return {"boot_loader": "yes"}
    return {"mode": "boot_loader"} if facts.readings.value("mode") == "boot_loader" else None


def restarting(facts: Facts) -> Evidence | None:
    """C21: away at a time at which it restarts each day, and not for too long."""
    restarts = facts.reader.restarts
    return {"link": facts.link.value, "expected": restarts.expected} if restarts.under_way(facts.now) else None


def clock_off(facts: Facts) -> Evidence | None:
    """C22: off by more than two minutes, whole half hours apart."""
    off = facts.reader.clock_off_s
    if off is None or _lost_its_time(off) or abs(drift_s(off)) <= DRIFT_S:
        return None
    return {"off_s": f"{drift_s(off):.0f}", "clock": facts.reader.clock_shows}


def battery_low(facts: Facts) -> Evidence | None:
    """C23: the cell's voltage, or a clock that has begun anew."""
    level = facts.readings.value("coin_battery_mv")
    if level is not None and int(level) < LOW_MV:
        return {"coin_battery_mv": level}
    off = facts.reader.clock_off_s
    return {"clock": facts.reader.clock_shows} if off is not None and _lost_its_time(off) else None


def other_firmware(facts: Facts) -> Evidence | None:
    """C25: not the version that the site wants."""
    found, wanted = facts.reader.firmware, facts.reader.wanted_firmware
    return {"firmware": found, "wanted": wanted} if found and wanted and found != wanted else None


def _lost_its_time(off_s: float) -> bool:
    return off_s < -LOST_TIME_S
