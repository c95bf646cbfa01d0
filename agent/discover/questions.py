"""One device protocol asked on an open line at one setting: what answered, what else came, what came back of our own.

The question is the protocol's ``probe``, the one that may be sent to anybody (``DeviceProtocol.probe``): DLE EOT 1 for
printers, the slot's status for readers (devices.md 1.2, 2.2).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.ports.port import AdjustablePort
from protocols.connection import Connection, DeviceProtocol, LineSettings
from protocols.events import Answered, Event, FlowControl, Garbage, Identity, Refused, Status, Unanswered

WAIT_S = 0.2
"""How long one setting may stay silent; a question and its answer take 40 ms at 1200 baud."""
ANSWERS = 3
"""Valid answers in a row that prove a setting (devices.md section 7, L05)."""
ASK_LIMIT_S = 1.0
"""For each question to a device that has been found."""
MAX_RAW = 256
"""Bytes of one setting that are kept as evidence; none of them is shown."""
MAX_HEARD = 4096
"""Bytes after which a setting is given up: somebody else's stream, or noise."""


@dataclass(slots=True)
class Heard:
    """What came at one setting."""

    settings: LineSettings
    answers: int = 0
    garbage: int = 0
    echo: int = 0
    """times that our own bytes came back"""
    stopped: bool | None = None
    """the device's last word on flow control: True after XOFF"""
    readings: dict[str, str] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    count: int = 0

    @property
    def proven(self) -> bool:
        """A device answers at this setting."""
        return self.answers >= ANSWERS

    @property
    def echo_only(self) -> bool:
        """What was sent came back, and nothing else."""
        return self.echo > 0 and not self.answers and not self.garbage


class _Echo:
    """Takes our own bytes out of what comes; what only begins like them is given on."""

    def __init__(self) -> None:
        self._awaited = b""
        self._held = b""
        self.times = 0

    def sent(self, data: bytes) -> None:
        self._awaited, self._held = data, b""

    def strip(self, data: bytes) -> bytes:
        if not self._awaited:
            return data
        together = self._held + data
        if together.startswith(self._awaited):
            rest = together[len(self._awaited) :]
            self._awaited, self._held, self.times = b"", b"", self.times + 1
            return rest
        if self._awaited.startswith(together):
            self._held = together
            return b""
        self._awaited, self._held = b"", b""
        return together


class Questions:
    """Asks on one open port. ``now`` is the clock that the port's waits pass on."""

    def __init__(self, port: AdjustablePort, now: Callable[[], float]) -> None:
        self._port = port
        self._now = now

    def probe(self, protocol: DeviceProtocol, settings: LineSettings) -> Heard:
        """Ask the harmless question until ANSWERS came, one stayed away, or bytes came that fit nothing."""
        self._port.set_line(settings)
        heard = Heard(settings)
        connection, echo = protocol.connection(), _Echo()
        while not heard.proven and not heard.garbage and heard.count < MAX_HEARD:
            before = heard.answers
            self._ask(connection, [protocol.probe], heard, echo if protocol.kind == "printer" else None, WAIT_S)
            if heard.answers == before:
                break
        heard.echo = echo.times
        if heard.garbage:
            heard.answers = 0
        return heard

    def more(self, protocol: DeviceProtocol, found: Heard, queries: Iterable[str]) -> None:
        """Ask a device that was found at this setting more; what it does not answer stands in ``unanswered``."""
        connection, echo = protocol.connection(), _Echo()
        for query in queries:
            before = found.answers
            self._ask(connection, [query], found, echo if found.echo else None, ASK_LIMIT_S)
            if found.answers == before:
                found.unanswered.append(query)
                connection = protocol.connection()  # the next question does not wait for this one's time-out

    def _ask(self, connection: Connection, queries: list[str], heard: Heard, echo: _Echo | None, limit_s: float) -> None:
        end = self._now() + limit_s
        for query in queries:
            connection.ask(query, self._now())
        while not connection.idle:
            data = connection.data_to_send()
            if data:
                self._port.write(data)
                if echo is not None:
                    echo.sent(data)
            now = self._now()
            if now >= end or heard.count >= MAX_HEARD:
                return
            due = connection.next_timer()
            came = self._port.read(max(0.0, min(end, due if due is not None else end) - now))
            heard.count += len(came)
            heard.raw += came[: MAX_RAW - len(heard.raw)]
            if echo is not None:
                came = echo.strip(came)
            now = self._now()
            self._take(connection.receive_data(came, now) if came else connection.handle_timer(now), heard)

    @staticmethod
    def _take(events: list[Event], heard: Heard) -> None:
        for event in events:
            match event:
                case Answered() | Refused():
                    heard.answers += 1
                case Garbage(count=count):
                    heard.garbage += count
                case Unanswered(heard=count):
                    heard.garbage += count
                case FlowControl(stopped=stopped):
                    heard.stopped = stopped
                case Identity(field=name, value=value):
                    heard.identity[name] = value
                case Status(readings=readings):
                    heard.readings.update(readings)
                case _:
                    pass
