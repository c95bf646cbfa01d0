"""CCID in GemPC Twin framing against literal bytes: frames, damage, voltages, time-outs."""

from typing import Any

import pytest

from protocols.connection import MAX_QUEUED
from protocols.errors import LocalProtocolError
from protocols.events import (
    Answered,
    BadChecksum,
    CardFaulty,
    CardMoved,
    CardMute,
    CardTorn,
    Event,
    Garbage,
    Identity,
    Nak,
    Status,
    Unanswered,
)
from protocols.readers.ccid import PROTOCOL, CcidConnection, error_name
from tests.unit.protocols.feeding import bytewise, check, feed, name, ready, settle, vectors

ASK_STATUS = bytes.fromhex("03 06 65 00000000 00 00 000000 60")
ABSENT = bytes.fromhex("03 06 81 00000000 00 00 02 00 00 86")
ABSENT_BAD = bytes.fromhex("03 06 81 00000000 00 00 02 00 00 87")
FIRMWARE = bytes.fromhex("03 06 83 0D000000 00 00 00 00 00 47 65 6D 54 77 69 6E 2D 56 32 2E 30 30 87")
NAK = bytes.fromhex("03 15 16")
IN = vectors("ccid", "in")
each_in = pytest.mark.parametrize("vector", IN, ids=name)


def asked(query: str) -> CcidConnection:
    connection = CcidConnection()
    connection.ask(query, 0.0)
    assert connection.data_to_send()
    return connection


@pytest.mark.parametrize("vector", vectors("ccid", "out"), ids=name)
def test_questions_are_these_bytes(vector: dict[str, Any]) -> None:
    connection = CcidConnection()
    for query in vector.get("after", []):
        connection.ask(query, 0.0)
        connection.data_to_send()
        settle(connection)
    connection.ask(vector["ask"], 500.0)
    assert connection.data_to_send() == bytes.fromhex(vector["hex"])
    assert connection.data_to_send() == b""


@each_in
def test_whole(vector: dict[str, Any]) -> None:
    connection = ready(CcidConnection(), vector)
    check(feed(connection, [bytes.fromhex(vector["hex"])]), vector["events"])
    assert connection.idle


@each_in
def test_byte_by_byte(vector: dict[str, Any]) -> None:
    connection = ready(CcidConnection(), vector)
    check(feed(connection, bytewise(bytes.fromhex(vector["hex"]))), vector["events"])


@each_in
def test_long_after_garbage(vector: dict[str, Any]) -> None:
    connection = CcidConnection()
    feed(connection, [b"\xff\x80\x03\x06\x81\xff\x50"])
    settle(connection)
    ready(connection, vector, 50.0)
    check(feed(connection, [bytes.fromhex(vector["hex"])], 50.0), vector["events"])


@pytest.mark.parametrize("garbage", [b"\xff", b"\x00\x03", b"\x03\x06", b"\x03\x06\x81\xff\xff", b"\x50\x50"])
@pytest.mark.parametrize("vector", [v for v in IN if not v.get("unsafe_after_garbage")], ids=name)
def test_frames_are_found_right_behind_garbage(vector: dict[str, Any], garbage: bytes) -> None:
    connection = ready(CcidConnection(), vector)
    if vector["ask"] in ("power_on", "select_mf", "challenge"):
        garbage = garbage.replace(b"\xff", b"\x7f")  # there it would be a request for time
    events = feed(connection, [garbage + bytes.fromhex(vector["hex"])])
    assert events[0] == Garbage(len(garbage))
    check(events[1:], vector["events"])


@each_in
def test_garbage_behind_changes_nothing(vector: dict[str, Any]) -> None:
    connection = ready(CcidConnection(), vector)
    events = feed(connection, [bytes.fromhex(vector["hex"]) + b"\x01\x02"])
    assert events[-1] == Garbage(2)
    check(events[:-1], vector["events"])


