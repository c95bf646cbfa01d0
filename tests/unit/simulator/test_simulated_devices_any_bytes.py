"""Whatever bytes come, in whatever pieces: the devices stay bounded and answer the next whole question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.line import VirtualClock
from simulator.printer.tokens import DLE, Tokenizer
from simulator.terminal import in_memory

# Bytes that begin something, far more often than chance would have it.
LEADS = b"\x1b\x1c\x1d\x10\x04\x05\x14()*kvVaIgH\x00\x03\x06\x6b\x65\x62\x15\x16"
PIECES = st.lists(st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(LEADS), max_size=20).map(bytes)))
GET_STATUS = bytes.fromhex("03 06 65 00 00 00 00 00 02 00 00 00 62")


@given(PIECES)
def test_printer_answers_a_real_time_question_after_anything(pieces: list[bytes]) -> None:
    printer = in_memory(VirtualClock()).printer
    assert printer is not None
    host = printer.line.host
    for piece in pieces:
        host.write(piece)
        host.read()
    host.write(bytes(12))  # ends a real-time command that was begun
    host.read()
    host.write(b"\x10\x04\x01\x10\x04\x04")
    assert host.read()[:2] == b"\x12\x12"


@given(PIECES)
def test_reader_answers_after_anything_and_a_pause(pieces: list[bytes]) -> None:
    clock = VirtualClock()
    reader = in_memory(clock).reader
    assert reader is not None
    host = reader.line.host
    for piece in pieces:
        host.write(piece)
    clock.advance(1.0)
    host.read()
    host.write(GET_STATUS)
    answer = host.read()
    assert answer[: len(GET_STATUS)] == GET_STATUS
    assert answer[-13:-1] == bytes.fromhex("03 06 81 00 00 00 00 00 02 02 00 01")


@given(PIECES)
def test_the_pieces_of_a_stream_do_not_matter(pieces: list[bytes]) -> None:
    whole, cut = Tokenizer(), Tokenizer()
    at_once = whole.feed(b"".join(pieces))
    by_piece = [token for piece in pieces for token in cut.feed(piece)]
    commands = [token for token in at_once if token.lead not in (0, DLE)]
    assert [token for token in by_piece if token.lead not in (0, DLE)] == commands
    assert sum(token.size for token in at_once) <= sum(map(len, pieces))
