"""Steps of an update in the journal, each once, whatever else was recorded between two starts."""

from pathlib import Path

import pytest

from agent.clock import Clock
from agent.journal import Journal
from agent.updates import LOOK_BACK, Recorder
from firmware.engine import UpdateRecord
from firmware.errors import InstallFailed
from firmware.state import Wanted


def step(deployment: str, state: str) -> UpdateRecord:
    return UpdateRecord(
        key=f"{deployment}/{state}",
        deployment_id=deployment,
        action_id="1",
        component="till-app",
        version="1.1",
        items=(Wanted("till-app", "1.1"),),
        state=state,
        word="waiting",
        execution="proceeding",
        finished="",
        final=False,
        code="",
        reason="",
        answers_cancel=False,
        back=False,
        stick=False,
    )


@pytest.mark.parametrize("faults", [0, LOOK_BACK, 5 * LOOK_BACK])
def test_a_step_is_known_after_a_restart_behind_any_number_of_faults(tmp_path: Path, faults: int) -> None:
    """An update that waited for days was told a second time, because only the last records were searched for it."""
    clock = Clock()
    journal = Journal(tmp_path / "journal.sqlite", boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    before = Recorder(journal)
    for state in ("received", "committed"):
        before.record(step("older", state))
    for state in ("received", "waiting"):
        before.record(step("newer", state))
    for number in range(faults):
        journal.append("fault.raised", "error", "pos-1/printer", {"n": number})
    journal.append("agent.started", "info", "host", {}).wait(20)
    after = Recorder(journal)
    assert after.recorded("newer/waiting")
    assert after.recorded("newer/received")
    assert not after.recorded("newer/switching")
    journal.close()


def test_what_cannot_be_read_yet_is_not_unknown(tmp_path: Path) -> None:
    """A start on a full disk: the step before it would have been told a second time."""
    clock, home = Clock(), tmp_path / "home"
    home.write_text("a file where a folder belongs")
    journal = Journal(home / "journal.sqlite", boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    with pytest.raises(InstallFailed):
        Recorder(journal).recorded("newer/waiting")
    journal.close()
