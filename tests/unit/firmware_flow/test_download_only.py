"""hawkBit's download-only: brought, verified, unpacked, told; never switched to; used later; collected."""

from dataclasses import replace
from pathlib import Path

import pytest

from firmware.engine import Cancel
from firmware.errors import InstallFailed, ReleaseRefused
from firmware.state import StateFile

from .fakes import Bench, FakeEffects, Killed, updated, wanted

pytestmark = pytest.mark.usefixtures("fast_disk")

BROUGHT = ["received", "verifying", "fetching", "staging", "downloaded"]
APP = "till-app"


def bring(bench: Bench, version: str = "1.1", id_: str = "d1") -> str:
    assert bench.engine.request(replace(wanted((APP, version), id_=id_, action=id_), download_only=True))
    bench.run()
    past = bench.engine.outcome(id_)
    assert past is not None
    return past.state


def install(bench: Bench, version: str = "1.1", id_: str = "d2") -> str:
    assert bench.engine.request(wanted((APP, version), id_=id_, action=id_))
    bench.run()
    past = bench.engine.outcome(id_)
    assert past is not None
    return past.state


def done(bench: Bench) -> set[str]:
    return {call.split()[0] for call in bench.effects.calls}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, FakeEffects({APP: "1.0"}))


def test_it_is_brought_verified_and_never_switched_to(bench: Bench) -> None:
    assert bring(bench) == "downloaded"
    assert bench.states == BROUGHT
    assert done(bench) & {"switch", "commit", "gate", "health"} == set()
    assert bench.effects.calls.index(f"recall {APP}") > bench.effects.calls.index(f"stage {APP}"), "as it lies on the disk"
    assert bench.effects.pointer == {APP: "1.0"}
    assert bench.effects.floor == {}
    last = bench.journal[-1]
    assert (last.execution, last.finished, last.final, last.answers_cancel) == ("downloaded", "none", True, False)
    assert [step.execution for step in bench.journal] == ["proceeding", "download", "downloaded"], "told once, at its end"
    told = bench.engine.status()["components"][APP]
    assert told == {"version": "1.0", "previous": None, "state": "waiting", "ready": "1.1"}


def test_a_later_update_takes_what_lies_here_verified_again_and_fetches_nothing(bench: Bench) -> None:
    bring(bench)
    bench.effects.calls.clear()
    bench.states.clear()
    assert install(bench) == "committed"
    assert not done(bench) & {"fetch", "stage"}
    assert {f"verify {APP}", f"recall {APP}"} <= set(bench.effects.calls)
    assert bench.states[:3] == ["received", "verifying", "waiting"]
    assert bench.effects.pointer == {APP: "1.1"}
    assert bench.engine.status()["components"][APP] == {"version": "1.1", "previous": "1.0", "state": "committed"}


def test_it_outlives_a_restart(bench: Bench) -> None:
    bring(bench)
    bench.start()
    bench.effects.calls.clear()
    assert install(bench) == "committed"
    assert "fetch" not in done(bench)


@pytest.mark.parametrize("error", [ReleaseRefused("a byte", code="drift"), InstallFailed("no list", code="no_inventory")])
def test_what_is_not_as_it_was_unpacked_is_fetched_again(bench: Bench, error: Exception) -> None:
    bring(bench)
    bench.effects.calls.clear()
    bench.effects.trouble["recall"] = [error]
    assert install(bench) == "committed"
    assert {"fetch", "stage"} <= done(bench)


def test_another_archive_under_the_same_version_is_fetched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(bench)
    bench.effects.calls.clear()
    recall = bench.effects.recall
    monkeypatch.setattr(bench.effects, "recall", lambda item: {**recall(item), "unpacked": "of another"})
    assert install(bench) == "committed"
    assert "fetch" in done(bench)


def test_damage_that_is_found_at_once_is_no_success(bench: Bench) -> None:
    bench.effects.trouble["recall"] = [ReleaseRefused("a byte", code="drift")]
    assert bring(bench) == "refused"
    assert "ready" not in bench.engine.status()["components"][APP]
    assert bench.effects.staged == {(APP, "1.0")}


def test_asked_for_twice_it_is_fetched_once(bench: Bench) -> None:
    bring(bench)
    bench.effects.calls.clear()
    assert bring(bench, id_="again") == "downloaded"
    assert not done(bench) & {"fetch", "stage"}


def test_what_runs_already_is_told_as_installed(bench: Bench) -> None:
    assert bring(bench, "1.0") == "committed"
    assert (bench.journal[-1].execution, bench.journal[-1].finished) == ("closed", "success")


def test_a_newer_one_takes_its_place(bench: Bench) -> None:
    bring(bench)
    bring(bench, "1.2", "d2")
    assert bench.effects.staged == {(APP, "1.0"), (APP, "1.2")}
    assert bench.engine.status()["components"][APP]["ready"] == "1.2"


