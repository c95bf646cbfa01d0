"""What one line does about cards: resets one that went in, cures what card or slot did to the reader, checks a test card.

A card is reset by itself on a line that is ours, and never on one that was only borrowed for a technician's test: whose card
is in there, nobody has said. A check is asked for by a person who has put a test card in. It resets the card, sends it one
harmless command (SELECT of the master file, in T=0), and leaves it without power. No I/O, no clock.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.observations import CardChecked, Observation
from agent.ports.askedcures import AskedCures
from protocols.connection import DeviceProtocol
from protocols.events import (
    Answered,
    CardExchanged,
    CardFaulty,
    CardMute,
    CardNews,
    CardParameters,
    CardPowered,
    CardTorn,
    Refused,
    Status,
    Unanswered,
)


@dataclass(slots=True)
class _Check:
    token: str
    asked: list[str] = field(default_factory=list)
    card: str = "unknown"
    atr: bytes = b""
    exchange: str = ""
    parameters: str = ""


class Cards:
    """``tell`` takes what was seen; what is to be asked comes from ``turn``."""

    def __init__(self, protocol: DeviceProtocol, tell: Callable[[Observation], None], *, resets: bool) -> None:
        """``resets``: a card that goes in is reset without anybody asking for it."""
        self._protocol = protocol
        self._tell = tell
        self._resets = resets
        self._cures = AskedCures(protocol.cures if resets else {})
        self._check: _Check | None = None
        self._wanted: str | None = None
        self._following: tuple[str, ...] = ()

    def opened(self) -> None:
        """A new line."""
        self._cures.forget()

    def lost(self) -> None:
        """The line is gone, and with it what was under way."""
        for token in (self._wanted, self._check.token if self._check else None):
            if token is not None:
                self._tell(CardChecked(token, "unknown"))
        self._wanted = self._check = None

    def inserted(self) -> Iterable[str]:
        """What to ask of a card that went in."""
        return self._protocol.on_insert if self._resets and self._check is None else ()

    def check(self, token: str, *, possible: bool) -> None:
        """A person has put a test card in. Ends in one CardChecked(token); a second one replaces the first."""
        if self._wanted is not None or self._check is not None:
            self.lost()
        if possible and self._protocol.card_check:
            self._wanted = token
        else:
            self._tell(CardChecked(token, "unknown"))

    def event(self, event: CardNews, now: float) -> None:
        """Something about a card."""
        if isinstance(event, CardFaulty) and event.reason == "runaway":
            self._cures.there("runaway", now)
        if self._check is not None:
            self._note(self._check, event)

    def status(self, status: Status, now: float) -> None:
        """A sample of the reader."""
        if status.readings.get("slot") == "busy":
            self._cures.there("slot_busy", now)
        elif "slot" in status.readings:
            self._told("slot_busy", {"slot": "free"})
        if self._check is not None and self._check.card == "unknown" and status.readings.get("card") == "absent":
            self._check.card = "absent"

    def outcome(self, event: Answered | Unanswered | Refused) -> None:
        """A question has ended."""
        if isinstance(event, Answered):
            for trouble in self._cures.awaited(event.query):
                self._told(trouble, {"answered": event.query})
        check = self._check
        if check is None or event.query not in check.asked:
            return
        check.asked.remove(event.query)
        if isinstance(event, Refused) and event.query in self._protocol.card_check:
            check.exchange = check.exchange or event.code
        if not check.asked:
            self._next_step(check, event.query)

    def next_timer(self) -> float | None:
        """When ``turn`` has something to do; None while there is nothing."""
        if self._wanted is not None or (self._check is not None and not self._check.asked):
            return 0.0
        return self._cures.next_timer()

    def turn(self, now: float) -> tuple[str, ...]:
        """What to ask now, on an idle line."""
        if self._wanted is not None:
            self._check, self._wanted = _Check(self._wanted), None
            return self._ask(self._check, ("power_on",))
        questions, told = self._cures.turn(now)
        for one in told:
            self._tell(one)
        return questions if self._check is None else ()

    def take_questions(self) -> tuple[str, ...]:
        """What follows from what has just been answered."""
        questions, self._following = self._following, ()
        return questions

    def _next_step(self, check: _Check, query: str) -> None:
        if query == "power_on":
            more = self._protocol.card_check if check.atr and self._protocol.checkable(check.atr) else ()
            self._following = self._ask(check, (*more, "power_off"))
        else:
            self._check = None
            self._tell(CardChecked(check.token, check.card, check.atr, check.exchange, check.parameters))

    def _ask(self, check: _Check, questions: tuple[str, ...]) -> tuple[str, ...]:
        check.asked += questions
        return questions

    def _note(self, check: _Check, event: CardNews) -> None:
        match event:
            case CardPowered(atr=atr):
                check.card, check.atr = "present", atr
            case CardMute():
                check.card = "mute"
            case CardFaulty(reason=reason):
                check.card = reason
            case CardTorn():
                check.card = "torn"
            case CardExchanged(status_word=word):
                check.exchange = word
            case CardParameters(protocol=protocol, fi=fi, di=di, guard_time=guard):
                check.parameters = f"T={protocol}, Fi/Di {fi}/{di}, N={guard}"

    def _told(self, trouble: str, evidence: dict[str, str]) -> None:
        for one in self._cures.gone(trouble, evidence):
            self._tell(one)
