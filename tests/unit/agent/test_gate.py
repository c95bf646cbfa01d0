"""The gate as a whole: hold, window, evidence, force and deadline, and the warning that goes before."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent import gate as gate_module
from agent import notice as notice_module
from agent.clock import ManualClock
from agent.gate import Evidence, Gate, Use
from agent.hold import Hold
from agent.notice import NOTICE_HOLDS_S, Notices
from agent.owner import Owner
from agent.window import Window
from firmware.confirm import Outcome
from firmware.state import Deployment, Wanted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = Deployment("d1", "7", (Wanted("till-app", "1.1"),))
FORCED = replace(PLAIN, forced=True)
UNKNOWN, BUSY, IDLE = (Evidence(use, f"pos-1/printer: {use}") for use in (Use.UNKNOWN, Use.BUSY, Use.IDLE))


class Bench:
    """A gate on a till whose evidence is said here, with a clock that is moved by hand."""

    def __init__(self, *evidence: Evidence, command: Sequence[str] = ("warn",), window: str = "", **notice: Any) -> None:
        self.clock = ManualClock(NOW)
        self.evidence = list(evidence)
        self.commands: list[Sequence[str]] = []
        self.records: list[Any] = []
        self.held = ""
        self.healthy = True
        self.notices = Notices(
            command, 60.0, notice.pop("lang", "en"), self.clock.mono, self.records.append, notice.pop("run", self.run)
        )
        self.gate = Gate(
            cast("Owner", SimpleNamespace(inbox=SimpleNamespace(ask=self._ask), tills=[])),
            idle_s=0.0,
            idle_check=(),
            now=self.clock.mono,
            wall=self.clock.wall,
            hold=lambda _longest_s: self.held,
            notices=self.notices,
            window=Window.parse(window) if window else None,
            host="pos-1",
        )

    def run(self, argv: Sequence[str]) -> Outcome:
        self.commands.append(argv)
        return Outcome(self.healthy, "healthy" if self.healthy else "timeout", "" if self.healthy else "hangs")

    def _ask(self, _look: object) -> "Future[list[Evidence]]":
        answer: Future[list[Evidence]] = Future()
        answer.set_result(list(self.evidence))
        return answer

    def waits_for(self, deployment: Deployment) -> str:
        answer = self.gate(deployment)
        return "" if answer.open else answer.waiting_for


@pytest.mark.parametrize("wanted", [PLAIN, FORCED])
def test_a_main_loop_that_does_not_answer_is_no_proof_and_ends_no_update(
    wanted: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last look before the switch it was a mistake of our own, which ended the update as failed."""
    monkeypatch.setattr(gate_module, "OWNER_LIMIT_S", 0.01)
    bench = Bench(IDLE)
    bench.gate._owner = cast("Owner", SimpleNamespace(inbox=SimpleNamespace(ask=lambda _look: Future()), tills=[]))
    assert bench.waits_for(wanted) == "proof of idle"
    assert bench.commands == []


def test_idle_opens_without_a_warning_and_unknown_waits() -> None:
    assert Bench(IDLE).waits_for(PLAIN) == ""
    assert Bench(IDLE).waits_for(FORCED) == ""
    bench = Bench(UNKNOWN)
    assert bench.waits_for(PLAIN) == UNKNOWN.why
    assert bench.records == []


@pytest.mark.parametrize("healthy", [True, False])
def test_a_forced_action_starts_when_the_merchant_was_warned_long_enough(healthy: bool) -> None:
    """A command that fails neither lets it start early nor stops it for ever."""
    bench = Bench(UNKNOWN)
    bench.healthy = healthy
    assert bench.waits_for(FORCED) == "the time after the warning, 60 s left"
    bench.clock.advance(59.5)
    assert bench.waits_for(FORCED) == "the time after the warning, 1 s left"
    bench.clock.jump(86_400)
    assert bench.waits_for(FORCED)
    bench.clock.advance(0.5)
    assert bench.waits_for(FORCED) == ""
    assert bench.waits_for(FORCED) == ""
    assert [argv[0] for argv in bench.commands] == ["warn"]
    assert [(body["told"], body["reason"]) for body in bench.records] == [(healthy, "" if healthy else "hangs")]


@pytest.mark.parametrize(("lang", "word"), [("en", "about to be updated"), ("zh_CN", "即将更新")])
def test_the_warning_is_in_the_tills_language(lang: str, word: str) -> None:
    bench = Bench(UNKNOWN, lang=lang)
    bench.waits_for(FORCED)
    assert word in bench.commands[0][-1]
    assert "till-app 1.1" in bench.commands[0][-1]
    assert "60" in bench.commands[0][-1]


def test_known_busy_is_never_overridden_nor_warned_of() -> None:
    bench = Bench(UNKNOWN, BUSY)
    for _ in range(5):
        assert bench.waits_for(FORCED) == BUSY.why
        bench.clock.advance(3600)
    assert bench.records == []


def test_a_sale_after_the_warning_is_waited_for_and_a_stale_warning_is_given_again() -> None:
    bench = Bench(UNKNOWN)
    bench.waits_for(FORCED)
    bench.evidence = [BUSY]
    bench.clock.advance(60 + NOTICE_HOLDS_S - 1)
    assert bench.waits_for(FORCED) == BUSY.why
    bench.evidence = [UNKNOWN]
    assert bench.waits_for(FORCED) == ""
    bench.clock.advance(2)
    assert bench.waits_for(FORCED) == "the time after the warning, 60 s left"
    assert len(bench.commands) == 2


