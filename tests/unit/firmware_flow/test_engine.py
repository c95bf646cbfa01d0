"""The fault-path table: what goes wrong where, and the chain of states, the record and the world that must follow.

Modelled on the idea of mender's state_test.cpp (facts/style.md 1.6): one row per case, all checked by the same test.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from firmware.engine import Cancel, Engine, GateAnswer
from firmware.errors import InstallFailed, ReleaseRefused, StateError, TransportError
from firmware.state import TEXT_MAX, Deployment, StateFile, Wanted

from .fakes import LIMITS, Bench, FakeEffects, Killed, back, updated, wanted

pytestmark = pytest.mark.usefixtures("fast_disk")

STRAIGHT = [
    "received",
    "verifying",
    "fetching",
    "staging",
    "waiting",
    "checking_before",
    "switching",
    "probation",
    "committing",
    "committed",
]


def upto(state: str, *then: str) -> list[str]:
    return [*STRAIGHT[: STRAIGHT.index(state) + 1], *then]


BACK = ("rolling_back", "rolled_back")
FULL, GONE, FORGED = (
    InstallFailed("disk full"),
    TransportError("no route"),
    ReleaseRefused("forged", code="bad_signature"),
)
HUNG, OURS = TransportError("no answer", code="timeout"), KeyError("a mistake of ours")


@dataclass(frozen=True)
class Case:
    """``trouble``: what the calls of an effect raise, in turn; ``prepare`` changes the world before the start."""

    name: str
    chain: list[str]
    runs: str
    trouble: dict[str, list[BaseException | None]] = field(default_factory=dict)
    code: str | None = None
    prepare: Callable[[Bench], None] = lambda _bench: None


def _sick(bench: Bench) -> None:
    bench.effects.healthy["till-app", "1.1"] = False


def _both_sick(bench: Bench) -> None:
    bench.effects.healthy |= {("till-app", "1.0"): False, ("till-app", "1.1"): False}


def _device(word: str) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        def hook(name: str) -> None:
            if name == "switched":
                bench.effects.devices["pos-1/printer"] = word

        bench.hook = hook

    return prepare


def _first_install(bench: Bench) -> None:
    bench.effects.pointer["till-app"] = None
    _sick(bench)


def _busy_thrice(bench: Bench) -> None:
    bench.effects.gates = [GateAnswer(False, "card session")] * 3


def _busy_in_between(bench: Bench) -> None:
    bench.effects.gates = [GateAnswer(True), GateAnswer(False, "printing"), GateAnswer(True), GateAnswer(True)]


def _store_fails(*calls: BaseException | None) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        bench.store_trouble = list(calls)

    return prepare


def _record_fails(*calls: BaseException | None) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        bench.record_trouble = list(calls)

    return prepare


CASES = [
    Case("straight", STRAIGHT, "1.1", code=""),
    # verifying
    Case("verify refused", upto("verifying", "refused"), "1.0", {"verify": [FORGED]}, "bad_signature"),
    Case("verify fails", upto("verifying", "failed"), "1.0", {"verify": [FULL]}, "install_failed"),
    Case("verify without network, then with", STRAIGHT, "1.1", {"verify": [GONE, GONE, HUNG]}),
    Case("verify without network for ever", upto("verifying", "failed"), "1.0", {"verify": [GONE] * 9}, "transport"),
    Case("verify our own error", upto("verifying", "failed"), "1.0", {"verify": [OURS]}, "internal"),
    # fetching
    Case("fetch refused", upto("fetching", "refused"), "1.0", {"fetch": [FORGED]}, "bad_signature"),
    Case("fetch fails", upto("fetching", "failed"), "1.0", {"fetch": [FULL]}, "install_failed"),
    Case("fetch cut and resumed", STRAIGHT, "1.1", {"fetch": [GONE, HUNG, GONE]}),
    # staging
    Case("stage refused", upto("staging", "refused"), "1.0", {"stage": [FORGED]}, "bad_signature"),
    Case("stage fails", upto("staging", "failed"), "1.0", {"stage": [FULL]}, "install_failed"),
    Case("stage hangs", upto("staging", "failed"), "1.0", {"stage": [HUNG]}, "timeout"),
    Case("stage our own error", upto("staging", "failed"), "1.0", {"stage": [OURS]}, "internal"),
    # waiting
    Case("gate closed for a while", STRAIGHT, "1.1", prepare=_busy_thrice),
    Case("gate breaks: unknown is not idle", STRAIGHT, "1.1", {"gate": [OURS, FULL, GONE, FORGED]}),
    Case("gate without network for long", STRAIGHT, "1.1", {"gate": [GONE] * 12}),
    # checking before
    Case("a sale begins during the check", [*upto("checking_before"), *STRAIGHT[4:]], "1.1", prepare=_busy_in_between),
    Case("check before fails to run", upto("checking_before", "failed"), "1.0", {"health": [FULL]}, "install_failed"),
    Case("devices unknown before", upto("checking_before", "failed"), "1.0", {"device_health": [OURS]}, "internal"),
    # switching
    Case("switch fails", upto("switching", *BACK), "1.0", {"switch": [FULL]}, "install_failed"),
    Case("switch our own error", upto("switching", *BACK), "1.0", {"switch": [OURS]}, "internal"),
    # probation
    Case("own check worsened", upto("probation", *BACK), "1.0", prepare=_sick, code="health_check_exit"),
    Case("own check as bad as before", STRAIGHT, "1.1", prepare=_both_sick),
    Case("own check of a first install", upto("probation", *BACK), "None", prepare=_first_install,
         code="health_check_exit"),
    Case("printer fell silent", upto("probation", *BACK), "1.0", prepare=_device("link.silent"), code="device_silent"),
    Case("paper ran out", STRAIGHT, "1.1", prepare=_device("printer.paper_end"), code="unsettled"),
    Case("cable pulled", STRAIGHT, "1.1", prepare=_device("link.unplugged"), code="unsettled"),
    Case("noise", STRAIGHT, "1.1", prepare=_device("link.noise"), code="unsettled"),
    Case("printer unknown", STRAIGHT, "1.1", prepare=_device("unknown"), code="unsettled"),
    Case("check after fails to run", upto("probation", *BACK), "1.0", {"health": [None, FULL]}, "install_failed"),
    Case("devices unknown after", upto("probation", *BACK), "1.0", {"device_health": [None, GONE]}, "transport"),
    # committing
    Case("floor cannot be raised, then can", STRAIGHT, "1.1", {"commit": [FULL, FULL]}),
    Case("floor cannot be raised", upto("committing", *BACK), "1.0", {"commit": [FULL] * 9}, "install_failed"),
    # rolling back
    Case("going back fails twice", upto("probation", *BACK), "1.0", {"switch": [None, FULL, OURS]}, prepare=_sick,
         code="health_check_exit"),
    Case("going back fails for ever", upto("probation", "rolling_back", "failed"), "1.1",
         {"switch": [None, *[FULL] * 9]}, prepare=_sick, code="rollback_failed"),
    # the state cannot be stored, the journal cannot be written
    *[
        Case(f"store {n} fails twice", STRAIGHT, "1.1", prepare=_store_fails(*[None] * n, FULL, StateError("bad")))
        for n in range(1, 10)
    ],
    Case("no store on the way back", [*upto("probation"), "rolled_back"], "1.0",
         prepare=lambda bench: (_sick(bench), _store_fails(*[None] * 8, FULL)(bench)), code="health_check_exit"),
    *[
        Case(f"record {n} fails twice", STRAIGHT, "1.1", prepare=_record_fails(*[None] * n, OURS, OSError("disk")))
        for n in range(6)
    ],
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_path(case: Case, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    case.prepare(bench)
    bench.effects.trouble = {name: list(errors) for name, errors in case.trouble.items()}
    assert bench.engine.request(wanted())
    bench.run()
    assert bench.states == case.chain
    assert str(bench.effects.pointer["till-app"]) == case.runs
    assert bench.finals == [case.chain[-1]]
    assert len({step.key for step in bench.journal}) == len(bench.journal)
    if case.code is not None:
        assert bench.journal[-1].code == case.code
    status = bench.engine.status()
    assert status["deployment"] is None
    assert status["components"]["till-app"]["version"] == (None if case.runs == "None" else case.runs)
    assert bench.effects.floor.get("till-app", 0) == (11 if case.chain[-1] == "committed" else 0)
    assert {version for _, version in bench.effects.staged} <= {"1.0", "1.1" if case.runs == "1.1" else "1.0"}


def test_committed_keeps_the_way_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.engine.request(wanted())
    bench.run()
    assert bench.engine.status()["components"] == {"till-app": {"version": "1.1", "previous": "1.0", "state": "committed"}}
    bench.start()
    assert bench.engine.step() is None
    assert [(past["id"], past["state"]) for past in bench.engine.history()] == [("d1", "committed")]
    assert bench.engine.status()["components"]["till-app"]["previous"] == "1.0"
    assert bench.file.components["till-app"].health_check == ("bin/health",)


def test_the_version_that_runs_is_committed_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.1"}))
    bench.engine.request(wanted())
    bench.run()
    assert bench.states == ["received", "committed"]
    assert [(step.execution, step.finished) for step in bench.journal] == [
        ("proceeding", "none"),
        ("closed", "success"),
    ]
    assert bench.effects.calls == ["recall till-app", "tidy"]


def test_a_deployment_ends_though_nothing_can_be_cleared_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.trouble["tidy"] = [KeyError("other")]
    bench.engine.request(wanted())
    bench.run()
    assert bench.finals == ["committed"]
    assert bench.engine.request(wanted(("till-app", "1.2"), id_="d2"))


def test_the_version_that_runs_is_no_success_where_its_files_were_changed(tmp_path: Path) -> None:
    """A stick with the version that runs ended as committed, receipt and all, over files that were no longer the signed ones."""
    bench = updated(tmp_path)
    bench.effects.trouble["recall"] = [ReleaseRefused("till-app 1.1 is not as it was installed: changed: VERSION", code="drift")]
    assert bench.engine.request(wanted(id_="again"))
    bench.run()
    past = bench.engine.outcome("again")
    assert past is not None
    assert (past.state, past.code) == ("refused", "drift")
    assert bench.journal[-1].finished == "failure"
    assert bench.engine.status()["components"]["till-app"]["previous"] == "1.0", "the way back stays open"


def test_the_version_that_runs_is_taken_as_it_is_where_no_list_of_its_files_was_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.1"}))
    bench.effects.trouble["recall"] = [InstallFailed("no list", code="no_inventory")]
    bench.engine.request(wanted())
    bench.run()
    assert bench.finals == ["committed"]


def test_on_probation_the_version_before_is_the_one_that_was_replaced(tmp_path: Path) -> None:
    """The screen named the version before the one before: what nobody would go back to."""
    bench = updated(tmp_path)
    seen: list[object] = []
    bench.hook = lambda name: seen.append(bench.engine.status()["components"]["till-app"]) if name == "device_health" else None
    assert bench.engine.request(wanted(("till-app", "1.2"), id_="d2"))
    bench.run()
    before, *probation = seen
    assert before == {"version": "1.1", "previous": "1.0", "state": "installing"}
    assert probation
    assert all(one == {"version": "1.2", "previous": "1.1", "state": "probation"} for one in probation)


def test_a_pointer_that_is_gone_takes_no_release_with_it(tmp_path: Path) -> None:
    """The release that ran was collected as nobody's at the end of the next update, and nothing could be gone back to."""
    bench = updated(tmp_path)
    bench.effects.pointer["till-app"] = None
    bench.start()
    assert bench.engine.status()["components"]["till-app"]["previous"] == "1.1"
    bench.effects.healthy["till-app", "1.2"] = False
    assert bench.engine.request(wanted(("till-app", "1.2"), id_="broken"))
    bench.run()
    assert bench.finals[-1] == "rolled_back"
    assert bench.engine.status()["components"]["till-app"]["previous"] == "1.1"
    assert bench.engine.request(back("1.1"))
    bench.run()
    assert bench.engine.status()["components"]["till-app"] == {"version": "1.1", "previous": None, "state": "committed"}


