"""`update rollback`: only to the kept, whole and unrevoked predecessor; and what a manifest says of urgency."""

from dataclasses import replace
from pathlib import Path

import pytest

from firmware.errors import InstallFailed, ReleaseRefused
from firmware.interfaces import GateAnswer

from .fakes import Bench, FakeEffects, back, updated, wanted

pytestmark = pytest.mark.usefixtures("fast_disk")


def ask(bench: Bench, version: str = "1.0") -> tuple[str, str]:
    assert bench.engine.request(back(version))
    bench.run()
    past = bench.engine.outcome("back")
    assert past is not None
    return past.state, past.code


def test_back_to_the_predecessor_without_network(tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bench.effects.calls.clear()
    bench.states.clear()
    assert ask(bench) == ("committed", "")
    assert bench.states == [
        "received",
        "verifying",
        "waiting",
        "checking_before",
        "switching",
        "probation",
        "committing",
        "committed",
    ]
    assert not {call.split()[0] for call in bench.effects.calls} & {"verify", "fetch", "stage"}
    assert bench.effects.pointer == {"till-app": "1.0"}
    assert bench.engine.status()["components"] == {"till-app": {"version": "1.0", "previous": "1.1", "state": "committed"}}
    seen = bench.engine.component("till-app")
    assert seen is not None
    assert seen.release_counter == 10, "what is installed next is compared with what runs"
    assert bench.effects.floor == {"till-app": 11}, "the floor never falls"
    assert bench.journal[-1].back
    assert bench.journal[-1].reason == "the kept version runs again, as asked"


def test_a_worse_predecessor_comes_back(tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bench.effects.healthy["till-app", "1.0"] = False
    assert ask(bench) == ("rolled_back", "health_check_exit")
    assert bench.effects.pointer == {"till-app": "1.1"}
    assert bench.engine.status()["components"]["till-app"] == {"version": "1.1", "previous": "1.0", "state": "rolled_back"}


def test_only_the_version_that_ran_before(tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bench.effects.staged.add(("till-app", "0.9"))
    assert ask(bench, "0.9") == ("refused", "no_predecessor")
    assert bench.effects.pointer == {"till-app": "1.1"}


@pytest.mark.parametrize(
    ("error", "state"),
    [(ReleaseRefused("changed: bin/x", code="drift"), "refused"), (InstallFailed("gone", code="no_inventory"), "failed")],
)
def test_only_what_is_as_it_was_unpacked(error: Exception, state: str, tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bench.effects.trouble["recall"] = [error]
    assert ask(bench)[0] == state
    assert bench.effects.pointer == {"till-app": "1.1"}


def test_not_to_what_a_signed_manifest_has_taken_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    facts = bench.effects.verify

    def verify(*given: object) -> dict[str, object]:
        return {**facts(*given), "revoked": ["1.0"]}  # type: ignore[arg-type]

    bench.effects.verify = verify  # type: ignore[method-assign, assignment]
    assert bench.engine.request(wanted(id_="d0"))
    bench.run()
    bench.start()
    assert ask(bench) == ("refused", "revoked")


def test_a_deadline_or_no_leave_to_wait_reach_the_gate(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    facts, seen = bench.effects.verify, []

    def verify(*given: object) -> dict[str, object]:
        return {**facts(*given), "deadline": "2026-03-01T12:00:00+00:00", "may_wait": False}  # type: ignore[arg-type]

    def gate(deployment: object) -> GateAnswer:
        seen.append(deployment)
        return GateAnswer(open=True)

    bench.effects.verify = verify  # type: ignore[method-assign, assignment]
    bench.effects.gate = gate  # type: ignore[method-assign, assignment]
    asked = replace(wanted(), deadline="2026-03-02T12:00:00Z")
    assert bench.engine.request(asked)
    bench.run()
    assert seen[0] == replace(asked, deadline="2026-03-01T12:00:00+00:00", forced=True)


def test_going_back_can_be_told_at_every_moment(tmp_path: Path) -> None:
    """What recall knows of an archive is not what there is to fetch: the thread of updates died when it was asked."""
    bench, seen = updated(tmp_path), []
    bench.hook = lambda name: seen.append(bench.engine.status()["deployment"]) if name == "stored" else None
    assert bench.engine.request(back())
    bench.run()
    assert {told["step"] for told in seen if told} >= {"verifying", "switching"}
    assert all(told["bytes_total"] == 0 for told in seen if told)
