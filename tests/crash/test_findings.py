"""Points of the sweep that did not hold once, looked for by name and not by number."""

import pytest

from tests.crash.conftest import Keep
from tests.crash.scenarios import Scenario, scenario
from tests.crash.shim import FOREVER, Operation, read_trace
from tests.crash.stage import Stage
from tests.crash.sweep import full_disk, kills, power_cuts

pytestmark = pytest.mark.slow
NEEDS_SPACE = ("create", "write", "mkdir", "symlink", "link", "allocate")
INSTALL, UPGRADE, RECEIPT = (scenario(name) for name in ("install", "upgrade", "receipt"))


def traced(stage: Stage, played: Scenario) -> list[Operation]:
    place = stage.fresh(played.template)
    place.set_up(played)
    trace = place.folder / "trace"
    assert place.strike(played, place.control("trace", trace=trace))["code"] == 0
    return list(read_trace(trace))


def test_a_disk_that_is_full_from_the_switch_on_makes_no_false_success(stage: Stage, keep: Keep) -> None:
    """It could not commit, went back (taking a pointer away needs no space), could store nothing of that, and reported
    success when it was started again."""
    operations = traced(stage, INSTALL)
    switched = next(place for place, op in enumerate(operations) if op.kind == "rename" and op.other.endswith("/current"))
    first = 1 + sum(op.kind in NEEDS_SPACE for op in operations[:switched])
    keep(full_disk(stage, INSTALL, FOREVER, 2, first))


def test_a_kill_between_two_renames_leaves_no_copy_behind(stage: Stage, keep: Keep) -> None:
    """The second copy of time.json stayed as it was, and its temporary file beside it, until the time changed."""
    operations = traced(stage, INSTALL)
    number = next(op.number for op in operations if op.kind == "rename" and op.path.endswith("/.time.json.2.tmp"))
    keep(kills(stage, INSTALL, "before", 10_000, number))


@pytest.mark.parametrize("copy", ["time.json.2", "floor.json.1", "deployment.json.2"])
def test_a_kill_in_the_middle_of_a_copy_leaves_the_other(stage: Stage, keep: Keep, copy: str) -> None:
    """Both are written in place since: half of one must never be all that there is, and the loss of the other no step back."""
    operations = traced(stage, UPGRADE)
    number = next(op.number for op in operations if op.kind == "write" and op.path.endswith(f"/{copy}"))
    for mode in ("before", "after"):
        keep(kills(stage, UPGRADE, mode, 10_000, number))
    keep(kills(stage, UPGRADE, "half", 10_000, sum(op.kind == "write" for op in operations if op.number <= number)))
    for way in range(4):
        keep(power_cuts(stage, UPGRADE, 10_000, 4 * number + way))


def test_at_every_moment_one_pointer_names_the_posagent_that_starts(stage: Stage, keep: Keep) -> None:
    """On the way back `previous` was set first: cut then, both links named the release that does not start."""
    dead = scenario("itself-dead")
    operations = [op for op in traced(stage, dead) if op.path.endswith(("/.current.new", "/.previous.new"))]
    renamed = [op.number for op in operations if op.kind == "rename"]
    assert len(renamed) == 4
    for number in renamed:
        keep(kills(stage, dead, "after", 10_000, number))
        keep(power_cuts(stage, dead, 10_000, 4 * number + 1))


@pytest.mark.parametrize("half", ["pub", "key"])
def test_a_kill_while_the_terminals_key_is_made_leaves_no_temporary_file(stage: Stage, keep: Keep, half: str) -> None:
    """Its name held the number of the process, so nobody ever cleared it away: half a private key lay there for good."""
    operations = traced(stage, RECEIPT)
    number = next(op.number for op in operations if op.kind == "create" and f"/.journal.{half}." in op.path)
    keep(kills(stage, RECEIPT, "after", 10_000, number))


def test_a_start_on_a_full_disk_tells_no_step_twice(stage: Stage, keep: Keep) -> None:
    """The journal could not be opened yet, so nothing in it was known, and the step before the restart was recorded again."""
    worse = scenario("itself-worse")
    operations = traced(stage, worse)
    needing = [op for op in operations if op.kind in NEEDS_SPACE]
    began = next(place for place, op in enumerate(needing) if op.path.endswith("/.current.new"))
    keep(full_disk(stage, worse, 2, 4, began + 8))
