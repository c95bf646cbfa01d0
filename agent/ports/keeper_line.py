"""A printer's line that the till owns, reached through its line keeper (agent/keeper): the same Port as any other.

    daemon ── question ──▶ keeper ── between two commands of the till ──▶ printer
           ◀─ left, answers, news of the till ──

While a question waits for its place this line's clock stands still: no time-out of a question runs before it has left, however
long the till prints. Where the till has stopped inside a command nobody may ask anything; after HELD_S of that the line is told
as unknown, and it is asked again when the till goes on.
"""

import os
import select
from collections.abc import Callable
from math import inf

from agent.keeper.messages import ASK, HEARD, HELLO, LEFT, LINE, MAX_PACKET, REFUSED, USE, connect, number, read_words
from agent.observations import LineNote, LineUse, Observation
from agent.ports.errors import (
    LineError,
    PortDeniedError,
    PortHeldError,
    PortLostError,
    PortMissingError,
    PortWaitingError,
)
from protocols.connection import LineSettings

HELD_S = 10.0
"""A question waits for so long, and the till says nothing: what was known of the printer is not known any more."""
HELLO_S = 2.0
"""For the keeper's first words; also how long it is waited for a port that it has lost."""
MAX_NUMBER = 255
_LOST = {"held": PortHeldError, "denied": PortDeniedError}


class KeeperLine:
    """One shared line over all its connections: gives the opener, the clock and the news that a pump needs."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self.mono = mono
        self._stood = 0.0
        self._since: float | None = None
        self._last = 0.0
        self._news: list[Observation] = []
        self.till_heard = -inf
        """when the till's last byte passed, as far as was told"""
        self.use = "unknown"
        self.broken = False
        """the keeper asks nothing any more, after a mistake of its own"""
        self._follows = True

    # -- its clock -------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds that never go back, and stand still while a question waits."""
        at = self._since if self._since is not None else self.mono()
        self._last = max(self._last, at - self._stood)
        return self._last

    def hold(self) -> None:
        """A question has begun to wait."""
        if self._since is None:
            self._since = self.mono()

    def go_on(self, after_s: float = 0.0) -> None:
        """It has left, and is on the wire in ``after_s``."""
        if self._since is not None:
            self._stood += max(0.0, self.mono() + after_s - self._since)
            self._since = None

    @property
    def held_s(self) -> float:
        """How long a question has waited with a silent till; 0 while none waits."""
        now = self.mono()
        return 0.0 if self._since is None else min(now - self._since, now - self.till_heard)

    @property
    def holds(self) -> bool:
        """A question waits."""
        return self._since is not None

    # -- news ------------------------------------------------------------------------------------------------------

    def news(self) -> list[Observation]:
        """What was told of the till since the last call."""
        news, self._news = self._news, []
        return news

    def told_use(self, words: dict[str, str]) -> None:
        """The keeper says what the till does."""
        quiet_s = number(words.get("quiet")) / 1000
        self.till_heard = self.mono() - quiet_s
        self.use = words.get("state", "unknown")
        counts = {name: number(words.get(name)) for name in LineUse.COUNTED}
        self._news.append(LineUse(self.use, self.till_heard, counts))
        self.broken = words.get("broken") == "1"
        follows = words.get("follows") == "1"
        if follows is not self._follows:
            self._follows = follows
            kind = "line.followed" if follows else "line.wire"
            why = "own mistake, until the keeper is restarted" if self.broken else "the till sent a command that is not known"
            self._news.append(LineNote(kind, "info" if follows else "warning", {} if follows else {"why": why}))

    def told_hello(self, words: dict[str, str]) -> None:
        """The keeper says how it began."""
        how = words.get("restarted", "")
        if how in ("killed", "clean"):
            body = {"before": how, "bytes_in_doubt": words.get("in_doubt", "0")}
            self._news.append(LineNote("line.restarted", "warning" if how == "killed" else "info", body))

    def lost(self) -> None:
        """Nobody tells what the till does any more; a command that it left open stays known."""
        self.go_on()
        if self.use != "open":
            self.use = "unknown"
            self._news.append(LineUse("unknown", self.till_heard, {}))

    def open(self, path: str, settings: LineSettings) -> "KeeperPort":
        """See PortOpener; the settings are the till's business."""
        del settings
        return KeeperPort(path, self)


