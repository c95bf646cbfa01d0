"""The inside of a watch (watch.py): what follows from what came, and from what stayed away. No I/O, no clock, no thread."""

from collections.abc import Mapping
from typing import Any

from agent.observations import Effect, LinkState, Observation, SetBaud
from agent.ports.abilities import Abilities
from agent.ports.asking import Asking
from agent.ports.cards import Cards
from agent.ports.care import Care
from agent.ports.damage import LineDamage
from agent.ports.doubts import Doubts
from agent.ports.flapping import Flapping
from agent.ports.link import LinkTeller
from agent.ports.naming import Naming
from agent.ports.openings import Openings
from agent.ports.rounds import Rounds
from agent.ports.stage import Stage
from agent.ports.stale import StaleAnswers
from agent.ports.sweep import SpeedSweep, Step
from agent.ports.tasks import Tasks
from agent.ports.timing import Timing
from protocols.connection import DeviceProtocol
from protocols.events import (
    Answered,
    CardMoved,
    CardNews,
    Counter,
    Event,
    FlowControl,
    Garbage,
    Identity,
    LateAnswer,
    Printed,
    Refused,
    Restarted,
    Spoilt,
    Status,
    Unanswered,
)

FLOWS_AT_ONCE = 2


def thinned(events: list[Event]) -> list[Event]:
    """Of many words of flow control in one piece the first and the last: a storm of them must not cost a model's turn each."""
    flows = [at for at, event in enumerate(events) if isinstance(event, FlowControl)]
    if len(flows) <= FLOWS_AT_ONCE:
        return events
    dropped = set(flows[1:-1])
    return [event for at, event in enumerate(events) if at not in dropped]


