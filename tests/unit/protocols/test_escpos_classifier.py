"""Whole pieces and single bytes are classified alike: the one is a regular expression, the other a state machine."""

import random

import pytest

from protocols.printers._escpos_classifier import GAP_S, MAX_BLOCK, Classifier, Token, What, items
from protocols.printers.escpos import EscposConnection

SIZES = {What.ASB: 4}
ALPHABETS = (
    bytes(range(256)),
    b"\x10\x00\x12\x5f\x11\x13AB\x00\xff",
    b"\x5f\x3dA",
    b"\x10\x00\x0f\x10\x20\x08",
    b"\x5f" + bytes(range(0x20, 0x80)),
)
Flat = list[tuple[What, bytes, bool]]


def flat(tokens: list[Token]) -> Flat:
    """One by one, and garbage beside garbage joined."""
    out: Flat = []
    for what, raw, inside in tokens:
        size = SIZES.get(what, 1)
        if what is What.BLOCK:
            parts = [text + b"\0" for text in raw.split(b"\0")[:-1]]
        else:
            parts = [raw] if what is What.NOISE else [raw[i : i + size] for i in range(0, len(raw), size)]
        for part in parts:
            if what is What.NOISE and out and out[-1][0] is What.NOISE:
                out[-1] = (what, out[-1][1] + part, False)
            else:
                out.append((what, part, inside))
    return out


def fed(data: bytes, sizes: list[int], choose: random.Random) -> tuple[Flat, float | None]:
    classifier, tokens, at = Classifier(), [], 0
    while at < len(data):
        size = choose.choice(sizes)
        tokens += classifier.feed(data[at : at + size], 1.0)
        at += size
    return flat(tokens), classifier.deadline


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: a[:8].hex())
def test_however_it_is_cut_it_means_the_same(alphabet: bytes) -> None:
    for seed in range(150):
        choose = random.Random(seed)
        data = bytes(choose.choice(alphabet) for _ in range(choose.randrange(400)))
        bytewise = fed(data, [1], choose)
        assert fed(data, [len(data) or 1], choose) == bytewise, data
        assert fed(data, [1, 2, 3, 7, 100], choose) == bytewise, data


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("10 00 00 0F", [(What.ASB, "10 00 00 0F")]),
        ("10 00 FF", [(What.NOISE, "10 00 FF")]),
        ("10 00 10 00 00 0F", [(What.NOISE, "10 00"), (What.ASB, "10 00 00 0F")]),
        ("10 12 00 00 0F", [(What.REAL_TIME, "12"), (What.ASB, "10 00 00 0F")]),
        ("5F 41 00", [(What.BLOCK, "5F 41 00")]),
        ("5F 41 80 11", [(What.NOISE, "5F 41 80"), (What.FLOW, "11")]),
        ("12 1A 0F", [(What.REAL_TIME, "12"), (What.REAL_TIME, "1A"), (What.PLAIN, "0F")]),
    ],
)
def test_by_the_fixed_bits_of_the_table(data: str, told: list[tuple[What, str]]) -> None:
    """facts devices.md 1.1, Epson TM-T88III appendix G."""
    raw = bytes.fromhex(data)
    for sizes in ([1], [len(raw)]):
        found = fed(raw, sizes, random.Random(0))[0]
        assert [(what, part) for what, part, _ in found] == [(what, bytes.fromhex(part)) for what, part in told]


def test_a_block_has_an_end_however_it_is_read() -> None:
    whole = b"\x5f" + b"A" * (MAX_BLOCK - 2) + b"\0"
    longer = b"\x5f" + b"A" * (MAX_BLOCK - 1) + b"\0"
    for sizes in ([1], [MAX_BLOCK * 2]):
        assert fed(whole, sizes, random.Random(0))[0] == [(What.BLOCK, whole, False)]
        assert fed(longer, sizes, random.Random(0))[0][0] == (What.NOISE, longer[: MAX_BLOCK - 1], False)


def test_what_is_incomplete_waits_and_is_given_up() -> None:
    for start in (b"\x10\x00", b"\x5fAB"):
        classifier = Classifier()
        assert not classifier.feed(start, 1.0)
        assert classifier.feed(b"\x0f", 1.0 + GAP_S)[0] == Token(What.NOISE, start)


def test_of_equals_in_a_row_two_are_told() -> None:
    asb, other = bytes.fromhex("10 00 00 0F"), bytes.fromhex("38 00 00 0F")
    told = [item.raw for item in items(Token(What.ASB, asb * 5 + other + asb))]
    assert told == [asb, asb, other, asb]
    assert [i.raw for i in items(Token(What.FLOW, b"\x11\x11\x13\x13\x13\x11"))] == [b"\x11", b"\x13", b"\x11"]
    assert len(list(items(Token(What.REAL_TIME, b"\x12" * 9)))) == 9


def test_a_flood_leaves_a_handful_of_events_per_read() -> None:
    for flood in (b"\x80", b"\x12", b"\x00", b"\x5f", b"\x11", bytes.fromhex("10 00 00 0F"), b"\x5fA\0"):
        connection = EscposConnection()
        assert len(connection.receive_data(flood * (4096 // len(flood)), 1.0)) <= 4
