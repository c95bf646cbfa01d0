"""Health-check commands: healthy, sick, missing, hanging, loud, and with children that stay."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firmware.confirm import NO_CHECK, REASON_MAX, Checks, confirm, one_line
from firmware.errors import InstallFailed


def _check(folder: Path, script: str, name: str = "health") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("script", "healthy", "code", "reason"),
    [
        ("exit 0", True, "healthy", ""),
        ("echo fine", True, "healthy", "fine"),
        ("echo one; echo no database >&2; exit 3", False, "exit", "exit code 3: no database"),
        ("kill -9 $$", False, "killed", "signal 9"),
        ("exec >&- 2>&-; exit 4", False, "exit", "exit code 4"),
    ],
)
def test_the_exit_code_decides(script: str, healthy: bool, code: str, reason: str, tmp_path: Path) -> None:
    outcome = confirm(_check(tmp_path, script), ["health"])
    assert (outcome.healthy, outcome.code) == (healthy, code)
    assert outcome.reason.endswith(reason)


def test_it_runs_in_its_release_with_arguments_and_a_short_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSAGENT_SECRET", "x")
    _check(tmp_path, 'test "$(pwd)" = "$1" && test -z "$POSAGENT_SECRET" && test "$LANG" = C.UTF-8 && ! read line')
    assert confirm(tmp_path, ["health", str(tmp_path.resolve())]).healthy


@pytest.mark.parametrize("argv", [["/bin/true"], ["../health"], ["a/../../bin/true"]])
def test_it_does_not_leave_its_release(argv: list[str], tmp_path: Path) -> None:
    assert confirm(tmp_path, argv).code == "not_allowed"


@pytest.mark.parametrize("name", ["nothing", "plain", "bad\0name"])
def test_what_cannot_be_started_is_not_healthy(name: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    assert confirm(tmp_path, [name]).code == "missing"


def test_why_a_check_cannot_be_started_is_told_and_nothing_else(tmp_path: Path) -> None:
    """The code of the process that could not become the check stood behind it."""
    seen = confirm(tmp_path, ["bin/health"])
    assert (seen.code, seen.reason) == ("missing", "the health check 'bin/health' cannot be started: No such file or directory")


def test_no_check_is_no_objection(tmp_path: Path) -> None:
    assert confirm(tmp_path, []) is NO_CHECK


@pytest.mark.parametrize("script", ["sleep 60", "exec >&- 2>&-; sleep 60", "sleep 60 & sleep 60", "yes"])
def test_a_check_that_hangs_is_killed_with_its_children(script: str, tmp_path: Path) -> None:
    outcome = confirm(_check(tmp_path, f"echo $$ > pid; {script}"), ["health"], timeout_s=0.3)
    assert (outcome.healthy, outcome.code) == (False, "timeout")
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while _group_lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _group_lives(pid)


def test_a_child_that_stays_does_not_hold_the_answer(tmp_path: Path) -> None:
    outcome = confirm(_check(tmp_path, "sleep 60 & echo up; exit 0"), ["health"], timeout_s=20)
    assert (outcome.healthy, outcome.reason) == (True, "up")


def test_nothing_of_a_check_outlives_it_not_even_what_left_its_session(tmp_path: Path) -> None:
    _check(tmp_path, "setsid sh -c 'echo $$ > pid; exec sleep 60' & while [ ! -s pid ]; do sleep 0.01; done; exit 0")
    assert confirm(tmp_path, ["health"]).healthy
    assert _gone_soon(int((tmp_path / "pid").read_text()))


def test_a_check_dies_with_whoever_asked_for_it(tmp_path: Path) -> None:
    _check(tmp_path, "setsid sh -c 'echo $$ > deep; exec sleep 60' & echo $$ > pid; exec sleep 60")
    code = "import sys; from pathlib import Path; from firmware.confirm import confirm; confirm(Path(sys.argv[1]), ['health'])"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as asking:
        found = [_written(tmp_path / name) for name in ("pid", "deep")]
        asking.kill()
    assert [_gone_soon(pid) for pid in found] == [True, True]


def test_a_check_can_be_stopped_and_says_nothing_of_the_release(tmp_path: Path) -> None:
    _check(tmp_path, "setsid sh -c 'echo $$ > deep; exec sleep 60' & echo $$ > pid; exec sleep 60")
    checks, said = Checks(), []

    def run() -> None:
        with pytest.raises(InstallFailed) as caught:
            checks.run(tmp_path, ["health"])
        said.append(caught.value.code)

    thread = threading.Thread(target=run)
    thread.start()
    found = [_written(tmp_path / name) for name in ("pid", "deep")]
    checks.stop()
    thread.join(10)
    assert said == ["stopped"]
    assert [_gone_soon(pid) for pid in found] == [True, True]
    with pytest.raises(InstallFailed):
        checks.run(tmp_path, ["health"])
    checks.rearm()
    assert checks.run(_check(tmp_path, "exit 0"), ["health"]).healthy


def _written(path: Path) -> int:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(path.read_text())


def _gone_soon(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _group_lives(group: int) -> bool:
    """Whether a process of that group still runs (one that only waits to be collected does not)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def test_what_it_says_is_one_harmless_line() -> None:
    assert one_line(b"\x1b[31mred\x07\n\n") == "?[31mred?"
    assert one_line(b"first\nlast \xff\n") == "last �"
    assert one_line(b"paid with 1234 5678 9012 3456 ok") == "paid with … ok"
    assert one_line(b"") == ""
    assert len(one_line(b"x" * 5000)) == REASON_MAX