def test_a_notice_behind_garbage_is_not_believed_until_the_line_was_quiet() -> None:
    connection = CcidConnection()
    assert connection.receive_data(b"\xff\x50\x02", 0.0) == [Garbage(3)]
    assert connection.receive_data(b"\x50\x02", 0.04) == [Garbage(2)]
    assert connection.receive_data(b"\x50\x02", 0.1) == [CardMoved(False)]


def test_text_of_a_spoilt_frame_moves_no_card() -> None:
    text = b"P\x02P\x03\x80P\x02"
    spoilt = bytes.fromhex("03 06 83 07000000 00 00 00 00 00") + text + b"\x00"
    for broken in (spoilt, b"\x07" + spoilt[1:], spoilt[:3] + b"\x01" + spoilt[4:], spoilt[:3] + b"\xff" + spoilt[4:]):
        connection = asked("firmware")
        events = feed(connection, bytewise(broken)) + settle(connection)
        assert not any(isinstance(e, (CardMoved, Identity, Answered)) for e in events)


def test_bad_checksum_is_asked_again_with_the_same_bytes_after_quiet() -> None:
    connection = asked("slot_status")
    assert connection.receive_data(ABSENT_BAD, 0.01) == [BadChecksum("slot_status")]
    assert connection.data_to_send() == b""
    assert connection.next_timer() == pytest.approx(0.06)
    assert connection.handle_timer(0.07) == []
    assert connection.data_to_send() == ASK_STATUS
    assert connection.receive_data(ASK_STATUS + ABSENT, 0.08)[-1] == Answered("slot_status")


@pytest.mark.parametrize("damage", [ABSENT_BAD, NAK, b"\xff\xff", ABSENT[:9], ASK_STATUS[:8] + b"\x05" + ASK_STATUS[9:]])
def test_damage_is_asked_again_three_times_and_no_more(damage: bytes) -> None:
    connection = asked("slot_status")
    now, sent = 0.0, 1
    events: list[Event] = []
    while not connection.idle:
        events += connection.receive_data(damage, now)
        for _ in range(3):
            due = connection.next_timer()
            if due is None or connection.idle:
                break
            now = due
            events += connection.handle_timer(now)
            if connection.data_to_send():
                sent += 1
                break
    assert sent == 4
    assert isinstance(events[-1], Unanswered)
    assert events[-1].heard == (0 if damage == NAK else 4 * len(damage))
    assert not any(isinstance(e, (Status, Answered)) for e in events)
    assert now < 3


def test_an_answer_that_comes_during_the_pause_is_taken() -> None:
    connection = asked("slot_status")
    connection.receive_data(NAK, 0.0)
    assert connection.receive_data(ABSENT, 0.02)[-1] == Answered("slot_status")
    assert settle(connection) == []


def test_silence_is_not_asked_again() -> None:
    connection = asked("firmware")
    assert connection.next_timer() == 2.0
    assert connection.handle_timer(1.9) == []
    assert connection.handle_timer(2.0) == [Unanswered("firmware", 0)]
    assert connection.data_to_send() == b""


def test_an_echo_alone_is_silence() -> None:
    connection = asked("slot_status")
    assert connection.receive_data(ASK_STATUS, 0.0) == []
    assert connection.handle_timer(1.0) == [Unanswered("slot_status", 0)]


def test_an_answer_to_the_question_before_is_late() -> None:
    connection = asked("slot_status")
    connection.handle_timer(1.0)
    connection.ask("slot_status", 1.0)
    assert [type(e).__name__ for e in connection.receive_data(ABSENT, 1.1)] == ["LateAnswer"]
    assert not connection.idle


def test_sequence_numbers_wrap() -> None:
    connection = CcidConnection()
    for expected in [*range(256), 0, 1]:
        connection.ask("power_off", 0.0)
        assert connection.data_to_send()[8] == expected
        settle(connection)


