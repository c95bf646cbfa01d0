"""Signs and small phrases that several views share."""

from agent.cli.screen import Style, neutral, wrap

_SIGNS = {"good": "✔", "bad": "✘", "warn": "!", "dim": "–", "unknown": "?"}
_TINTS = {
    "yes": "good", "ok": "good", "pass": "good", "committed": "good", "downloaded": "good",
    "no": "bad", "failed": "bad", "fail": "bad", "fault": "bad", "refused": "bad", "error": "bad", "critical": "bad",
    "degraded": "warn", "warning": "warn", "rolled_back": "warn", "canceled": "warn", "unknown": "unknown",
}  # fmt: skip


def tint_of(word: str) -> str:
    """The tint that a word of the contract is drawn in."""
    return _TINTS.get(word, "dim")


def sign(word: str, style: Style) -> str:
    """✔ ✘ ! ? or – for a word of the contract."""
    tint = tint_of(word)
    return style.paint(_SIGNS[tint], "warn" if tint == "unknown" else tint)


def tinted(text: str, word: str, style: Style) -> str:
    """``text`` in the tint of ``word``."""
    tint = tint_of(word)
    return style.paint(text, "warn" if tint == "unknown" else tint)


def moment(value: object) -> str:
    """An RFC 3339 time as people read it, to the second: ``2026-11-23 12:33:34Z``."""
    text = neutral(value)
    if len(text) < 20 or text[10] != "T":
        return text
    return f"{text[:10]} {text[11:19]}Z"


def last_line(word: str, sentence: str, style: Style, remedy: str = "") -> list[str]:
    """The line that a person who reads only one line reads; the remedy follows under it."""
    head, *rest = wrap(sentence, style.width - 2)
    lines = [f"{sign(word, style)} {tinted(head, word, style)}", *(f"  {tinted(line, word, style)}" for line in rest)]
    if remedy:
        first, *more = wrap(remedy, style.width - 4)
        lines += [f"  → {first}", *(f"    {line}" for line in more)]
    return lines
