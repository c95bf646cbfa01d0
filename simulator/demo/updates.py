"""Scenes 4 to 6: a good update, two forged ones, a broken one."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from simulator.demo.desk import Report
from simulator.demo.releases import flip_one_bit, give_back, take_over
from simulator.demo.world import HOST, SceneError, World

UPDATE_S = 30.0
"""From a push to the end of the update, on a busy machine too."""
FINAL = ("committed", "rolled_back", "refused", "failed", "canceled")


@dataclass(frozen=True, slots=True)
class Push:
    """A release on its way: since when (monotonic seconds), and which roll-out of the centre."""

    version: str
    since: float
    action: int


def good(world: World) -> None:
    """It waits for the sale to end, then it is installed, watched and committed."""
    world.begin("update")
    signed = world.releases.make("1.1")
    card = world.set("pos-2", "reader.card", "ok")
    world.say("step", "update.sale")
    await_signed(world, signed)
    world.report("pos-2: card inserted", lambda r: r.body.get("what") == "inserted" and r.journal_at >= card)
    pushed = push(world, "1.1")
    world.say("step", "update.pushed", version="1.1")
    world.stopwatch.until(lambda: _waits_for_card(world, pushed), world.words("state.waiting"), UPDATE_S, 0.1)
    world.say("warn", "update.waits")
    if world.runs() != "1.0":
        raise SceneError(f"till-app {world.runs()} runs while the update waits")
    world.beat()
    gone = world.set("pos-2", "reader.card", "none")
    world.say("step", "update.gone")
    end = _ended(world, pushed, "committed")
    _runs(world, "1.1")
    world.say("good", "update.committed", version="1.1", time=world.words.time(end.journal_at - gone))
    world.say("good", "update.closed", status=_rollout(world, pushed, "finished"))
    world.figure("committed", end.journal_at - gone, end.center_at - gone)
    world.beat()


def forged(world: World) -> None:
    """One whose bytes were changed, and one that is signed with other keys."""
    world.begin("forged")
    changed = world.releases.make("1.2")
    thief = world.releases.found(world.releases.stolen)
    theirs = world.releases.make("9.9", repository=world.releases.stolen)
    await_signed(world, changed)
    flip_one_bit(world.releases.repository, "1.2")
    world.say("step", "forged.byte")
    _refused(world, push(world, "1.2"), "bad_hash")
    world.beat()
    await_signed(world, thief)
    await_signed(world, theirs)
    kept = world.folder / "kept"
    take_over(world.releases.repository, world.releases.stolen, kept)
    world.say("step", "forged.key")
    _refused(world, push(world, "9.9"), "bad_signature")
    give_back(world.releases.repository, kept)
    world.beat()


def broken(world: World) -> None:
    """Its own health check fails on this till."""
    world.begin("broken")
    signed = world.releases.make("1.3", good=False)
    world.say("step", "broken.what")
    await_signed(world, signed)
    pushed = push(world, "1.3")
    _stepped(world, pushed, "probation")
    world.say("step", "broken.on")
    end = _ended(world, pushed, "rolled_back")
    _runs(world, "1.1")
    time = world.words.time(end.journal_at - pushed.since)
    world.say("good", "broken.back", time=time, runs=world.runs())
    world.say("good", "update.closed", status=_rollout(world, pushed, "error"))
    world.figure("rolled_back", end.journal_at - pushed.since, end.center_at - pushed.since)
    world.beat()


# What the scenes are made of


def await_signed(world: World, work: Future[None]) -> None:
    """Wait for posrelease, which works in the background."""
    world.wait_for(world.words("wait.sign"))
    world.stopwatch.until(work.done, world.words("wait.sign"), UPDATE_S)
    work.result()


def push(world: World, version: str) -> Push:
    """Tell the centre to roll a version out, and the agent to ask the centre now."""
    world.wait_for(world.words("update.pushed", version=version))
    action = world.releases.push(version, HOST, world.desk.ready)
    since = world.stopwatch.now()
    world.agent("update", "check")
    return Push(version, since, action)


def install(world: World, version: str, state: str) -> None:
    """Push a version and see it end as it should."""
    _ended(world, push(world, version), state)
    _runs(world, version)


def _refused(world: World, pushed: Push, code: str) -> None:
    end = _ended(world, pushed, "refused")
    if end.body.get("code") != code:
        raise SceneError(f"till-app {pushed.version}: refused with {end.body.get('code')}, not {code}: {end.body.get('reason')}")
    _runs(world, "1.1")
    time = world.words.time(end.journal_at - pushed.since)
    world.say("good", "refused", time=time, code=world.words(f"code.{code}"), runs=world.runs())
    _rollout(world, pushed, "error")
    world.figure(code, end.journal_at - pushed.since, end.center_at - pushed.since)


def _ended(world: World, pushed: Push, wanted: str) -> Report:
    """The last report of a roll-out; SceneError when it ended otherwise."""
    end = _stepped(world, pushed, *FINAL)
    state = str(end.body.get("state"))
    if state != wanted:
        raise SceneError(f"till-app {pushed.version}: {state}, not {wanted}: {end.body.get('reason')}")
    return end


def _stepped(world: World, pushed: Push, *states: str) -> Report:
    """Follow a roll-out, telling its steps on the moving line, until it reaches one of ``states``."""

    def look(report: Report) -> bool:
        return report.body.get("state") in states and report in _steps(world, pushed)

    def tell() -> None:
        steps = _steps(world, pushed)
        state = str(steps[-1].body.get("state")) if steps else "received"
        shown = world.words(f"state.{state}") if world.words.has(f"state.{state}") else state
        world.stage.waiting(world.words("wait.update", version=pushed.version, state=shown))

    return world.report(f"till-app {pushed.version}: {', '.join(states)}", look, UPDATE_S, tell)


def _steps(world: World, pushed: Push) -> list[Report]:
    """What the agent has reported of a roll-out, in order."""
    return [r for r in world.desk.reports if r.kind.startswith("update.") and r.body.get("action_id") == str(pushed.action)]


def _waits_for_card(world: World, pushed: Push) -> bool:
    """Whether the update is ready and waits for the card in the reader of pos-2. SceneError when it did not wait."""
    world.cast.check()
    world.desk.refresh()
    for step in _steps(world, pushed):
        if step.body.get("state") in FINAL:
            raise SceneError(f"till-app {pushed.version}: {step.body.get('state')}: {step.body.get('reason')}")
    waits = (world.agent("update", "status")["deployment"] or {}).get("waiting_for") or ""
    return "pos-2/reader" in waits and "card" in waits


def _runs(world: World, version: str) -> None:
    if world.runs() != version:
        raise SceneError(f"till-app {world.runs()} runs, not {version}")


def _rollout(world: World, pushed: Push, wanted: str) -> str:
    """The centre's own word for how the roll-out ended."""

    def look() -> str | None:
        status = str(world.desk.actions()[pushed.action]["status"])
        return status if status == wanted else None

    return world.stopwatch.until(look, f"till-app {pushed.version}: {wanted}", UPDATE_S)
