"""A release that lies here unpacked and waits: held against its list before the switch, and not in every short break."""

from pathlib import Path

import pytest

from firmware.engine import GateAnswer
from firmware.errors import ReleaseRefused

from .fakes import Bench, FakeEffects, wanted

pytestmark = pytest.mark.usefixtures("fast_disk")


def test_what_changed_while_it_waited_is_not_switched_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacked and verified, it may wait for the night, or for days."""
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    monkeypatch.setattr("firmware.work.WHOLE_S", 5.0)
    bench.effects.gates = [GateAnswer(False, "idle")] * 10
    bench.effects.trouble["recall"] = [ReleaseRefused("till-app 1.1 is not as it was installed: changed: VERSION", code="drift")]
    bench.engine.request(wanted())
    bench.run()
    past = bench.engine.outcome("d1")
    assert past is not None
    assert (past.state, past.code) == ("failed", "drift")
    assert "switch" not in {call.split()[0] for call in bench.effects.calls}
    assert bench.effects.pointer == {"till-app": "1.0"}
    assert bench.engine.request(wanted(id_="again"))
    bench.run()
    assert bench.effects.pointer == {"till-app": "1.1"}, "fetched and unpacked anew"


def test_a_till_with_short_breaks_has_not_its_release_read_in_each_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    busy, free = GateAnswer(False, "a sale"), GateAnswer(True)
    bench.effects.gates = [free, busy, free, busy, free, free]  # asked before the checks, and after them
    bench.engine.request(wanted())
    bench.run()
    assert bench.finals == ["committed"]
    assert "recall till-app" not in bench.effects.calls, "it was unpacked a moment ago"
    (tmp_path / "again").mkdir()
    again = Bench(tmp_path / "again", FakeEffects({"till-app": "1.0"}))
    again.effects.gates = [busy]
    again.engine.request(wanted())
    while again.states[-1:] != ["waiting"]:
        again.engine.step()
    again.start()  # how long it has lain there, nobody knows now
    again.effects.gates = [free, busy, free, busy, free, free]
    again.run()
    assert again.finals == ["committed"]
    assert again.effects.calls.count("recall till-app") == 1
