"""What will be, beside what is: ``needs_cleaning`` and ``predicted_failure`` (hw.state of OpenTelemetry), before the failure."""

from agent.health.device import DeviceHealth

OF_FAULTS = {
    "printer.print_faded": "needs_cleaning",
    "reader.contacts_dirty": "needs_cleaning",
    "printer.cutter_weak": "predicted_failure",
    "reader.battery_low": "predicted_failure",
}
"""Faults that say so by themselves; the rest is counted (agent/health/wear.py)."""


def conditions(health: DeviceHealth) -> tuple[str, ...]:
    """Those that hold for the device now, sorted."""
    of_faults = {OF_FAULTS[f.id] for f in health.faults() if not f.stale and f.id in OF_FAULTS}
    of_parts = {part.state for part in health.wear_parts()} - {"ok"}
    return tuple(sorted(of_faults | of_parts))
