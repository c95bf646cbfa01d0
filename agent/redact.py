"""Finds card data in text and masks it: the last net before anything is stored, sent or shown.

The first net is in `protocols`: no decoder hands on a track or a PAN. This one is for what slips past: an exception
that quotes its input, a foreign device that echoes, a configuration with a number pasted into it.

What counts as card data (PCI DSS 4.0.1, 3.3.1 and 3.4.1):
* 12 to 19 digits in a row that pass Luhn (ISO/IEC 7812-1 annex B), also grouped by blanks, dashes, line ends or NULs,
  and as 4-4-4-4 or 4-6-5 by full stops, commas, colons, slashes or underscores;
* a number with a known scheme's prefix inside a longer run of digits (BCD dumps, track 2 without its separator);
* track 1 ``%B…`` and track 2 ``;digits=`` (ISO/IEC 7813);
* all of that behind hex, base64, UTF-16, a Python bytes literal or a list of bytes in decimal.

What is spared, so that a record stays useful: UUIDs (RFC 9562 shape), and under the keys of `EXEMPT_KEYS` values that
have the exact shape of a hash. A number that is none of these and passes Luhn by chance, such as one in ten
13-digit timestamps, is masked: a lost timestamp costs less than a kept PAN.
"""

import base64
import binascii
import logging
import re
from collections.abc import Callable, Iterable, Mapping

MASK = "[card-data]"
LEAST_BYTES = 6
"""Twelve digits as BCD."""
MAX_DEPTH = 16
"""Levels of nesting that `redact_json` follows; below them a value becomes its text."""

EXEMPT_KEYS = frozenset({"sha256", "sha1", "md5", "sha512", "hash", "prev", "head_hash", "key_id", "etag", "hashes"})
"""Keys whose value is left alone where it is 32, 40, 64, 96 or 128 hex digits, a letter among them."""

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

_SUSPECT = re.compile(
    r"\d(?:[ \t\r\n\x00-]{0,2}\d){11}"  # digits in a row, or grouped
    r"|\d{4}[._/,:]\d{4}[._/,:\d]"
    r"|(?:\d{1,3}[,; \t\r\n]{1,8}){5}\d"  # bytes in decimal
    r"|%B|;\d{8}"
    r"|[0-9A-Za-z+/_-]{16}"  # hex or base64
    r"|(?:[0-9A-Fa-f]{2}[ :,-]){6}|(?:\\x[0-9A-Fa-f]{2})|(?:0x[0-9A-Fa-f]{2}\W+){6}"
)
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\b")
_HASH = re.compile(r"(?=.*[a-fA-F])(?:[0-9a-fA-F]{32}){1,4}|(?=.*[a-fA-F])[0-9a-fA-F]{40}")
_DIGITS = re.compile(r"\d(?:[ \t\r\n\x00-]{0,2}\d){11,}")
_GROUPED = re.compile(r"(?<!\d)(?:\d{4}(?:[._/,:]\d{4}){3}|\d{4}[._/,:]\d{6}[._/,:]\d{5})(?!\d)")
"""Only as cards are printed: sizes, versions, dates and addresses use these signs as well."""
_PART = re.compile(r"\d+")
_TRACK1 = re.compile(r"%\x00?B(?:[\d\x00]{3,}|[^\n^?]{0,40}\^)[^\n?]{0,160}\??")
_TRACK2 = re.compile(r";\x00?(?:\d\x00?){8,19}[=D][\d\x00=]*\??")
_HEX = re.compile(r"[0-9A-Fa-f]{2}(?:(?:[ :,\r\n-]|, ?0x|\\x| 0x)?[0-9A-Fa-f]{2}){6,}")
_DECIMAL = re.compile(r"(?<!\d)\d{1,3}(?:[,; \t\r\n]{1,8}\d{1,3}){5,}(?!\d)")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}")
_LITERAL = re.compile(r"""b'(?:[^'\\\n]|\\.){6,}'|b"(?:[^"\\\n]|\\.){6,}\"""")
_TOKEN = re.compile(r"\S+")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}
_SCHEME = re.compile(
    r"4\d{12}(?:\d{3}(?:\d{3})?)?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|(?:6[0245]|62)\d{14}(?:\d{3})?"
)
_SCHEME_LENGTHS = (13, 14, 15, 16, 19)
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def redact(text: str) -> str:
    """``text`` with every piece of card data replaced by `MASK`; without any, the same object comes back."""
    if len(text) < 12 or _SUSPECT.search(text) is None:
        return text
    pieces: list[str] = []
    end = 0
    for uuid in _UUID.finditer(text):
        pieces += [_redact_piece(text[end : uuid.start()]), uuid[0]]
        end = uuid.end()
    pieces.append(_redact_piece(text[end:]))
    return "".join(pieces)


def redact_json(value: object, *, key: str = "") -> JSON:
    """``value`` as plain JSON with every string swept, keys included.

    Numbers are swept like text. What JSON cannot say becomes text, bytes only their count: they have no business here.
    ``key`` is the name that the value stands under (see `EXEMPT_KEYS`).
    """
    return _clean(value, key, MAX_DEPTH)


def holds_card_data(text: str) -> bool:
    """Whether `redact` would change ``text``."""
    return redact(text) != text