def test_another_deployment_is_another_warning() -> None:
    bench = Bench(UNKNOWN)
    bench.waits_for(FORCED)
    bench.clock.advance(61)
    assert bench.waits_for(replace(FORCED, id="d2"))
    assert len(bench.commands) == 2


def test_the_warning_of_a_deadline_comes_before_it() -> None:
    bench = Bench(UNKNOWN, window="02:00-03:00")
    due = replace(PLAIN, deadline=(NOW + timedelta(seconds=100)).isoformat())
    assert bench.waits_for(due) == "window 02:00-03:00"
    assert bench.records == []
    bench.clock.advance(45)
    assert bench.waits_for(due) == UNKNOWN.why
    assert len(bench.commands) == 1
    bench.clock.advance(54)
    assert bench.waits_for(due) == UNKNOWN.why
    bench.clock.advance(1)
    assert bench.waits_for(due) == "the time after the warning, 5 s left"
    bench.clock.advance(5)
    assert bench.waits_for(due) == ""
    assert len(bench.commands) == 1


def test_an_idle_till_does_not_start_before_its_window_because_a_deadline_is_near() -> None:
    bench = Bench(IDLE, window="02:00-03:00")
    due = replace(PLAIN, deadline=(NOW + timedelta(seconds=30)).isoformat())
    assert bench.waits_for(due) == "window 02:00-03:00"
    bench.clock.advance(30)
    assert bench.waits_for(due) == ""


def test_without_a_command_nobody_is_told_and_nothing_waits_for_that() -> None:
    bench = Bench(UNKNOWN, command=())
    assert bench.waits_for(FORCED) == ""
    assert bench.waits_for(FORCED) == ""
    assert [body["told"] for body in bench.records] == [False]


def test_a_person_waits_for_nothing_but_a_hold() -> None:
    bench = Bench(BUSY, window="02:00-03:00")
    person = replace(PLAIN, person=True)
    assert bench.waits_for(person) == ""
    bench.held = "2026-03-02T00:00:00Z"
    assert bench.waits_for(person) == bench.waits_for(FORCED) == "hold until 2026-03-02T00:00:00Z"


def test_the_status_tells_when_it_starts() -> None:
    bench = Bench(UNKNOWN)
    assert bench.notices.starts_in_s() is None
    bench.waits_for(FORCED)
    bench.clock.advance(20)
    assert bench.notices.starts_in_s() == 40
    bench.clock.advance(41)
    assert bench.notices.starts_in_s() is None


@pytest.mark.parametrize(
    ("code", "told"),
    [("pass", True), ("raise SystemExit(1)", False), ("import time; time.sleep(600)", False), ("", False)],
    ids=["shown", "fails", "hangs", "missing"],
)
def test_a_real_command(code: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs is ended with all that it started; the time counts from its end."""
    monkeypatch.setattr(notice_module, "COMMAND_LIMIT_S", 2.0 if "sleep" in code else 30.0)
    seen = tmp_path / "seen"
    script = tmp_path / "notice"
    script.write_text(
        f"#!{sys.executable}\nimport os, pathlib, sys\n"
        f"pathlib.Path({str(seen)!r}).write_text(f'{{os.getpid()}}\\n{{sys.argv[-1]}}', 'utf-8')\n{code}\n"
    )
    script.chmod(0o755)
    command = (str(script),) if code else (str(tmp_path / "nothing"),)
    bench = Bench(UNKNOWN, command=command, run=notice_module._run, lang="zh_CN")
    assert bench.waits_for(FORCED) == "the time after the warning, 60 s left"
    assert [body["told"] for body in bench.records] == [told]
    if code:
        pid, words = seen.read_text("utf-8").split("\n", 1)
        assert "即将更新" in words
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_the_sites_check_is_asked_of_all_tills_of_a_gateway_at_once() -> None:
    """A component is the host's: one till that is busy stops it for all, however many are idle."""
    bench = Bench(IDLE, Evidence(Use.BUSY, "pos-2/reader: card in the reader"), IDLE)
    assert bench.waits_for(FORCED) == "pos-2/reader: card in the reader"
    bench.evidence[1] = Evidence(Use.UNKNOWN, "pos-2/printer: device not seen")
    assert bench.waits_for(PLAIN) == "pos-2/printer: device not seen"


@pytest.mark.parametrize(("code", "use"), [(0, Use.IDLE), (1, Use.BUSY), (2, Use.UNKNOWN), (127, Use.UNKNOWN)])
def test_the_sites_own_check(code: int, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(gate_module, "CHECK_LIMIT_S", 30.0)
    bench.gate._idle_check = ("/bin/sh", "-c", f"exit {code}")
    assert bench.gate._site().use is use


@pytest.mark.parametrize("argv", [("/nowhere/check",), ("/bin/sleep", "600")])
def test_a_check_that_is_missing_or_hangs_is_unknown(argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(gate_module, "CHECK_LIMIT_S", 0.2)
    bench.gate._idle_check = argv
    assert bench.gate._site().use is Use.UNKNOWN


def test_a_security_release_is_held_no_longer_than_it_says(tmp_path: Path) -> None:
    bench = Bench(IDLE)
    hold = Hold(tmp_path / "hold.json", bench.clock)
    hold.load()
    bench.gate._hold = hold.until
    hold.set(NOW + timedelta(days=7))
    urgent = replace(PLAIN, max_hold_s=24 * 3600.0)
    assert bench.waits_for(PLAIN) == "hold until 2026-03-08T12:00:00Z"
    assert bench.waits_for(urgent) == "hold until 2026-03-02T12:00:00Z"
    bench.clock.advance(24 * 3600)
    assert bench.waits_for(urgent) == ""
    assert bench.waits_for(PLAIN) == "hold until 2026-03-08T12:00:00Z"
