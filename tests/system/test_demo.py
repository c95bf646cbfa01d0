"""`possim demo` as a newcomer runs it: in a pipe, in a window, in Chinese; and it leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

POSSIM = Path(sys.executable).parent / "possim"
SCENES = 8
WITHIN = 100.0
"""Seconds; an upper limit for a busy machine: the demonstration ends by itself before."""

pytestmark = pytest.mark.slow


def environment(folder: Path, locale: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "COVERAGE"))}
    return {**kept, "TMPDIR": str(folder), "LC_ALL": locale, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}


def left_behind(folder: Path) -> list[str]:
    """Files in the temporary folder, and processes that name it."""
    found = [path.name for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command:
            found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


def in_a_window(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run on a terminal; gives the exit code and all that was written to it."""
    master, slave = pty.openpty()
    parts = []
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True) as process:
        os.close(slave)
        end = time.monotonic() + WITHIN
        try:
            while time.monotonic() < end and select.select([master], [], [], 1.0) != ([master], [], []):
                assert process.poll() is None
            while time.monotonic() < end:
                parts.append(os.read(master, 65536))
        except OSError:
            pass  # EIO: the other side has closed
        finally:
            os.close(master)
            if time.monotonic() >= end:
                process.kill()
    return process.returncode, b"".join(parts).decode()


def stay(written: str) -> list[str]:
    """The lines that stay on the screen: the moving line is overwritten."""
    kept = "".join(part for part in re.split(r"\r\x1b\[K", written) if part.endswith("\n"))
    return re.sub(r"\x1b\[[0-9;?]*[a-z]", "", kept).replace("\r", "").splitlines()


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def test_in_a_pipe_it_tells_the_whole_story_in_plain_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [POSSIM, "demo", "--seconds", "90"],
        env=environment(tmp_path, "C.UTF-8"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert not re.search(r"[\x1b\r]", done.stdout)
    assert [line[0] for line in done.stdout.splitlines() if re.match(r"\d  \S", line)] == [str(n + 1) for n in range(SCENES)]
    told = " ".join(done.stdout.split())
    for expected in (
        "till-app 1.1 proved itself and was committed",
        "(bad_hash); 1.1 runs on untouched",
        "(bad_signature); 1.1 runs on untouched",
        "till-app 1.1 runs again",
        "missing 0, twice 0",
        "the hash chain of the journal is whole",
    ):
        assert expected in told
    row = re.search(r"^paper out +([\d.]+) (m?s) +([\d.]+) (m?s)$", done.stdout, re.MULTILINE)
    assert row
    journal, center = (float(row[n]) * (0.001 if row[n + 1] == "ms" else 1.0) for n in (1, 3))
    assert 0 < journal < center
    records = re.search(r"^records .* (\d+) +(\d+)$", done.stdout, re.MULTILINE)
    assert records
    assert records[1] == records[2]
    assert int(records[1]) > 40
    assert left_behind(tmp_path) == []


def test_in_a_chinese_window_it_moves_and_every_line_fits(tmp_path: Path) -> None:
    code, written = in_a_window([str(POSSIM), "demo", "--seconds", "90"], environment(tmp_path, "zh_CN.UTF-8"))
    lines = stay(written)
    assert code == 0, "\n".join(lines)
    assert written.count("\r\x1b[K") > 50
    assert written.endswith("\x1b[?25h")
    assert "▰▰▰▰" in written
    assert any(line.startswith("缺纸 ") and line.endswith(" ms") for line in lines)
    assert lines[-1].startswith("演示完成")
    assert max(columns(line) for line in lines) <= 80
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("line", [2, 12])
def test_a_signal_at_any_time_stops_everything(tmp_path: Path, number: signal.Signals, line: int) -> None:
    command = [str(POSSIM), "demo"]
    with subprocess.Popen(command, env=environment(tmp_path, "C.UTF-8"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(line):
            process.stdout.readline()
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 128 + number
    assert f"Stopped by signal {number.name}" in rest
    assert left_behind(tmp_path) == []


def test_too_little_time_is_an_honest_failure(tmp_path: Path) -> None:
    done = subprocess.run(
        [POSSIM, "demo", "--seconds", "3"],
        env=environment(tmp_path, "C.UTF-8"),
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 1
    assert "the limit of 3 s was reached while waiting for: " in " ".join(done.stdout.split())
    assert "the last lines of agent:" in done.stdout
    assert "measured in this run" not in done.stdout
    assert left_behind(tmp_path) == []


def test_a_reader_that_goes_away_stops_everything(tmp_path: Path) -> None:
    with subprocess.Popen(
        [POSSIM, "demo"], env=environment(tmp_path, "C.UTF-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE
    assert said == ""
    assert left_behind(tmp_path) == []
