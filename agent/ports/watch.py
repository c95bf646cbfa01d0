"""What to ask on one line, and when: the life of a device in the stages of stage.py. No I/O, no clock, no thread.

The line comes before the device: silence, a wrong speed and noise are told as states of the line, and while the line is not
up nothing is said about the device. Whoever owns the port does the effects and hands back bytes and the time (see pump).
"""

from agent.observations import Effect, LinkState, Observation, Write
from agent.ports.hearing import Hearing
from agent.ports.stage import Stage
from agent.ports.tasks import BY_QUEUE, BY_RECEIPT
from agent.ports.timing import Timing, first_of

__all__ = ["Stage", "Timing", "Watch"]


class Watch(Hearing):
    """One device on one line. Feed it ``opened``, ``lost``, ``receive``, ``timer``; do its effects; take its observations."""

    # -- what the owner of the port tells us -----------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """A new line: whoever answers on it has to be identified anew."""
        self._observe(self._openings.opened(now, self._closed_by))
        self._asking.begin()
        self.baud = self.configured_baud
        self._misses = 0
        self._known.clear()
        self._care.opened()
        self._cards.opened()
        self._naming.begin()
        self._abilities.opened()
        self.stage = Stage.GREETING
        self._sweep_due = now
        self._asking.ask([self.protocol.probe], now)

    def lost(self, state: LinkState, detail: dict[str, str], now: float) -> None:
        """The port is gone or cannot be opened; ``detail`` is evidence for a person."""
        if self.stage is not Stage.CLOSED and state is LinkState.UNPLUGGED:
            self._observe(self._flapping.dropped(now))
        self._observe(self._stale.forget())
        self._closed_by = state
        self._care.lost(state)
        self.stage = Stage.CLOSED
        self._next_ask = None
        self._sweep.stop()
        self._tasks.fail()
        self._cards.lost()
        self._link.tell(state, detail)
        self._observe(self._damage.forget())

    def receive(self, data: bytes, now: float) -> tuple[str, ...]:
        """Bytes as they came; what kinds of events they became, for the trace."""
        if self.stage is Stage.CLOSED:
            return ()
        events = self._asking.connection.receive_data(data, now)
        self._take(events, now)
        return tuple(type(event).__name__ for event in events)

    @property
    def online(self) -> bool:
        """The device answers, and says that it takes data."""
        return self.stage is Stage.WATCHING and self._known.get("online") == "yes"

    @property
    def doubtful(self) -> bool:
        """The last question was not answered."""
        return self._misses > 0

    def adopt(self, baud: int, now: float) -> None:
        """Whoever searched the line has found the device at ``baud``, and left the port so."""
        if self.stage is not Stage.CLOSED:
            self._sweep.stop()
            self.baud, self.stage = baud, Stage.SILENT
            self._asking.begin()
            self._asking.ask([self.protocol.probe], now)

    def timer(self, now: float) -> None:
        """To be called when ``next_timer`` has passed; early calls do no harm."""
        if self.stage is Stage.CLOSED:
            return
        due = self._asking.connection.next_timer()
        if due is not None and due <= now:
            self._take(self._asking.connection.handle_timer(now), now)
        if self._sweep.until is not None and self._sweep.until <= now:
            self._next_speed(now)
        self._tasks.settle(now)
        if self._next_ask is not None and self._next_ask <= now and self._asking.idle:
            self._next_ask = None
            self._asking.ask(self._questions_now(now), now)
        if self._asking.idle and self.stage is Stage.WATCHING:
            effects, questions = self._care.turn(now)
            self._effects += effects
            self._asking.ask((*questions, *self._cards.turn(now)), now)
        self._observe(self._damage.settle(now))
        self._observe(self._flapping.settle(now))
        self._observe(self._stale.settle(now))

    def next_timer(self) -> float | None:
        """Monotonic time of the next thing to do; None while the line is closed."""
        if self.stage is Stage.CLOSED:
            return None
        ask = self._next_ask if self._asking.idle else None  # what asks waits for the question that is out
        return first_of(self._asking.connection.next_timer(), ask, self._other_timer())

    def _other_timer(self) -> float | None:
        """When something is to be done that is no poll and no answer."""
        watching = self._asking.idle and self.stage is Stage.WATCHING
        cure, card = (self._care.next_timer(), self._cards.next_timer()) if watching else (None, None)
        own = (self._tasks.slip_due, self._sweep.until, self._damage.due(), self._flapping.due(), self._stale.due())
        return first_of(cure, card, *own)

    # -- tasks -----------------------------------------------------------------------------------------------------

    def refresh(self, token: str, now: float) -> None:
        """Ask everything anew; ends in one Refreshed(token). A second call replaces the first, which ends as not answered."""
        self._tasks.want_refresh(token)
        if self.stage is Stage.CLOSED:
            self._tasks.fail()
        elif self.stage is Stage.WATCHING:
            if not self._asking.idle:
                return  # greeting or a poll is under way; _settled() starts ours when it is through
            self._start_refresh(now)

    def print_slip(self, token: str, marker: str, lines: list[str], now: float) -> None:
        """Print and cut a test slip (CheckHealth level external); ends in one SlipDone(token)."""
        if self.stage is not Stage.WATCHING or self.protocol.test_print is None or self._tasks.slip_due is not None:
            self._tasks.refuse_slip(token)
            return
        by = self._abilities.proof()
        self._effects.append(Write(self.protocol.test_print(marker if by == BY_RECEIPT else "", lines)))
        self._tasks.slip_begun(token, marker, now + self.timing.slip_s, by)
        if by == BY_QUEUE and self.protocol.queue_probe is not None:
            self._asking.ask([self.protocol.queue_probe], now)

    def check_card(self, token: str) -> None:
        """A technician has put a test card in; ends in one CardChecked(token)."""
        self._cards.check(token, possible=self.stage is Stage.WATCHING)

    def swipe(self, now: float) -> bool:
        """A technician swipes a test card now: what comes is judged, once. False while the reader does not answer."""
        if self.stage is not Stage.WATCHING or self.protocol.swipe is None:
            return False
        self._asking.ask([self.protocol.swipe], now)
        return True

    def take_effects(self) -> list[Effect]:
        """What is to be done to the port, in order."""
        data = self._asking.connection.data_to_send() if self.stage is not Stage.CLOSED else b""
        if data:
            self._effects.append(Write(data))
        effects, self._effects = self._effects, []
        return effects

    def take_observations(self) -> list[Observation]:
        """What has become known since the last call; an unchanged sample is not repeated."""
        observations, self._observations = self._observations, []
        return observations
