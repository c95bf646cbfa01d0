"""One device: events in, readings, faults and counters out. Pure: the moment comes in, nothing is read or written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.health import rules
from agent.health.atrtext import shown
from agent.health.catalogue import severity_of
from agent.health.facts import Facts
from agent.health.faults import Fault, FaultBook, FaultCleared, FaultRaised
from agent.health.lives import Lives
from agent.health.prints import Prints
from agent.health.readerfacts import ReaderFacts
from agent.health.readings import Moment, Reading, Readings
from agent.health.slot import Slot
from agent.health.statistics import LINE_COUNTS, Statistics
from agent.health.swipes import Swipes
from agent.observations import (
    Introduced,
    LineFinding,
    LineQuality,
    LineUse,
    LinkChanged,
    LinkState,
    Observation,
    PrintSeen,
    Profiled,
)
from agent.redact import redact
from protocols.events import (
    BadChecksum,
    CardFaulty,
    CardMoved,
    CardMute,
    CardPowered,
    CardTorn,
    Counter,
    DeviceClock,
    Discarded,
    EchoMismatch,
    FlowControl,
    Garbage,
    Nak,
    Restarted,
    Status,
    Swipe,
    Unanswered,
)
from protocols.profiles import Profile

if TYPE_CHECKING:
    from agent.health.wear import PartWear


class DeviceState(StrEnum):
    """The contract's four words (hw.state of OpenTelemetry, and unknown)."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identified:
    """The device said who it is; ``swapped`` when it is another one than before."""

    identity: Mapping[str, str]
    swapped: bool


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A card went in or out, or answered to reset."""

    what: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The device's one word changed."""

    before: DeviceState
    after: DeviceState


Change = FaultRaised | FaultCleared | Identified | CardSeen | StateChanged

CONFIRMATIONS = 2
"""Consistent samples that a doubtful change needs (devices.md section 7, rules over the table)."""


RESTART_TOLD_S = 60.0
"""How long it is told that a device has begun anew."""
SWAP_TOLD_S = 3600.0
"""How long it is told that another device stands here: long enough for whoever brought it, and for who did not expect it."""


SWIPE_TOLD_S = 120.0
"""How long it is told how the last test card went, unless another one goes better."""
SWIPE_FAULTS = {"E": "reader.swipe_speed", "": "reader.swipe_bad"}
"""Letter of a swipe (agent.health.swipes) to the fault that it is by itself."""
TORN_TOLD_S = 30.0
"""How long it is told that a card was pulled out while it was being read."""
BAD_CARDS = ("mute", "bad_atr", "short", "runaway")


