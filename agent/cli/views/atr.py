"""An Answer To Reset as a technician reads it: convention, protocols, speed, guard time, kind of historical bytes, check byte."""

from agent.health.atrtext import HIDDEN
from agent.text import Text
from protocols.errors import RemoteProtocolError
from protocols.readers.atr import Atr, parse


def atr_words(shown: str, text: Text) -> str:
    """``shown`` is what agent.health.atrtext gave; what cannot be read is said to be so."""
    hidden = HIDDEN in shown
    try:
        found = parse(bytes.fromhex(shown.replace(HIDDEN, "00")))
    except (ValueError, RemoteProtocolError):
        return text.t("atr.unreadable")
    parts = [
        text.word("atr.convention", found.convention),
        ", ".join(f"T={number}" for number in found.protocols),
        f"Fi/Di {found.fi or '?'}/{found.di or '?'}",
        f"N={found.extra_guard_time}",
    ]
    if found.specific_mode is not None:
        parts.append(text.t("atr.specific", number=str(found.specific_mode)))
    if found.classes is not None:
        parts.append(text.t("atr.classes", letters=found.classes))
    return text.t("punctuation.items").join(
        [*parts, _historical(found, text, hidden=hidden), _check_byte(found, text, hidden=hidden)]
    )


def _historical(found: Atr, text: Text, *, hidden: bool) -> str:
    if not found.historical_length:
        return text.t("atr.no_historical")
    kind = text.word("atr.kind", "hidden" if hidden else found.historical)
    return text.t("atr.historical", number=str(found.historical_length), kind=kind)


def _check_byte(found: Atr, text: Text, *, hidden: bool) -> str:
    if found.tck_ok is None:
        return text.t("atr.no_tck")
    return text.t("atr.tck" if found.tck_ok or hidden else "atr.bad_tck")
