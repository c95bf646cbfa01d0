"""Answers To Reset, by hand from ISO/IEC 7816-3 section 8."""

import pytest

from protocols.errors import RemoteProtocolError
from protocols.readers.atr import Atr, parse


@pytest.mark.parametrize(
    ("hexed", "expected"),
    [
        # facts 2.4: T=0 by default, seven historical bytes, no check byte
        ("3B 07 50 4F 53 53 49 4D 31", Atr("direct", (0,), 372, 1, None, 7, None, historical="proprietary")),
        ("3F 00", Atr("inverse", (0,), 372, 1, None, 0, None)),
        # TA1 = 95: Fi 512, Di 16; TD1 = 80 (T=0), TD2 = 01 (T=1): TCK = 90 ^ 95 ^ 80 ^ 01 = 84
        ("3B 90 95 80 01 84", Atr("direct", (0, 1), 512, 16, None, 0, True, ta1=0x95)),
        ("3B 90 95 80 01 85", Atr("direct", (0, 1), 512, 16, None, 0, False, ta1=0x95)),
        # TD1 = 10 (T=0), TA2 = 01: specific mode, T=1; only T=0 is announced, so no TCK
        ("3B 81 10 01 41", Atr("direct", (0,), 372, 1, 1, 1, None, historical="proprietary")),
        # TA1 = 75: Fi is reserved
        ("3B 10 75", Atr("direct", (0,), None, 16, None, 0, None, ta1=0x75)),
        ("3B 10 10", Atr("direct", (0,), 372, None, None, 0, None, ta1=0x10)),
        # T=15 is no protocol, but it makes TCK due: 80 ^ 80 ^ 0F = 0F
        ("3B 80 80 0F 0F", Atr("direct", (0,), 372, 1, None, 0, True)),
        # TC1 = FF: the least guard time; TD1 = 40 (T=0), TC2 = 14: WI 20; historical bytes begin with 80
        ("3B C1 FF 40 14 80", Atr("direct", (0,), 372, 1, None, 1, None, 0x11, 255, 20, "compact_tlv")),
        # TD1 = 80, TD2 = 1F (T=15), TA3 = 03: classes A and B; 00 as category; TCK = 82 ^ 80 ^ 1F ^ 03 ^ 00 ^ 00 = 1E
        ("3B 82 80 1F 03 00 00 1E", Atr("direct", (0,), 372, 1, None, 2, True, historical="status_behind", classes="AB")),
        # the simulated T=1 card: TD1 = 01, seven historical bytes, TCK over T0 to the last
        ("3B 87 01 50 4F 53 53 49 4D 31 AC", Atr("direct", (1,), 372, 1, None, 7, True, historical="proprietary")),
    ],
)
def test_literal(hexed: str, expected: Atr) -> None:
    assert parse(bytes.fromhex(hexed)) == expected


@pytest.mark.parametrize(
    "hexed",
    [
        "",
        "3B",
        "3C 00",
        "3B 07 50",  # fewer historical bytes than announced
        "3B 00 00",  # one byte too many
        "3B F0 11",  # ends inside the interface bytes
        "3B 80 80 80",  # TD3 announced and not there
        "3B 0F" + "41" * 32,  # longer than 33
    ],
)
def test_what_is_not_one_whole_answer(hexed: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(bytes.fromhex(hexed))
