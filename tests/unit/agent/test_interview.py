"""What a person at the till is asked, and what becomes of the answers."""

import io
from typing import Any

import pytest

from agent.cli.interview import Interview
from agent.cli.views.selftest import enrich_selftest
from agent.health.catalogue import known
from agent.text import Text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def document() -> dict[str, Any]:
    def check(ident: str, outcome: str) -> dict[str, Any]:
        device = ident.partition(".")[0]
        return {"id": ident, "device": device, "outcome": outcome, "fault": None, "text": "x", "took_s": 0.0}

    checks = [check("printer.slip", "pass"), check("reader.line", "pass")]
    return {"schema": 1, "result": "ok", "level": "interactive", "terminals": [{"id": "t", "checks": checks}]}


@pytest.mark.parametrize(
    ("typed", "card", "outcomes", "result"),
    [
        ("y\n\n", "present", ["pass", "pass"], "ok"),
        ("是\n\n", "present", ["pass", "pass"], "ok"),
        ("n\n\n", "present", ["fail", "pass"], "fault"),
        ("\n\n", "mute", ["skip", "fail"], "fault"),
        ("y\n\n", "absent", ["pass", "skip"], "ok"),
        ("y\n\n", None, ["pass", "skip"], "ok"),
        ("", "present", ["skip", "skip"], "ok"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_answers_become_checks(typed: str, card: str | None, outcomes: list[str], result: str, lang: str) -> None:
    screen = io.StringIO()
    found = Interview(Text(lang), Terminal(typed), screen).add_to(document(), lambda terminal: {"card": card or "held"})
    added = found["terminals"][0]["checks"][2:]
    assert [c["id"] for c in added] == ["printer.readable", "reader.card"]
    assert [c["outcome"] for c in added] == outcomes
    assert found["result"] == result
    assert screen.getvalue()


def test_nobody_there_is_said_and_asked_nothing() -> None:
    screen = io.StringIO()
    found = Interview(Text("en"), io.StringIO("y\n"), screen).add_to(document(), lambda terminal: {"card": "present"})
    assert {c["text"] for c in found["terminals"][0]["checks"][2:]} == {"selftest.no_person"}
    assert screen.getvalue() == ""


def test_a_device_that_did_not_pass_is_not_asked_about() -> None:
    bad = document()
    for check in bad["terminals"][0]["checks"]:
        check["outcome"] = "unknown"
    found = Interview(Text("en"), Terminal("y\n"), io.StringIO()).add_to(bad, lambda terminal: {"card": "present"})
    assert len(found["terminals"][0]["checks"]) == 2
    assert found["result"] == "unknown"


def printer_line(outcome: str, fault: str | None) -> dict[str, Any]:
    line = {"id": "printer.line", "device": "printer", "outcome": outcome, "fault": fault, "text": "x", "took_s": 0.0}
    return {"schema": 1, "result": "ok", "level": "interactive", "terminals": [{"id": "t", "checks": [line]}]}


@pytest.mark.parametrize(
    ("line", "typed", "ident", "outcome", "fault"),
    [
        (("unknown", "link.silent"), "h\n", "printer.prints", "fail", "printer.test_mode"),
        (("unknown", "link.silent"), "r\n", "printer.prints", "fail", "link.half_duplex"),
        (("unknown", "link.silent"), "\n", "printer.prints", "skip", None),
        (("pass", None), "n\n", "printer.drawer", "fail", "printer.drawer_line"),
        (("pass", None), "y\n", "printer.drawer", "pass", None),
        (("pass", None), "\n", "printer.drawer", "skip", None),
    ],
)
def test_what_the_wire_cannot_show_is_asked(
    line: tuple[str, str | None], typed: str, ident: str, outcome: str, fault: str | None
) -> None:
    found = Interview(Text("zh_CN"), Terminal(typed), io.StringIO()).add_to(printer_line(*line), lambda terminal: None)
    (check,) = found["terminals"][0]["checks"][1:]
    assert (check["id"], check["outcome"], check["fault"]) == (ident, outcome, fault)
    if fault:
        assert fault in known()
    else:
        assert Text("en").t(check["text"])
        assert Text("zh_CN").t(check["text"])


@pytest.mark.parametrize(("typed", "fault"), [("l", "printer.print_faded"), ("p", "printer.wrong_paper")])
def test_lines_and_pale_print_are_named(typed: str, fault: str) -> None:
    found = Interview(Text("en"), Terminal(f"{typed}\n\n"), io.StringIO()).add_to(
        document(), lambda terminal: {"card": "present"}
    )
    (check,) = [c for c in found["terminals"][0]["checks"] if c["id"] == "printer.readable"]
    assert (check["outcome"], check["fault"]) == ("fail", fault)
    assert found["result"] == "fault"


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_a_detail_stands_behind_its_sentence_once(lang: str) -> None:
    silent = printer_line("unknown", "link.silent")
    silent["terminals"][0]["checks"][0] |= {"text": "fault.link.silent", "detail": "heard_bytes 0"}
    once = enrich_selftest(silent, lang)
    assert once["terminals"][0]["checks"][0]["text"].endswith(" [heard_bytes 0]")
    assert enrich_selftest(once, lang) == once


@pytest.mark.parametrize(
    ("typed", "outcome", "fault"),
    [("n\n", "fail", "reader.contactless"), ("y\n", "pass", None), ("\n", "skip", None), ("", "skip", None)],
)
def test_a_reader_with_an_antenna_is_asked_about_by_what_a_person_saw(typed: str, outcome: str, fault: str | None) -> None:
    asked = document()
    asked["terminals"][0]["checks"].pop(0)
    found = Interview(Text("en"), Terminal(typed), io.StringIO()).add_to(asked, lambda terminal: None, {"t": "neo"})
    (check,) = found["terminals"][0]["checks"][1:]
    assert (check["id"], check["device"], check["outcome"], check["fault"]) == ("reader.contactless", "reader", outcome, fault)


TRACK_1 = {"track": 1, "present": True, "length": 76, "lrc": True, "luhn": True, "good": True}
NO_TRACK = {"track": 3, "present": False, "length": 0, "lrc": None, "luhn": None, "good": True}


@pytest.mark.parametrize(
    ("typed", "swiped", "outcome", "text"),
    [
        ("\n", {"swiped": True, "tracks": [TRACK_1, NO_TRACK]}, "pass", "selftest.swipe_good"),
        ("\n", {"swiped": True, "tracks": [{**TRACK_1, "lrc": False, "good": False}, NO_TRACK]}, "fail", "selftest.swipe_bad"),
        ("\n", {"swiped": True, "tracks": [NO_TRACK]}, "fail", "selftest.swipe_bad"),
        ("\n", {"swiped": False, "tracks": []}, "skip", "selftest.no_swipe"),
        ("\n", {"answers": False, "swiped": False, "tracks": []}, "unknown", "selftest.reader_silent"),
        ("", None, "skip", "selftest.no_person"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_a_test_card_is_swiped_and_only_verdicts_are_told(
    typed: str, swiped: dict[str, Any] | None, outcome: str, text: str, lang: str
) -> None:
    asked = document()
    asked["terminals"][0]["checks"].pop(0)
    screen = io.StringIO()

    def swipe(terminal: str) -> dict[str, Any]:
        assert terminal == "t"
        assert swiped is not None, "nobody was there to swipe"
        return swiped

    found = Interview(Text(lang), Terminal(typed), screen).add_to(asked, lambda terminal: None, {"t": "msr"}, swipe)
    (check,) = found["terminals"][0]["checks"][1:]
    assert (check["id"], check["outcome"], check["text"]) == ("reader.swipe", outcome, text)
    if outcome == "pass":
        assert (
            check["detail"]
            == {
                "en": "track 1 present, 76 characters, LRC ok, Luhn ok",
                "zh_CN": "第 1 磁道存在，76 个字符，LRC 正确，Luhn 正确",
            }[lang]
        )


def clone() -> dict[str, Any]:
    unseen = {"device": "printer", "outcome": "unknown", "took_s": 0.0}
    checks = [
        {**unseen, "id": "printer.state", "fault": "printer.print_unseen", "text": "fault.printer.print_unseen"},
        {**unseen, "id": "printer.slip", "fault": None, "text": "selftest.print_untold"},
    ]
    return {"schema": 1, "result": "unknown", "level": "interactive", "terminals": [{"id": "t", "checks": checks}]}


def test_a_person_vouches_for_a_printer_that_cannot_tell() -> None:
    told: list[str] = []
    found = Interview(Text("en"), Terminal("y\n"), io.StringIO()).add_to(clone(), lambda _: None, print_seen=told.append)
    assert told == ["t"]
    assert found["result"] == "ok"
    assert [c["text"] for c in found["terminals"][0]["checks"]] == [
        "selftest.state_by_person",
        "selftest.printed_seen",
        "selftest.readable",
    ]


@pytest.mark.parametrize(("typed", "result"), [("n\n", "fault"), ("\n", "unknown"), ("", "unknown")])
def test_without_a_yes_nothing_is_vouched_for(typed: str, result: str) -> None:
    told: list[str] = []
    found = Interview(Text("en"), Terminal(typed), io.StringIO()).add_to(clone(), lambda _: None, print_seen=told.append)
    assert told == []
    assert found["result"] == result
