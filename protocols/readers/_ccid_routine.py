"""The question for the slot's state as routine: each time another bSeq, hence another LRC, and else the same bytes."""

from collections.abc import Callable

from protocols._repeats import Repeats
from protocols.connection import Routine
from protocols.readers._ccid_messages import QUERIES
from protocols.readers._gempc_frames import SYNC, frame

QUERY = "slot_status"
_SEQUENCE_AT = len(SYNC) + 6
"""bSeq in a frame: behind type, length and slot (CCID 1.1 section 6)."""
_QUESTION = frame(bytes((QUERIES[QUERY].message_type, 0, 0, 0, 0, 0, 0, 0, 0, 0)))


class SlotRoutine(Repeats):
    """What the reader has answered, whatever its bSeq."""

    def __init__(self) -> None:
        super().__init__(QUERY)

    def answered(self, raw: bytes, sequence: int, *, echoed: bool) -> None:
        """A whole good frame with this bSeq answered; ``echoed``: behind the echo of the question."""
        answer = bytearray(raw)
        _renumber(answer, 0, len(answer), sequence)
        self.came(_QUESTION + bytes(answer) if echoed else bytes(answer))

    def turns(self, sequence: int, next_sequence: Callable[[], int]) -> Routine | None:
        """The questions from the one with this bSeq on."""
        return SlotTurns(self.same, sequence, next_sequence) if self.same is not None else None


class SlotTurns(Routine):
    """See Routine. ``answer`` is what comes for bSeq 0, echo included. The same memory is used for each turn."""

    def __init__(self, answer: bytes, sequence: int, next_sequence: Callable[[], int]) -> None:
        self._written, self._awaited = bytearray(_QUESTION), bytearray(answer)
        super().__init__(self._written, self._awaited)
        self._echo = len(_QUESTION) if answer.startswith(_QUESTION) else 0
        self._sequence, self._next = sequence, next_sequence
        self._renumber(sequence)

    def again(self) -> None:
        """See Routine."""
        before, self._sequence = self._sequence, self._next()
        self._renumber(before ^ self._sequence)

    def _renumber(self, change: int) -> None:
        _renumber(self._written, 0, len(_QUESTION), change)
        if self._echo:
            _renumber(self._awaited, 0, self._echo, change)
        _renumber(self._awaited, self._echo, len(self._awaited), change)


def _renumber(raw: bytearray, begin: int, end: int, change: int) -> None:
    """The frame from ``begin`` to ``end`` gets another bSeq, and the same bits of its LRC move with it."""
    raw[begin + _SEQUENCE_AT] ^= change
    raw[end - 1] ^= change
