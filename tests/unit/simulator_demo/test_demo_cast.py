"""Programs are started, heard and always stopped, whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.demo.cast import Cast, ProgramError, tail
from simulator.demo.stopwatch import StoppedError, Stopwatch, TimeIsUpError


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def cast(tmp_path: Path) -> Iterator[Cast]:
    made = Cast(tmp_path, Stopwatch(60), tmp_path)
    yield made
    made.stop()


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_program_says_that_it_is_ready(cast: Cast, tmp_path: Path) -> None:
    script(tmp_path, "till", """sleep 0.05; echo '{"ready": true, "given": "'"$1"'"}'; exec sleep 100""")
    program = cast.start("one", "till", "hello")
    assert cast.ready(program) == {"ready": True, "given": "hello"}
    cast.stop()
    assert program.process.returncode == -signal.SIGTERM
    assert cast.running == {}


def test_one_that_ends_too_early_is_named(cast: Cast, tmp_path: Path) -> None:
    script(tmp_path, "till", "echo no port >&2; exit 3")
    program = cast.start("till-1", "till")
    with pytest.raises(ProgramError, match="till-1: exit 3"):
        cast.ready(program)
    assert tail(program.log, 5) == ["no port"]


def test_one_that_ignores_sigterm_is_killed_with_its_children(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.demo.cast.STOP_S", 0.2)
    script(tmp_path, "till", "trap '' TERM; sleep 100 & echo $!; wait")
    program = cast.start("stubborn", "till")
    cast.stopwatch.until(lambda: program.out.read_text().endswith("\n"), "its child", 20)
    child = int(program.out.read_text())
    assert alive(child)
    cast.stop()
    assert program.process.returncode == -signal.SIGKILL
    Stopwatch(20).until(lambda: not alive(child), "the child's end", 20)


def test_programs_die_with_us(tmp_path: Path) -> None:
    """Even where nobody could stop them: this process was killed."""
    script(tmp_path, "till", "echo $$; exec sleep 100")
    code = (
        "import sys, time; from pathlib import Path; from simulator.demo.cast import Cast\n"
        "from simulator.demo.stopwatch import Stopwatch\n"
        f"folder = Path({str(tmp_path)!r}); Cast(folder, Stopwatch(60), folder).start('till', 'till'); time.sleep(100)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as parent:
        out = tmp_path / "till.out"
        Stopwatch(20).until(lambda: out.exists() and out.read_text().endswith("\n"), "the program", 20)
        pid = int(out.read_text())
        assert alive(pid)
        parent.kill()
    Stopwatch(20).until(lambda: not alive(pid), "the program's end", 20)


def test_a_command_answers_and_a_bad_one_says_why(cast: Cast, tmp_path: Path) -> None:
    script(tmp_path, "posagent", """test "$1" = status && echo '{"schema": 1}' && exit 1; echo "no daemon" >&2; exit 3""")
    assert cast.json("posagent", "status", good=(0, 1)) == {"schema": 1}
    with pytest.raises(ProgramError, match=r"^posagent update check: exit 3: no daemon$"):
        cast.command("posagent", "update", "check", "--root", "/somewhere")
    script(tmp_path, "posagent", "echo hello")
    with pytest.raises(ProgramError, match="no JSON"):
        cast.json("posagent", "status")


def test_a_program_that_is_not_there_is_named(cast: Cast, tmp_path: Path) -> None:
    for begin in (cast.command, lambda name: cast.start("one", name)):
        with pytest.raises(ProgramError, match=f"{tmp_path}/posagent is not there"):
            begin("posagent")
    assert cast.running == {}


@pytest.mark.parametrize(("end", "error"), [("finish", TimeIsUpError), ("stop", StoppedError)])
def test_a_command_under_way_ends_with_us(cast: Cast, tmp_path: Path, end: str, error: type[Exception]) -> None:
    script(tmp_path, "posrelease", "sleep 100 & echo $!; wait")
    out = tmp_path / "command-1.out"

    def look() -> bool:
        if out.exists() and out.read_text().endswith("\n"):
            cast.stopwatch.finish() if end == "finish" else cast.stopwatch.stop(15)
        return False

    cast.stopwatch.until, original = _also(cast.stopwatch.until, look), cast.stopwatch.until  # type: ignore[method-assign]
    with pytest.raises(error):
        cast.command("posrelease")
    cast.stopwatch.until = original  # type: ignore[method-assign]
    child = int(out.read_text())
    Stopwatch(20).until(lambda: not alive(child), "the child's end", 20)


def _also(until, look):  # type: ignore[no-untyped-def]
    def both(wanted, what, limit_s, every_s=0.02):  # type: ignore[no-untyped-def]
        return until(lambda: look() or wanted(), what, limit_s, every_s)

    return both


def test_the_tail_of_a_log_is_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n\n" for n in range(5000)))
    assert tail(log, 3) == ["line 4997", "line 4998", "line 4999"]
    assert tail(tmp_path / "nothing", 3) == []


def test_no_setting_of_a_real_agent_reaches_the_demonstration(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSAGENT_ROOT", "/")
    script(tmp_path, "posagent", 'echo "${POSAGENT_ROOT-none}"')
    assert cast.command("posagent") == "none\n"
