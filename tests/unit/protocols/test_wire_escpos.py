"""ESC/POS against literal bytes: the classifier, the questions, their time-outs, the slip."""

from typing import Any

import pytest

from protocols.connection import MAX_QUEUED
from protocols.errors import LocalProtocolError
from protocols.events import Answered, FlowControl, Garbage, Identity, LateAnswer, Printed, Status, Unanswered
from protocols.printers.escpos import PROTOCOL, EscposConnection
from tests.unit.protocols.feeding import bytewise, check, feed, name, profile_of, ready, settle, vectors

IDLE_ASB = bytes.fromhex("1000000F")
OPEN_ASB = bytes.fromhex("3800000F")
IN = vectors("escpos", "in")
each_in = pytest.mark.parametrize("vector", IN, ids=name)


@pytest.mark.parametrize("vector", vectors("escpos", "out"), ids=name)
def test_questions_are_these_bytes(vector: dict[str, Any]) -> None:
    connection = ready(EscposConnection(profile_of(vector)), {"before": vector.get("before", [])})
    connection.ask(vector["ask"], 0.0)
    assert connection.data_to_send() == bytes.fromhex(vector["hex"])
    assert connection.data_to_send() == b""


@each_in
def test_whole(vector: dict[str, Any]) -> None:
    connection = ready(EscposConnection(), vector)
    check(feed(connection, [bytes.fromhex(vector["hex"])]), vector["events"])
    assert connection.idle
    assert connection.next_timer() is None


@each_in
def test_byte_by_byte(vector: dict[str, Any]) -> None:
    connection = ready(EscposConnection(), vector)
    check(feed(connection, bytewise(bytes.fromhex(vector["hex"]))), vector["events"])


@each_in
def test_long_after_garbage(vector: dict[str, Any]) -> None:
    connection = EscposConnection()
    feed(connection, [b"\xff\x80\x38\x00"])
    settle(connection)
    ready(connection, vector, 50.0)
    check(feed(connection, [bytes.fromhex(vector["hex"])], 50.0), vector["events"])


@each_in
def test_garbage_behind_changes_nothing(vector: dict[str, Any]) -> None:
    connection = ready(EscposConnection(), vector)
    events = feed(connection, [bytes.fromhex(vector["hex"]) + b"\x80"])
    if isinstance(events[-1], Garbage):
        events[-1:] = [Garbage(events[-1].count - 1)] if events[-1].count > 1 else []
    check(events, vector["events"])


@each_in
def test_garbage_just_before_is_not_believed(vector: dict[str, Any]) -> None:
    connection = ready(EscposConnection(), vector)
    events = feed(connection, [b"\xff" + bytes.fromhex(vector["hex"])]) + settle(connection)
    assert not any(e.corroborated for e in events if isinstance(e, Status))
    if vector["ask"] and not vector["ask"].startswith("marker"):
        assert Unanswered(vector["ask"], 1) in events
        assert not any(isinstance(e, (Answered, Identity)) for e in events)


def test_silence_ends_a_question_after_half_a_second() -> None:
    connection = EscposConnection()
    connection.ask("identity.serial", 10.0)
    assert connection.next_timer() == 10.5
    assert connection.handle_timer(10.4) == []
    assert connection.handle_timer(10.5) == [Unanswered("identity.serial", 0)]
    assert connection.idle
    assert connection.next_timer() is None


def test_next_question_goes_out_when_the_one_before_is_answered() -> None:
    connection = EscposConnection()
    connection.ask("status.printer", 0.0)
    connection.ask("drained", 0.0)
    assert connection.data_to_send() == bytes.fromhex("100401")
    assert connection.receive_data(b"\x12", 0.01)[-1] == Answered("status.printer")
    assert connection.data_to_send() == bytes.fromhex("1D7201")


def test_after_a_time_out_the_line_must_be_quiet_before_the_next_question() -> None:
    connection = EscposConnection()
    connection.ask("status.printer", 0.0)
    connection.ask("status.printer", 0.0)
    connection.data_to_send()
    assert connection.handle_timer(0.5) == [Unanswered("status.printer", 0)]
    assert connection.data_to_send() == b""
    assert connection.receive_data(b"\x1a", 0.52) == [LateAnswer(1)]
    connection.handle_timer(0.56)
    assert connection.data_to_send() == b""
    connection.handle_timer(0.58)
    assert connection.data_to_send() == bytes.fromhex("100401")


def test_a_line_that_never_gets_quiet_still_ends_every_question() -> None:
    connection = EscposConnection()
    for _ in range(3):
        connection.ask("status", 0.0)
    now, events = 0.0, []
    while not connection.idle and now < 20:
        now += 0.02
        events += connection.receive_data(b"\xff" * 100, now) + connection.handle_timer(now)
        connection.data_to_send()
    assert [type(e) for e in events if not isinstance(e, Garbage)] == [Unanswered] * 3
    assert now < 4


def test_an_incomplete_sweep_is_discarded_whole_and_said_to_be() -> None:
    connection = ready(EscposConnection(), {"ask": "status"})
    assert connection.receive_data(b"\x12\x12\x12", 0.1) == []
    assert connection.handle_timer(0.5) == [LateAnswer(3), Unanswered("status", 0)]


