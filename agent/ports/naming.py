"""Who is on the line: what the device said about itself, and whether that may be believed. Asks nothing itself."""

from enum import StrEnum

from agent.observations import Introduced

MAX_DOUBTS = 3
"""How often a name is asked again on a line that spoils bytes, before it is left for later."""


class Naming:
    """Gathers the facts of one round of questions. Names carry no checksum: a line that spoils bytes has them asked twice."""

    class Verdict(StrEnum):
        """What follows from one round."""

        NOTHING = "nothing"
        AGAIN = "again"
        TOLD = "told"

    def __init__(self) -> None:
        self._heard: dict[str, str] = {}
        self._doubted: dict[str, str] = {}
        self._doubts = 0
        self._told: dict[str, str] | None = None
        self.asked = False
        """it was asked on this line; what does not answer is not supported"""
        self.nameless = False
        """it was asked, and said nothing"""

    def begin(self) -> None:
        """Another line: what was said on the one before is another device's."""
        self._heard = {}
        self.nameless = False

    @property
    def doubting(self) -> bool:
        """A name is being asked again."""
        return self._doubts > 0

    def settled(self, online: str | None) -> bool:
        """Nothing of it is under way, and nothing will be asked while the device stays ``online`` as it is."""
        return (self.asked or online == "no") and not self._heard and not self.doubting

    def heard(self, name: str, value: str) -> None:
        """One fact."""
        self._heard[name] = value

    def judge(self, *, shaky: bool) -> tuple["Naming.Verdict", Introduced | None]:
        """The round is over: tell it, ask again, or leave it for a cleaner line."""
        if not self._heard:
            self.nameless = self.asked and not self._doubts
            if self._doubts:  # noise took the whole round: once the line is clean again
                self._doubts, self.asked = 0, False
            return self.Verdict.NOTHING, None
        self.nameless = False
        heard, self._heard = self._heard, {}
        # Another device, or a spoilt name: either way it is heard twice before it is told.
        doubtful = shaky or (self._told is not None and heard != self._told)
        if doubtful and heard != self._doubted and self._doubts < MAX_DOUBTS:
            self._doubted, self._doubts = heard, self._doubts + 1
            return self.Verdict.AGAIN, None
        believed = not doubtful or heard == self._doubted
        self._doubts = 0
        if not believed:
            self.asked = False  # not now; once the line is clean again
            return self.Verdict.NOTHING, None
        self._doubted, self._told = {}, heard
        return self.Verdict.TOLD, Introduced(heard)
