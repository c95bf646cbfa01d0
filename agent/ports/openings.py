"""A device that starts anew because its port is opened: DTR moves, and its reset hangs on that (devices.md L18). Pure.

What a device says by itself when it gets power comes within two seconds of the opening. After a cable was plugged in it would say
so anyhow, so such an opening counts neither way.
"""

from agent.observations import LineFinding, LinkState

FAULT = "link.reset_on_open"
BOOT_S = 2.0
"""How soon after the opening."""
ROW = 2
"""Openings in a row, each with boot output."""
LEAST_TEXT = 6
"""So many bytes that fit nothing, and an answer right after them, are a text that the device says when it starts."""
TOLERANCE = 1
"""The text is the same at each opening, give or take a byte that the opening cuts off; noise is another each time."""


class Openings:
    """Of one line."""

    def __init__(self) -> None:
        self._row = 0
        self._opened: float | None = None
        self._said: str | None = None
        self._bytes = 0
        self._spoilt = False
        self._text: int | None = None
        self._told = False

    def opened(self, now: float, after: LinkState | None) -> LineFinding | None:
        """The port was opened; ``after`` is why it was not open before. An opening without boot output ends the row."""
        finding = self._judge() if self._opened is not None else None
        self._opened, self._said, self._bytes = (now, None, 0) if after is not LinkState.UNPLUGGED else (None, None, 0)
        self._spoilt = False
        return finding

    def heard(self, what: str, now: float) -> None:
        """The device said something that nobody asked for: ``status`` or ``XON``."""
        if self._opened is not None and now <= self._opened + BOOT_S and self._said is None:
            self._said = what

    def noise(self, count: int, now: float) -> None:
        """Bytes came that fit nothing: so many of them, and answers behind them, are a text."""
        if self._opened is not None and now <= self._opened + BOOT_S and not self._spoilt:
            self._bytes += count
            self._said = self._said or ("text" if self._bytes >= LEAST_TEXT else None)

    def spoilt(self) -> None:
        """A frame came damaged: what fits nothing since the opening is noise then, and no text."""
        self._spoilt = True
        self._said = None if self._said == "text" else self._said

    def answered(self) -> LineFinding | None:
        """It answers: whoever spoke before was it."""
        if self._opened is None:
            return None
        return self._judge() if self._said is not None and self._row + 1 >= ROW and not self._told else None

    def silent(self) -> None:
        """Nobody answered: whatever came was no device's start, or came at a wrong speed."""
        self._opened = self._said = None

    def _judge(self) -> LineFinding | None:
        """The opening that is over, or proven: one more of the row, or its end."""
        said, self._opened = self._said, None
        text = self._bytes if said == "text" else None
        another = text is not None and self._text is not None and abs(text - self._text) > TOLERANCE
        self._row, self._text = 0 if said is None else 1 if another else self._row + 1, text
        if said is not None and self._row >= ROW and not self._told:
            self._told = True
            return LineFinding(FAULT, True, {"openings": str(self._row), "said": said})
        if said is None and self._told:
            self._told = False
            return LineFinding(FAULT, False)
        return None
