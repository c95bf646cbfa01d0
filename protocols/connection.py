"""What every device protocol offers to the one who owns the line: questions out, bytes in, events back. No I/O here.

A caller does, in a loop: ``ask`` → write ``data_to_send()`` → ``receive_data(bytes, now)`` → ``handle_timer(now)`` when
``next_timer()`` has passed. ``now`` is any monotonic clock in seconds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols.events import Event

if TYPE_CHECKING:
    from protocols.profiles import Profile

MAX_QUEUED = 16
"""Questions that may wait on one connection; the next one is a LocalProtocolError, because its asker has lost count."""


class Connection(ABC):
    """One open line to one device. A new line is a new connection: nothing is carried over."""

    @abstractmethod
    def ask(self, query: str, now: float) -> None:
        """Queue a question by name; one is on the wire at a time.

        Each ends in exactly one Answered, Unanswered or Refused event.
        Raises LocalProtocolError for an unknown name or when MAX_QUEUED questions wait.
        """

    @abstractmethod
    def data_to_send(self) -> bytes:
        """Bytes to write now; asked again, it gives only what has come since."""

    @abstractmethod
    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take bytes as they came, cut anywhere. Garbage gives events, never an exception, in bounded memory."""

    @abstractmethod
    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to be called; None: nothing is outstanding."""

    @abstractmethod
    def handle_timer(self, now: float) -> list[Event]:
        """Give up on what has waited too long."""

    def adapt(self, profile: "Profile") -> None:
        """What is known by now of the family that the device belongs to; bits mean what it says. Most protocols need none."""
        del profile

    def routine(self, query: str) -> "Routine | None":
        """What ``query`` would write now, and which answer would change nothing at all; None: only asking tells.

        For who asks the same for months: nothing has to be made of an answer that is the one from before. There is one
        only where asking and getting that answer would bring Answered, a Status as before, and no other trace.
        """
        del query
        return None

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Nothing is on the wire and nothing waits."""


class Routine:
    """See ``Connection.routine``: the bytes to write, and those that are the usual answer."""

    def __init__(self, question: bytes | bytearray, answer: bytes | bytearray) -> None:
        self.question = question
        self.answer = answer

    def again(self) -> None:
        """The question was written and that answer came, byte for byte: turn to the next ones."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """An asynchronous serial line; ``stopbits`` 1 or 2, ``parity`` N, E or O. Kernel flow control is always off."""

    baud: int
    bytesize: int = 8
    parity: str = "N"
    stopbits: int = 1


@dataclass(frozen=True, slots=True)
class DeviceProtocol:
    """All that a session needs to look after a device: what to ask, when, and what its silence is called.

    A module ``protocols/printers/<name>.py`` or ``protocols/readers/<name>.py`` offers one as ``PROTOCOL``.
    """

    name: str
    kind: str
    """printer or reader"""
    connection: Callable[[], Connection]
    line: LineSettings
    probe: str
    """the harmless question that tells whether anybody is there; safe to send to an unidentified device"""
    identify: tuple[str, ...]
    arm: tuple[str, ...]
    """asked once after each connect and after a device reset: switches automatic notices on"""
    poll: tuple[str, ...]
    """asked again and again; between polls the automatic notices tell what changed"""
    survey: tuple[str, ...] = ()
    """asked like ``poll``, but seldom: what changes over hours"""
    on_insert: tuple[str, ...] = ()
    """asked when a card went in, on a line that is ours"""
    cures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """trouble of a reader (``slot_busy``, ``runaway``) to the questions that end it, on a line that is ours"""
    card_check: tuple[str, ...] = ()
    """asked of a test card between ``power_on`` and ``power_off``, when a technician has put one in; changes nothing on it"""
    checkable: Callable[[bytes], bool] = bool
    """whether a card with this Answer To Reset can be asked them"""
    swipe: str | None = None
    """the question that waits for a test card's stripe, asked in a technician's check only"""
    bauds: tuple[int, ...] = ()
    """other speeds worth trying with ``probe`` when the line is silent, likeliest first; empty: the speed is fixed"""
    poll_s: float = 2.0
    """seconds between polls; shorter where a device tells nothing by itself"""
    automatic: tuple[str, ...] = ()
    """sources of Status events that come unasked once armed"""
    contactless: bool = False
    """it has an antenna, of which nothing on the wire tells: a person is asked"""
    silent_fault: str = "link.silent"
    searched: bool = True
    """whether ``probe`` may be sent where nobody has said that such a device is there: a printer prints what it takes for text"""
    queue_probe: str | None = None
    """a question without effect that waits its turn behind data: its answer proves that data is being taken"""
    recovery: bytes = b""
    """clears the device's buffers and ends a recoverable error whose cause is gone; prints nothing"""
    test_print: Callable[[str, list[str]], bytes] | None = None
    """(marker, lines of text) → bytes that print a slip, cut it and ask for the marker's receipt; none for an empty marker"""
    marker_query: str | None = None
    """the question that ends when the marker was answered; ``*`` stands for the marker"""
    abilities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """what devices of this protocol may or may not be able to do, to the questions whose answers prove it, most needed first"""
    other_probe: str | None = None
    """a harmless question for devices that ``probe`` means nothing to; one answer alone proves nobody"""
    probe_source: str = ""
    """source of the Status that ``probe`` brings, where it says less than the poll's: it is believed where nothing else comes"""
