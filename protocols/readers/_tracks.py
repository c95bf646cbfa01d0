"""Tracks of a magnetic stripe as characters (ISO/IEC 7811-2 and -6, 7813; facts devices.md 3.2 to 3.4): verdicts, never content.

    % … ?   track 1, 20 to 5F          ; … ?   track 2, 30 to 3F          + … ?  or a second ; … ?   track 3, 30 to 3F
    %E?     a track that the reader could not read (MagTek, 3.3)
    an LRC character may stand behind ?: bit-wise even parity of all from start to end sentinel, offset as its track's characters

    02 1B … sensor 0D 03                MagTek; sends no LRC; the sensor character is 0 or 1
    02 LenL LenH … LRC SUM 03           ID TECH, framed (3.2); LRC is the XOR of the body, SUM its sum
    …  0D                               ID TECH, plain

Every function looks at single bytes and returns numbers and verdicts. No slice of a track leaves TrackBytes.
"""

from protocols.events import TrackVerdict
from protocols.readers._trackbytes import TrackBytes

STX, ETX, ESC, CR, LF = 0x02, 0x03, 0x1B, 0x0D, 0x0A
END = 0x3F
FAILED = 0x45
FORMAT_B, CARET, EQUALS = 0x42, 0x5E, 0x3D
STARTS = {0x25: 1, 0x3B: 2, 0x2B: 3}
"""Start sentinel to track: % ; +"""
LOWEST = {1: 0x20, 2: 0x30, 3: 0x30}
BITS = {1: 0x3F, 2: 0x0F, 3: 0x0F}
"""Data bits of a character, its parity bit apart."""
SENSOR = (0x30, 0x31)
PAN_SHORTEST, PAN_LONGEST = 8, 19


def framed_well(record: TrackBytes) -> bool:
    """False only for an ID TECH frame whose LRC or SUM is wrong."""
    body = _idtech_body(record)
    if body is None:
        return True
    lrc = total = 0
    for index in range(3, body):
        lrc ^= record.at(index)
        total += record.at(index)
    return (lrc, total & 0xFF) == (record.at(body), record.at(body + 1))


def judge(record: TrackBytes) -> tuple[TrackVerdict, ...]:
    """One verdict for each track that came, in the order of the tracks."""
    at, end, has_lrc = _content(record)
    found: dict[int, TrackVerdict] = {}
    while at < end:
        if record.at(at) in (CR, LF, ETX) or (not has_lrc and record.at(at) in SENSOR and end - at <= 3):
            at += 1
            continue
        track = STARTS.get(record.at(at)) or _guess(record, at, end)
        if track in found and track < 3:
            track = 3 if track == 2 else 1
        verdict, at = _track(record, at, end, track, has_lrc=has_lrc)
        found.setdefault(track, verdict)
    return tuple(found[track] for track in sorted(found))


def _idtech_body(record: TrackBytes) -> int | None:
    """Where the body of an ID TECH frame ends; None: this is none."""
    size = len(record)
    if record.at(0) != STX or record.at(1) == ESC or size < 6 or record.at(size - 1) != ETX:
        return None
    length = record.at(1) | record.at(2) << 8
    return 3 + length if length == size - 6 else None


def _content(record: TrackBytes) -> tuple[int, int, bool]:
    """(first byte, end, whether an LRC character may follow a track)."""
    if record.at(0) == STX and record.at(1) == ESC:
        return 2, len(record), False
    body = _idtech_body(record)
    if body is not None:
        return 3, body, True
    return (1 if record.at(0) == STX else 0), len(record), True


def _guess(record: TrackBytes, at: int, end: int) -> int:
    """Of characters without a start sentinel: letters and blanks are on track 1 alone."""
    for index in range(at, end):
        byte = record.at(index)
        if byte == END or byte in (CR, ETX):
            break
        if not 0x30 <= byte <= 0x3F:
            return 1
    return 2


def _track(record: TrackBytes, at: int, end: int, track: int, *, has_lrc: bool) -> tuple[TrackVerdict, int]:
    """The verdict about the track that begins ``at``, and where the next one begins."""
    started = record.at(at) in STARTS
    if started and record.at(at + 1) == FAILED and record.at(at + 2) == END:
        return TrackVerdict(track, 0, start=True, end=True, parity=False, lrc=None, luhn=None), at + 3
    stop = record.find(END, at + started, end)
    limit = _next_start(record, at + started, end)
    if stop < 0 or stop > limit:
        verdict = TrackVerdict(
            track, limit - at, start=started, end=False, parity=_clean(record, at, limit, track), lrc=None, luhn=None
        )
        return verdict, max(limit, at + 1)
    after, lrc = _lrc(record, at, stop, end, track) if has_lrc else (stop + 1, None)
    verdict = TrackVerdict(
        track,
        stop + 1 - at,
        start=started,
        end=True,
        parity=_clean(record, at, stop + 1, track),
        lrc=lrc,
        luhn=_luhn(record, at, stop, track) if started else None,
    )
    return verdict, after


def _next_start(record: TrackBytes, at: int, end: int) -> int:
    """Where something else begins, which no track holds inside."""
    for index in range(at, end):
        if record.at(index) in STARTS or record.at(index) in (CR, LF, ETX):
            return index
    return end


def _clean(record: TrackBytes, at: int, end: int, track: int) -> bool:
    lowest, highest = LOWEST[track], LOWEST[track] + BITS[track]
    return all(lowest <= record.at(i) <= highest or record.at(i) in STARTS for i in range(at, end))


def _lrc(record: TrackBytes, at: int, stop: int, end: int, track: int) -> tuple[int, bool | None]:
    """(where the next thing begins, is the LRC right); a sentinel of the next track is taken for itself unless it is the LRC."""
    lowest, bits = LOWEST[track], BITS[track]
    # A third track may begin with ; or +, whichever the reader sends: on the card it is the same character.
    value = (STARTS_CODE[track] if record.at(at) in STARTS else 0) & bits
    for index in range(at + (record.at(at) in STARTS), stop + 1):
        value ^= record.at(index) - lowest & bits
    byte, behind = record.at(stop + 1), record.at(stop + 2)
    last = stop + 2 >= end or behind in STARTS or behind in (CR, LF, ETX)
    if stop + 1 >= end or byte in (CR, LF, ETX):
        return stop + 1, None
    if byte == lowest + value and (byte not in STARTS or last):
        return stop + 2, True
    return (stop + 1, None) if byte in STARTS and not last else (stop + 2, False)


STARTS_CODE = {1: 0x05, 2: 0x0B, 3: 0x0B}
"""Start sentinels as data bits (ISO/IEC 7811-2 tables 5 and 6)."""


def _luhn(record: TrackBytes, at: int, stop: int, track: int) -> bool | None:
    """Luhn over the account number (ISO/IEC 7812-1 annex B); None where the track holds none where one is looked for."""
    first = at + 1
    if track == 1:
        if record.at(first) != FORMAT_B:
            return None
        first += 1
    elif track == 3:
        return None
    total = 0
    last = record.find(CARET if track == 1 else EQUALS, first, stop)
    if not PAN_SHORTEST <= last - first <= PAN_LONGEST:
        return None
    for place, index in enumerate(range(last - 1, first - 1, -1)):
        digit = record.at(index) - 0x30
        if not 0 <= digit <= 9:
            return False
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
