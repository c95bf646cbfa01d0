"""Counts of real devices under the real daemon: told, kept, reported, never less after a kill, anew for another device."""

import signal
from typing import Any

import pytest

from tests.system.harness import Host, center_table, host_table, till_of, till_table, wait_for, well

pytestmark = pytest.mark.slow


def statistics(document: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = till_of(document)["devices"]["printer"]["statistics"]
    return found


def reported(service_center: Any) -> dict[str, int]:
    """What the centre was told last of the printer."""
    points = service_center.intake.records()["metrics"].get("pos-1", [])
    return {
        point["attributes"]["upos.statistic"]: int(point["value"])
        for point in points
        if point["name"] == "posagent.device.statistic" and point["attributes"]["hw.id"] == "pos-1/printer"
    }


def test_no_count_falls_by_a_kill_and_another_printer_starts_anew(host: Host, terminal: Any, service_center: Any) -> None:
    host.configure(host_table() + center_table(service_center, heartbeat_s=1) + till_table("pos-1", terminal.dir))
    host.start()
    host.until(well("pos-1"), 30)
    for _ in range(3):
        terminal.set("printer.cover", "open")
        host.until(lambda d: till_of(d)["can_take_money"] == "no", 10)
        terminal.set("printer.cover", "closed")
        host.until(lambda d: till_of(d)["can_take_money"] == "yes", 10)
    host.until(lambda d: "PaperCutCount" in statistics(d), 30)
    assert statistics(host.ask("status"))["ReceiptCoverOpenCount"] == 3
    assert "PaperCutCount" in till_of(host.ask("status"))["devices"]["printer"]["counted_by_device"]
    wait_for(lambda: bool(reported(service_center)), 30)
    told = reported(service_center)
    host.stop(signal.SIGKILL)
    host.start()
    host.until(well("pos-1"), 30)
    host.until(lambda d: "PaperCutCount" in statistics(d), 30)
    after = statistics(host.ask("status"))
    assert {name: count for name, count in told.items() if after.get(name, -1) < count} == {}, "what was told stands"

    terminal.set("printer.cover", "open")
    host.until(lambda d: till_of(d)["can_take_money"] == "no", 10)
    terminal.set("printer.cover", "closed")
    host.until(well("pos-1"), 10)
    before = statistics(host.ask("status"))["ReceiptCoverOpenCount"]
    host.stop()
    host.start()
    host.until(well("pos-1"), 30)
    assert statistics(host.ask("status"))["ReceiptCoverOpenCount"] == before, "a stop in order loses nothing"

    terminal.set("printer.plugged", "no")
    host.until(lambda d: till_of(d)["can_take_money"] == "no", 10)
    terminal.set("printer.serial", "OTHER-77")
    terminal.set("printer.plugged", "yes")
    host.until(lambda d: till_of(d)["devices"]["printer"]["identity"].get("serial") == "OTHER-77", 30)
    host.until(lambda d: statistics(d)["ReceiptCoverOpenCount"] == 0, 10)
