"""The tokenizer against literal commands, against a grammar that shares nothing with it, and against anything."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.printers.tokens import NOWHERE, Tokenizer
from simulator.printer.tokens import Tokenizer as PrintersTokenizer
from tests.unit.keeper.grammar import Grammar, borders, cuts

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "escpos_stream.json").read_text(encoding="utf-8")
)["vectors"]
WHOLE = [v for v in VECTORS if v.get("whole")]
LOST = [v for v in VECTORS if v.get("lost")]


def raw(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


@pytest.mark.parametrize("vector", WHOLE, ids=lambda v: v["name"])
def test_a_command_ends_where_it_ends(vector: dict[str, Any]) -> None:
    data = raw(vector)
    whole = Tokenizer()
    assert whole.feed(data) == len(data)
    assert whole.border
    assert whole.commands == 1
    for size in range(1, len(data)):
        part = Tokenizer()
        assert part.feed(data[:size]) in (0, NOWHERE)
        assert part.inside
        assert part.to_go > 0
        assert part.feed(data[size:]) == len(data) - size
        assert part.border
    bytewise = Tokenizer()
    assert [bytewise.feed(data[i : i + 1]) for i in range(len(data))][-1] == 1
    assert bytewise.feed(b"ok\n") == 3


@pytest.mark.parametrize(
    "vector", [v for v in WHOLE if v["name"] not in ("vertical tabs", "counter mode", "counter")], ids=lambda v: v["name"]
)
def test_the_simulated_printer_reads_the_same_commands(vector: dict[str, Any]) -> None:
    printer = PrintersTokenizer()
    assert len(printer.feed(raw(vector) + b"\x1b@")) == 2
    assert not printer.mid_command


@pytest.mark.parametrize("vector", LOST, ids=lambda v: v["name"])
def test_what_is_unknown_is_lost_until_silence(vector: dict[str, Any]) -> None:
    found = Tokenizer()
    found.feed(raw(vector))
    assert found.lost
    assert found.feed(b"text\n\x1b@") == NOWHERE
    found.silence()
    assert found.feed(b"text\n") == 5


def test_where_a_question_may_stand_in_text() -> None:
    found = Tokenizer()
    assert found.feed(b"plain") == 5
    assert found.feed(b"\n" + "收".encode("gb18030")) == 1  # behind the line feed: what follows may be half a character
    assert not found.border
    assert found.feed(b"\xd2") == NOWHERE
    assert found.feed(b"\xf8\x1b@") == 3
    assert found.feed(b"\x81") == NOWHERE
    found.silence()
    assert found.border


def test_a_macro_and_another_peripheral_take_no_question() -> None:
    found = Tokenizer()
    assert found.feed(b"\x1d:text\n") == 0
    assert found.feed(b"\x1d:") == 2
    assert found.feed(b"\x1b=\x02hello") == 0
    assert found.feed(b"\x1b=\x01") == 3


def test_what_is_learnt() -> None:
    found = Tokenizer()
    found.feed(b"\x1b@one\ntwo\n\x1bd\x03\x1dV\x42\x00\x1bi")
    assert (found.resets, found.lines, found.cuts) == (1, 5, 2)


def test_the_tills_own_questions_are_told_with_their_place() -> None:
    found = Tokenizer()
    found.feed(b"a\x10\x04\x01\x1dI\x43\x1dI\x01\x1dr\x01\x1da\x0f\x1b@\x1dg2\x00\x14\x00\x1dg0\x00\x14\x00\x1d(E\x01\x00\x01")
    asked = sorted(found.asked)
    assert [(kind, n) for _, kind, n in asked] == [
        ("real_time", 1), ("block", 0x43), ("plain", 1), ("plain", 1), ("asb", 15), ("block", 0x32), ("any", 0),
    ]  # fmt: skip
    assert asked[0][0] == 4
    found.feed(b"\x1dv0\x00\x04\x00\x01\x00\x10\x04")
    assert found.asked == []
    found.feed(b"\x02\x00")  # real-time inside a picture, cut in two
    assert found.asked == [(1, "real_time", 2)]


def test_a_snapshot_stands_for_the_whole_state() -> None:
    pieces = Grammar(3).pieces(20_000)
    data = b"".join(p.data for p in pieces)
    whole = Tokenizer()
    for cut in cuts(data, 4, 500):
        other = Tokenizer()
        other.restore(whole.snapshot())
        assert other.feed(cut) == whole.feed(cut)
        assert other.snapshot() == whole.snapshot()
    with pytest.raises(ValueError, match="snapshot"):
        Tokenizer().restore((1, 2))


def follow(seed: int, size: int) -> tuple[int, int]:
    """Every border that is told is one; how many were told, of how many pieces of the stream."""
    pieces = Grammar(seed).pieces(size)
    data = b"".join(p.data for p in pieces)
    known, loose = borders(pieces)
    found, told, fed, at, run = Tokenizer(), 0, 0, 0, 0
    for cut in cuts(data, seed):
        border = found.feed(cut)
        fed += 1
        if border != NOWHERE:
            told += 1
            place = at + border
            while run < len(loose) and loose[run][1] < place:
                run += 1
            assert place in known or (run < len(loose) and loose[run][0] <= place), (seed, place)
        at += len(cut)
        assert not found.lost
    assert found.border
    return told, fed


@pytest.mark.parametrize("seed", range(4))
def test_random_valid_streams(seed: int) -> None:
    told, fed = follow(seed, 1 << 18)
    assert told > fed / 4


@given(st.binary(max_size=400), st.data())
def test_anything_in_any_pieces(data: bytes, draw: st.DataObject) -> None:
    whole = Tokenizer()
    whole.feed(data)
    parts = Tokenizer()
    at = 0
    while at < len(data):
        size = draw.draw(st.integers(1, len(data) - at))
        border = parts.feed(data[at : at + size])
        assert border == NOWHERE or 0 <= border <= size
        at += size
    assert (whole.lost, whole.border) == (parts.lost, parts.border)
    assert whole.lost or whole.snapshot() == parts.snapshot()