class DeviceHealth:
    """The model of one device. ``kind`` is printer or reader; ``silent_fault`` is what its silence is called."""

    def __init__(
        self,
        kind: str,
        silent_fault: str,
        new_incident: Callable[[], str],
        *,
        remembered: Mapping[str, Any] | None = None,
        wanted_firmware: str = "",
    ) -> None:
        """``remembered`` is what ``remember`` gave in an earlier run; another serial starts anew."""
        before = remembered or {}
        self.kind = kind
        self.identity: dict[str, str] = {}
        self.last_identity: dict[str, str] = dict(before.get("identity", {}))
        self.counts = Statistics(kind, before)
        self._lives = Lives(self.counts, before.get("wear"))
        self.readings = Readings()
        self._facts = Facts(kind, silent_fault, self.readings, reader=ReaderFacts(wanted_firmware), slot=Slot(before.get("slot")))
        self._facts.swipes = Swipes(before.get("swipes"))
        self._facts.prints = Prints(before.get("prints"))
        self.abilities: dict[str, str] = {}
        """what the device can, as far as its line has shown since it was opened: ability to yes, no or unknown"""
        self.profile: Profile | None = None
        self._kept_abilities: Mapping[str, Any] = before.get("abilities") or {}
        self._judgement = rules.Judge()
        self._book = FaultBook(new_incident)
        self._doubt: tuple[dict[str, str], int] = ({}, 0)
        self._state = DeviceState.UNKNOWN

    # -- what is asked of it ---------------------------------------------------------------------------------------

    @property
    def link(self) -> LinkState:
        """The state of its line."""
        return self._facts.link

    def faults(self) -> list[Fault]:
        """Active faults, oldest first."""
        return self._book.active()

    def noisy_lately(self, now: float) -> bool:
        """Whether the line spoils bytes, or did a moment ago."""
        return any(self._book.lately(fault, now) for fault in rules.NOISE)

    def all_readings(self) -> dict[str, Reading]:
        """Every dial with its worth."""
        return self.readings.all()

    def state(self) -> DeviceState:
        """One word. A line that tells nothing makes it unknown, never failed."""
        severities = [severity_of(f.id) for f in self.faults() if not f.stale]
        if any(s.blocks for s in severities):
            return DeviceState.FAILED
        if not self._facts.line_is_up or any(s.unknown for s in severities):
            return DeviceState.UNKNOWN
        if not self.readings.all():
            return DeviceState.UNKNOWN
        return DeviceState.DEGRADED if any(s.degrades for s in severities) else DeviceState.OK

    @property
    def statistics(self) -> dict[str, int]:
        """By their UnifiedPOS names, as of the last news; hours go on without news, see ``Statistics.all``."""
        return self.counts.all(self._facts.now)

    def remember(self, now: float, *, exact: bool = False) -> dict[str, Any]:
        """What the next run should know."""
        slot = {"slot": self._facts.slot.kept(), "swipes": self.swipes.kept()} if self.kind == "reader" else {}
        abilities = {"abilities": dict(self._kept_abilities)} if self._kept_abilities else {}
        more = {"wear": self._lives.kept(), "prints": self._facts.prints.kept()}
        told = {name: kept for name, kept in more.items() if kept}
        return {"identity": dict(self.last_identity), **self.counts.kept(now, exact=exact), **slot, **abilities, **told}

    @property
    def swipes(self) -> Swipes:
        """Test cards that were swiped."""
        return self._facts.swipes

    def wear_parts(self) -> "list[PartWear]":
        """What is known of the lives of its parts; nothing before the device has told its own counters."""
        return self._lives.parts()

    def next_timer(self) -> float | None:
        """Monotonic time at which ``tick`` has something to do."""
        due = (self._book.next_timer(), self._judgement.next_timer(self._facts))
        return min((at for at in due if at is not None), default=None)

    # -- what is told to it ----------------------------------------------------------------------------------------

    def tick(self, moment: Moment) -> list[Change]:
        """Time passed."""
        return self._judge(moment)

    def apply(self, seen: Observation, moment: Moment) -> list[Change]:
        """One observation; returns what changed by it."""
        changes: list[Change] = []
        match seen:
            case LinkChanged() | LineQuality() | LineFinding() | FlowControl() | Restarted():
                self._line_news(seen, moment)
            case Status():
                if not self._believe(seen, moment):
                    return []
            case Profiled() | PrintSeen() | Counter():
                self._printer_news(seen, moment)
            case LineUse():
                self._till_news(seen, moment)
            case Introduced(identity=identity):
                changes += self._identified(identity, moment)
            case DeviceClock(shows=shows):
                self._facts.reader.clock(shows, moment.wall)
            case Swipe():
                self._swiped(seen, moment)
            case Discarded(count=count):
                self.counts.count("DiscardedByteCount", count)
                return []
            case CardMoved() | CardPowered() | CardMute() | CardFaulty() | CardTorn():
                changes += self._card_news(seen, moment)
            case BadChecksum() | Unanswered() | Garbage() | Nak() | EchoMismatch():
                self.counts.count("CommunicationErrorCount")
            case _:
                return []
        return changes + self._judge(moment)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _line_news(self, seen: LinkChanged | LineQuality | LineFinding | FlowControl | Restarted, moment: Moment) -> None:
        facts = self._facts
        match seen:
            case LinkChanged():
                self._link_changed(seen, moment)
            case LineQuality(noisy=noisy, counts=counts):
                facts.noisy, facts.damage = noisy, dict(counts)
                facts.stopped = facts.stopped and not noisy
            case LineFinding(fault=fault, there=there, evidence=evidence):
                facts.findings.pop(fault, None)
                if there:
                    facts.findings[fault] = evidence
            case FlowControl(stopped=stopped, inside=inside):
                facts.stopped = stopped and not inside and facts.device_is_believed
            case Restarted(how=how):
                facts.stopped = False
                if self.readings.value("till") in ("printing", "open"):
                    self.counts.count("ResetInJobCount")
                facts.notices["printer.reset"] = (moment.mono + RESTART_TOLD_S, {"how": how})

    def _till_news(self, use: LineUse, moment: Moment) -> None:
        """What the till does on the line that it shares."""
        self.readings.take({"till": use.state}, moment)
        for name, count in use.counts.items():
            if count and name in LINE_COUNTS:
                self.counts.count(LINE_COUNTS[name], count)

    def _card_news(self, seen: CardMoved | CardPowered | CardMute | CardFaulty | CardTorn, moment: Moment) -> list[Change]:
        match seen:
            case CardMoved(present=present):
                self.readings.drop("atr")  # it was the card's before
                self._card("present" if present else "absent", moment)
                if present:
                    self.counts.count("CardInsertionCount")
                return [CardSeen("inserted" if present else "removed")]
            case CardPowered(atr=atr):
                self.readings.take({"atr": shown(atr)}, moment)
                if self.readings.value("hardware") is not None:
                    self.readings.take({"hardware": "ok"}, moment)  # it has just reset a card
                self._card("present", moment)
                self._facts.slot.reset_card(moment.mono, good=True)
                return [CardSeen("answered")]
            case CardMute():
                self._card("mute", moment)
                self._facts.slot.reset_card(moment.mono, good=False)
            case CardFaulty(reason=reason, code=code):
                self._facts.card_code = code
                self._card(reason, moment)
                if reason == "bad_atr":
                    self._facts.slot.reset_card(moment.mono, good=False)
            case CardTorn():
                self.counts.count("CardTornCount")
                self._facts.notices["reader.card_torn"] = (moment.mono + TORN_TOLD_S, {"card": "removed inside an exchange"})
        return []

    def _swiped(self, swipe: Swipe, moment: Moment) -> None:
        self.swipes.take(swipe.tracks, self.counts)
        for fault in SWIPE_FAULTS.values():
            self._facts.notices.pop(fault, None)
        if self.swipes.letter != "G":
            fault = SWIPE_FAULTS.get(self.swipes.letter, SWIPE_FAULTS[""])
            self._facts.notices[fault] = (moment.mono + SWIPE_TOLD_S, self.swipes.wrong())

    def _card(self, card: str, moment: Moment) -> None:
        self.readings.take({"card": card}, moment)
        self._facts.slot.seen(card, moment.mono)

    def _link_changed(self, link: LinkChanged, moment: Moment) -> None:
        was_up, self._facts.link = self._facts.line_is_up, link.state
        self._facts.link_detail = dict(link.detail)
        self.counts.powered(moment.mono, on=self._facts.line_is_up)
        if link.state in (LinkState.SILENT, LinkState.GARBLED):
            self.counts.count("CommunicationErrorCount")
        if self._facts.line_is_up:
            self._facts.reader.restarts.came(moment.mono)
        else:
            if was_up:
                self._facts.reader.restarts.went(moment.mono, moment.wall, self.readings.value("self_check_at"))
            self._facts.reader.line_lost()
            self.readings.line_lost()
            self._facts.trail.line_lost()
            self._facts.slot.line_lost()
            for own in ("hardware", "slot"):
                self.readings.drop(own)  # told when it is bad only, so whoever answers next shows it anew
            self._facts.stopped = False  # what comes back may be another device, or the same one after a restart
            self.profile, self.abilities = None, {}
            self.identity = {}  # whoever answers next has to say anew who it is

    def _believe(self, status: Status, moment: Moment) -> bool:
        sample = dict(status.readings)
        if sample.get("card") == "present" and self.readings.value("card") in BAD_CARDS:
            sample.pop("card")  # slot status cannot tell such a card from a good one; the power-on could
        news = {k: v for k, v in sample.items() if self.readings.value(k) != v}
        if news and not status.corroborated:
            doubt, seen = self._doubt
            seen = seen + 1 if doubt == news else 1
            self._doubt = (news, seen)
            if seen < CONFIRMATIONS:
                return False
        self._doubt = ({}, 0)
        if "card" in sample and self.readings.value("slot") is not None:
            sample.setdefault("slot", "free")  # a busy slot refuses to say whether a card is in
        if sample.get("card") == "absent":
            self.readings.drop("atr")
        self.readings.take(sample, moment)
        self._facts.trail.note(sample, moment.mono, counts=self._facts.device_is_believed)
        if "card" in sample:
            self._facts.slot.seen(sample["card"], moment.mono)
        return True

    def _identified(self, told: Mapping[str, str], moment: Moment) -> list[Change]:
        identity = {name: redact(value) for name, value in told.items()}  # whoever set the serial chose its digits
        if identity == self.identity:
            return []
        before = self.last_identity
        other = {k: v for k, v in identity.items() if k in ("serial", "model", "maker") and before.get(k, v) != v}
        swapped = bool(other)
        if swapped:
            self.counts.begin_anew(moment.mono)
            self._facts.prints.begin_anew()
            self.swipes.begin_anew()
            self._lives.begin_anew()
            evidence = {k: f"{before[k]} → {v}" for k, v in other.items()}
            self._facts.notices["link.device_swapped"] = (moment.mono + SWAP_TOLD_S, evidence)
        self._facts.model = identity.get("model", "")
        self._facts.reader.firmware = identity.get("firmware", "")
        self.identity = self.last_identity = dict(identity)
        return [Identified(dict(self.identity), swapped)]

    def _printer_news(self, seen: Profiled | PrintSeen | Counter, moment: Moment) -> None:
        prints = self._facts.prints
        match seen:
            case Profiled(profile=profile, can=can, kept=kept):
                self.profile, self.abilities, self._kept_abilities = profile, dict(can), kept
                prints.rest_on(profile, moment)
                self.readings.drop("print_seen")
            case PrintSeen():
                prints.seen(moment)
                self._lives.print_seen()
            case Counter(number=number, value=value) if self._facts.device_is_believed:
                self._lives.counted(number, value, self.profile, self.last_identity, moment.wall)
        if prints.needed:
            self.readings.take({"print_seen": "yes" if prints.holds(moment.mono) else "no"}, moment)

    def _judge(self, moment: Moment) -> list[Change]:
        prints = self._facts.prints
        if prints.needed and not prints.holds(moment.mono) and self.readings.value("print_seen") == "yes":
            self.readings.age("print_seen")
        before = {f.id for f in self._book.active()}
        self._facts.now = moment.mono
        found = self._judgement.present(self._facts)
        changes: list[Change] = [*self._book.update(found, rules.asked(self._facts), moment)]
        for fault in self._book.active():
            if fault.id not in before:
                self.counts.fault(fault.id)
        state = self.state()
        if state is not self._state:
            changes.append(StateChanged(self._state, state))
            self._state = state
        return changes
