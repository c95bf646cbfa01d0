"""`possim demo`: the whole story in one terminal window, by itself, with every figure measured while it runs.

Starts the real programs (`posagent`, `posrelease`, `possim`) in a folder of its own, and takes everything away again:
at the end, when a scene fails, and on SIGINT, SIGTERM and SIGHUP.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from simulator.demo.cast import STOP_S, Cast
from simulator.demo.releases import Releases
from simulator.demo.stage import Stage
from simulator.demo.stopwatch import StoppedError, Stopwatch
from simulator.demo.story import SCENES, play, show_figures
from simulator.demo.words import Words, language
from simulator.demo.world import World

DONE, FAILED, SIGNALLED = 0, 1, 128
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RESERVE_S = 2.0
"""Of the time limit, for stopping."""


def run(seconds: int, stream: TextIO | None = None, env: Mapping[str, str] | None = None) -> int:
    """Play the story on ``stream`` within ``seconds``.

    0 all of it happened; 1 a scene failed, or time ran out; 128 + number after a signal. Main thread only (signals).
    """
    stream, env = stream or sys.stdout, os.environ if env is None else env
    words = Words(language(env))
    stopwatch = Stopwatch(seconds, min(RESERVE_S, seconds / 4))

    def gone() -> None:
        stopwatch.stop(signal.SIGPIPE)

    with _heeded(stopwatch), Stage(stream, env, stopwatch.elapsed, len(SCENES), gone) as stage:
        stage.title(words("title", seconds=seconds))
        try:
            return _play(Path(tempfile.mkdtemp(prefix="possim-demo-")), stopwatch, stage, words)
        except StoppedError as stopped:
            stage.line("bad", words("stopped", signal=signal.Signals(stopped.signal).name))
            return SIGNALLED + stopped.signal


def _play(folder: Path, stopwatch: Stopwatch, stage: Stage, words: Words) -> int:
    cast = Cast(folder, stopwatch)
    releases = Releases(cast, folder)
    world = World(folder, cast, stopwatch, stage, words, releases)
    stage.text(words("folder", folder=folder), "dim")
    try:
        good = play(world)
        took = stopwatch.elapsed()
    finally:
        stage.waiting(words("wait.stop"))
        stopwatch.finish()
        releases.close()
        cast.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if not good:
        return FAILED
    stage.line("good", words("proof.stopped", folder=folder))
    show_figures(world)
    stage.text(words("end.good", time=words.time(took)), "good")
    return DONE


@contextmanager
def _heeded(stopwatch: Stopwatch) -> Iterator[None]:
    """A signal ends the waiting; the handlers that were there come back."""
    before = {number: signal.signal(number, lambda number, _frame: stopwatch.stop(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["DONE", "FAILED", "RESERVE_S", "SIGNALLED", "STOP_S", "run"]
