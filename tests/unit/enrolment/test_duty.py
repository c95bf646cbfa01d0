"""The daemon's part: what the sinks are told, which faults there are, and how long it waits."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock, ManualClock
from agent.config.load import load
from agent.enrolment import duty
from agent.enrolment.duty import Enrolment
from agent.enrolment.errors import EnrolmentRefused, NotYet
from agent.enrolment.request import read
from agent.errors import AgentError, CenterError
from agent.paths import Paths
from firmware.errors import TransportError
from tests.unit.enrolment.stage import InProcess, Stage


class Seen:
    """What the daemon hears."""

    def __init__(self) -> None:
        self.faults: dict[str, Mapping[str, str]] = {}
        self.records: list[tuple[str, Mapping[str, Any]]] = []

    def tell(self, results: Mapping[str, Mapping[str, str] | None]) -> None:
        for fault, evidence in results.items():
            self.faults.pop(fault, None)
            if evidence is not None:
                self.faults[fault] = evidence

    def record(self, kind: str, severity: str, body: Mapping[str, Any]) -> None:
        self.records.append((kind, body))

    def recorded(self, sha256: str) -> bool:
        return any(body.get("sha256") == sha256 for _, body in self.records)


Make = Callable[..., tuple[Enrolment, Seen]]


@pytest.fixture
def make(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Make:
    """`make(clock=…, tills=…, section=…)`: the duty of the stage's host, with no process and no thread of its own."""
    monkeypatch.setattr(duty, "Crypto", InProcess)
    marks = stage.folder / "machine"
    marks.write_text("serial-1")

    def build(
        clock: Clock | None = None, *, till: str = "pos-1", section: bool = True, wrong: str = ""
    ) -> tuple[Enrolment, Seen]:
        paths = Paths(stage.folder)
        paths.config.parent.mkdir(parents=True, exist_ok=True)
        enrolment = f'[enrolment]\nmarks = ["{marks}"]\n' if section else ""
        paths.config.write_text(f'[host]\nid = "pos-1"\n[[terminal]]\nid = "{till}"\n{enrolment}')
        seen = Seen()
        found = Enrolment(
            load(paths.config),
            paths,
            clock or stage.clock,
            clock_wrong=lambda: wrong,
            tell=seen.tell,
            record=seen.record,
            recorded=seen.recorded,
        )
        return found, seen

    return build


def enrolled(stage: Stage, make: Make, **options: Any) -> None:
    stage.write(stage.token(**options))
    request = read(stage.file)
    assert request is not None
    make()[0].enroll(request)


def test_without_a_section_nothing_changes(make: Make) -> None:
    found, seen = make(section=False)
    found.start()
    assert (found.identity(), found.stopped(), found.status(), seen.faults) == (None, "", None, {})
    assert found._thread is None


def test_who_is_enrolled_by_a_command_without_a_section_is_renewed_as_well(stage: Stage, make: Make) -> None:
    found, _ = make(section=False)
    chores = found.chores()
    stage.write(stage.token())
    request = read(stage.file)
    assert request is not None
    found.enroll(request)
    assert chores
    seen = found._standing.certificate
    assert seen is not None
    found._standing = replace(found._standing, certificate=replace(seen, renew=seen.begins))
    assert found._due()


def test_with_a_section_nothing_is_sent_before_there_is_a_certificate(stage: Stage, make: Make) -> None:
    found, seen = make()
    assert found.stopped()
    assert found.identity() is None
    with pytest.raises(NotYet):
        found.enroll_by_file()
    found._report()
    assert seen.faults["host.enrolment"]["why"] == "no_request"
    enrolled(stage, make)
    found, seen = make()
    found._report()
    assert found.stopped() == ""
    assert found.identity() is not None
    assert seen.faults == {}


def test_the_file_is_found_and_what_it_brings_is_recorded_and_told(stage: Stage, make: Make) -> None:
    stage.write(stage.token())
    found, seen = make()
    stage.file.rename(stage.folder / "etc/posagent/enroll.toml")
    news: list[str] = []
    found.on_enrolled = lambda: news.append(found.stopped())
    document = found.enroll_by_file()
    assert document["state"] == "enrolled"
    assert news == [""]
    assert [(kind, body["renewal"], body["host"]) for kind, body in seen.records] == [("enrolment.done", False, "pos-1")]


def test_another_machine_and_another_till_stop_it(stage: Stage, make: Make) -> None:
    enrolled(stage, make)
    found, seen = make(till="pos-9")
    found._report()
    assert found.stopped()
    assert found.identity() is None
    assert seen.faults["host.identity"] == {"why": "wrong_till", "certificate": "pos-1", "configured": "pos-9"}
    (stage.folder / "machine").write_text("serial-2")
    found, seen = make()
    found._report()
    assert seen.faults["host.identity"]["why"] == "other_machine"
    assert found.status() == (found.status() or {}) | {"state": "mismatch"}
    (stage.folder / "machine").unlink()  # nothing can be read: nothing is said
    assert make()[0].stopped() == ""


