"""One printer's line for two: a till, which comes first, and an agent that asks between its commands. Sans-IO.

The caller owns the bytes' ways. It gives a piece of the till's stream with ``load`` when ``ready``, writes what ``next_piece``
gives, says with ``wrote`` how much was taken, and shares out with ``heard`` what the printer says. The till's bytes leave as
they came and in their order; a question goes in whole, at a border of tokens.py, and nothing else does (_sharing_questions.py).

While nobody can tell where the till's stream stands (an unknown command) this is a plain wire until the till has been silent for
SILENCE_S; after a mistake of our own it is one for good. ``use`` says so.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from protocols.errors import LocalProtocolError
from protocols.printers._sharing_answers import Answers
from protocols.printers._sharing_jobs import Jobs
from protocols.printers._sharing_questions import Question
from protocols.printers.tokens import NOWHERE, SILENCE_S, Tokenizer

MAX_QUEUED = 4
"""Questions that wait for a border; a further one is refused, because its asker has lost count."""
BUSY_S = 0.5
"""The till prints while its last byte is younger than this."""
QUIET_S = 1.0
"""Questions whose answer waits in the print buffer go in when the till has been silent for this long…"""
PATIENCE_S = 1.0
"""…or, with a till that never is, at the next border after this."""
BUFFER_S = 2.0
"""How much longer the answer may take then: a print buffer of 4 KB on a fast printer."""
LOOK_S = 0.05
"""How often a question that waits for an answer to the till, or for silence, is looked at again."""
STATES = ("idle", "printing", "open", "wire")


class SharedLine:
    """See the module's head. ``now`` is any monotonic clock in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.tokens = Tokenizer()
        self.answers = Answers()
        self.jobs = Jobs()
        self.honours_flow = False
        """the till's side has XON/XOFF on: its bytes are held while the printer says stop"""
        self.broken = False
        """a mistake of our own: a plain wire for good"""
        self.last_till = now - SILENCE_S
        self._chunk = b""
        self._sent = 0
        self._border = NOWHERE
        self._begins_at_border = True
        self._before: tuple[object, ...] = ()
        self._coming: deque[tuple[int, str, int]] = deque()
        self._queue: deque[Question] = deque()
        self._asking: Question | None = None
        self._left = b""
        self.left = 0
        """the number of the question that left last"""
        self.left_late_s = 0.0
        """how long its answer may wait in the print buffer"""

    # -- the till's side -------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """The last piece has gone out whole: the next may be loaded."""
        return not self._chunk

    @property
    def unsent(self) -> int:
        """Bytes of the till that have not left."""
        return len(self._chunk) - self._sent

    def load(self, data: bytes, now: float) -> None:
        """The next piece of the till's stream."""
        tokens = self.tokens
        lines, cuts = tokens.lines, tokens.cuts
        self._begins_at_border = self._at_border(now)
        self.last_till = now
        self._chunk, self._sent, self._border = data, 0, NOWHERE
        self._coming.clear()
        if self.broken:
            self.jobs.heard(len(data), 0, 0, now)
            return
        try:
            self._before = tokens.snapshot()
            self._border = tokens.feed(data)
            self._coming.extend(sorted(tokens.asked))
        except Exception:  # noqa: BLE001  (the till's bytes go on whatever we make of them)
            self.broken = True
            self._queue.clear()
        self.jobs.heard(len(data), tokens.lines - lines, tokens.cuts - cuts, now)

    def next_piece(self, now: float) -> bytes:
        """What to write now; b"" when there is nothing, or when the printer has said stop."""
        if self._asking is not None:
            return self._left
        held = self.honours_flow and self.answers.stopped
        question = self._question(now)
        if question is not None and self._here(now, held=held):
            self._asking, self._left = question, question.wire
            self._queue.popleft()
            return self._left
        if held or not self._chunk:
            return b""
        end = self._border if question is not None and self._border > self._sent else len(self._chunk)
        return self._chunk[self._sent : end]

    def wrote(self, size: int, now: float, backlog_s: float = 0.0) -> bool:
        """So much of ``next_piece`` was taken; True when that completed a question. ``backlog_s``: until it is on the wire."""
        if self._asking is not None:
            self._left = self._left[size:]
            if self._left:
                return False
            self.left_late_s = BUFFER_S if self._asking.hurried else 0.0
            self.answers.asked_by_agent(self._asking.parts, now + backlog_s + self.left_late_s)
            self.left = self._asking.number
            self._asking = None
            return True
        self._sent += size
        while self._coming and self._coming[0][0] <= self._sent:
            _, kind, number = self._coming.popleft()
            self.answers.asked_by_till(kind, number, now + backlog_s)
            if kind == "asb":
                self._keep_automatic()
        if self._sent >= len(self._chunk):
            self._chunk, self._sent = b"", 0
        return False

    # -- the agent's side ------------------------------------------------------------------------------------------

    def ask(self, wire: bytes, number: int = 0) -> bool:
        """Queue a question of whole commands. False: refused, for what it is (_sharing_questions.py) or because too many wait."""
        try:
            question = Question(wire, number)
        except LocalProtocolError:
            return False
        if len(self._queue) >= MAX_QUEUED or self.broken:
            return False
        self._queue.append(question)
        return True

    def forget_questions(self) -> None:
        """The agent is gone: what it asked and has not left is not asked any more."""
        self._queue.clear()

    @property
    def asked(self) -> int:
        """Questions that have not left whole."""
        return len(self._queue) + (self._asking is not None)

    def _question(self, now: float) -> Question | None:
        """The next question, if it may go in as soon as a border comes."""
        if not self._queue or self.broken:
            return None
        question = self._queue[0]
        if not self.answers.may_ask(now, waits_in_buffer=question.waits_in_buffer):
            return None
        question.since = question.since if question.since is not None else now
        if question.waits_in_buffer and (now - self.last_till < QUIET_S or self._chunk):
            if now - question.since < PATIENCE_S:
                return None
            question.hurried = True
        if question.mask and self.answers.till_mask & ~question.mask:
            question = self._queue[0] = question.with_mask(question.mask | self.answers.till_mask)
        return question

    def _keep_automatic(self) -> None:
        """The till has set automatic status anew: what the agent was told by it is switched on again, behind the till's own."""
        wanted = self.answers.agent_mask
        if wanted and wanted & ~self.answers.till_mask and not any(q.mask for q in self._queue):
            self._queue.appendleft(Question(b"\x1da" + bytes((wanted,))))

    # -- where the stream stands -----------------------------------------------------------------------------------

    def _here(self, now: float, *, held: bool) -> bool:
        """A question may stand behind what has left."""
        if not self._chunk:
            return self._at_border(now)
        if self._sent == self._border:
            return True
        if self._sent == 0:
            return self._begins_at_border
        return held and self._border_behind(self._sent)

    def _at_border(self, now: float) -> bool:
        if not self.tokens.border and now - self.last_till >= SILENCE_S:
            self.tokens.silence()
        return self.tokens.border and not self.broken

    def _border_behind(self, size: int) -> bool:
        """The printer has stopped us in the middle of a piece: is it between commands?"""
        if not self._before:
            return False  # the piece is a predecessor's rest, and where that began nobody kept
        other = Tokenizer()
        other.restore(self._before)
        return other.feed(self._chunk[:size]) == size and other.border

    def lose_track(self) -> None:
        """Where the till's stream stands is not known: nothing is asked before its silence."""
        self.tokens.lose()
        self._border = NOWHERE
        self._begins_at_border = False

    def lose(self, now: float) -> None:
        """The printer may have begun anew (it was unplugged): where it stands is not known, and it owes nobody an answer."""
        self.last_till = now  # the silence that is waited for begins here
        self.jobs.broken()
        self.lose_track()
        mask = self.answers.till_mask
        self.answers = Answers()
        self.answers.till_mask = mask
        self._asking, self._left = None, b""
        self._queue.clear()

    # -- the printer's side ----------------------------------------------------------------------------------------

    def heard(self, data: bytes, now: float) -> tuple[bytes, bytes]:
        """The printer's bytes: (the till's, the agent's)."""
        if self.broken:
            return data, b""
        try:
            return self.answers.share(data, now)
        except Exception:  # noqa: BLE001  (as in load)
            self.broken = True
            return data, b""

    def tick(self, now: float) -> tuple[bytes, bytes]:
        """Time has passed; as ``heard``. Early calls do no harm."""
        self.jobs.quiet(now - self.last_till, now, stuck=self.stuck)
        if self.tokens.lost and not self._chunk and now - self.last_till >= SILENCE_S:
            self.tokens.silence()
        return self.answers.expire(now)

    @property
    def stuck(self) -> bool:
        """The till's stream stands inside a command, or has not left."""
        return bool(self._chunk) or (self.tokens.inside and not self.tokens.lost)

    def next_timer(self, now: float) -> float | None:
        """When to call ``tick`` and ``next_piece`` though nothing happened."""
        due = [self.answers.next_timer(), self.jobs.next_timer(self.last_till, stuck=self.stuck)]
        if self._queue and not self.broken and not self._chunk and not (self.tokens.inside and not self.tokens.lost):
            due.append(now + LOOK_S)
        if now - self.last_till < BUSY_S:
            due.append(self.last_till + BUSY_S)
        elif self.tokens.lost and not self._chunk:
            due.append(self.last_till + SILENCE_S)
        return min((at for at in due if at is not None), default=None)

    def use(self, now: float) -> str:
        """One of STATES: is the till printing, has it stopped inside a command, or can that not be told?"""
        if self._chunk or now - self.last_till < BUSY_S:
            return "printing"
        if self.broken or (self.tokens.lost and now - self.last_till < SILENCE_S):
            return "wire"
        return "open" if self.tokens.inside and not self.tokens.lost else "idle"

    @property
    def follows(self) -> bool:
        """It is known where the till's stream stands."""
        return not (self.broken or self.tokens.lost)

    # -- over a restart --------------------------------------------------------------------------------------------

    def saved(self) -> tuple[object, ...]:
        """What a successor must know, as plain values: no byte of what was printed but those that have not left."""
        return (
            self._chunk[self._sent :], self.tokens.snapshot(), self.answers.saved(), self.last_till, self.jobs.taken(),
            self._left, self._asking.wire if self._asking is not None else b"", self.broken,
            [(at - self._sent, kind, number) for at, kind, number in self._coming],
        )  # fmt: skip

    def load_saved(self, saved: Sequence[Any]) -> None:
        """Go on where ``saved`` was. Raises ValueError or TypeError for what no ``saved`` of this version gave."""
        chunk, tokens, answers, last, counts, left, asking, broken, coming = saved
        self.tokens.restore(tokens)
        self.answers.load(answers)
        self.last_till = float(last)
        self.jobs.give_back(counts)
        self._chunk, self._sent = bytes(chunk), 0
        self._border = len(self._chunk) if self.tokens.border else NOWHERE
        self._begins_at_border = False
        if asking:
            self._asking, self._left = Question(bytes(asking)), bytes(left)
        self._coming = deque((int(at), str(kind), int(number)) for at, kind, number in coming)
        if broken:
            self.lose_track()  # a mistake of the one before, which may be this one's no more
