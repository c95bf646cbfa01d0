"""The story in its order, and how it ends: with a table, or with what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.control import NoTerminalError, RefusedError
from simulator.demo import outage, tills, updates
from simulator.demo.cast import ProgramError, tail
from simulator.demo.desk import NoAnswerError
from simulator.demo.stopwatch import TimeIsUpError
from simulator.demo.world import SceneError, World

SCENES: Sequence[Callable[[World], None]] = (
    tills.come_up,
    tills.paper_out,
    tills.card,
    updates.good,
    updates.forged,
    updates.broken,
    outage.centre_away,
    outage.proof,
)
LOG_LINES = 8
_TROUBLE = (SceneError, ProgramError, TimeIsUpError, NoAnswerError, NoTerminalError, RefusedError, OSError)


def play(world: World, scenes: Sequence[Callable[[World], None]] = SCENES) -> bool:
    """All scenes in order; False when one failed, which was then told in plain words with the logs' last lines."""
    try:
        for scene in scenes:
            world.stopwatch.check(world.scene)
            scene(world)
    except _TROUBLE as error:
        _tell(world, error)
        return False
    return True


def show_figures(world: World) -> None:
    """The table of what was measured."""
    words = world.words
    rows = [(figure.what, *figure.values) for figure in world.figures]
    world.stage.table((words("table.what"), words("table.journal"), words("table.center")), rows)


def _tell(world: World, error: Exception) -> None:
    words = world.words
    why = str(error)
    if isinstance(error, TimeIsUpError):
        why = words("failed.time", time=words.time(error.waited_s), what=why)
        if not world.stopwatch.left():
            why = words("failed.limit", seconds=f"{world.stopwatch.limit_s:.0f}", what=str(error))
    world.stage.line("bad", words("failed", scene=world.scene, why=why))
    for program in world.cast.running.values():
        if lines := tail(program.log, LOG_LINES):
            world.stage.text(words("failed.log", name=program.name), "head")
            world.stage.text("\n".join(f"  {line}" for line in lines))