def test_a_renewal_that_fails_is_a_fault_only_when_it_gets_late(stage: Stage, make: Make) -> None:
    enrolled(stage, make, certificate_s=2940.0)  # 3000 s in all: due about 2000, late about 2500
    begun = Clock().wall()
    clock = ManualClock(begun + timedelta(seconds=100))
    found, seen = make(clock)
    found._note(TransportError("away", code="unreachable"))
    found._report()
    assert not found._due()
    assert seen.faults == {}
    clock.advance(2700 - 100)
    assert found._due()
    found._report()
    assert seen.faults["host.enrolment"]["why"] == "unreachable"
    clock.advance(1000)
    found._report()
    assert seen.faults["host.enrolment"]["why"] == "certificate_expired"
    assert (found.status() or {})["state"] == "expired"


def test_a_wrong_clock_calls_nothing_expired_and_renews_nothing(stage: Stage, make: Make) -> None:
    enrolled(stage, make, certificate_s=10.0)
    clock = ManualClock(Clock().wall() + timedelta(days=1000))
    found, seen = make(clock, wrong="it is not 2029")
    found._report()
    assert (found.status() or {})["state"] == "enrolled"
    assert not found._due()
    assert seen.faults == {}
    assert found.identity() is not None


def test_it_waits_longer_with_each_failure_and_as_long_as_the_centre_wishes(make: Make) -> None:
    found, _ = make()
    waits = [found._patience(TransportError("away")) for _ in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (duty.FIRST_S, duty.LONGEST_S)
    assert found._patience(NotYet("later", code="waiting_approval", retry_after_s=7.0)) == 7.0
    assert found._patience(NotYet("later", code="waiting_approval", retry_after_s=10.0**6)) == duty.LONGEST_S
    assert found._patience(NotYet("no token", code="no_request")) == duty.LOOK_S


def test_the_same_trouble_is_recorded_once(make: Make) -> None:
    found, seen = make()
    for _ in range(5):
        found._note(EnrolmentRefused("no", code="token_refused"))
    assert [kind for kind, _ in seen.records] == ["enrolment.failed"]


def test_errors_are_those_of_the_agent(stage: Stage, make: Make) -> None:
    found, _ = make()
    stage.write(stage.token(), url="https://127.0.0.1:1")
    request = read(stage.file)
    assert request is not None
    with pytest.raises(CenterError):
        found.enroll(request)
    (stage.folder / "var/lib/posagent/enrolment").mkdir(parents=True, exist_ok=True)
    for copy in (1, 2):
        (stage.folder / f"var/lib/posagent/enrolment/enrolment.json.{copy}").write_text("{")
    found, _ = make()
    assert (found.status() or {})["reason"] == "state_damaged"
    with pytest.raises(AgentError) as caught:
        found.enroll(replace(request, url=stage.center.url))
    assert caught.value.code == "state_damaged"


def test_a_thread_only_while_there_is_something_to_do(stage: Stage, make: Make, tmp_path: Path) -> None:
    enrolled(stage, make)
    found, _ = make()
    found.start()
    assert found._thread is None
    assert [seconds for seconds, _ in found.chores()] == [duty.EVERY_S]


def cut_off(stage: Stage, make: Make) -> None:
    """Enrolled, and the power failed between the state and the journal."""
    enrolled(stage, make)
    make()[0]._steps.told("")


def ended(found: Enrolment) -> None:
    found.start()
    if found._thread is not None:
        found._thread.join(30.0)


def test_an_enrolment_whose_record_was_lost_is_recorded_at_the_next_start_and_once(stage: Stage, make: Make) -> None:
    """Nobody would ever have heard of it."""
    cut_off(stage, make)
    found, seen = make()
    ended(found)
    assert [kind for kind, _ in seen.records] == ["enrolment.done"]
    assert seen.records[0][1]["tills"] == [["merchant-47", "shop-17", "pos-1"]]
    again, silent = make()
    ended(again)
    assert silent.records == []
    assert again._thread is None


def test_a_record_that_the_journal_has_already_is_not_made_again(
    stage: Stage, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(stage, make)
    found, seen = make()
    assert found._standing.certificate is not None
    seen.records.append(("enrolment.done", {"sha256": found._standing.certificate.sha256}))
    ended(found)
    assert len(seen.records) == 1
    assert not found._steps.standing().untold


def test_what_a_kill_left_beside_a_certificate_goes_at_the_next_start(stage: Stage, make: Make) -> None:
    """An old key lay there until the next renewal, two months later."""
    enrolled(stage, make)
    folder = Paths(stage.folder).state / duty.FOLDER
    for name in ("key-7.pem", ".key-8.pem.tmp", ".anchors.pem.tmp", ".enrolment.json.2.tmp"):
        (folder / name).write_text("half")
    found, _ = make()
    ended(found)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".") or "7" in path.name]
    assert found.identity() is not None


def test_a_card_number_that_a_centre_took_for_a_name_is_shown_nowhere(stage: Stage, make: Make) -> None:
    number = "4" + "1" * 15
    stage.write(stage.center.est.issue("pos-1", [(number, f"shop {number}", number)]))
    request = read(stage.file)
    assert request is not None
    found, seen = make()
    shown = found.enroll(request)
    assert shown["merchants"] == ["[card-data]"]
    assert seen.faults[duty.IDENTITY]["why"] == "wrong_till"
    assert number not in str([shown, found.status(), found.stopped(), seen.faults])
