"""What ESC/POS printers tell unasked: off-line causes, and notices that have stopped."""

import pytest

from protocols.events import Answered, Restarted, Status, Unanswered
from protocols.printers._escpos_queries import TELL_CAUSES
from protocols.printers.escpos import EscposConnection
from tests.unit.protocols.feeding import feed

IDLE, NEAR_END = bytes.fromhex("1000000F"), bytes.fromhex("1000030F")
SWEPT_IDLE, SWEPT_NEAR_END = bytes.fromhex("12121212"), bytes.fromhex("1212121E")
RECEIPT = b"\x37\x22posa\x00"


def asked(connection: EscposConnection, query: str, answer: bytes) -> list[object]:
    connection.ask(query, 1.0)
    connection.data_to_send()
    return list(feed(connection, [answer], 1.0))


def armed() -> EscposConnection:
    connection = EscposConnection()
    asked(connection, "auto_status", IDLE)
    assert Restarted not in [type(e) for e in asked(connection, "status", SWEPT_IDLE)]
    return connection


def restarts(events: list[object]) -> int:
    return sum(isinstance(e, Restarted) for e in events)


def test_a_change_without_a_notice_and_one_answer_to_arming_is_a_restart() -> None:
    connection = armed()
    assert restarts(asked(connection, "status", SWEPT_NEAR_END)) == 0, "the notice may still be on its way"
    asked(connection, "auto_status", NEAR_END)
    assert restarts(asked(connection, "status", SWEPT_NEAR_END)) == 1
    assert restarts(asked(connection, "status", SWEPT_NEAR_END)) == 0


def test_a_notice_that_comes_behind_the_answers_is_no_restart() -> None:
    connection = armed()
    asked(connection, "status", SWEPT_NEAR_END)
    asked(connection, "auto_status", NEAR_END + NEAR_END)
    assert restarts(asked(connection, "status", SWEPT_NEAR_END)) == 0


@pytest.mark.parametrize("between", [NEAR_END, b"\xff", b"\x20"], ids=["notice", "noise", "late answer"])
def test_anything_in_between_may_have_been_the_notice(between: bytes) -> None:
    connection = armed()
    feed(connection, [between], 1.5)
    connection.handle_timer(9.0)
    asked(connection, "status", SWEPT_NEAR_END)
    asked(connection, "auto_status", NEAR_END)
    assert restarts(asked(connection, "status", SWEPT_NEAR_END)) == 0


def test_a_printer_without_automatic_status_never_restarts() -> None:
    connection = EscposConnection()
    asked(connection, "status", SWEPT_IDLE)
    assert restarts(asked(connection, "status", SWEPT_NEAR_END) + asked(connection, "status", SWEPT_IDLE)) == 0


def test_a_printer_whose_notice_and_answer_differ_for_good_never_restarts() -> None:
    connection = armed()
    for _ in range(5):
        events = asked(connection, "status", bytes.fromhex("1A523212")) + asked(connection, "auto_status", IDLE)
        assert restarts(events) == 0


def test_nobody_unknown_is_asked_for_receipts() -> None:
    connection = EscposConnection()
    connection.ask("receipts", 5.0)
    assert connection.data_to_send() == b""
    assert not connection.idle
    assert connection.next_timer() == 5.0
    assert connection.handle_timer(5.0) == [Unanswered("receipts")]
    assert connection.idle
    assert connection.next_timer() is None


def test_who_gives_receipts_is_told_to_name_causes_and_only_asked_once() -> None:
    connection = EscposConnection()
    asked(connection, "identity.model", b"_TM-T90\x00")
    connection.ask("receipts", 1.0)
    assert connection.data_to_send() == bytes.fromhex("1D284806003030") + b"posa"
    assert feed(connection, [RECEIPT], 1.0) == [Answered("receipts")]
    assert connection.data_to_send() == TELL_CAUSES == bytes.fromhex("1D28480300313002")
    connection.ask("receipts", 2.0)
    assert connection.data_to_send() == b""
    assert connection.handle_timer(2.0) == [Answered("receipts")]
    connection.ask("auto_status", 3.0)
    assert connection.data_to_send() == TELL_CAUSES + bytes.fromhex("1D610E"), "a restart has forgotten both"


def test_who_gives_none_is_not_asked_again() -> None:
    connection = EscposConnection()
    asked(connection, "identity.model", b"_PRP-80\x00")
    connection.ask("receipts", 1.0)
    connection.data_to_send()
    assert connection.handle_timer(1.5) == [Unanswered("receipts")]
    connection.ask("receipts", 3.0)
    connection.handle_timer(3.0)
    assert connection.data_to_send() == b""


def test_the_cause_stays_with_its_error_and_goes_with_it() -> None:
    connection = EscposConnection()
    asked(connection, "identity.model", b"_TM-T90\x00")
    asked(connection, "receipts", RECEIPT)
    failed = bytes.fromhex("1820000F")

    def cause(data: bytes) -> list[str]:
        return [e.readings["error_cause"] for e in feed(connection, [data], 2.0) if isinstance(e, Status)]

    assert cause(IDLE) == ["none"]
    assert cause(bytes.fromhex("3723404200") + failed) == ["low_voltage", "low_voltage"]
    assert cause(IDLE + failed) == ["none", "unknown"], "the next error is not the last one's cause"
    assert cause(bytes.fromhex("372340404100") + failed) == ["thermistor", "thermistor"]
