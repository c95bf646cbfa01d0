"""The programs of the demonstration: started in a folder of their own, watched, and always stopped.

They are the `posagent`, `possim` and `posrelease` that lie beside this interpreter. Each runs in a session of its own, so
that Ctrl-C reaches this process alone and the others end in order. What they say goes to files, which nothing can fill up
or block on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.demo.stopwatch import Stopwatch

_DIES_WITH_US = "import ctypes,os,sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"
"""PR_SET_PDEATHSIG (prctl(2)): even where this process is killed, what it started gets a SIGTERM. Outlasts the exec."""
READY_S, COMMAND_S = 20.0, 30.0
STOP_S = 5.0
"""All programs together; the agent promises to stop within this. Whoever still runs then is killed."""
TAIL_BYTES = 16_384


class ProgramError(RuntimeError):
    """A program ended, or answered in a way that the demonstration has no use for. The text is one line."""


@dataclass
class Program:
    """One that runs until it is stopped."""

    name: str
    process: subprocess.Popen[bytes]
    out: Path
    log: Path
    started: float
    """monotonic seconds, just before it was started"""


@dataclass
class Cast:
    """Everything that was started. ``folder`` is the demonstration's own; ``programs`` where the commands lie.

    `start` belongs to the main thread; `command` may be used by any.
    """

    folder: Path
    stopwatch: Stopwatch
    programs: Path = field(default_factory=lambda: Path(sys.executable).parent)
    running: dict[str, Program] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, name: str, *argv: str | Path) -> Program:
        """Start a program that goes on running."""
        out, log = self.folder / f"{name}.out", self.folder / f"{name}.log"
        started = self.stopwatch.now()
        command = [sys.executable, "-IS", "-c", _DIES_WITH_US, *self._command(argv)]
        program = Program(name, self._popen(command, out, log), out, log, started)
        self.running[name] = program
        return program

    def ready(self, program: Program) -> dict[str, Any]:
        """The line of JSON with which a program of possim says that it can be used."""

        def look() -> dict[str, Any] | None:
            line, end, _ = program.out.read_text("utf-8", "replace").partition("\n")
            if end:
                return dict(json.loads(line))
            self.check()
            return None

        return self.stopwatch.until(look, program.name, READY_S)

    def check(self) -> None:
        """ProgramError if one that should run has ended."""
        for program in self.running.values():
            code = program.process.poll()
            if code is not None:
                raise ProgramError(f"{program.name}: exit {code}")

    def command(self, *argv: str | Path, good: Collection[int] = (0,)) -> str:
        """Run a command to its end; gives its stdout. ProgramError for another exit code, with what it said."""
        number, name = next(self._numbers), _name(argv)
        out, log = self.folder / f"command-{number}.out", self.folder / f"command-{number}.log"
        with self._popen(self._command(argv), out, log) as process:
            try:
                self.stopwatch.until(lambda: process.poll() is not None, name, COMMAND_S, 0.005)
            except BaseException:
                _signal(process, signal.SIGKILL)
                raise
        answer = out.read_text("utf-8", "replace")
        if process.returncode not in good:
            said = (tail(log, 3) or tail(out, 3)) or ["-"]
            raise ProgramError(f"{name}: exit {process.returncode}: {' '.join(said)}")
        return answer

    def json(self, *argv: str | Path, good: Collection[int] = (0,)) -> Any:
        """The one document that a command with --json gives."""
        try:
            return json.loads(self.command(*argv, "--json", good=good))
        except ValueError:
            raise ProgramError(f"{_name(argv)}: no JSON came") from None

    def stop(self) -> None:
        """End everything that runs, all at once; never fails, never takes longer than STOP_S."""
        programs = list(self.running.values())
        for program in programs:
            _signal(program.process, signal.SIGTERM, group=False)
        end = time.monotonic() + STOP_S
        for program in programs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(max(0.0, end - time.monotonic()))
            if program.process.returncode is None:
                _signal(program.process, signal.SIGKILL)
                program.process.wait()
        self.running.clear()

    def _command(self, argv: Sequence[str | Path]) -> list[str]:
        path = self.programs / argv[0]
        if not os.access(path, os.X_OK):
            raise ProgramError(f"{path} is not there")
        return [str(path), *map(str, argv[1:])]

    def _popen(self, command: Sequence[str], out: Path, log: Path) -> subprocess.Popen[bytes]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSAGENT_")}
        with out.open("wb") as stdout, log.open("wb") as stderr:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env=clean,
                start_new_session=True,
            )


def _name(argv: Sequence[str | Path]) -> str:
    """A command without its options, for a person."""
    return " ".join(itertools.takewhile(lambda word: not word.startswith("-"), map(str, argv)))


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none where there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            found = file.read(TAIL_BYTES)
    except OSError:
        return []
    return [line for line in found.decode("utf-8", "replace").splitlines() if line.strip()][-lines:]


def _signal(process: subprocess.Popen[bytes], number: int, *, group: bool = True) -> None:
    """To a program (with whatever it started, its session being its own) that was not waited for yet."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, number)
