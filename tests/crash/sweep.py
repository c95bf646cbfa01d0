"""The sweeps: one point after the other, each with its proof, each judged."""

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from tests.crash import enroljudge, enrolling, judge
from tests.crash.powercut import WAYS, Disk, found_in, rebuild
from tests.crash.scenarios import Scenario
from tests.crash.shim import FOREVER, Seen, read_trace
from tests.crash.stage import DRIVERS, Place, Stage

KILLED = -9
KILLS = ("before", "after", "half")
MOMENT = 2
"""Operations that fail for want of space when it comes back at once: a part of the first, and the whole of the next."""
TRIES = 5
COMMANDS = ("install", "hold", "release", "enrol-typed")
OWN_ERRORS = (0, 1, 3, 4)
"""What a command may answer on a full disk (architecture.md, exit codes)."""
PATIENCE_S = 0.5
"""How long a run goes on against a disk that stays full before it is started anew."""


@dataclass
class Outcome:
    """Of one sweep: points that were meant, that proved their blow, whose blow never came (another order of threads), and
    findings."""

    name: str
    meant: int = 0
    points: int = 0
    beyond: int = 0
    same: int = 0
    findings: list[str] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)

    def add(self, ended: str) -> None:
        self.points += 1
        self.ends[ended] = self.ends.get(ended, 0) + 1


@dataclass(frozen=True)
class Calm:
    """The scenario when nobody disturbs it: what was counted, and how much the state folder holds at the end."""

    seen: Seen
    floors: dict[str, int]
    extent: judge.Extent


def calm(stage: Stage, scenario: Scenario) -> Calm:
    """The same for all sweeps of one scenario on this stage."""
    if scenario.name not in stage.calm:
        stage.calm[scenario.name] = _run_calmly(stage, scenario)
    found: Calm = stage.calm[scenario.name]
    return found


def _run_calmly(stage: Stage, scenario: Scenario) -> Calm:
    """Run it once, counting, and hold the end against the same rules as every point."""
    place = _begun(stage, scenario)
    floors, control = judge.floors(place), place.control("count")
    done = place.strike(scenario, control)
    seen = control.seen()
    assert done["code"] in _calm_codes(scenario), place.said()
    assert not seen.unsupported, seen.what
    rules = _rules(scenario)
    rules.recover(place, scenario)
    extent = judge.Extent.of(place)
    rules.after_recovery(place, scenario, floors, extent, exact=True)
    place.remove()
    return Calm(seen, floors, extent)


def _begun(stage: Stage, scenario: Scenario) -> Place:
    place = stage.fresh(scenario.template)
    place.set_up(scenario)
    return place


def _calm_codes(scenario: Scenario) -> tuple[int, ...]:
    """How a run that nobody disturbs may end: a command says 1 where the update came to nothing."""
    if scenario.name in ("enrol-once", "enrol-typed"):  # and where the token was used already
        return (0, 1)
    return (0, 1) if scenario.by == "install" and scenario.ends != "committed" else (0,)


@dataclass(frozen=True)
class Rules:
    """What is looked at right after a blow, how everything is started again, and what must be true then."""

    after_blow: Callable[[Place, Scenario, dict[str, int]], dict[str, int]]
    recover: Callable[[Place, Scenario], None]
    after_recovery: Callable[..., str]


def _rules(scenario: Scenario) -> Rules:
    if scenario.enrols:
        return Rules(enroljudge.after_blow, enroljudge.recover, enroljudge.after_recovery)
    return Rules(judge.after_blow, _recover, judge.after_recovery)


def _recover(place: Place, scenario: Scenario) -> None:
    """Start again with what the scenario asks for, take one more update, and start once more for nothing."""
    if (done := place.resume(scenario))["code"] not in _calm_codes(scenario):
        raise judge.BrokenError(f"started again, it ended with {done['code']}: {place.said()}")
    if not scenario.asks:
        _release(place, scenario)
    if (done := place.deploy(scenario.after(), scenario))["code"]:
        raise judge.BrokenError(f"the next update ended with {done['code']}: {place.said()}")
    calm = judge.durable(place)
    if (done := place.deploy(scenario.after(), scenario))["code"] or judge.durable(place) != calm:
        raise judge.BrokenError(f"one more start changed something: {done['code']} {place.said()}")