def test_time_extensions_are_granted_but_not_for_ever() -> None:
    connection = asked("power_on")
    now = 0.0
    while not connection.idle:
        assert connection.receive_data(b"\x80", now) == []
        now += 2.0
        events = connection.handle_timer(now)
        assert now < 70
    assert events == [CardFaulty("runaway", "time_extension"), Unanswered("power_on", 0)]
    assert now >= 60


@pytest.mark.parametrize("kind", [b"\x80", bytes.fromhex("03 06 80 00000000 00 00 80 FF 00 FA")])
def test_a_card_command_that_never_ends_is_ended(kind: bytes) -> None:
    connection = asked("select_mf")
    now, events = 0.0, list[Event]()
    while not connection.idle:
        connection.receive_data(kind, now)
        now += 1.0
        events = connection.handle_timer(now)
        assert now < 70
    assert events == [CardFaulty("runaway", "time_extension"), Unanswered("select_mf", 0)]


def test_a_late_answer_after_the_time_ran_out_is_no_runaway() -> None:
    assert asked("power_on").handle_timer(5.0) == [Unanswered("power_on", 0)]


def test_a_notice_alone_is_no_torn_card() -> None:
    connection = asked("select_mf")
    still_there = bytes.fromhex("03 06 80 02000000 00 00 00 00 00 90 00 17")
    assert CardTorn() not in connection.receive_data(b"\x50\x02" + still_there, 0.1), "one flipped bit of 50 03"


def answer(kind: int, status: int, error: int, data: bytes = b"", *, sequence: int = 0) -> bytes:
    """A whole frame."""
    message = bytes([3, 6, kind]) + len(data).to_bytes(4, "little") + bytes([0, sequence, status, error, 0]) + data
    lrc = 0
    for byte in message:
        lrc ^= byte
    return message + bytes([lrc])


def test_the_readers_own_trouble_is_told_until_the_same_question_goes_well() -> None:
    connection = asked("power_on")
    assert connection.receive_data(answer(0x80, 0x41, 0xFB), 0.0)[0] == Status("errors", {"hardware": "error"}, b"\x41\xfb")
    connection.ask("slot_status", 0.1)
    connection.data_to_send()
    assert Status("errors", {"hardware": "ok"}, b"\x01\x00") not in connection.receive_data(answer(0x81, 1, 0, sequence=1), 0.1)
    connection.ask("power_on", 0.2)
    connection.data_to_send()
    events = connection.receive_data(answer(0x80, 0, 0, bytes.fromhex("3B 00"), sequence=2), 0.2)
    assert events[0] == Status("errors", {"hardware": "ok"}, b"\x00\x00")


def test_parameters_fit_the_card_that_answered_last() -> None:
    connection = asked("power_on")
    connection.receive_data(answer(0x80, 0, 0, bytes.fromhex("3F D1 95 FF 50 00 0B 41")), 0.0)  # TA1, TC1, TD1: TA2 00, TC2 0B
    assert connection.idle
    connection.ask("set_parameters", 0.1)
    assert connection.data_to_send()[12:-1].hex() == "9502ff0b00"


def test_after_a_nak_it_waits_longer_than_after_noise() -> None:
    connection = asked("slot_status")
    assert connection.receive_data(NAK, 0.0) == [Nak("slot_status")]
    assert connection.next_timer() == pytest.approx(0.1)
    connection.handle_timer(0.06)
    assert connection.data_to_send() == b""
    connection.handle_timer(0.1)
    assert connection.data_to_send() == ASK_STATUS


