"""Bars of the barcodes that tills print most: EAN-13, EAN-8, UPC-A, Code 39, ITF and Code 128.

Modules are given as text: 1 is a bar, 0 a space. What a printer would refuse (wrong characters or length) gives None,
and so do the systems that are not drawn here; the receipt then shows a labelled box.
Sources: ISO/IEC 15420 (EAN/UPC), 15417 (Code 128), 16388 (Code 39), 16390 (ITF).
"""

from __future__ import annotations

_EAN_LEFT = "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011".split()  # noqa: SIM905
_EAN_PARITY = ["LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL"]
_INVERTED = str.maketrans("01", "10")

# Code 39: a column of ten characters shares its bars, a row of ten its spaces; 1 is a wide one.
_CODE39_BARS = ["10001", "01001", "11000", "00101", "10100", "01100", "00011", "10010", "01010", "00110"]
_CODE39_ROWS = {"1234567890": "0100", "ABCDEFGHIJ": "0010", "KLMNOPQRST": "0001", "UVWXYZ-. *": "1000"}
_CODE39_SIGNS = {"$": "1110", "/": "1101", "+": "1011", "%": "0111"}

_ITF = ["00110", "10001", "01001", "11000", "00101", "10100", "01100", "00011", "10010", "01010"]

_CODE128 = (  # noqa: SIM905  # a list of this length would not be read
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 "
    "123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 "
    "232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 "
    "313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 "
    "111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 241112 134111 "
    "111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 412121 111143 111341 131141 114113 "
    "114311 411113 411311 113141 114131 311141 411131 211412 211214 211232 2331112"
).split()
_CODE128_STARTS = {"A": 103, "B": 104, "C": 105}
_CODE128_SWITCHES = {("A", "B"): 100, ("A", "C"): 99, ("B", "A"): 101, ("B", "C"): 99, ("C", "A"): 101, ("C", "B"): 100}


def modules(system: str, data: str) -> str | None:
    """The modules of a whole barcode, or None where it is not drawn as bars."""
    draw = {"EAN13": _ean13, "EAN8": _ean8, "UPC-A": _upc_a, "CODE39": _code39, "ITF": _itf, "CODE128": _code128}
    return draw[system](data) if system in draw else None


def _digits(data: str, length: int) -> list[int] | None:
    """`length` digits, the check digit added where it is left out."""
    if not (data.isascii() and data.isdigit()) or len(data) not in (length, length - 1):
        return None
    digits = [int(char) for char in data]
    if len(digits) < length:
        digits.append(-sum(digit * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits))) % 10)
    return digits


def _ean(left: list[int], right: list[int], parity: str) -> str:
    bars = "101"
    for digit, kind in zip(left, parity, strict=True):
        # G is the right-hand code (L inverted) read backwards.
        bars += _EAN_LEFT[digit] if kind == "L" else _EAN_LEFT[digit].translate(_INVERTED)[::-1]
    return bars + "01010" + "".join(_EAN_LEFT[digit].translate(_INVERTED) for digit in right) + "101"


def _ean13(data: str) -> str | None:
    digits = _digits(data, 13)
    return _ean(digits[1:7], digits[7:], _EAN_PARITY[digits[0]]) if digits else None


def _upc_a(data: str) -> str | None:
    digits = _digits(data, 12)
    return _ean(digits[:6], digits[6:], "LLLLLL") if digits else None


def _ean8(data: str) -> str | None:
    digits = _digits(data, 8)
    return _ean(digits[:4], digits[4:], "LLLL") if digits else None


def _alternating(widths: str) -> str:
    """Bars and spaces in turn, of these widths in modules."""
    return "".join(("1" if at % 2 == 0 else "0") * int(width) for at, width in enumerate(widths))


def _code39_widths(char: str) -> str | None:
    if char in _CODE39_SIGNS:
        bars, spaces = "00000", _CODE39_SIGNS[char]
    else:
        found = [(row.index(char), spaces) for row, spaces in _CODE39_ROWS.items() if char in row]
        if not found:
            return None
        bars, spaces = _CODE39_BARS[found[0][0]], found[0][1]
    mixed = "".join(bar + space for bar, space in zip(bars, spaces + "0", strict=True))[:-1]
    return mixed.translate(str.maketrans("01", "13"))


def _code39(data: str) -> str | None:
    widths = [_code39_widths(char) for char in f"*{data.strip('*')}*"]
    if not all(widths):
        return None
    return "0".join(_alternating(one) for one in widths if one)


def _itf(data: str) -> str | None:
    if not (data.isascii() and data.isdigit()) or len(data) % 2:
        return None
    widths = "1111"
    for first, second in zip(data[::2], data[1::2], strict=True):
        pair = "".join(bar + space for bar, space in zip(_ITF[int(first)], _ITF[int(second)], strict=True))
        widths += pair.translate(str.maketrans("01", "13"))
    return _alternating(widths + "311")


def _code128(data: str) -> str | None:
    """As the printer takes it: {A, {B or {C selects a code set, {{ is a brace; set C holds bytes of value 0 to 99."""
    values: list[int] = []
    current = ""
    at = 0
    while at < len(data):
        if data[at] == "{" and data[at + 1 : at + 2] in _CODE128_STARTS:
            chosen = data[at + 1]
            values.append(_CODE128_SWITCHES.get((current, chosen), -1) if current else _CODE128_STARTS[chosen])
            current = chosen
            at += 2
            continue
        at += 1 if data[at : at + 2] == "{{" else 0
        values.append(_code128_value(current, ord(data[at])))
        at += 1
    if not values or -1 in values:
        return None
    check = (values[0] + sum(position * value for position, value in enumerate(values))) % 103
    return "".join(_alternating(_CODE128[value]) for value in [*values, check, 106])


def _code128_value(code_set: str, byte: int) -> int:
    if code_set == "C":
        return byte if byte <= 99 else -1
    if code_set == "A":
        return byte - 32 if 32 <= byte < 96 else byte + 64 if byte < 32 else -1
    return byte - 32 if code_set == "B" and 32 <= byte < 128 else -1
