"""Scenes 7 and 8: the centre goes away and comes back, and the count of what it got."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.demo.desk import NoAnswerError
from simulator.demo.stopwatch import Figure
from simulator.demo.world import SceneError, World, known_fault

DOWN_S = 4.0
CAUGHT_S = 20.0
"""After an outage this short the agent asks again within seconds; it waits longer after a longer one."""
ALL = 10_000


def centre_away(world: World) -> None:
    """A fault happens meanwhile; it is found at once and told later."""
    world.begin("outage")
    world.desk.refresh()
    known = {report.id for report in world.desk.reports}
    world.desk.go_down(DOWN_S)
    world.stopwatch.until(lambda: not world.desk.answers(), "the centre to go", DOWN_S)
    down = world.stopwatch.now()
    world.say("warn", "outage.down")
    fault_id = "printer.cover_open"
    since = world.set("pos-2", "printer.cover", "open")
    fault = world.stopwatch.until(lambda: known_fault(world.status(), "pos-2", fault_id), fault_id, DOWN_S)
    found = _written(world, "fault.raised", fault_id, since) - since
    world.say("good", "outage.fault", title=fault["title"], fault=fault_id, journal=world.words.time(found))
    world.set("pos-2", "printer.cover", "closed")
    status = world.stopwatch.until(lambda: _alone(world, fault_id), "posagent status: centre not reachable", DOWN_S)
    world.say("good", "outage.cleared")
    world.say("good", "outage.backlog", count=status["host"]["center"]["backlog"])
    world.wait_for(world.words("wait.center"))
    world.stopwatch.until(world.desk.answers, world.words("wait.center"), DOWN_S + 5)
    back = world.stopwatch.now()
    world.say("step", "outage.back", time=world.words.time(back - down))
    world.wait_for(world.words("wait.records"))
    world.stopwatch.until(lambda: _equal(world), world.words("wait.records"), CAUGHT_S, 0.1)
    late = [report for report in world.desk.reports if report.id not in known]
    seen = next((r for r in late if r.kind == "fault.raised" and r.body.get("id") == fault_id), None)
    if seen is None or not seen.journal_at < back <= seen.center_at:
        raise SceneError(f"{fault_id} was not found while the centre was away")
    caught = max(report.center_at for report in late) - back
    world.say("good", "outage.caught", count=len(late), time=world.words.time(caught))
    away = world.words.time(back - down)
    world.figure("cover", seen.journal_at - since, seen.center_at - since, time=away)
    world.figure("caught", float("nan"), caught)
    world.beat()


def proof(world: World) -> None:
    """The journal and the centre hold the same records; the chain is whole; the centre knows its head."""
    world.begin("proof")
    world.wait_for(world.words("wait.records"))
    records = world.stopwatch.until(lambda: _equal(world), world.words("wait.records"), CAUGHT_S, 0.1)
    twice, complaints = sum(world.desk.totals["duplicates"].values()), world.desk.totals["complaints"]
    missing = len({record["id"] for record in records} - {report.id for report in world.desk.reports})
    if twice or missing or complaints:
        raise SceneError(f"missing {missing}, twice {twice}; the centre complains: {complaints}")
    lost = {"missing": missing, "twice": twice}
    world.say("good", "proof.equal", journal=len(records), center=len(world.desk.reports), **lost)
    verified = world.agent("journal", "verify")
    heads = {record["seq"]: record["hash"] for record in records}
    (head,) = world.desk.totals["heads"].values()
    if not verified["ok"] or heads.get(head["seq"]) != head["hash"] or head["seq"] != records[-1]["seq"]:
        raise SceneError(f"the chain does not hold: {verified['problems']}; the centre's head is {head}")
    world.say("good", "proof.chain", hash=head["hash"][:12])
    words = world.words
    world.figures.append(Figure(words("figure.records", **lost), (str(len(records)), str(len(world.desk.reports)))))
    world.figures.append(Figure(words("figure.daemon"), _daemon(world)))


def _written(world: World, kind: str, fault_id: str, since: float) -> float:
    """When the journal wrote a fault down; the centre cannot be asked now."""
    records = world.agent("journal", "show", "--limit", str(ALL))["records"]
    for record in records:
        if record["kind"] == kind and record["body"].get("id") == fault_id and record["mono"] >= since:
            return float(record["mono"])
    raise SceneError(f"{fault_id} is in the status and not in the journal")


def _alone(world: World, fault_id: str) -> Mapping[str, Any] | None:
    """The status, once the fault is gone and the agent knows that nobody listens."""
    status = world.status()
    gone = known_fault(status, "pos-2", fault_id) is None
    return status if gone and status["host"]["center"]["reachable"] is False else None


def _equal(world: World) -> list[Any] | None:
    """The journal's records when the centre has exactly these in this order; SceneError when it never can."""
    try:
        world.desk.refresh()
    except NoAnswerError:
        return None
    records = world.agent("journal", "show", "--limit", str(ALL))["records"]
    written = [(record["seq"], record["id"], record["mono"]) for record in records]
    received = [(report.seq, report.id, report.journal_at) for report in world.desk.reports]
    if [seq for seq, *_ in written] != list(range(1, len(written) + 1)):
        raise SceneError("the journal's own numbers have a gap")
    if received != written[: len(received)] and len(received) <= len(written):
        raise SceneError("the centre has other records than the journal, or in another order")
    return records if received == written else None


def _daemon(world: World) -> tuple[str, str]:
    """Resident memory and processor time of the agent's process, as the kernel counts them (proc(5))."""
    process = Path(f"/proc/{world.cast.running['agent'].process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return f"{int(status['VmRSS'].split()[0]) / 1024:.1f} MiB", f"{used_s:.2f} s"
