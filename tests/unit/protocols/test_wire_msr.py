"""Magnetic stripe readers against literal bytes, and swipes made at run time: verdicts come out, and nothing else.

Account numbers are test patterns put together here (a 4, ones, and the digit that fits), so that none stands in a file.
"""

import copy
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.connection import MAX_QUEUED
from protocols.errors import LocalProtocolError
from protocols.events import Answered, BadChecksum, Discarded, Event, Identity, Refused, Status, Swipe, TrackVerdict, Unanswered
from protocols.readers._trackbytes import MAX_BYTES, TrackBytes
from protocols.readers.msr import QUIET_S, SWIPE_S, MsrConnection
from tests.unit.protocols.feeding import bytewise, check, feed, name, ready, settle, vectors

IN = vectors("msr", "in")
each_in = pytest.mark.parametrize("vector", IN, ids=name)
VERSION = next(bytes.fromhex(v["hex"]) for v in IN if v["name"] == "version answered")


def pan(digits: str = "4" + "1" * 14) -> str:
    """``digits`` with the one that fits (ISO/IEC 7812-1 annex B): at most ten tries, by the definition itself."""

    def total(number: str) -> int:
        return sum(int(d) if i % 2 == 0 else sum(map(int, str(2 * int(d)))) for i, d in enumerate(reversed(number)))

    return next(digits + last for last in "0123456789" if total(digits + last) % 10 == 0)


def track1(number: str) -> str:
    return f"%B{number}^CARD/TEST^3012101{'0' * 8}?"


def track2(number: str) -> str:
    return f";{number}=3012101{'0' * 8}?"


def lrc(text: str, offset: int) -> str:
    value = 0
    for char in text:
        value ^= ord(char) - offset
    return chr(offset + value)


def good(number: str) -> bytes:
    one, two = track1(number), track2(number)
    return (one + lrc(one, 0x20) + two + lrc(two, 0x30) + "\r").encode("ascii")


def swiped(data: bytes, *, pieces: list[bytes] | None = None) -> list[Event]:
    connection = MsrConnection()
    connection.ask("swipe", 0.0)
    assert connection.data_to_send() == b"", "a swipe is only waited for"
    events = feed(connection, pieces or [data], 1.0)
    assert events == []
    events = connection.handle_timer(1.0 + QUIET_S)
    assert set(connection._bytes._bytes) == {0}, "overwritten"
    return events


def verdicts(data: bytes) -> tuple[TrackVerdict, ...]:
    swipe, answered = swiped(data)
    assert isinstance(swipe, Swipe)
    assert answered == Answered("swipe")
    return swipe.tracks


# -- questions and answers


@pytest.mark.parametrize("vector", vectors("msr", "out"), ids=name)
def test_questions_are_these_bytes(vector: dict[str, Any]) -> None:
    connection = MsrConnection()
    connection.ask(vector["ask"], 0.0)
    assert connection.data_to_send() == bytes.fromhex(vector["hex"])


@each_in
def test_whole(vector: dict[str, Any]) -> None:
    connection = ready(MsrConnection(), vector)
    check(feed(connection, [bytes.fromhex(vector["hex"])]), vector["events"])


@each_in
def test_byte_by_byte(vector: dict[str, Any]) -> None:
    connection = ready(MsrConnection(), vector)
    check(feed(connection, bytewise(bytes.fromhex(vector["hex"]))), vector["events"])


@pytest.mark.parametrize("garbage", [b"\xff", b"\x02\x52", b"%E?\r", b"\x06\x15"])
def test_an_answer_behind_garbage(garbage: bytes) -> None:
    connection = MsrConnection()
    connection.ask("firmware", 0.0)
    events = feed(connection, [garbage + VERSION])
    assert events == [
        Discarded(len(garbage)),
        Status("version", {"ready": "yes"}),
        Identity("firmware", "V3.19"),
        Answered("firmware"),
    ]


def test_silence() -> None:
    connection = MsrConnection()
    connection.ask("present", 0.0)
    assert connection.handle_timer(0.9) == []
    assert connection.handle_timer(1.0) == [Unanswered("present", 0)]


def test_a_reader_that_only_talks_is_not_asked_again() -> None:
    connection = MsrConnection()
    events = feed(connection, [b"21088817A01\r"])
    assert events == [Identity("firmware", "21088817A01")]
    connection.ask("present", 5.0)
    assert connection.data_to_send() == b""
    assert connection.next_timer() == 5.0
    assert connection.handle_timer(5.0) == [Answered("present")]


def test_unknown_questions_and_too_many() -> None:
    connection = MsrConnection()
    with pytest.raises(LocalProtocolError, match="no query"):
        connection.ask("tracks", 0.0)
    for _ in range(MAX_QUEUED + 1):
        connection.ask("present", 0.0)
    with pytest.raises(LocalProtocolError, match="wait already"):
        connection.ask("present", 0.0)


# -- swipes


def test_a_good_swipe_with_lrc_characters() -> None:
    number = pan()
    one, two = verdicts(good(number))
    assert one == TrackVerdict(1, len(track1(number)), start=True, end=True, parity=True, lrc=True, luhn=True)
    assert two == TrackVerdict(2, len(track2(number)), start=True, end=True, parity=True, lrc=True, luhn=True)
    assert one.good
    assert two.good


