"""The simulated stripe readers against facts devices.md 3.2 to 3.4: frames in literal bytes, tracks by arithmetic done here.

No account number stands in this file: the simulator makes one of ones, and its digits are checked by their weights.
"""

from __future__ import annotations

import pytest

from simulator.line import MemoryLine, VirtualClock
from simulator.reader.swipes import SWIPES, account, lrc, tracks
from simulator.terminal import Kinds, Terminal, in_memory

VERSION = "02 52 22 03 71"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def till(clock: VirtualClock) -> Terminal[MemoryLine]:
    return in_memory(clock, Kinds("none", "msr"))


def ask(till: Terminal[MemoryLine], question: str) -> bytes:
    assert till.reader is not None
    till.reader.line.host.write(bytes.fromhex(question))
    return till.reader.line.host.read()


def swipe(till: Terminal[MemoryLine], how: str) -> bytes:
    assert till.reader is not None
    till.set("reader.swipe", how, 0)
    return till.reader.line.host.read()


def test_idtech_says_its_version(till: Terminal[MemoryLine]) -> None:
    said = ask(till, VERSION)
    assert said[:5] == bytes.fromhex("06 02 52 22 1b")
    assert said[5:-2] == b"ID TECH TM3 MagStripe V3.19"
    value = 0
    for byte in said[1:]:
        value ^= byte
    assert value == 0
    assert ask(till, "02 52 1f 03 4c") == b"\x16", "a function that it does not have"
    assert ask(till, "02 52 22 03 70") == b"\x15"


def test_the_test_account_is_a_pattern_with_a_digit_that_fits() -> None:
    digits = [int(d) for d in reversed(account())]
    weighed = [d if place % 2 == 0 else sum(divmod(2 * d, 10)) for place, d in enumerate(digits)]
    assert len(digits) == 16
    assert sum(weighed) % 10 == 0
    assert set(digits[:]) <= {1, 4, *digits[:1]}


def test_tracks_have_their_sentinels_and_lengths() -> None:
    one, two = tracks()[1], tracks()[2]
    assert (one[:2], one[-1], len(one) <= 79) == ("%B", "?", True)
    assert (two[0], two[-1], len(two) <= 40) == (";", "?", True)
    assert set(two) <= set("0123456789:;<=>?")


@pytest.mark.parametrize(("track", "text", "wanted"), [(1, "%?", ":"), (2, ";0?", "4"), (2, ";?", "4"), (1, "%AB?", "9")])
def test_check_characters(track: int, text: str, wanted: str) -> None:
    """By hand: % is 05, ? 1F, A 21, B 22 of six bits; ; is B, ? F, 0 0 of four."""
    assert lrc(track, text) == wanted


@pytest.mark.parametrize("how", SWIPES)
def test_every_kind_of_swipe_sends_something_else(till: Terminal[MemoryLine], how: str) -> None:
    said = swipe(till, how)
    assert said.endswith(b"\r")
    assert (said == swipe(till, "good")) is (how == "good")
    assert said == swipe(till, how), "the same again swipes again"
    assert till.show()["reader"]["swipes"] == 3


def test_magtek_frames_its_swipe_and_sends_no_check_character(till: Terminal[MemoryLine], clock: VirtualClock) -> None:
    till.set("reader.format", "magtek", 0)
    assert ask(till, VERSION) == b"", "it listens to nothing"
    clock.advance(0.2)
    assert till.reader is not None
    assert till.reader.line.host.read() == b"21088817A01\r"
    good = swipe(till, "good")
    assert (good[:3], good[-3:]) == (b"\x02\x1b%", b"0\r\x03")
    assert good.count(b"?") == 2
    assert swipe(till, "bad_lrc") == b"\x02\x1b%E?;E?0\r\x03"


def test_without_power_nothing_is_swiped(till: Terminal[MemoryLine]) -> None:
    till.set("reader.power", "off", 0)
    assert swipe(till, "good") == b""
    assert ask(till, VERSION) == b""
