"""What a test card puts on its tracks, and what reaches the host when it is swiped well or badly (devices.md 3.3, 3.4).

The account number is the test pattern of all ones behind a 4, made here each time: no such number stands in any file.
"""

from __future__ import annotations

TRACK_1, TRACK_2 = 1, 2
_OFFSET = {TRACK_1: 32, TRACK_2: 48}
_WIDTH = {TRACK_1: 64, TRACK_2: 16}

SWIPES = ("good", "bad_lrc", "track2_only", "no_start", "no_end", "track1_bad", "track2_bad", "unreadable")
"""How a card may be swiped."""


def account() -> str:
    """A test account number whose last digit fits the others (ISO/IEC 7812-1, annex B)."""
    front = "4" + "1" * 14
    weight = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(front))
    return front + str(-weight % 10)


def tracks() -> dict[int, str]:
    """Both tracks from start to end sentinel."""
    number = account()
    rest = "3012101" + "0" * 8
    return {TRACK_1: f"%B{number}^CARD/TEST^{rest}?", TRACK_2: f";{number}={rest}?"}


def lrc(track: int, text: str) -> str:
    """The character that makes every column of bits even."""
    value = 0
    for char in text:
        value ^= (ord(char) - _OFFSET[track]) % _WIDTH[track]
    return chr(_OFFSET[track] + value)


def _spoilt(track: int, text: str, how: str) -> str:
    """What an ID TECH reader sends of one track, its LRC character behind it."""
    check = lrc(track, text)
    if how == "bad_lrc":
        return text + chr(_OFFSET[track] + (ord(check) - _OFFSET[track] ^ 1))
    if how == "no_start":
        return text[1:] + check
    return text[:-4] if how == "no_end" else text + check


def idtech(how: str) -> bytes:
    """One swipe in plain ID TECH form."""
    out = ""
    for track, text in tracks().items():
        if how == "track2_only" and track == TRACK_1:
            continue
        bad = how in ("bad_lrc", "no_start", "no_end") or how == f"track{track}_bad"
        if how == "unreadable":
            out += {TRACK_1: "%E?", TRACK_2: ";E?"}[track]
        else:
            out += _spoilt(track, text, "bad_lrc" if how == f"track{track}_bad" else how if bad else "good")
    return out.encode("ascii") + b"\r"


def magtek(how: str) -> bytes:
    """One swipe as MagTek frames it: a track that could not be read is an E, an LRC is not sent."""
    out = ""
    for track, text in tracks().items():
        failed = {TRACK_1: "%E?", TRACK_2: ";E?"}[track]
        if how == "track2_only" and track == TRACK_1:
            continue
        out += failed if how not in ("good", "track2_only", "track1_bad", "track2_bad") or how == f"track{track}_bad" else text
    return b"\x02\x1b" + out.encode("ascii") + b"0\r\x03"
