"""ViVOtech2 against literal bytes: both CRC orders, damage, status codes, a reader that was tampered with."""

from typing import Any

import pytest

from protocols.checksums import crc16_ccitt_false
from protocols.connection import MAX_QUEUED
from protocols.errors import LocalProtocolError
from protocols.events import Answered, BadChecksum, Event, Garbage, LateAnswer, Refused, Status, Unanswered
from protocols.readers._vivotech2 import HEADER, MAX_DATA, command, status_name
from protocols.readers.neo import PROTOCOL, NeoConnection
from tests.unit.protocols.feeding import bytewise, check, feed, joined, name, ready, settle, vectors

PING = bytes.fromhex("56 69 56 4F 74 65 63 68 32 00 18 01 00 00 B3 CD")
PONG = bytes.fromhex("56 69 56 4F 74 65 63 68 32 00 18 00 00 00 FA 83")
PONG_BAD = PONG[:-1] + b"\x84"
IN = vectors("neo", "in")
each_in = pytest.mark.parametrize("vector", IN, ids=name)
READ_ONLY = {0x1801, 0x2900, 0x1201, 0x810C, 0x8351, 0x2507, 0xF002, 0x2504, 0x2502}
"""Command and sub-command of all that may ever be sent: NEO 2 IDG, the pages in the vectors."""


def asked(query: str) -> NeoConnection:
    connection = NeoConnection()
    connection.ask(query, 0.0)
    assert connection.data_to_send()
    return connection


def fed(vector: dict[str, Any], before: bytes = b"", behind: bytes = b"", *, single: bool = False) -> list[Event]:
    """Events of a vector, each question that takes several frames being sent on."""
    connection = ready(NeoConnection(), vector)
    data = before + bytes.fromhex(vector["hex"]) + behind
    events = feed(connection, bytewise(data) if single else [data])
    assert connection.idle or vector.get("unsettled")
    return events


@pytest.mark.parametrize("vector", vectors("neo", "out"), ids=name)
def test_questions_are_these_bytes(vector: dict[str, Any]) -> None:
    connection = NeoConnection()
    connection.ask(vector["ask"], 0.0)
    assert connection.data_to_send() == bytes.fromhex(vector["hex"])
    assert connection.data_to_send() == b""


@pytest.mark.parametrize(
    ("body", "crc"),
    [
        ("18 01 00 00", 0xCDB3),
        ("18 00 00 00", 0xFA83),
        ("83 50 00 00", 0x7CCD),
        ("83 00 00 02 E1 01", 0x0D25),
        ("03 02 00 00", 0x915B),
    ],
)
def test_the_published_frames_have_this_crc(body: str, crc: int) -> None:
    assert crc16_ccitt_false(HEADER + bytes.fromhex(body)) == crc


def test_published_commands_are_made_and_published_answers_are_read() -> None:
    assert command(0x18, 0x01) == PING
    assert command(0x83, 0x50).endswith(b"\xcd\x7c")
    assert command(0x03, 0x02).endswith(b"\x5b\x91")


def test_nothing_is_ever_sent_that_does_more_than_ask() -> None:
    sent = bytearray()
    for query in (PROTOCOL.probe, *PROTOCOL.identify, *PROTOCOL.arm, *PROTOCOL.poll, *PROTOCOL.survey):
        connection = asked(query)
        connection = NeoConnection()
        connection.ask(query, 0.0)
        sent += connection.data_to_send()
        if query == "clock":
            date = bytes.fromhex("25 00 00 04 20 19 10 23")
            connection.receive_data(HEADER + date + crc16_ccitt_false(HEADER + date).to_bytes(2, "big"), 0.0)
            sent += connection.data_to_send()
    frames = bytes(sent).split(HEADER)[1:]
    assert {int.from_bytes(frame[:2], "big") for frame in frames} == READ_ONLY
    assert all(frame[2:4] == b"\x00\x00" for frame in frames if frame[0] != 0xF0), "with data 25-07 would set, and reboot"
    assert not PROTOCOL.on_insert


@each_in
def test_whole(vector: dict[str, Any]) -> None:
    check(fed(vector), vector["events"])


@each_in
def test_byte_by_byte(vector: dict[str, Any]) -> None:
    check(fed(vector, single=True), vector["events"])


@pytest.mark.parametrize("garbage", [b"\xff", b"ViVOtech\x00", b"ViVOtech2\x01", b"VVV", HEADER + b"\x18\x00\xff\xff"])
@each_in
def test_frames_are_found_right_behind_garbage(vector: dict[str, Any], garbage: bytes) -> None:
    events = fed(vector, before=garbage)
    count = len(garbage)
    if vector["events"][0]["type"] == "Garbage":
        vector = {**vector, "events": [{"type": "Garbage", "count": count + vector["events"][0]["count"]}]}
        check(events, vector["events"])
    else:
        assert events[0] == Garbage(count)
        check(events[1:], vector["events"])


