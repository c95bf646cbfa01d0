"""What one device can be asked: by its family's profile, by an earlier run, else by asking it once (devices.md 1.7).

Silence for half a second means that a model knows a question not, and is no fault. It counts only where nothing was spoilt and
the device has shown since that it is there and on-line: a printer without paper keeps most questions until it has some.
Asked one at a time, between the polls, so that no status waits for it. No I/O, no clock.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from agent.observations import Profiled
from agent.ports.tasks import BY_QUEUE, BY_RECEIPT, CANNOT_TELL
from protocols import profiles
from protocols.connection import DeviceProtocol
from protocols.events import Answered, Counter, Refused, Status, Unanswered
from protocols.profiles import Profile

MAX_TRIES = 3
"""How often a question is asked whose answer was spoilt or late, before the matter is left open until the line is opened anew."""
MAX_SILENT = 4
"""Questions whose silence may wait for the poll that shows that the device is there."""
MET = 3
"""Answers in a row to the other probe that prove a device which ``probe`` means nothing to."""
COUNT_EVERY_S = 3600.0
"""Counters change slowly, and some printers do nothing else while they look them up."""
MISREAD = 1000
"""A counter that has gone on by more than this within a moment was misread: its digits carry no checksum."""
NAMES = ("maker", "model", "firmware", "serial")


class Abilities:
    """Of the device on one line. ``remembered`` is what an earlier run knew (``kept`` of Profiled)."""

    def __init__(self, protocol: DeviceProtocol, remembered: Mapping[str, Any] | None = None) -> None:
        self._protocol = protocol
        self._ability = {query: ability for ability, queries in protocol.abilities.items() for query in queries}
        self._cached = _clean(remembered)
        self.profile: Profile | None = None
        self._met = 0
        self._speaks = False
        """somebody has answered ``probe`` on this line"""
        self.opened()

    def opened(self) -> None:
        """Another line: whoever answers next may be another device."""
        self._speaks = False
        self.silent()

    def silent(self) -> None:
        """What was known is known no longer, but that a device which has spoken here is no nameless one."""
        self.was_nameless = self.profile is not None and self.profile.anonymous
        self.profile = None
        self._of = ""
        self._met = 0
        self._answers: dict[str, bool] = {}
        self._silent: set[str] = set()
        self._tries: dict[str, int] = {}
        self._told = False
        self._count_at = 0.0
        self._first: dict[str, int] = {}
        """counter to the value that was read once"""
        self._shown: dict[str, int] = {}

    # -- what may be asked -----------------------------------------------------------------------------------------

    @property
    def probe(self) -> str:
        """Tells whether this device is there."""
        other = self._protocol.other_probe
        return other if other is not None and self.profile is not None and self.profile.anonymous else self._protocol.probe

    @property
    def poll(self) -> tuple[str, ...]:
        """What is asked again and again; a device that does not know that is asked what it knows."""
        known = self._supported(self._protocol.poll)
        other = self._supported((self._protocol.other_probe,)) if self._protocol.other_probe else ()
        return known or tuple(dict.fromkeys((self.probe, *other)))

    @property
    def arm(self) -> tuple[str, ...]:
        """Automatic notices, where it has some."""
        return self._supported(self._protocol.arm)

    @property
    def identify(self) -> tuple[str, ...]:
        """Who it is; nothing where its kind has no name."""
        return () if self.profile is not None and self.profile.anonymous else self._supported(self._protocol.identify)

    def supports(self, query: str) -> bool | None:
        """None: not known yet."""
        return self._answers.get(query)

    def believes(self, status: Status, pending: Collection[str], *, watching: bool) -> bool:
        """A single byte says little: the probe's is no sample where a poll tells more, the other probe's none of a stranger."""
        if status.source == self._protocol.probe_source:
            return self.probe in self.poll
        if self._protocol.other_probe not in pending:
            return True
        return watching and self._protocol.other_probe in self.poll

    def proof(self) -> str:
        """What will show that a slip was printed: the printer's receipt, its next answer in its turn, or nothing."""
        receipts, queued = self._answers.get("receipts"), self._answers.get("queued")
        if receipts or (receipts is None and self._of):  # not known yet, of a printer that reads commands by their length
            return BY_RECEIPT
        return BY_QUEUE if queued else CANNOT_TELL

    def _supported(self, queries: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(query for query in queries if self._answers.get(query) is not False)

    def counters(self, now: float, readings: Mapping[str, str]) -> tuple[str, ...]:
        """The counters, where they are due: once an hour, of a device that is on-line."""
        if not self._told or readings.get("online") != "yes" or now < self._count_at:
            return ()
        self._count_at = now + COUNT_EVERY_S
        return tuple(query for query in self._protocol.abilities.get("counters", ()) if self._answers.get(query))

    def rest_until(self, readings: Mapping[str, str]) -> float:
        """Until when the poll is all that is asked while its answer stays as it is; 0 while something is open."""
        if self._silent or self.question(readings, shaky=False) is not None:
            return 0.0
        return self._count_at if self._told and readings.get("online") == "yes" else float("inf")

    def count_soon(self) -> None:
        """Somebody wants to know everything anew."""
        self._count_at = 0.0

    # -- who it is -------------------------------------------------------------------------------------------------

    def other(self, *, shaky: bool) -> tuple[str, ...]:
        """What to ask after the probe went unanswered: somebody may be there to whom it means nothing.

        A printer that knows both and lost the one to noise is none.
        """
        other = self._protocol.other_probe
        return (other,) if other is not None and not self._speaks and not shaky else ()

    @property
    def meeting(self) -> bool:
        """The other probe was answered, and is asked again, with the probe before it."""
        return self._met > 0

    def answered(self, query: str) -> None:
        """A question was; one that no nameless device knows shows that this is none."""
        if query in (self._protocol.probe, *self._protocol.poll):
            self._speaks, self._met = True, 0

    def met(self, *, shaky: bool) -> bool:
        """The other probe was answered; True once that proves that such a device is there: the probe stayed silent between."""
        self._met += 1
        if self._met < MET or self._speaks or shaky:
            return False
        self._met = 0
        self._take(profiles.choose({}, status=False, paper_sensor=True, protocol=self._protocol.name), "")
        return True

    def missed(self) -> None:
        """The other probe was not answered: the row begins anew."""
        self._met = 0

    def named(self, identity: Mapping[str, str]) -> tuple[str, ...]:
        """It said who it is (or nothing); returns what has to be asked of such a device on each line."""
        if not self._ability:
            return ()
        of = _fingerprint(identity)
        if self.profile is not None and of == self._of:
            return ()
        if self.profile is not None:
            self._answers, self._tries, self._silent, self._told = {}, {}, set(), False
        self._take(profiles.choose(identity, protocol=self._protocol.name), of)
        cached = self._cached.get("answers", {}) if of and self._cached.get("of") == of else {}
        self._answers |= {query: answer for query, answer in cached.items() if query in self._ability}
        self._count_at = 0.0
        return ("receipts",) if cached.get("receipts") else ()

    def _take(self, profile: Profile, of: str) -> None:
        self.profile, self._of = profile, of
        for query, ability in self._ability.items():
            if profile.answer(ability) != "probe":
                self._answers.setdefault(query, profile.answer(ability) == "yes")

    # -- what it can -----------------------------------------------------------------------------------------------

    def question(self, readings: Mapping[str, str], *, shaky: bool) -> str | None:
        """What to ask next to know more; None: nothing now."""
        if self.profile is None or len(self._silent) >= MAX_SILENT or shaky or readings.get("online") != "yes":
            return None
        return next(self._open(), None)

    def _open(self) -> Iterator[str]:
        known = self._answers.keys() | self._silent
        return (query for query in self._ability if query not in known and self._tries.get(query, 0) < MAX_TRIES)

    def outcome(self, event: Answered | Unanswered | Refused, readings: Mapping[str, str], *, shaky: bool) -> None:
        """A question has ended; on a ``shaky`` line silence says nothing."""
        query = event.query
        if isinstance(event, Answered | Refused):
            if query in self._ability:
                self._answers[query] = True
                self._silent.discard(query)
            if query in (self.probe, *self.poll) and readings.get("online", "yes") == "yes":
                self._answers |= dict.fromkeys(self._silent, False)
                self._silent = set()
        elif shaky:
            self._silent = set()
        elif query in self._ability and query not in self._answers:
            self._tries[query] = self._tries.get(query, 0) + 1
            if not event.heard and readings.get("online") != "no" and query not in self._protocol.poll:
                self._silent.add(query)
            elif not event.heard and self._tries[query] >= MAX_TRIES:
                self._silent.add(query)  # a poll that was lost now and then is not unknown

    def late(self) -> None:
        """An answer came too late: the silence before it was none."""
        self._silent = set()

    def news(self) -> Profiled | None:
        """All is known that can be found out now; told once."""
        if self.profile is None or self._told or self._silent or next(self._open(), None) is not None:
            return None
        self._told = True
        kept = {"of": self._of, "profile": self.profile.name, "answers": dict(self._answers)}
        return Profiled(self.profile, self._summary(self.profile), kept)

    def _summary(self, profile: Profile) -> dict[str, str]:
        """Ability to yes, no or unknown."""
        told: dict[str, str] = {}
        for ability in profiles.ABILITIES:
            answers = [self._answers.get(query) for query in self._protocol.abilities.get(ability, ())]
            known = "yes" if True in answers else "no" if answers and None not in answers else profile.answer(ability)
            told[ability] = "unknown" if known == "probe" else known
        told["offline_causes"] = told["receipts"]  # the two functions of GS ( H come together; the second has no answer
        return told

    # -- counters --------------------------------------------------------------------------------------------------

    def counted(self, event: Counter) -> Counter | None:
        """A counter is believed when a second reading, a moment later, shows that it has hardly gone on; told when it changed."""
        query = f"counter.{event.number}"
        first = self._first.pop(query, None)
        if first is not None and 0 <= event.value - first <= MISREAD:
            before, self._shown[query] = self._shown.get(query), event.value
            return event if event.value != before else None
        self._first[query] = event.value
        return None

    def again(self, query: str) -> tuple[str, ...]:
        """The counter ``query`` was read once: it has to be read again."""
        tries = self._tries.get(f"{query}?", 0)
        if query not in self._first or tries >= MAX_TRIES:
            self._tries.pop(f"{query}?", None)
            self._first.pop(query, None)
            return ()
        self._tries[f"{query}?"] = tries + 1
        return (query,)


def _fingerprint(identity: Mapping[str, str]) -> str:
    """Who it is, without telling it: a serial number may hold any digits. Empty where it said nothing."""
    told = "\0".join(identity.get(name, "") for name in NAMES)
    return hashlib.sha256(told.encode()).hexdigest()[:16] if identity else ""


def _clean(remembered: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = dict(remembered or {})
    answers = kept.get("answers")
    kept["answers"] = {str(q): a for q, a in answers.items() if isinstance(a, bool)} if isinstance(answers, dict) else {}
    return kept
