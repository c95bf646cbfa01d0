"""The lives of one device's parts, for its model: nothing is loaded before the device has told a counter of its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.health.statistics import Statistics
from protocols.profiles import Profile

if TYPE_CHECKING:
    from agent.health.wear import PartWear, Wear


class Lives:
    """Counts into wear, by the profile of whoever counts."""

    def __init__(self, counts: Statistics, remembered: Any = None) -> None:
        """``remembered`` is what ``kept`` gave in an earlier run."""
        self._counts = counts
        self._kept: Any = remembered
        self._rated: Profile | None = None
        self._wear: Wear | None = None

    def counted(self, number: int, value: int, profile: Profile | None, identity: Mapping[str, str], wall: str) -> None:
        """The device's own counter shows this, at ``wall``; ``profile`` where its family is known, else by ``identity``."""
        from agent.health.wear import Wear
        from protocols.profiles import choose

        self._counts.shows(number, value)
        self._rated = profile or self._rated or choose(identity)
        self._wear = self._wear or Wear(self._kept)
        self._wear.note(self._counts, self._rated, wall)

    def print_seen(self) -> None:
        """A person has seen a good print: the head is clean."""
        if self._wear is not None and self._rated is not None:
            self._wear.cleaned(self._counts, self._rated)

    def parts(self) -> "list[PartWear]":
        """What is known of them."""
        return self._wear.parts(self._counts, self._rated) if self._wear is not None and self._rated is not None else []

    def kept(self) -> Any:
        """What the next run should know."""
        return self._wear.kept() if self._wear is not None else self._kept

    def begin_anew(self) -> None:
        """Another device stands here."""
        self._kept = self._rated = self._wear = None