@each_in
def test_garbage_behind_changes_nothing(vector: dict[str, Any]) -> None:
    events = fed(vector, behind=b"\x01\x02")
    if isinstance(events[-1], Garbage) and events[-1].count > 2:
        events[-1] = Garbage(events[-1].count - 2)
    else:
        assert events.pop() == Garbage(2)
    check(events, vector["events"])


def test_half_a_frame_is_given_up_and_what_stands_in_it_counts() -> None:
    connection = asked("ping")
    assert connection.receive_data(HEADER + b"\x18\x00\x00\x40" + PONG, 0.0) == []
    events = joined(connection.handle_timer(0.5))
    assert events == [Garbage(14), Answered("ping")]


def test_a_spoilt_length_does_not_swallow_the_next_frame() -> None:
    spoilt = PONG[:13] + b"\x10" + PONG[14:]
    events = feed(asked("ping"), [spoilt + PONG])
    assert events == [BadChecksum("ping"), Answered("ping")]


def test_a_wrong_crc_is_asked_again_with_the_same_bytes_after_quiet() -> None:
    connection = asked("ping")
    assert connection.receive_data(PONG_BAD, 0.01) == [BadChecksum("ping")]
    assert connection.data_to_send() == b""
    assert connection.next_timer() == pytest.approx(0.06)
    assert connection.handle_timer(0.07) == []
    assert connection.data_to_send() == PING
    assert connection.receive_data(PONG, 0.08) == [Answered("ping")]


@pytest.mark.parametrize("damage", [PONG_BAD, b"\xff\xff", bytes.fromhex("5669564F746563683200 18040000 26 43")])
def test_damage_is_asked_again_three_times_and_no_more(damage: bytes) -> None:
    connection, now, sent = asked("ping"), 0.0, 1
    events: list[Event] = []
    while not connection.idle:
        events += connection.receive_data(damage, now)
        due = connection.next_timer()
        assert due is not None
        now = due
        events += connection.handle_timer(now)
        sent += bool(connection.data_to_send())
    assert sent == 4
    assert isinstance(events[-1], Unanswered)
    assert not any(isinstance(e, (Status, Answered)) for e in events)
    assert now < 3


def test_silence_is_not_asked_again() -> None:
    connection = asked("ping")
    assert connection.handle_timer(0.9) == []
    assert connection.handle_timer(1.0) == [Unanswered("ping", 0)]
    assert connection.data_to_send() == b""


def test_an_echo_alone_is_silence() -> None:
    connection = asked("ping")
    assert connection.receive_data(PING, 0.0) == []
    assert connection.handle_timer(1.0) == [Unanswered("ping", 0)]


def test_the_answer_to_another_command_is_late() -> None:
    connection = asked("keys")
    assert connection.receive_data(PONG, 0.1) == [LateAnswer(16)]
    assert not connection.idle


def test_a_tampered_reader_gets_nothing_but_pings_from_then_on() -> None:
    connection = asked("keys")
    tampered = next(v for v in IN if v["name"] == "tamper occurred")
    connection.receive_data(bytes.fromhex(tampered["hex"]), 0.0)
    for query in (*PROTOCOL.identify, *PROTOCOL.poll, *PROTOCOL.survey, "ping"):
        connection.ask(query, 1.0)
        assert connection.data_to_send() == PING
        events = connection.receive_data(PONG, 1.0)
        assert [e.readings for e in events if isinstance(e, Status)] == [{"tamper": "yes"}], "it stays known"
        assert events[-1] == Refused(query, "tamper_occurred")


def test_the_longest_answer_is_taken_and_one_byte_more_is_not() -> None:
    for size, taken in ((MAX_DATA, True), (MAX_DATA + 1, False)):
        body = HEADER + b"\x18\x00" + size.to_bytes(2, "big") + b"A" * size
        frame = body + crc16_ccitt_false(body).to_bytes(2, "big")
        events = feed(asked("ping"), [frame])
        assert (Answered("ping") in events) is taken
        if not taken:
            assert events == [Garbage(len(frame))]


@pytest.mark.parametrize(
    ("code", "words"),
    [(0x00, "ok"), (0x04, "crc_error"), (0x1D, "tamper_occurred"), (0x12, "secure_interface_down"), (0x77, "status_77")],
)
def test_status_codes_have_names(code: int, words: str) -> None:
    assert status_name(code) == words


def test_text_is_reduced_to_printable_ascii() -> None:
    body = HEADER + b"\x29\x00\x00\x08VP\x1b[31m\xff"
    events = feed(asked("firmware"), [body + crc16_ccitt_false(body).to_bytes(2, "big")])
    assert events[0].value == "VP[31m"  # type: ignore[attr-defined]  # the one Identity


def test_the_queue_of_questions_is_bounded() -> None:
    connection = NeoConnection()
    for _ in range(MAX_QUEUED + 1):
        connection.ask("ping", 0.0)
    with pytest.raises(LocalProtocolError, match="wait already"):
        connection.ask("ping", 0.0)
    with pytest.raises(LocalProtocolError, match="no query"):
        connection.ask("set_time", 0.0)
    settle(connection)
