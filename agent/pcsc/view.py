"""What pcscd says of one reader, turned into what the health model understands. No I/O, no clock, no thread.

The link is ``up`` while pcscd offers the reader, ``service`` while pcscd does not serve it; then a finding says why. Presence and
ATR are taken from what pcscd shows to everybody: no card is touched.
"""

from collections.abc import Mapping

from agent.observations import Introduced, LineFinding, LinkChanged, LinkState, Observation
from agent.pcsc import library
from agent.pcsc.library import PcscError, Seen
from protocols.errors import RemoteProtocolError
from protocols.events import CardFaulty, CardMoved, CardMute, CardPowered, Status
from protocols.readers.atr import parse

DOWN, STUCK, REFUSED, LOST = "reader.pcscd_down", "reader.pcscd_stuck", "reader.pcsc_refused", "reader.pcsc_reader_lost"
FINDINGS = (DOWN, STUCK, REFUSED, LOST)
BY_CODE = {
    library.REFUSED: REFUSED,
    library.UNKNOWN_READER: LOST,
    library.READER_UNAVAILABLE: LOST,
    library.NO_READERS: LOST,
}
"""Everything else that fails is pcscd's being away."""


class View:
    """One reader. ``wanted`` is its name at pcscd, or how it begins; None: the only one that pcscd offers."""

    def __init__(self, wanted: str | None) -> None:
        self._wanted = wanted
        self._found: str | None = None
        self._link: LinkState | None = None
        self._seen: Seen | None = None

    @property
    def known(self) -> int:
        """The state that pcscd is asked to compare with."""
        return self._seen.state if self._seen is not None else library.UNAWARE

    def choose(self, offered: list[str]) -> tuple[str | None, list[Observation]]:
        """Which of the readers is ours; None: none, or one cannot tell."""
        fitting = [name for name in offered if self._wanted is None or name.startswith(self._wanted)]
        if len(fitting) == 1:
            return fitting[0], []
        why = "pcscd offers no reader" if not offered else f"pcscd offers {', '.join(sorted(offered))}; name = says which"
        return None, self._away(LOST, {"why": why})

    def failed(self, error: PcscError) -> list[Observation]:
        """A call did not go well."""
        return self._away(BY_CODE.get(error.code, DOWN), {"why": str(error)})

    def stuck(self, evidence: Mapping[str, str]) -> list[Observation]:
        """pcscd neither answers nor ends."""
        return self._away(STUCK, evidence)

    def serves(self, reader: str, seen: Seen) -> list[Observation]:
        """pcscd shows ``reader``."""
        if seen.state & (library.UNKNOWN | library.UNAVAILABLE):
            return self._away(LOST, {"why": f"pcscd has lost {reader}"})
        told: list[Observation] = []
        if self._link is not LinkState.UP:
            told += self._findings(None, {})
            told += [LinkChanged(LinkState.UP, {"through": "pcscd"}), Introduced({"model": reader})]
            self._link = LinkState.UP
        before, self._seen = self._seen, seen
        return told + _card(before, seen)

    def _away(self, fault: str, evidence: Mapping[str, str]) -> list[Observation]:
        self._seen = None
        if self._link is LinkState.SERVICE and self._found == fault:
            return []
        self._link = LinkState.SERVICE
        return [*self._findings(fault, evidence), LinkChanged(LinkState.SERVICE, dict(evidence))]

    def _findings(self, fault: str | None, evidence: Mapping[str, str]) -> list[Observation]:
        gone, self._found = self._found, fault
        told: list[Observation] = [LineFinding(gone, False)] if gone is not None and gone != fault else []
        return told + ([LineFinding(fault, True, dict(evidence))] if fault is not None else [])


def _card(before: Seen | None, seen: Seen) -> list[Observation]:
    present = bool(seen.state & library.PRESENT)
    if before is None:
        return [Status("pcsc", {"card": "present" if present else "absent"}), *(_reset(seen) if present else [])]
    was = bool(before.state & library.PRESENT)
    moves = seen.state >> 16 != before.state >> 16
    told: list[Observation] = []
    if was and (not present or moves):
        told.append(CardMoved(present=False))
    if present and (not was or moves):
        return [*told, CardMoved(present=True), *_reset(seen)]
    return told + (_reset(seen) if present and _face(before) != _face(seen) else [])


def _face(seen: Seen) -> tuple[int, bytes]:
    return seen.state & library.MUTE, seen.atr


def _reset(seen: Seen) -> list[Observation]:
    """pcscd resets a card as soon as it is in, and shows what came of it."""
    if seen.state & library.MUTE:
        return [CardMute()]
    if not seen.atr:
        return []
    try:
        wrong = parse(seen.atr).tck_ok is False
    except RemoteProtocolError:
        wrong = True
    return [CardFaulty("bad_atr", "malformed")] if wrong else [CardPowered(seen.atr)]