def _release(place: Place, scenario: Scenario) -> None:
    """Whatever was done to a hold can be done again, and undone."""
    held = bool(judge.stored(place, "hold.json").get("until"))
    if held is not (scenario.by == "hold"):
        raise judge.BrokenError(f"after `{scenario.by}` updates are {'held' if held else 'not held'}")
    if place.command("update", "release")["code"] or judge.stored(place, "hold.json").get("until"):
        raise judge.BrokenError(f"updates cannot be released: {place.said()}")


def kills(stage: Stage, scenario: Scenario, mode: str, step: int = 1, first: int = 1) -> Outcome:
    """Kill at every ``step``-th operation from ``first`` on, until a run ends that never comes to its operation."""
    reference = calm(stage, scenario)

    def point(number: int) -> str | None:
        for _ in range(TRIES):
            place = _begun(stage, scenario)
            control = place.control(mode, target=number)
            done = place.strike(scenario, control)
            seen = control.seen()
            if done["code"] == KILLED and seen.fired:
                _prove(seen, mode, number)
                return _judged(place, scenario, reference, f"{mode} {number} ({seen.what})", exact=True)
            _untouched(done, seen, place, scenario)
            place.remove()
        return None

    expected = reference.seen.halves if mode == "half" else reference.seen.operations
    return _sweep(f"{scenario.name} {mode}", point, expected, step, first)


def full_disk(stage: Stage, scenario: Scenario, span: int, step: int = 1, first: int = 1) -> Outcome:
    """No space at the n-th operation that needs some: for a moment, or until the next start (``span`` FOREVER)."""
    reference = calm(stage, scenario)

    def point(number: int) -> str | None:
        for _ in range(TRIES):
            place = _begun(stage, scenario)
            control = place.control("nospace", target=number, span=span)
            more = {"patience_s": PATIENCE_S} if span == FOREVER else {}
            done = place.strike(scenario, control, **more)
            seen = control.seen()
            if seen.refused:
                if done["code"] not in (OWN_ERRORS if scenario.by in COMMANDS else (0, 70)):
                    raise judge.BrokenError(f"ended with {done['code']}: {place.said()}")
                return _judged(place, scenario, reference, f"no space {number}", exact=False)
            _untouched(done, seen, place, scenario)
            place.remove()
        return None

    word = "for good" if span == FOREVER else "a moment"
    return _sweep(f"{scenario.name} full disk, {word}", point, reference.seen.growing, step, first)


def power_cuts(stage: Stage, scenario: Scenario, step: int = 1, first: int = 1) -> Outcome:
    """After every operation, in every way that a power cut may leave it; a folder that was met already is the same point."""
    reference = calm(stage, scenario)
    place = _begun(stage, scenario)
    disk, trace = Disk(place.root), place.folder / "trace"
    control = place.control("trace", trace=trace)
    if place.token:
        stage.centre.watch(place.token, control)
    done = place.strike(scenario, control)
    assert done["code"] in _calm_codes(scenario), place.said()
    outcome = Outcome(f"{scenario.name} power cut")
    known: set[int] = set()

    def states() -> Iterator[tuple[str, int, dict[str, tuple[str, int, bytes]]]]:
        number = 0
        for op in read_trace(trace):
            disk.apply(op)
            for way in WAYS:
                number += 1
                if (number - first) % step:
                    continue
                files = disk.files(way)
                used = bool(place.token) and op.number >= stage.centre.uses[place.token]
                fingerprint = hash((used, *files.items()))
                if fingerprint in known:
                    outcome.same += 1
                    continue
                known.add(fingerprint)
                yield f"cut after {op.number} ({op.kind} {op.path.removeprefix(str(place.root))}), {way}", op.number, files

    def point(state: tuple[str, int, dict[str, tuple[str, int, bytes]]]) -> str | None:
        name, number, files = state
        fresh = stage.fresh(None)
        shutil.rmtree(fresh.root)
        rebuild(files.items(), fresh.root)
        if scenario.enrols:
            enrolling.cut(place, fresh, number)
        else:
            fresh.set_up(scenario)  # a centre that knows nothing of what this till had told already
            fresh.told = fresh.center is not None and judge.told(fresh, scenario)
        return _judged(fresh, scenario, reference, name, exact=True)

    chosen = list(states())
    outcome.meant = len(chosen)
    _fits(disk, place)
    _collect(outcome, point, chosen)
    place.remove()
    return outcome


