"""An Answer To Reset as text: hex, its historical bytes hidden where they could be somebody's number."""

from agent.redact import holds_card_data
from protocols.errors import RemoteProtocolError
from protocols.readers.atr import parse

HIDDEN = "··"
"""stands for a byte that is not shown"""


def shown(atr: bytes) -> str:
    """Upper-case hex with spaces. An ATR that is no whole one, and holds what looks like a number, is hidden whole."""
    pairs = [f"{byte:02X}" for byte in atr]
    texts = (atr.hex(), atr.decode("latin-1"), "".join(chr(b) for b in atr if 0x30 <= b <= 0x39))
    if not any(holds_card_data(text) for text in texts):
        return " ".join(pairs)
    try:
        found = parse(atr)
    except RemoteProtocolError:
        return " ".join([HIDDEN] * len(atr))
    end = len(atr) - (found.tck_ok is not None)
    begin = end - found.historical_length
    return " ".join([*pairs[:begin], *[HIDDEN] * found.historical_length, *pairs[end:]])