def test_a_fifth_answer_is_late_and_never_the_next_question_s() -> None:
    connection = ready(EscposConnection(), {"ask": "status"})
    events = connection.receive_data(b"\x12\x12\x12\x12\x1a", 0.0)
    assert [type(e) for e in events] == [Status, Answered, LateAnswer]
    connection.ask("status.printer", 0.1)
    assert connection.receive_data(b"\x12", 0.1)[0] == Status("dle_eot_1", {"online": "yes"}, b"\x12", False)


def test_a_receipt_with_another_marker_leaves_the_question_open() -> None:
    connection = ready(EscposConnection(), {"ask": "marker:AB12"})
    assert connection.receive_data(b'\x37"ZZZZ\x00', 1.0) == [Printed("ZZZZ")]
    assert connection.receive_data(b'\x37"AB12\x00', 2.0) == [Printed("AB12"), Answered("marker:AB12")]


def test_an_unsupported_block_is_late_not_an_identity() -> None:
    connection = ready(EscposConnection(), {"ask": "identity.maker"})
    assert connection.receive_data(b"=ABC\x00", 0.1) == [LateAnswer(5)]
    assert connection.handle_timer(0.5) == [Unanswered("identity.maker", 0)]


def test_automatic_status_during_an_identity_answer_is_part_of_the_text_only_inside_it() -> None:
    connection = ready(EscposConnection(), {"ask": "identity.maker"})
    events = connection.receive_data(OPEN_ASB + b"_EPSON\x00" + IDLE_ASB, 0.0)
    assert [type(e) for e in events] == [Status, Identity, Answered, Status]


def test_a_half_automatic_status_is_thrown_away_after_silence() -> None:
    connection = EscposConnection()
    assert connection.receive_data(OPEN_ASB[:3], 1.0) == []
    assert connection.next_timer() == 1.5
    assert connection.handle_timer(1.5) == [Garbage(3)]
    assert connection.next_timer() is None


def test_a_half_automatic_status_does_not_swallow_a_much_later_one_byte_answer() -> None:
    connection = EscposConnection()
    connection.receive_data(OPEN_ASB[:3], 1.0)
    connection.ask("drained", 5.0)
    assert connection.receive_data(b"\x00", 5.1) == [Garbage(3), Answered("drained")]


@pytest.mark.parametrize("length", [80, 81])
def test_blocks_are_bounded(length: int) -> None:
    connection = ready(EscposConnection(), {"ask": "identity.model"})
    events = feed(connection, [b"_" + b"A" * length + b"\x00"])
    if length == 80:
        assert events == [Identity("model", "A" * 80), Answered("identity.model")]
    else:
        assert not any(isinstance(e, Identity) for e in events)


def test_flow_control_is_told_once_per_change() -> None:
    connection = EscposConnection()
    assert feed(connection, [b"\x13" * 1000 + b"\x11"]) == [FlowControl(True), FlowControl(False)]


@pytest.mark.parametrize("query", ["", "nonsense", "marker:", "marker:ABC", "marker:ABCDE", "marker:AB\n1", "marker:价格清单"])
def test_unknown_questions_are_our_own_fault(query: str) -> None:
    with pytest.raises(LocalProtocolError):
        EscposConnection().ask(query, 0.0)


def test_the_queue_of_questions_is_bounded() -> None:
    connection = EscposConnection()
    for _ in range(MAX_QUEUED + 1):  # one is on the wire, the others wait
        connection.ask("status", 0.0)
    with pytest.raises(LocalProtocolError, match="wait already"):
        connection.ask("status", 0.0)


def test_slip_bytes() -> None:
    assert PROTOCOL.test_print is not None
    assert (
        PROTOCOL.test_print("T001", ["Till 1", "缺纸", "a\x1b@b\x10\x04\x01"])
        == bytes.fromhex(
            "1B40"  # ESC @
            "54696C6C20310A"
            "1C26 C8B1D6BD 1C2E 0A"  # FS & GB 18030 FS .
            "61204062202020" + "0A"
            "1D564200"  # GS V 66 0: feed to the cutter, partial cut
            "1D284806003030 54303031"  # GS ( H function 48
        )
    )


def test_slip_never_asks_for_the_printer_s_own_test_print() -> None:
    assert PROTOCOL.test_print is not None
    assert b"\x1d(A" not in PROTOCOL.test_print("T001", ["\x1d(A\x02\x00\x00\x01", "售\x1d(A"])


def test_slip_is_bounded() -> None:
    assert PROTOCOL.test_print is not None
    with pytest.raises(LocalProtocolError, match="at most 100 lines"):
        PROTOCOL.test_print("T001", ["x"] * 101)
    assert len(PROTOCOL.test_print("T001", ["x" * 10_000])) < 300
    with pytest.raises(LocalProtocolError):
        PROTOCOL.test_print("long marker", [])


def test_what_a_session_is_told() -> None:
    assert (PROTOCOL.name, PROTOCOL.kind, PROTOCOL.silent_fault) == ("escpos", "printer", "link.silent")
    assert PROTOCOL.bauds == (115200, 9600, 19200, 38400, 57600, 4800)
    for query in (PROTOCOL.probe, *PROTOCOL.identify, *PROTOCOL.arm, *PROTOCOL.poll):
        PROTOCOL.connection().ask(query, 0.0)
    assert PROTOCOL.marker_query == "marker:*"