def _fits(disk: Disk, place: Place) -> None:
    """The model, having followed the whole trace, holds what the folder holds: nothing was missed."""
    modelled, real = disk.files("live"), found_in(place.root)
    wrong = [name for name in modelled.keys() | real.keys() if modelled.get(name) != real.get(name)]
    assert not wrong, f"the trace is not complete: {wrong}"


def _prove(seen: Seen, mode: str, number: int) -> None:
    reached = seen.halves if mode == "half" else seen.operations
    assert reached == number, (seen, mode, number)
    assert not seen.unsupported, seen.what


def _untouched(done: dict[str, int], seen: Seen, place: Place, scenario: Scenario) -> None:
    """A run whose number never came has to have ended well."""
    if done["code"] not in _calm_codes(scenario) or seen.unsupported:
        raise judge.BrokenError(f"undisturbed, but ended with {done['code']} {seen.what}: {place.said()}")


def _judged(place: Place, scenario: Scenario, reference: Calm, name: str, *, exact: bool) -> str:
    rules = _rules(scenario)
    try:
        floors = rules.after_blow(place, scenario, reference.floors)
        rules.recover(place, scenario)
        end = rules.after_recovery(place, scenario, floors, reference.extent, exact=exact)
    except Exception as error:
        raise judge.BrokenError(f"{scenario.name}, {name}: {error!r}") from error
    place.remove()
    return end


def _sweep(name: str, point: Callable[[int], str | None], expected: int, step: int, first: int) -> Outcome:
    outcome = Outcome(name)
    chosen = range(_within(first, expected), expected + 1, step)
    outcome.meant = len(chosen)
    _collect(outcome, point, chosen)
    if step == 1:
        for number in count(expected + 1):
            before = outcome.points
            _collect(outcome, point, [number])
            if outcome.points == before:
                break
    return outcome


def _within(first: int, expected: int) -> int:
    """A bounded sweep has one point at least, also where there are fewer than its step."""
    return first if first <= expected else 1 + (first - 1) % max(1, expected)


def _collect(outcome: Outcome, point: Callable[..., str | None], chosen: Iterable[object]) -> None:
    def guarded(one: object) -> str | Exception | None:
        try:
            return point(one)
        except (judge.BrokenError, AssertionError) as error:
            return error

    with ThreadPoolExecutor(DRIVERS) as pool:
        for ended in pool.map(guarded, chosen):
            if isinstance(ended, Exception):
                outcome.points += 1
                outcome.findings.append(str(ended))
            elif ended is None:
                outcome.beyond += 1
            else:
                outcome.add(ended)


def storm(stage: Stage, scenario: Scenario, dice: random.Random, blows: int) -> Outcome:
    """Kill again and again in one state folder, at operations that the dice choose, recoveries included."""
    reference, place = calm(stage, scenario), _begun(stage, scenario)
    outcome, floors = Outcome(f"{scenario.name} storm", meant=1), reference.floors
    for blow in range(blows):
        control = place.control(dice.choice(("before", "after")), target=dice.randint(1, min(60, reference.seen.operations)))
        done = place.strike(scenario, control)
        if done["code"] == KILLED and control.seen().fired:
            outcome.add("killed")
        else:
            _untouched(done, control.seen(), place, scenario)
            outcome.beyond += 1  # nothing was left to do at which it could have been killed
        try:
            floors = _rules(scenario).after_blow(place, scenario, floors)
        except judge.BrokenError as error:
            outcome.findings.append(f"{scenario.name}, blow {blow}: {error}")
            return outcome
    try:
        _judged(place, scenario, reference, f"after {blows} kills", exact=False)
    except judge.BrokenError as error:
        outcome.findings.append(str(error))
    return outcome