def test_it_is_collected_when_another_release_is_committed(bench: Bench) -> None:
    bring(bench)
    assert install(bench, "1.2") == "committed"
    assert bench.effects.staged == {(APP, "1.0"), (APP, "1.2")}
    assert "ready" not in bench.engine.status()["components"][APP]


def test_it_is_collected_when_its_maker_takes_it_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(bench)
    verify = bench.effects.verify
    monkeypatch.setattr(bench.effects, "verify", lambda *given: {**verify(*given), "revoked": ["1.1"]})
    bench.effects.trouble["fetch"] = [ReleaseRefused("no", code="wrong_hash")]
    assert install(bench, "1.2") == "refused"
    assert bench.effects.staged == {(APP, "1.0")}


def test_it_stays_while_another_release_is_refused_or_goes_back(bench: Bench) -> None:
    bring(bench)
    bench.effects.healthy[APP, "1.2"] = False
    assert install(bench, "1.2") == "rolled_back"
    assert (APP, "1.1") in bench.effects.staged
    assert bench.engine.status()["components"][APP]["ready"] == "1.1"


@pytest.mark.parametrize("step", ["fetch", "stage"])
def test_it_makes_room_for_what_is_to_be_installed(bench: Bench, step: str) -> None:
    bring(bench)
    full = InstallFailed("full", code="disk_full")
    bench.effects.trouble[step] = [full]
    assert install(bench, "1.2") == "committed"
    bench.effects.calls.clear()
    bench.effects.trouble[step] = [full]
    assert install(bench, "1.3", "d3") == "failed", "nothing is left that could make room"


def test_a_disk_that_is_short_gets_it_back_when_nothing_is_under_way(bench: Bench) -> None:
    bring(bench)
    bench.engine.make_room()
    assert (APP, "1.1") in bench.effects.staged, "there is room"
    bench.effects.full = True
    assert bench.engine.request(wanted((APP, "1.1"), id_="d2"))
    bench.engine.make_room()
    assert (APP, "1.1") in bench.effects.staged, "it is being installed"
    assert bench.engine.cancel("7") is Cancel.ACCEPTED
    bench.run()
    bench.engine.make_room()
    assert bench.effects.staged == {(APP, "1.0")}
    bench.start()
    assert bench.engine.status()["components"][APP] == {"version": "1.0", "previous": None, "state": "none"}


def test_a_rollback_by_hand_leaves_it(tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bring(bench, "1.2", "d3")
    assert bench.engine.request(replace(wanted((APP, "1.0"), id_="back", action=""), back=True, person=True))
    bench.run()
    assert bench.effects.pointer == {APP: "1.0"}
    assert (APP, "1.2") in bench.effects.staged


def test_a_cancel_on_the_way_leaves_nothing(bench: Bench) -> None:
    answers: list[Cancel] = []

    def cancel(name: str) -> None:
        if name == "stage" and not answers:
            answers.append(bench.engine.cancel("d1"))

    bench.hook = cancel
    assert bring(bench) == "canceled"
    assert answers == [Cancel.ACCEPTED]
    assert bench.effects.staged == {(APP, "1.0")}


@pytest.mark.parametrize("moment", ["store", "stored", "record", "recorded", "verify", "fetch", "stage", "recall", "tidy"])
def test_a_kill_anywhere_ends_in_one_report_and_what_lies_here(bench: Bench, moment: str) -> None:
    left = [3]

    def kill(name: str) -> None:
        if name == moment:
            left[0] -= 1
            if left[0] in (0, 2):
                raise Killed

    bench.hook = kill
    for _ in range(4):
        try:
            bench.engine.request(replace(wanted((APP, "1.1")), download_only=True))
            bench.run()
            break
        except Killed:
            bench.start()
    assert bench.finals == ["downloaded"]
    assert bench.effects.pointer == {APP: "1.0"}
    assert bench.engine.status()["components"][APP]["ready"] == "1.1"


def test_an_older_state_file_knows_nothing_of_it(bench: Bench) -> None:
    bring(bench)
    data = bench.file._encode()
    for component in data["components"].values():
        component.pop("ready")
    bench.file._file.store(data)
    state = StateFile(bench.folder / "deployment.json")
    state.load()
    assert state.components[APP].ready is None


def test_what_was_brought_and_turned_out_worse_is_not_kept_for_its_next_turn(bench: Bench) -> None:
    bring(bench)
    bench.effects.healthy[APP, "1.1"] = False
    assert install(bench) == "rolled_back"
    assert "ready" not in bench.engine.status()["components"][APP]
    assert bench.effects.staged == {(APP, "1.0")}
