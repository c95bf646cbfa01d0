"""What the agent does by itself for one line and its device, and the record of it: every cure ends in one CureTried.

Those that act upon the device stand in ``cures``; the others are what the watch does anyway (open again, adopt a speed that was
found, switch automatic status on again) and are proven by an answer.
"""

from collections.abc import Callable, Mapping, Set

from agent.observations import CureTried, Effect, LinkState, Observation, ResumeOutput, Write
from agent.ports.cures import Cure, Cures
from protocols.connection import DeviceProtocol
from protocols.events import FlowControl, Restarted


class Care:
    """``tell`` takes the records."""

    def __init__(self, protocol: DeviceProtocol, tell: Callable[[Observation], None]) -> None:
        self._protocol = protocol
        self._tell = tell
        self._cures = Cures(recovers=bool(protocol.recovery))
        self._rearming = False
        self._was_lost: LinkState | None = None

    # -- the line --------------------------------------------------------------------------------------------------

    def lost(self, state: LinkState) -> None:
        """The line is gone; it will be opened again."""
        self._was_lost = state

    def opened(self) -> None:
        """Nothing that was tried on the line before counts on this one."""
        self._cures.forget()
        self._rearming = False

    def answers(self) -> None:
        """The device answers on this line."""
        if self._was_lost is not None:
            self._tell(CureTried("reopen", 1, True, {"after": self._was_lost.value}))
            self._was_lost = None

    def speed_found(self, configured: int, found: int) -> None:
        """Three answers in a row at this speed."""
        if found != configured:
            self._tell(CureTried("adopt_baud", 1, True, {"configured_baud": str(configured), "found_baud": str(found)}))

    def met(self, *, nameless: bool) -> None:
        """What stands here is known: a device that knows no real-time command cannot be told to recover by one."""
        self._cures.recovers = bool(self._protocol.recovery) and not nameless

    # -- the device ------------------------------------------------------------------------------------------------

    def rearming(self, pending: Set[str]) -> None:
        """Automatic status stayed away and is being switched on again; where it is ``pending``, it was about to be anyway."""
        self._rearming = self._rearming or pending.isdisjoint(self._protocol.arm)

    def automatic(self, source: str) -> None:
        """A status came from ``source``: the automatic one proves that it is on again, which off-line printers do late."""
        if self._rearming and source in self._protocol.automatic:
            self._rearming = False
            self._tell(CureTried("rearm", 1, True, {"asked": ", ".join(self._protocol.arm)}))

    def event(self, event: FlowControl | Restarted, known: Mapping[str, str], now: float) -> None:
        """The device said stop or go on, or has begun anew."""
        if isinstance(event, Restarted):
            self._cures.forget()
            self.status(known, now)
        elif not (event.stopped and event.inside):  # inside an answer one flipped bit of it looks like this
            for told in self._cures.flow(now, stopped=event.stopped):
                self._tell(told)

    def status(self, known: Mapping[str, str], now: float) -> None:
        """All that is believed of the device."""
        for told in self._cures.status(known, now):
            self._tell(told)

    def next_timer(self) -> float | None:
        """When ``turn`` has something to do; None on a healthy line."""
        return self._cures.next_timer()

    def turn(self, now: float) -> tuple[list[Effect], tuple[str, ...]]:
        """What is due now: what to do to the port, and the questions that go with it."""
        wanted, results = self._cures.turn(now)
        for told in results:
            self._tell(told)
        effects: list[Effect] = []
        questions: tuple[str, ...] = ()
        for cure in wanted:
            if cure is Cure.RESUME:
                effects.append(ResumeOutput())
                questions += self._protocol.arm  # it waits its turn behind data, so its answer shows that data is taken
            else:
                effects.append(Write(self._protocol.recovery))
                questions += self._protocol.poll
        return effects, questions