class Hearing:
    """All that is known of one line, and what its bytes, its silence and its speeds lead to."""

    def __init__(
        self,
        protocol: DeviceProtocol,
        baud: int | None = None,
        timing: Timing | None = None,
        *,
        resets_cards: bool = True,
        abilities: Mapping[str, Any] | None = None,
    ) -> None:
        """``resets_cards``: a card that goes in is reset by itself, which only a line of our own may do.

        ``abilities`` is what an earlier run knew of the device (``kept`` of Profiled).
        """
        self.protocol = protocol
        self.timing = timing or Timing()
        self.configured_baud = baud or protocol.line.baud
        self.baud = self.configured_baud
        self.stage = Stage.CLOSED
        self._asking = Asking(protocol.connection)
        self._abilities = Abilities(protocol, abilities)
        self._effects: list[Effect] = []
        self._observations: list[Observation] = []
        self._misses = 0
        self._next_ask: float | None = None
        self._sweep = SpeedSweep(self.timing)
        self._sweep_due = 0.0
        self._other_due = False
        """somebody to whom the probe means nothing may be there: he is asked his own"""
        self._heard = 0
        self._link = LinkTeller(self._tell)
        self._known: dict[str, str] = {}
        self._doubts = Doubts(self.timing.noise.window_s)
        self._damage = LineDamage(self.timing.noise)
        self._tasks = Tasks(self._tell)
        self._naming = Naming()
        self._rounds = Rounds(protocol)
        self._care = Care(protocol, self._tell)
        self._flapping = Flapping()
        self._stale = StaleAnswers()
        self._openings = Openings()
        self._closed_by: LinkState | None = None
        self._cards = Cards(protocol, self._tell, resets=resets_cards)

    # -- what came -------------------------------------------------------------------------------------------------

    def _questions_now(self, now: float) -> list[str]:
        if self.stage is Stage.WATCHING:
            more = self._abilities.counters(now, self._known)
            return [*self._abilities.poll, *self._rounds.survey(now), *more]
        if self.stage is Stage.SILENT and now >= self._sweep_due and self.protocol.bauds:
            self._start_sweep(now)
            return []
        self._other_due, other = False, self._other_due or self._abilities.was_nameless
        return [self.protocol.probe, *(self._abilities.other(shaky=self._damage.shaky(now)) if other else ())]

    def _take(self, events: list[Event], now: float) -> None:
        for event in thinned(events):
            match event:
                case Answered() | Unanswered() | Refused():
                    self._on_outcome(event, now)
                case Garbage(count=count):
                    self._heard += count
                    self._openings.noise(count, now)
                    self._spoilt(now, "garbage", count)
                case Identity() | LateAnswer() | Counter():
                    self._note(event, now)
                case Spoilt():
                    self._heard += 1
                    self._observations.append(event)
                    self._openings.spoilt()
                    self._spoilt(now, event.kind, 1)
                case Status():
                    watching = self.stage is Stage.WATCHING
                    if self._abilities.believes(event, self._asking.pending, watching=watching):
                        self._on_status(event, now)
                case FlowControl() | Restarted():
                    self._observations.append(event)
                    if isinstance(event, FlowControl) and not event.stopped and self.stage is Stage.GREETING:
                        self._openings.heard("XON", now)
                    self._care.event(event, self._known, now)
                case Printed(marker=marker):
                    self._tasks.printed(marker)
                case CardNews():
                    self._on_card(event, now)
                case _:
                    self._observations.append(event)

    def _on_card(self, event: CardNews, now: float) -> None:
        self._observations.append(event)
        self._cards.event(event, now)
        if isinstance(event, CardMoved):
            self._known["card"] = "present" if event.present else "absent"
            if event.present and self.stage is Stage.WATCHING:
                self._asking.ask(self._cards.inserted(), now)

    def _note(self, event: Identity | LateAnswer | Counter, now: float) -> None:
        """What the device said of itself, and what it said too late."""
        match event:
            case Identity(field=name, value=value):
                self._naming.heard(name, value)
            case LateAnswer():
                self._abilities.late()  # a printer that was off-line answers what it was asked then: odd, but no noise
                if not self._damage.shaky(now):
                    self._observe(self._stale.late(now))
                self._openings.noise(event.count, now)
            case Counter() if not self._damage.shaky(now):
                self._observe(self._abilities.counted(event))

    def _on_status(self, status: Status, now: float) -> None:
        self._care.automatic(status.source)
        if self.stage is Stage.GREETING and status.source in self.protocol.automatic:
            self._openings.heard("status", now)
        self._cards.status(status, now)
        readings = dict(status.readings)
        known = self._known
        changed = any(known.get(name) != value for name, value in readings.items())
        if not changed and self.stage is Stage.WATCHING and self._doubts.ended():
            self._observations.append(status)
        if not changed or self.stage is Stage.SWEEPING:
            return
        status = self._doubts.weighed(status, now, shaky=self._damage.shaky(now))
        if self._doubts.again(status):
            self._known = {**known, **readings}  # seen twice: from here on it is its end that would be news
        elif status.corroborated:
            self._known = {**known, **readings}
            self._care.status(self._known, now)
            if readings.get("online") == "yes" and self.stage is Stage.WATCHING:
                self._identify(now)
            moved = any(known.get(name, value) != value for name, value in readings.items())  # a new dial has not
            if moved and status.source not in self.protocol.automatic and self._abilities.arm:
                self._care.rearming(self._asking.pending)
                self._asking.ask(self._abilities.arm, now)  # the automatic notice stayed away: the device was reset
        elif self.stage is Stage.WATCHING:
            self._next_ask = min(self._next_ask or now + self.timing.confirm_s, now + self.timing.confirm_s)
        self._observations.append(status)
        if readings.get("card") == "present" and known.get("card") != "present" and self.stage is Stage.WATCHING:
            self._asking.ask(self._cards.inserted(), now)

    def _on_outcome(self, event: Answered | Unanswered | Refused, now: float) -> None:
        self._asking.ended(event)
        self._cards.outcome(event)
        self._asking.ask(self._cards.take_questions(), now)
        if isinstance(event, Unanswered) and event.heard:
            self._heard += event.heard
            self._spoilt(now, "garbage", event.heard)
        answered = not isinstance(event, Unanswered)
        if answered and event.query == self.protocol.queue_probe:
            self._tasks.drained()
        if self.stage is Stage.WATCHING:
            self._abilities.outcome(event, self._known, shaky=self._damage.shaky(now))
            self._asking.ask(self._abilities.again(event.query), now)
        if self.stage is Stage.SWEEPING:
            if answered:
                self._right_speed(now)
            else:
                self._next_speed(now)
        elif event.query == self.protocol.other_probe and self.stage is not Stage.WATCHING:
            self._on_other(answered=answered, now=now)
        elif answered:
            self._abilities.answered(event.query)
            self._alive(now)
        elif event.query in (self._abilities.probe, *self._abilities.poll):
            self._missed(now)
        if self._asking.idle and self.stage is Stage.WATCHING:
            self._identify(now)
        if self._asking.idle and self.stage is Stage.WATCHING:
            self._settled(now)

    def _on_other(self, *, answered: bool, now: float) -> None:
        """One byte that fits proves nobody; several in a row do, where the probe is silent between them."""
        shaky = self._damage.shaky(now)
        if answered and self._abilities.met(shaky=shaky):
            self._asking.adapt(self._abilities.profile)
            self._care.met(nameless=True)
            self._alive(now)
        elif answered and (other := self._abilities.other(shaky=shaky)):
            self._asking.ask((self.protocol.probe, *other), now)
        else:
            self._abilities.missed()
            self._missed(now)

    def _alive(self, now: float) -> None:
        self._misses = 0
        self._heard = 0
        if self.stage is Stage.SILENT:
            self._openings.silent()
        self._observe(self._openings.answered())
        if self.stage in (Stage.GREETING, Stage.SILENT):
            self.stage = Stage.WATCHING
            self._known.clear()
            self._care.answers()
            self._link.up(self.configured_baud, self.baud)
            self._naming.asked = False
            self._rounds.anew()
            self._asking.ask((*self._abilities.poll, *self._abilities.arm), now)

    def _identify(self, now: float) -> None:
        # A printer that is off-line answers real-time questions alone; it is asked who it is once it is back.
        if self._naming.asked or self._known.get("online") == "no" or (not self._naming.doubting and self._damage.shaky(now)):
            return
        self._naming.asked = True
        self._asking.ask(self._abilities.identify, now)

    def _missed(self, now: float) -> None:
        self._misses += 1
        if self._misses < self.timing.misses:
            self._asking.ask([self._abilities.probe], now)
            return
        if self._abilities.meeting:
            return
        if self.stage is Stage.GREETING and self._misses == self.timing.misses:
            other = self._abilities.other(shaky=self._damage.shaky(now))
            self._asking.ask(other, now)
            if other:
                return
        if self.stage is not Stage.SILENT:
            self.stage = Stage.SILENT
            self._doubts.silent(now)
            self._cards.lost()
            self._asking.begin()
            self._abilities.silent()
            self._sweep_due = now
            self._tasks.fail()
            if not self.protocol.bauds:
                self._tell_silence(now)
        # With speeds to try, silence is told after the sweep: a wrong speed is another fault than no answer.
        self._next_ask = now if now >= self._sweep_due and self.protocol.bauds else now + self.timing.silent_poll_s

    def _settled(self, now: float) -> None:
        """All that was asked has been answered: the next poll, or the refresh that waited."""
        verdict, told = self._naming.judge(shaky=self._damage.shaky(now))
        if told is not None:
            self._observations.append(told)
        if verdict is Naming.Verdict.AGAIN:
            self._asking.ask(self._abilities.identify, now)
            return
        if told is not None or (self._naming.nameless and self._abilities.profile is None):
            self._asking.ask(self._abilities.named(told.identity if told is not None else {}), now)
            self._care.met(nameless=False)
            self._asking.adapt(self._abilities.profile)
        if self._tasks.refresh_wanted:
            if self._tasks.refresh_running:
                counters = self._abilities.counters(now, self._known) if not self._misses else ()
                if counters:
                    self._asking.ask(counters, now)
                    return
                self._tasks.end_refresh(answered=True)
            else:
                self._start_refresh(now)
                return
        if self._next_ask is None:
            # On whole multiples of the period: all lines of a host wake the processor together, and find its caches warm.
            # A line that spoils bytes is asked twice as often: what it shows has to be seen twice, and soon after it is clean.
            period = self.protocol.poll_s / (2 if self._damage.shaky(now) else 1)
            self._next_ask = now - now % period + period
        question = self._abilities.question(self._known, shaky=self._damage.shaky(now))
        if question is not None and self._next_ask > now:
            self._asking.ask([question], now)
        self._observe(self._abilities.news())

    def _start_refresh(self, now: float) -> None:
        self._tasks.refresh_begun()
        self._next_ask = None
        self._abilities.count_soon()
        identify = self._abilities.identify if self._known.get("online") != "no" else ()
        self._rounds.anew()
        self._asking.ask((*identify, *self._abilities.poll, *self._rounds.survey(now)), now)

    # -- speed sweep -----------------------------------------------------------------------------------------------

    def _start_sweep(self, now: float) -> None:
        self._sweep_due = now + self.timing.sweep_every_s
        self._sweep.begin(b for b in (self.configured_baud, *self.protocol.bauds) if b != self.baud)
        self.stage = Stage.SWEEPING
        self._next_speed(now)

    def _next_speed(self, now: float) -> None:
        baud = self._sweep.next_speed(now)
        if baud is not None:
            self._set_baud(baud)
            self._asking.ask([self.protocol.probe], now)
            return
        self._set_baud(self.configured_baud)
        self.stage = Stage.SILENT
        self._other_due = True
        self._tell_silence(now)
        self._heard = 0
        self._next_ask = now + self.timing.silent_poll_s

    def _right_speed(self, now: float) -> None:
        match self._sweep.answered(now):
            case Step.AGAIN:
                self._asking.ask([self.protocol.probe], now)
            case Step.NEXT:
                self._next_speed(now)
            case Step.FOUND:
                self._care.speed_found(self.configured_baud, self.baud)
                self.stage = Stage.SILENT
                self._alive(now)

    def _set_baud(self, baud: int) -> None:
        self.baud = baud
        self._asking.begin()
        self._effects.append(SetBaud(baud))

    def _tell_silence(self, now: float) -> None:
        """With bytes that made no sense a line is garbled and not dead, though every question went unanswered."""
        detail = {"asked": self.protocol.probe, "baud": str(self.configured_baud), "heard_bytes": str(self._heard)}
        self._link.tell(LinkState.SILENT, detail, heard=self._heard or int(self._damage.shaky(now)))

    def _spoilt(self, now: float, what: str, count: int) -> None:
        if self.stage is not Stage.SWEEPING:
            self._observe(self._damage.add(now, what, count))
            return
        # While sweeping everything is garbage at a wrong speed; that says nothing about the cable, but much about the speed.
        self._sweep.spoilt()

    def _tell(self, seen: Observation) -> None:
        self._observations.append(seen)  # the list is another one after take_observations

    def _observe(self, seen: Observation | None) -> None:
        if seen is not None:
            self._observations.append(seen)