class KeeperPort:
    """One connection to the keeper."""

    def __init__(self, path: str, line: KeeperLine) -> None:
        self.path = path
        self._line = line
        try:
            self._socket = connect(path)
        except FileNotFoundError as error:
            line.lost()
            if not os.path.lexists(path):
                raise PortMissingError(path, "no such device") from error
            raise PortWaitingError(path, "no line keeper: posagent line is not running for it") from None
        except PermissionError as error:
            line.lost()
            raise PortDeniedError(path, str(error)) from None
        except OSError:
            line.lost()
            raise PortWaitingError(path, "no line keeper: posagent line is not running for it") from None
        self._socket.setblocking(False)
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closed = False
        self._number = 0
        self._waiting: set[int] = set()
        self._heard = b""
        self._there: bool | None = None
        self._why = ""
        self._told = False
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._poll.register(self._wake_out, select.POLLIN)
        try:
            self._greet()
        except LineError:
            self.close()
            raise

    def _greet(self) -> None:
        """The keeper's first words: is its port there, and what does the till do?"""
        end = self._line.mono() + HELLO_S
        while not (self._there and self._told):
            left_s = end - self._line.mono()
            if left_s <= 0:
                raise self._absent() if self._there is False else PortHeldError(self.path, "its line keeper serves somebody else")
            self._turn(left_s)
        if self._line.use == "open" and self._line.mono() - self._line.till_heard >= HELD_S:
            raise PortWaitingError(self.path, "the till has stopped inside a command")
        self._asks()

    def _asks(self) -> None:
        """A question that nobody asks has no answer, and that is no silence of the printer."""
        if self._line.broken:
            raise PortWaitingError(self.path, "its line keeper follows the till no more and asks nothing, until it is restarted")

    def _absent(self) -> LineError:
        return _LOST.get(self._why, PortLostError)(self.path, f"its line keeper says: {self._why or 'lost'}")

    # -- Port ------------------------------------------------------------------------------------------------------

    def read(self, wait_s: float | None) -> bytes:
        """See Port.read."""
        if not self._heard:
            if self._line.holds:
                wait_s = max(0.1, HELD_S - self._line.held_s)
            self._turn(wait_s)
        if self._there is False:
            raise self._absent()
        self._asks()
        if self._line.held_s >= HELD_S:
            raise PortWaitingError(self.path, "the till has stopped inside a command, or its printer takes nothing")
        heard, self._heard = self._heard, b""
        return heard

    def write(self, data: bytes | bytearray) -> None:
        """See Port.write; it waits in the keeper for its place in the till's stream."""
        self._number = self._number % MAX_NUMBER + 1
        try:
            self._socket.send(ASK + bytes((self._number,)) + data)
        except OSError as error:
            raise PortLostError(self.path, "the line keeper has gone") from error
        self._waiting.add(self._number)
        self._line.hold()

    def set_baud(self, baud: int) -> None:
        """The till sets the speed."""

    def resume(self) -> None:
        """Flow control is between the printer and the till."""

    def wake(self) -> None:
        """See Port.wake."""
        if not self._closed:
            try:
                os.write(self._wake_in, b"w")
            except OSError:
                return

    def close(self) -> None:
        """See Port.close."""
        if self._closed:
            return
        self._closed = True
        self._line.lost()
        self._socket.close()
        os.close(self._wake_out)
        os.close(self._wake_in)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _turn(self, wait_s: float | None) -> None:
        """One wait, then all that the keeper has said."""
        ready = dict(self._poll.poll(None if wait_s is None else max(0.0, wait_s) * 1000))
        if self._wake_out in ready:
            os.read(self._wake_out, 4096)
        while self._socket.fileno() in ready:
            try:
                packet = self._socket.recv(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                raise PortLostError(self.path, "the line keeper has gone")
            self._packet(packet[:1], packet[1:])

    def _packet(self, kind: bytes, data: bytes) -> None:
        if kind == HEARD:
            self._heard += data
        elif kind in (LEFT, REFUSED) and data:
            self._waiting.discard(data[0])
            if not self._waiting:
                self._line.go_on(number(data[1:].decode("ascii", "replace")) / 1000)
        elif kind == USE:
            self._told = True
            self._line.told_use(read_words(data))
        elif kind == LINE:
            words = read_words(data)
            self._there, self._why = words.get("there") == "1", words.get("why", "")
        elif kind == HELLO:
            self._line.told_hello(read_words(data))