class CardDataFilter(logging.Filter):
    """Sweeps a log record before a handler writes it: message, exception and stack.

    Attach it to handlers, not to loggers: a logger's filter does not see what its children log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; the record is rewritten in place, its arguments and its exception folded into text."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  (a bad format string is our mistake; its arguments must not be lost or leaked)
            message = f"{record.msg} [arguments do not fit]"
        record.msg, record.args = redact(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _redact_piece(text: str) -> str:
    if _SUSPECT.search(text) is None:
        return text
    text = _redact_plain(text)
    if "\\x" in text:
        text = _mask_where(_LITERAL, text, _escaped_hides)
        text = _mask_where(_TOKEN, text, _escaped_hides)
    text = _mask_where(_DECIMAL, text, _decimal_hides)
    text = _mask_where(_HEX, text, _hex_hides)
    return _mask_where(_BASE64, text, _base64_hides)


def _redact_plain(text: str) -> str:
    """Sweeps what can be read as it stands."""
    text = _TRACK1.sub(MASK, text)
    text = _TRACK2.sub(MASK, text)
    text = _mask_where(_GROUPED, text, _printed_hides)
    return _mask_where(_DIGITS, text, _digits_hide)


def _mask_where(pattern: re.Pattern[str], text: str, hides: Callable[[str], bool]) -> str:
    return pattern.sub(lambda found: MASK if hides(found[0]) else found[0], text)


def _digits_hide(run: str) -> bool:
    """A run of digits, grouped or not: whole parts by Luhn alone, anything inside by Luhn and a scheme's prefix."""
    parts = _PART.findall(run)
    if any(12 <= len(part) <= 19 and _luhn(part) for part in parts):
        return True
    digits = "".join(parts)
    if len(parts) > 1 and 12 <= len(digits) <= 19 and _luhn(digits) and digits.strip("0"):
        return True
    return _scheme_inside(digits)


def _printed_hides(run: str) -> bool:
    digits = "".join(_PART.findall(run))
    return _luhn(digits) and bool(digits.strip("0"))


def _scheme_inside(digits: str) -> bool:
    for start in range(len(digits) - 12):
        for length in _SCHEME_LENGTHS:
            window = digits[start : start + length]
            if len(window) == length and _SCHEME.fullmatch(window) and _luhn(window):
                return True
    return False


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        total += _LUHN_DOUBLED[int(char)] if place % 2 else int(char)
    return total % 10 == 0


def _bytes_hide(data: bytes) -> bool:
    """Bytes as ASCII, or as UTF-16 of either order. One level deep: nobody nests encodings by accident."""
    text = data.decode("latin-1").replace("\x00", "")
    return _redact_plain(text) != text


def _hex_hides(token: str) -> bool:
    digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", token)
    whole = digits[: len(digits) // 2 * 2]
    if _bytes_hide(bytes.fromhex(whole)) or _bytes_hide(bytes.fromhex(digits[1:][: (len(digits) - 1) // 2 * 2])):
        return True
    # BCD: with separators taken out, the number may stand across what were two groups
    return digits != token and any(_digits_hide(run) for run in re.findall(r"\d{12,}", digits))


def _decimal_hides(run: str) -> bool:
    """Bytes as a list writes them: as text, and as BCD."""
    return _numbers_hide([int(part) for part in _PART.findall(run)])


def _numbers_hide(numbers: Iterable[object]) -> bool:
    """Whether any stretch of bytes among them does."""
    stretch = bytearray()
    for number in (*numbers, None):
        if type(number) is int and 0 <= number < 256:
            stretch.append(number)
        elif len(stretch) >= LEAST_BYTES and _listed_hides(bytes(stretch)):
            return True
        else:
            stretch.clear()
    return False


def _listed_hides(data: bytes) -> bool:
    """Small numbers in a row are no card for passing Luhn: as BCD a scheme's prefix counts alone, and not of counters."""
    if max(data) < 10:
        return False
    return _bytes_hide(data) or any(map(_scheme_inside, re.findall(r"\d{12,}", data.hex())))


def _base64_hides(token: str) -> bool:
    letters = re.sub(r"[\r\n=]", "", token).translate({ord("-"): "+", ord("_"): "/"})
    for shift in range(4):  # text may be glued in front of it
        part = letters[shift:]
        part = part[: len(part) - 1] if len(part) % 4 == 1 else part
        try:
            data = base64.b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):  # not base64 from here
            continue
        if _bytes_hide(data):
            return True
    return False


def _escaped_hides(token: str) -> bool:
    """A bytes literal as ``repr`` writes it: its bytes as text, and as BCD."""
    if "\\x" not in token:
        return False
    data = _ESCAPE.sub(_unescaped, token).encode("latin-1", "replace")
    if _bytes_hide(data):
        return True
    body = data[2:-1] if data[:2] in {b"b'", b'b"'} else data
    return any(_digits_hide(run) for run in re.findall(r"\d{12,}", body.hex()))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _SHORT.get(found[2], found[2])


def _clean(value: object, key: str, depth: int) -> JSON:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if key in EXEMPT_KEYS and _is_hash(value) else redact(value)
    if isinstance(value, int):
        return value if holds_no_number(value) else MASK
    if isinstance(value, float):
        return _clean_float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth == 0:
        return redact(str(value))
    if isinstance(value, Mapping):
        return {redact(str(name)): _clean(item, str(name), depth - 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) >= LEAST_BYTES and _numbers_hide(value):
            return MASK
        return [_clean(item, key, depth - 1) for item in value]
    return redact(str(value))


def holds_no_number(value: int) -> bool:
    """Whether an integer is too short or too crooked to be a card number."""
    return abs(value) < 10**11 or not holds_card_data(str(abs(value)))


def _clean_float(value: float) -> JSON:
    if value != value or value in {float("inf"), float("-inf")}:
        return str(value)
    return MASK if value.is_integer() and not holds_no_number(int(value)) else value


def _is_hash(value: str) -> bool:
    return _HASH.fullmatch(value) is not None and not _bytes_hide(bytes.fromhex(value))
