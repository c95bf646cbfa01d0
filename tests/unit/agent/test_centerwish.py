"""hawkBit's two words and its window: what may be done now, what only be downloaded, and what waits."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.centerwish import OUTSIDE, CenterWindow, of_action
from agent.clock import ManualClock
from agent.config.load import load
from agent.journal import Journal
from agent.reporting import Reporting
from firmware.interfaces import GateAnswer
from protocols.center import ddi


def action(download: str, update: str, window: bool | None, number: str = "7") -> ddi.Deployment:
    return ddi.Deployment(number, download, update, window, (ddi.Chunk("bApp", "till-app", "1.1", (), {}),))


@pytest.mark.parametrize(
    ("asked", "taken", "download_only", "forced"),
    [
        (action("forced", "forced", None), True, False, True),
        (action("attempt", "attempt", None), True, False, False),
        (action("forced", "skip", None), True, True, False),
        (action("attempt", "skip", None), True, True, False),
        (action("forced", "skip", True), True, True, False),
        (action("forced", "forced", True), True, False, True),
        (action("forced", "skip", False), False, True, False),
        (action("skip", "skip", None), False, True, False),
    ],
)
def test_what_an_action_asks_for(asked: ddi.Deployment, taken: bool, download_only: bool, forced: bool) -> None:
    assert CenterWindow(lambda: 0.0).heard(asked) is taken
    wanted = of_action(asked)
    assert (wanted.download_only, wanted.forced, wanted.window) == (download_only, forced, asked.window_open is not None)
    assert (wanted.id, wanted.action_id, wanted.component, wanted.version) == ("hawkbit-7", "7", "till-app", "1.1")


def test_the_window_is_shut_until_it_was_heard_to_be_open() -> None:
    """After a restart of the agent it was as if there were no window, until the next poll."""
    window, asked = CenterWindow(lambda: 0.0), action("forced", "forced", True)
    gate = window.before(lambda _: GateAnswer(open=True))
    assert gate(of_action(asked)) == GateAnswer(open=False, waiting_for=OUTSIDE)
    assert window.heard(asked)
    window.polled(300.0)
    assert gate(of_action(asked)).open
    assert not gate(of_action(action("forced", "forced", True, "8"))).open, "another action's window is not this one's"
    assert not window.heard(action("forced", "skip", False))
    assert gate(of_action(asked)).waiting_for == OUTSIDE


def test_what_has_no_window_does_not_wait_for_one() -> None:
    gate = CenterWindow(lambda: 0.0).before(lambda _: GateAnswer(open=True))
    assert gate(of_action(action("forced", "forced", None))).open


def test_a_centre_that_is_not_heard_any_more_leaves_no_window_open() -> None:
    """The network went down while the window was open; the update then began at noon."""
    clock, asked = ManualClock(), action("forced", "forced", True)
    window = CenterWindow(clock.mono)
    gate = window.before(lambda _: GateAnswer(open=True))
    window.heard(asked)
    window.polled(300.0)
    clock.advance(3 * 300 + 59)
    assert gate(of_action(asked)).open
    clock.advance(1)
    assert gate(of_action(asked)).waiting_for == OUTSIDE
    window.polled(300.0)
    assert gate(of_action(asked)).open, "the same link is not read again, and says the same"


def test_the_poller_tells_the_window_of_its_polls(tmp_path: Path) -> None:
    """Without that no window would ever be open."""
    clock = ManualClock()
    (tmp_path / "agent.toml").write_text(
        '[host]\nid = "pos-1"\n[center]\nddi = "https://c.example/DEFAULT/controller/v1"\ntoken = "x"\n', encoding="utf-8"
    )
    journal = Journal(tmp_path / "journal.sqlite", boot_id="b", wall=clock.rfc3339, mono=clock.mono)
    updating = SimpleNamespace(center_window=CenterWindow(clock.mono), on_ended=None)
    enrolment = SimpleNamespace(identity=lambda: None, stopped=str)
    try:
        reporting = Reporting(load(tmp_path / "agent.toml"), clock, *cast("Any", (None, journal, updating, enrolment)))
        assert reporting._runners["hawkbit"]._sink._polled == updating.center_window.polled  # type: ignore[attr-defined]
    finally:
        journal.close()