@pytest.mark.parametrize("length", [272, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_lengths_that_no_frame_has_are_garbage_at_once(length: int) -> None:
    connection = asked("slot_status")
    frame = b"\x03\x06\x81" + length.to_bytes(4, "little") + bytes(6)
    events = feed(connection, [frame])
    assert events
    assert all(isinstance(e, Garbage) for e in events)
    connection.handle_timer(0.1)
    assert connection.data_to_send() == ASK_STATUS
    assert Answered("slot_status") in connection.receive_data(ABSENT, 0.2)


def test_a_time_extension_frame_multiplies_the_time() -> None:
    connection = asked("power_on")
    connection.receive_data(bytes.fromhex("03 06 80 00000000 00 00 80 02 00 07"), 1.0)
    assert connection.next_timer() == 11.0


def test_high_bytes_grant_no_time_outside_a_reset() -> None:
    connection = asked("slot_status")
    assert connection.receive_data(b"\x80\xff", 0.5) == [Garbage(2)]
    for step in range(60):
        connection.receive_data(b"\x90" * 20, 0.5 + step * 0.04)
    assert connection.handle_timer(0.5 + 60 * 0.04) != []
    assert connection.idle


def test_a_reserved_card_state_is_not_guessed_at() -> None:
    answer = bytes.fromhex("03 06 81 00000000 00 00 03 00 00 87")
    assert feed(asked("slot_status"), [answer]) == [Answered("slot_status")]


def test_all_three_voltages_are_tried_in_order() -> None:
    connection = CcidConnection()
    connection.ask("power_on", 0.0)
    selects = [connection.data_to_send()[9]]
    for hexed in ("03 06 80 00000000 00 00 41 FE 00 3A", "03 06 80 00000000 00 01 41 FE 00 3B"):
        assert connection.receive_data(bytes.fromhex(hexed), 0.1) == []
        selects.append(connection.data_to_send()[9])
    assert selects == [1, 2, 3]
    events = connection.receive_data(bytes.fromhex("03 06 80 00000000 00 02 41 FE 00 38"), 0.2)
    assert events == [CardMute(), Answered("power_on")]


def test_the_longest_frame_is_taken_and_one_byte_more_is_not() -> None:
    for data, taken in ((b"A" * 261, True), (b"A" * 262, False)):
        message = b"\x83" + len(data).to_bytes(4, "little") + bytes(5) + data
        lrc = 0
        for byte in b"\x03\x06" + message:
            lrc ^= byte
        events = feed(asked("firmware"), [b"\x03\x06" + message + bytes([lrc])])
        assert (Answered("firmware") in events) is taken
        if taken:
            assert events[0] == Identity("firmware", "A" * 64)


def test_text_is_reduced_to_printable_ascii() -> None:
    data = b"\x00Gem\x1b[31m\xff\x00"
    message = b"\x83" + len(data).to_bytes(4, "little") + bytes(5) + data
    lrc = 0
    for byte in b"\x03\x06" + message:
        lrc ^= byte
    assert feed(asked("firmware"), [b"\x03\x06" + message + bytes([lrc])])[0] == Identity("firmware", "Gem[31m")


@pytest.mark.parametrize(("code", "words"), [(0xFE, "mute"), (0x07, "bad_byte_7"), (0x90, "error_90"), (0x05, "bad_slot")])
def test_errors_have_names(code: int, words: str) -> None:
    assert error_name(code) == words


def test_the_queue_of_questions_is_bounded() -> None:
    connection = CcidConnection()
    for _ in range(MAX_QUEUED + 1):  # one is on the wire, the others wait
        connection.ask("slot_status", 0.0)
    with pytest.raises(LocalProtocolError, match="wait already"):
        connection.ask("slot_status", 0.0)
    with pytest.raises(LocalProtocolError, match="no query"):
        connection.ask("xfr", 0.0)


def test_what_a_session_is_told() -> None:
    assert (PROTOCOL.name, PROTOCOL.kind, PROTOCOL.silent_fault) == ("ccid", "reader", "reader.silent")
    assert (PROTOCOL.line.baud, PROTOCOL.line.stopbits, PROTOCOL.bauds) == (115200, 2, ())
    assert PROTOCOL.on_insert[-1] == "power_off"  # no card is left under power
    for query in (PROTOCOL.probe, *PROTOCOL.identify, *PROTOCOL.arm, *PROTOCOL.poll, *PROTOCOL.on_insert):
        PROTOCOL.connection().ask(query, 0.0)