@pytest.mark.parametrize("framed", [False, True])
def test_magtek_and_idtech_framing(framed: bool) -> None:
    number = pan()
    if framed:
        body = good(number)
        check_lrc = check_sum = 0
        for byte in body:
            check_lrc ^= byte
            check_sum = (check_sum + byte) & 0xFF
        data = b"\x02" + len(body).to_bytes(2, "little") + body + bytes((check_lrc, check_sum)) + b"\x03"
    else:
        data = b"\x02\x1b" + (track1(number) + track2(number) + "0\r").encode() + b"\x03"
    found = verdicts(data)
    assert [v.track for v in found] == [1, 2]
    assert all(v.good and v.luhn for v in found)
    assert {v.lrc for v in found} == {True if framed else None}
    if framed:
        assert swiped(data[:-2] + bytes((data[-2] ^ 1,)) + data[-1:]) == [
            BadChecksum("swipe"),
            Swipe(()),
            Refused("swipe", "damaged"),
        ]


def test_how_it_is_cut_makes_no_difference() -> None:
    data = good(pan())
    assert swiped(data, pieces=bytewise(data)) == swiped(data)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"\x02\x1b%E?;E?0\r\x03", [(1, 0, True, True, None), (2, 0, True, True, None)]),
        (b"\x02\x1b%E?;12=9?+3=4?1\r\x03", [(1, 0, True, True, None), (2, 6, True, True, None), (3, 5, True, True, None)]),
        (b";12=9?;3=4?\r", [(2, 6, True, True, None), (3, 5, True, True, None)]),
        (b"%B1^A^9\r", [(1, 7, True, False, None)]),
        (b"%B1^A^9;12=9?\r", [(1, 7, True, False, None), (2, 6, True, True, None)]),
        (b"B1^A^9?\r", [(1, 7, False, True, None)]),
        (b"12=9?\r", [(2, 5, False, True, None)]),
        (b"+3=4?\r", [(3, 5, True, True, None)]),
    ],
)
def test_what_is_missing_is_named(data: bytes, wanted: list[tuple[int, int, bool, bool, bool | None]]) -> None:
    assert [(v.track, v.length, v.start, v.end, v.luhn) for v in verdicts(data)] == wanted


def test_every_wrong_lrc_character_is_found() -> None:
    number = pan()
    for text, offset, bits in ((track1(number), 0x20, 64), (track2(number), 0x30, 16)):
        right = lrc(text, offset)
        for value in range(bits):
            char = chr(offset + value)
            (found,) = verdicts((text + char + "\r").encode())
            assert found.lrc is (char == right), char
            assert found.length == len(text)


def test_a_wrong_digit_fails_luhn_and_a_wrong_character_parity() -> None:
    number = pan()
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert [v.luhn for v in verdicts((track1(wrong) + track2(wrong) + "\r").encode())] == [False, False]
    (found,) = verdicts(track2(number).replace("=", "=A").encode() + b"\r")
    assert (found.parity, found.good) == (False, False)


def test_nobody_swipes() -> None:
    connection = MsrConnection()
    connection.ask("swipe", 0.0)
    assert connection.next_timer() == SWIPE_S
    assert connection.handle_timer(SWIPE_S) == [Unanswered("swipe", 0)]


def test_a_swipe_without_end_is_bounded_and_thrown_away() -> None:
    connection = MsrConnection()
    connection.ask("swipe", 0.0)
    for _ in range(100):
        connection.receive_data(b"%B" + b"1" * 98, 1.0)
    assert len(connection._bytes._bytes) == MAX_BYTES
    assert connection.handle_timer(1.0 + QUIET_S) == [BadChecksum("swipe"), Swipe(()), Refused("swipe", "damaged")]
    assert set(connection._bytes._bytes) == {0}


# -- nothing of a card leaves


def hides(text: str, number: str) -> bool:
    return number[:6] not in text and number[-6:] not in text and number.encode().hex() not in text


@given(st.text("0123456789", min_size=11, max_size=18), st.binary(max_size=30), st.booleans())
def test_no_event_holds_a_digit_of_the_card(digits: str, noise: bytes, asked: bool) -> None:
    number = pan(digits)
    connection = MsrConnection()
    connection.ask("swipe" if asked else "present", 0.0)
    data = noise + good(number)
    events = [*feed(connection, [data], 1.0), *connection.handle_timer(1.0 + QUIET_S), *settle(connection, 30.0)]
    assert hides(repr(events), number)
    assert hides(repr(connection.__dict__), number)
    assert set(connection._bytes._bytes) == {0}
    if not asked:
        assert not [e for e in events if isinstance(e, Swipe)]


def test_track_bytes_cannot_be_shown_copied_or_kept() -> None:
    number = pan()
    held = TrackBytes()
    held.put(number.encode())
    for text in (repr(held), str(held), f"{held}", f"{held:>20}", repr([held])):
        assert text.strip("[]") == "<track bytes>"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            take(held)
    with pytest.raises(TypeError):
        bytes(held)  # type: ignore[call-overload]  # that it cannot is what is tested
    assert not hasattr(held, "__dict__")
    buffer = held._bytes
    held.wipe()
    assert set(buffer) == {0}
    assert len(held) == 0
    assert held.at(0) == held.at(-1) == -1


def test_an_error_while_judging_shows_nothing_and_wipes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: TrackBytes) -> tuple[TrackVerdict, ...]:
        raise RuntimeError(f"cannot judge {record} of {len(record)} bytes")

    monkeypatch.setattr("protocols.readers.msr.judge", broken)
    number = pan()
    connection = MsrConnection()
    connection.ask("swipe", 0.0)
    connection.receive_data(good(number), 1.0)
    with pytest.raises(RuntimeError) as caught:
        connection.handle_timer(1.0 + QUIET_S)
    assert hides("".join(traceback.format_exception(caught.value)), number)
    assert set(connection._bytes._bytes) == {0}
