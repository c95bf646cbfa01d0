"""The soak as `make long` runs it, and its instruments."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.soak.judge import reports
from tests.soak.relay import Relay
from tests.soak.watch import Watch
from tests.soak.world import build_clock, compiler

AFTER_S = 1500.0
"""What the last update, the calm and the verdict may take on top."""

PAGE = b"x" * 60_000


@pytest.mark.long
@pytest.mark.timeout(0)
def test_every_till_ends_on_the_version_that_the_centre_believes(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    seconds, seed = pytestconfig.getoption("--soak-seconds"), pytestconfig.getoption("--soak-seed")
    words = ["--seconds", str(seconds), "--updates", str(pytestconfig.getoption("--soak-updates"))]
    if seed is not None:
        words += ["--seed", str(seed)]
    told = tmp_path / "told"
    with told.open("w") as out:
        soak = subprocess.Popen(
            [sys.executable, "-m", "tests.soak", *words],
            cwd=Path(__file__).parents[2],
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = soak.wait(seconds + AFTER_S)
        finally:  # it ends what it has started, and what it leaves behind ends with its session
            for number, patience_s in ((signal.SIGTERM, 60), (signal.SIGKILL, 10)):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(soak.pid, number)
                    soak.wait(patience_s)
    sys.stdout.write(told.read_text())
    assert code == 0, told.read_text()[-8000:]


# -- the instruments -------------------------------------------------------------------------------------------------

CLOCKS = "import datetime, time; print(datetime.datetime.now(datetime.UTC).timestamp(), time.time(), time.monotonic())"


@pytest.mark.skipif(compiler() is None, reason="no C compiler is here")
@pytest.mark.parametrize("jump", [0, -7200, 30 * 86400])
def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(tmp_path: Path, jump: int) -> None:
    library = build_clock(tmp_path)
    (tmp_path / "clock").write_bytes(jump.to_bytes(8, "little", signed=True))
    done = subprocess.run(
        [sys.executable, "-c", CLOCKS],
        env={"LD_PRELOAD": str(library), "SOAK_CLOCK": str(tmp_path / "clock")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen, same, mono = map(float, done.stdout.split())
    assert abs(seen - datetime.now(UTC).timestamp() - jump) < 60
    assert abs(same - seen) < 5
    assert abs(mono - time.monotonic()) < 60


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """A server behind the wire."""
    (tmp_path / "page").write_bytes(PAGE)
    code = (
        "import http.server, sys; s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler);"
        "print(s.server_address[1], flush=True); s.serve_forever()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def got(relay: Relay, limit_s: float) -> bytes | str:
    try:
        with urllib.request.urlopen(f"{relay.url}/page", timeout=limit_s) as answer:
            found: bytes = answer.read()
            return found
    except (OSError, ValueError, urllib.error.URLError, EOFError) as error:
        return repr(error)
    except Exception as error:
        return repr(error)


def test_the_wire_does_what_is_asked_of_it(page: str) -> None:
    relay = Relay(page, seed=3)
    try:
        assert got(relay, 20) == PAGE
        for mode in ("reset", "cut", "hang"):
            relay.mode = mode
            assert got(relay, 1.0) != PAGE, mode
        relay.mode = "corrupt"
        spoilt = got(relay, 20)
        assert spoilt != PAGE
        relay.mode = "pass"
        assert got(relay, 20) == PAGE
    finally:
        relay.close()


def stored(folder: Path, sequence: int, **versions: int) -> None:
    data: dict[str, Any] = {"versions": versions, "counters": {"till-app": versions["targets"]}}
    for copy in ("floor.json.1", "floor.json.2"):
        fresh = folder / f".{copy}"
        fresh.write_text(json.dumps({"sequence": sequence, "data": data}))
        fresh.replace(folder / copy)


def test_a_floor_that_falls_is_seen(tmp_path: Path) -> None:
    watch = Watch(tmp_path, os.getpid)
    stored(tmp_path, 1, root=1, timestamp=4, snapshot=3, targets=2)
    watch.look()
    assert (watch.fell, watch.looks) == ([], 1)
    stored(tmp_path, 2, root=1, timestamp=3, snapshot=3, targets=1)
    watch.look()
    assert watch.fell == ["role timestamp: 4 -> 3", "role targets: 2 -> 1", "component till-app: 2 -> 1"]
    assert watch.most.threads >= 1


# -- the judge -------------------------------------------------------------------------------------------------------


def record(seq: int, state: str, *, final: bool = False) -> dict[str, Any]:
    body = {"key": f"hawkbit-1/{state}", "action_id": "1", "state": state, "final": final}
    return {"seq": seq, "kind": f"update.{state}", "body": body}


def action(*rows: tuple[str, str], status: str = "finished", active: bool = False) -> dict[str, Any]:
    told = [{"type": kind, "messages": [text], "received": {"mono": float(n)}} for n, (kind, text) in enumerate(rows)]
    return {"id": 1, "status": status, "active": active, "rows": told}


RECORDS = [record(3, "received"), record(5, "committed", final=True)]
ROWS = (("running", "record: 3 x"), ("finished", "record: 5 y"))
LATE = ("error", "code: cancel_too_late")


@pytest.mark.parametrize(
    ("told", "records", "found"),
    [
        (action(*ROWS), RECORDS, []),
        (action(ROWS[0], LATE, ROWS[1]), RECORDS, []),
        (action(ROWS[0], status="running", active=True), RECORDS, ["is still open", "ended committed on the till"]),
        (action(*ROWS, ("error", "")), RECORDS, ["has the final reports ['finished', 'error']"]),
        (action(*ROWS, status="error"), RECORDS, ["ended committed on the till"]),
        (action(*ROWS), RECORDS[:1], ["has no final record on the till"]),
        (action(*reversed(ROWS)), RECORDS, ["out of order"]),
        (action(*ROWS), [*RECORDS, RECORDS[1]], ["2 times in the journal", "has the final records"]),
    ],
)
def test_the_judge_finds_what_does_not_agree(told: dict[str, Any], records: list[dict[str, Any]], found: list[str]) -> None:
    wrong = list(reports(SimpleNamespace(name="pos-1"), [told], records))
    assert len(wrong) == len(found), wrong
    assert all(words in line for words, line in zip(found, wrong, strict=True)), wrong