def test_what_ran_before_the_pointer_was_lost_stays_the_way_back(tmp_path: Path) -> None:
    bench = updated(tmp_path)
    bench.effects.pointer["till-app"] = None
    bench.start()
    assert bench.engine.request(wanted(("till-app", "1.2"), id_="d2"))
    bench.run()
    assert bench.engine.status()["components"]["till-app"] == {"version": "1.2", "previous": "1.1", "state": "committed"}
    assert ("till-app", "1.1") in bench.effects.staged


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ((), "bad_deployment"),
        ((Wanted("till-app", "1.1"), Wanted("till-app", "1.2")), "bad_deployment"),
        (tuple(Wanted(f"c{n}", "1") for n in range(40)), "bad_deployment"),
        ((Wanted("espresso", "1.1"),), "unknown_component"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused_and_reported(items: tuple[Wanted, ...], code: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    assert bench.engine.request(Deployment("d1", "7", items))
    bench.start()
    bench.run()
    assert (bench.finals, bench.journal[-1].code) == (["refused"], code)


def test_a_set_goes_back_as_a_whole(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0", "fonts": "3"}))
    bench.effects.healthy["fonts", "4"] = False
    bench.engine.request(wanted(("till-app", "1.1"), ("fonts", "4")))
    bench.run()
    assert bench.effects.pointer == {"till-app": "1.0", "fonts": "3"}
    switches = [call for call in bench.effects.calls if call.startswith("switch")]
    assert switches == ["switch till-app 1.1", "switch fonts 4", "switch fonts 3", "switch till-app 1.0"]
    assert bench.finals == ["rolled_back"]


def test_a_set_with_a_member_that_runs_already_touches_only_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.1", "fonts": "3"}))
    bench.engine.request(wanted(("till-app", "1.1"), ("fonts", "4")))
    bench.run()
    assert bench.finals == ["committed"]
    assert "verify till-app" not in bench.effects.calls
    assert bench.effects.floor == {"fonts": 4}


@pytest.mark.parametrize("state", STRAIGHT[:6])
def test_cancel_before_the_switch(state: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    effect = {"received": "", "verifying": "verify", "fetching": "fetch", "staging": "stage", "waiting": "gate"}
    answers = []

    def hook(name: str) -> None:
        if name == effect.get(state, "health") and not answers:
            answers.append(bench.engine.cancel("7"))
            assert bench.effects.stopped

    bench.engine.request(wanted())
    bench.hook = hook
    if state == "received":
        answers.append(bench.engine.cancel("7"))
    bench.run()
    assert answers == [Cancel.ACCEPTED]
    assert bench.states == upto(state, "canceled")
    final = bench.journal[-1]
    assert (final.state, final.execution, final.finished, final.answers_cancel) == (
        "canceled",
        "closed",
        "success",
        True,
    )
    assert bench.effects.pointer["till-app"] == "1.0"
    assert ("till-app", "1.1") not in bench.effects.staged
    bench.engine.request(wanted(id_="d2", action="8"))
    assert not bench.effects.stopped
    bench.run()
    assert bench.finals == ["canceled", "committed"]


@pytest.mark.parametrize("effect", ["switch", "commit"])
def test_cancel_after_the_switch_is_too_late_and_says_so(effect: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    answers = []

    def hook(name: str) -> None:
        if name == effect:
            answers.append(bench.engine.cancel("7"))

    bench.hook = hook
    bench.engine.request(wanted())
    bench.run()
    assert answers == [Cancel.TOO_LATE]
    assert not bench.effects.stopped
    refusal = next(step for step in bench.journal if step.answers_cancel)
    assert (refusal.execution, refusal.finished, refusal.final, refusal.code) == (
        "closed", "failure", False, "cancel_too_late"
    )  # fmt: skip
    assert bench.finals == ["committed"]
    assert bench.engine.cancel("7") is Cancel.FINISHED
    assert bench.engine.cancel("99") is Cancel.UNKNOWN


def test_one_deployment_at_a_time_and_each_only_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    assert bench.engine.request(wanted())
    assert not bench.engine.request(wanted(id_="d2", action="8"))
    forced = Deployment("d1", "7", wanted().items, forced=True, deadline="2026-01-01T00:00:00Z")
    assert bench.engine.request(forced)
    bench.engine.step()
    bench.start()
    assert bench.file.progress is not None
    assert bench.file.progress.deployment == forced
    bench.run()
    assert not bench.engine.request(wanted())
    assert bench.finals == ["committed"]


def test_a_request_that_cannot_be_stored_is_not_taken(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.store_trouble = [FULL]
    with pytest.raises(InstallFailed):
        bench.engine.request(wanted())
    assert bench.engine.step() is None
    assert bench.engine.request(wanted())


def test_status_tells_what_is_waited_for_and_what_is_missing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.gates = [GateAnswer(False, "card session")] * 3
    bench.effects.trouble = {"fetch": [GONE]}
    bench.engine.request(wanted())
    seen = []
    while (wait_s := bench.engine.step()) is not None:
        bench.clock += wait_s
        deployment = bench.engine.status()["deployment"]
        if deployment:
            seen.append((deployment["state"], deployment["waiting_for"], deployment["bytes_missing"], deployment["reason"]))
    assert ("downloading", "network", 90, "no route") in seen
    assert ("waiting", "card session", 0, None) in seen
    assert ("probation", None, 0, None) in seen


def test_retries_back_off_and_hear_the_server(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.trouble = {"verify": [GONE, GONE, TransportError("busy", retry_after_s=5.0)]}
    bench.engine.request(wanted())
    waits = []
    while not bench.effects.floor:
        wait_s = bench.engine.step()
        assert wait_s is not None
        waits.append(wait_s)
        bench.clock += wait_s
    assert waits[1:4] == [1.0, 2.0, 5.0]


@pytest.mark.parametrize("state", STRAIGHT)
def test_restart_in_every_state_goes_on_and_reports_once(state: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.engine.request(wanted())
    while bench.states[-1] != state:
        bench.clock += bench.engine.step() or 0.0
    for _ in range(2):
        bench.start()
    bench.run()
    assert bench.effects.pointer["till-app"] == "1.1"
    assert bench.finals == ["committed"]
    assert len({step.key for step in bench.journal}) == len(bench.journal)


@pytest.mark.parametrize(
    ("state", "end", "runs"),
    [("verify", "failed", "1.0"), ("stage", "failed", "1.0"), ("switch", "rolled_back", "1.0"),
     ("commit", "rolled_back", "1.0")],
)  # fmt: skip
def test_a_machine_that_dies_in_the_same_place_again_and_again_is_stopped(
    state: str, end: str, runs: str, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))

    def die(name: str) -> None:
        if name == state:
            raise Killed

    bench.engine.request(wanted())
    bench.hook = die
    starts = 0
    while not bench.finals:
        starts += 1
        assert starts < 60
        try:
            bench.run()
        except Killed:
            bench.start()
            if bench.file.progress is not None and bench.file.progress.stores > 28:
                bench.hook = lambda _name: None
    assert bench.finals == [end]
    assert bench.effects.pointer["till-app"] == runs
    assert bench.journal[-1].code == "loop"


def test_patience_is_no_loop(tmp_path: Path) -> None:
    """A till that is switched off every night waits for its gate for a year."""
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.engine.request(wanted())
    bench.effects.gates = [GateAnswer(False, "busy")] * 100_000
    for _night in range(365):
        bench.start()
        for _ in range(8):
            bench.engine.step()
            bench.clock += LIMITS.calm_s / 2
    assert bench.engine.status()["deployment"]["state"] == "waiting"
    bench.effects.gates = []
    bench.run()
    assert bench.finals == ["committed"]


def test_a_switch_by_hand_during_the_probation_is_undone_and_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.staged.add(("till-app", "0.9"))

    def meddle(name: str) -> None:
        if name == "device_health" and bench.effects.pointer["till-app"] == "1.1":
            bench.effects.pointer["till-app"] = "0.9"

    bench.hook = meddle
    bench.engine.request(wanted())
    bench.run()
    assert bench.effects.pointer["till-app"] == "1.0"
    assert (bench.finals, bench.journal[-1].code) == (["rolled_back"], "pointer_moved")


def test_a_wrong_clock_is_told_at_once_to_whoever_holds_a_stick(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.clocks = ["the clock shows 1970"] * 2
    bench.engine.request(replace(wanted(), person=True, bundle="/media/stick"))
    bench.run()
    assert (bench.finals, bench.journal[-1].code, bench.effects.pointer["till-app"]) == (["failed"], "clock_wrong", "1.0")


def test_a_set_is_installed_in_its_signed_order_and_goes_back_in_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0", "fonts": "3"}))
    bench.effects.order = ["fonts", "till-app"]
    bench.effects.healthy["till-app", "1.1"] = False
    bench.engine.request(wanted(("till-app", "1.1"), ("fonts", "4")))
    bench.run()
    switches = [call for call in bench.effects.calls if call.startswith("switch")]
    assert switches == ["switch fonts 4", "switch till-app 1.1", "switch till-app 1.0", "switch fonts 3"]
    assert bench.finals == ["rolled_back"]


def test_several_releases_without_a_signed_set_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0", "fonts": "3"}))
    bench.effects.trouble["arrange"] = [ReleaseRefused("no signed set", code="no_set")]
    bench.engine.request(wanted(("till-app", "1.1"), ("fonts", "4")))
    bench.run()
    assert (bench.finals, bench.journal[-1].code) == (["refused"], "no_set")
    assert not [call for call in bench.effects.calls if call.startswith(("verify", "fetch", "switch"))]


def test_no_text_is_stored_recorded_or_shown_as_it_came(tmp_path: Path) -> None:
    """A release may name a file as it likes, and a journal's error may quote: the words pass through ``clean``."""
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    engine = Engine(
        bench.file, bench.effects, bench.record, lambda: bench.clock,
        jitter=lambda: 0.5, clean=lambda text: text.replace("SECRET", "*"),
    )  # fmt: skip
    engine.resume()
    bench.engine = engine
    bench.effects.gates = [GateAnswer(False, "till SECRET")]
    bench.record_trouble = [None, None, InstallFailed("quotes SECRET")]
    bench.effects.trouble["switch"] = [InstallFailed("x" * (TEXT_MAX - 3) + "SECRET")]
    shown = []
    assert engine.request(wanted(("till-app", "1.1")))
    while engine.step() is not None:
        shown.append(repr(engine.status()))
        shown += [path.read_text() for path in tmp_path.glob("deployment.json.*")]
        bench.clock += 10.0
    texts = [*shown, repr(bench.journal), repr(engine.history()), repr(engine.outcome("d1"))]
    assert any("till *" in text for text in texts)
    assert any("quotes *" in text for text in texts)
    assert not [text for text in texts if "SEC" in text]


@pytest.mark.parametrize(
    "told",
    [
        {"health_check": ["bin/health", "SECRET"]},
        {"revoked": ["1.0", "SECRET"]},
        {"archive": {"length": 1, "name": "SECRET"}},
        {"deadline": "SECRET"},
        {"x": {"SECRET": 1}},
    ],
)
def test_a_release_whose_words_must_not_be_stored_is_refused(told: dict[str, Any], tmp_path: Path) -> None:
    """A manifest is signed, and keys are stolen: what it says lies in deployment.json from then on."""
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.verify = lambda *_given: {"release_counter": 2, "archive": {"length": 1}} | told  # type: ignore[method-assign]
    bench.engine = Engine(
        bench.file, bench.effects, bench.record, lambda: bench.clock,
        jitter=lambda: 0.5, clean=lambda text: text.replace("SECRET", "*"),
    )  # fmt: skip
    bench.engine.resume()
    assert bench.engine.request(wanted())
    while bench.engine.step() is not None:
        bench.clock += 10.0
        assert not [path for path in tmp_path.glob("deployment.json.*") if "SECRET" in path.read_text()]
    assert (bench.finals, bench.journal[-1].code) == (["refused"], "card_data")
    assert not [call for call in bench.effects.calls if call.startswith(("fetch", "switch"))]


@pytest.mark.parametrize(
    "asked",
    [
        wanted(("SECRET", "1.1")),
        wanted(("till-app", "1.SECRET")),
        wanted(id_="hawkbit-SECRET"),
        wanted(action="SECRET"),
        replace(wanted(), deadline="SECRET"),
    ],
)
def test_a_deployment_whose_names_must_not_be_stored_is_not_taken(asked: Deployment, tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    engine = Engine(bench.file, bench.effects, bench.record, lambda: 0.0, clean=lambda text: text.replace("SECRET", "*"))
    engine.resume()
    with pytest.raises(ReleaseRefused) as caught:
        engine.request(asked)
    assert caught.value.code == "card_data"
    assert "SECRET" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert engine.step() is None


def test_what_an_older_version_stored_is_swept_at_the_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    bench.effects.trouble["verify"] = [ReleaseRefused("SECRET", code="bad")]
    assert bench.engine.request(wanted(("till-app", "1.1")))
    bench.run()
    assert bench.engine.history()[0]["reason"] == "SECRET"
    engine = Engine(StateFile(tmp_path / "deployment.json"), bench.effects, bench.record, lambda: 0.0, clean=lambda _text: "*")
    engine.resume()
    assert [past["reason"] for past in engine.history()] == ["*"]


def test_a_damaged_pointer_runs_nothing_and_takes_no_update(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is remembered is no proof of what runs when the pointer leads out of its folder."""
    bench = Bench(tmp_path, FakeEffects({"till-app": "1.0"}))
    assert bench.engine.request(wanted())
    bench.run()
    assert bench.engine.status()["components"]["till-app"]["version"] == "1.1"

    def damaged(_component: str) -> str | None:
        raise InstallFailed("current leads out of its folder", code="pointer_damaged")

    bench.effects.current = damaged  # type: ignore[method-assign]
    bench.start()
    assert bench.engine.status()["components"]["till-app"]["version"] is None
    assert [record.levelname for record in caplog.records if "leads out of its folder" in record.message] == ["WARNING"]
    assert bench.engine.request(wanted(("till-app", "1.2"), id_="d2"))
    bench.run()
    assert (bench.journal[-1].state, bench.journal[-1].code) == ("failed", "pointer_damaged")
    assert bench.effects.pointer == {"till-app": "1.1"}
    assert len([record for record in caplog.records if "leads out of its folder" in record.message]) == 1
