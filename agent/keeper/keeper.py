"""The keeper's loop: bytes from the till to the printer and back, and a daemon that asks between (protocols/printers/sharing.py).

    till ── pseudo-terminal ──▶ SharedLine ──▶ port ── printer        a piece is read only when the one before has left
         ◀─────────────────────  Answers  ◀──                         ◀──▶ desk: questions in, answers and news out

One thread, one poll without a time limit while nothing happens. The till comes first: nothing waits for the daemon.
"""

import contextlib
import errno
import os
import select
from collections.abc import Callable

from agent.keeper.desk import Desk
from agent.keeper.messages import HEARD, HELLO, LEFT, LINE, REFUSED, USE, words
from agent.keeper.store import Memory, Store
from agent.keeper.terminals import (
    READ_SIZE,
    Settings,
    is_pty,
    make_raw,
    open_port,
    open_pty,
    packet_mode,
    publish,
    settings_of,
    waiting,
)
from protocols.printers.sharing import SharedLine

MAX_TO_TILL = 4096
"""The printer's bytes that wait for a till which does not read; more are lost, as in a UART's own buffer."""
RETRY_S = (0.5, 0.5, 1.0)
NEWS_S = 0.25
"""Between two pieces of news while the till prints; its beginning is told at once."""
SETTLE_S = 0.01
SETTLE_LIMIT_S = 2.0
"""How long new line settings wait for what was written at the old ones."""
FAREWELL_S = 1.0
"""An orderly end tries for so long to hand over what it has read; what is left goes to the successor."""
_LOST = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF)


class Keeper:
    """One port, one pseudo-terminal, one desk. ``now`` is the monotonic clock."""

    def __init__(
        self,
        port: str,
        link: str,
        baud: int,
        *,
        now: Callable[[], float],
        store: Store,
        kept: dict[str, int],
        say: Callable[[str], None],
    ) -> None:
        """Raises OSError where the port, the pseudo-terminal, the link or the socket cannot be had."""
        self.path = port
        self.link = link
        self._now = now
        self._store = store
        self._say = say
        self._memory = Memory(kept.get("state"))
        self._line = SharedLine(now())
        self._to_till = b""
        self._set = Settings(baud, 0, flow=False)
        self._wanted: Settings | None = None
        self._wanted_at = 0.0
        self._why = ""
        self._failures = 0
        self._retry_at = 0.0
        self._full = False
        self._stopping = False
        self._told = ("", 0.0)
        self._mask = -1
        self.restarted = "fresh" if self._memory.fresh else "killed"
        self._take_over(kept)
        self._pty = is_pty(port)
        self._desk = Desk(link, port)
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        publish(self.slave, link, port)
        for name, descriptor in (("state", self._memory.descriptor), ("master", self.master), ("slave", self.slave)):
            if name not in kept:
                store.keep(name, descriptor)
        self._remember_masks()

    def _take_over(self, kept: dict[str, int]) -> None:
        """What the keeper before left, or all anew."""
        if "master" in kept and "slave" in kept:
            self.master, self.slave = kept["master"], kept["slave"]
            os.set_blocking(self.master, False)
            packet_mode(self.master)
            self._set = settings_of(self.master, self._set.baud)
        else:
            self.master, self.slave = open_pty(self._set)
        found = self._memory.read()
        if found is not None:
            self._load(found[1:])
        elif not self._memory.fresh:
            self._line.lose(self._now())
        self._line.honours_flow = self._set.flow
        self.port = -1
        if "port" in kept and not self._use_kept(kept["port"]):
            os.close(kept["port"])
            self._store.drop("port")  # else it would be handed over again, beside the one that is opened now and holds the lock
        if self.port < 0:
            self._first_open(waits="master" in kept)

    def _load(self, found: tuple[object, ...]) -> None:
        clean, *rest = found
        try:
            if clean:
                self._line.load_saved(rest[0])  # type: ignore[arg-type]
                self._to_till = bytes(rest[1])  # type: ignore[call-overload]
                self.restarted = "clean"
                return
            self._line.answers.till_mask, self._line.answers.agent_mask = (int(mask) for mask in rest)  # type: ignore[call-overload]
        except Exception:  # noqa: BLE001  (another version's: the till waits, and what it has given goes on all the same)
            self._line = SharedLine(self._now())
            self._line.load(_rest_of(found), self._now())
        self._line.last_till = self._now()
        self._line.lose_track()

    def _use_kept(self, port: int) -> bool:
        try:
            if os.fstat(port).st_rdev != os.stat(self.path).st_rdev:  # noqa: PTH116
                return False
            make_raw(port, self._set)
        except OSError:
            return False
        self.port = port
        return True

    def _first_open(self, *, waits: bool) -> None:
        try:
            self._open()
        except OSError as error:
            if not waits or error.errno == errno.ENOTTY:
                raise
            self._lost_port(error)

    def _open(self) -> None:
        self.port = open_port(self.path, self._set)
        self._failures = 0
        self._store.keep("port", self.port)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until ``stop``."""
        while not self._stopping:
            self.turn(None)
        self._farewell()

    def stop(self) -> None:
        """End ``run``; from a signal handler."""
        self._stopping = True
        try:
            os.write(self._wake_in, b"x")
        except OSError:
            return

    def turn(self, limit_s: float | None) -> None:
        """One wait, and all that follows from it."""
        now = self._now()
        due = self._due(now)
        wait_s = limit_s if due is None else max(0.0, due - now) if limit_s is None else min(limit_s, max(0.0, due - now))
        happened = dict(self._poll().poll(None if wait_s is None else wait_s * 1000 + (1 if wait_s else 0)))
        now = self._now()
        if happened.pop(self._wake_out, 0):
            os.read(self._wake_out, 64)
        if self.port >= 0 and (events := happened.pop(self.port, 0)):
            self._port_ready(events, now)
        if happened.get(self.master, 0) & select.POLLIN:
            self._from_till(now)
        if any(descriptor != self.master for descriptor in happened):
            self._at_desk()
        if self.port < 0 and now >= self._retry_at:
            self._retry()
        self._settle(now)
        self._share(*self._line.tick(now))
        self._write(now)
        self._news(now)

    def _poll(self) -> "select.poll":
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        for descriptor in self._desk.descriptors():
            poll.register(descriptor, select.POLLIN)
        reads = self._line.ready and self.port >= 0 and self._wanted is None and not self._stopping
        if reads or self._to_till:
            poll.register(self.master, (select.POLLIN if reads else 0) | (select.POLLOUT if self._to_till else 0))
        if self.port >= 0:
            poll.register(self.port, select.POLLIN | (select.POLLOUT if self._full else 0))
        return poll

    def _due(self, now: float) -> float | None:
        found = [self._line.next_timer(now)]
        if self.port < 0:
            found.append(self._retry_at)
        elif self._wanted is not None:
            found.append(now + SETTLE_S)
        return min((at for at in found if at is not None), default=None)

    # -- the till --------------------------------------------------------------------------------------------------

    def _from_till(self, now: float) -> None:
        if not self._line.ready or self._wanted is not None or self.port < 0:
            return
        try:
            data = os.read(self.master, READ_SIZE)
        except BlockingIOError:
            return
        found = settings_of(self.master, self._set.baud)
        if found != self._set:
            self._wanted, self._wanted_at = found, now
            self._line.honours_flow = found.flow
        if data[0] == 0 and len(data) > 1:
            idle = self._line.use(now) == "idle"
            self._line.load(data[1:], now)
            if idle:
                self._told = ("", 0.0)  # the daemon hears of the beginning at once

    def _settle(self, now: float) -> None:
        """New line settings, once what was written at the old ones has left."""
        if self._wanted is None or self.port < 0:
            return
        if waiting(self.port) and now - self._wanted_at < SETTLE_LIMIT_S:
            return
        self._set, self._wanted = self._wanted, None
        try:
            make_raw(self.port, self._set)
            self._say(f"the till has set {self._set.baud} baud")
        except OSError as error:
            self._say(f"{self.path} does not take {self._set.baud} baud: {os.strerror(error.errno or 0)}")

    def _share(self, till: bytes, agent: bytes) -> None:
        """The printer's bytes, to whom they belong."""
        if agent:
            self._desk.tell(HEARD, agent)
        self._to_till = (self._to_till + till)[:MAX_TO_TILL] if till else self._to_till
        if self._to_till:
            try:
                self._to_till = self._to_till[os.write(self.master, self._to_till) :]
            except BlockingIOError:
                return

    # -- the printer -----------------------------------------------------------------------------------------------

    def _port_ready(self, events: int, now: float) -> None:
        if events & select.POLLOUT:
            self._full = False
        if not events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return
        try:
            data = os.read(self.port, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost_port(error)
            return
        if data:
            self._share(*self._line.heard(data, now))
        else:
            self._lost_port(OSError(errno.EIO, "hung up"))

    def _write(self, now: float) -> None:
        """All that may be written now."""
        while self.port >= 0 and self._wanted is None and not self._full:
            piece = self._line.next_piece(now)
            if not piece:
                return
            if not self._pty:
                piece = piece[: max(256, self._set.baud // 80)]  # a question does not wait long behind it
            try:
                taken = os.write(self.port, piece)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                self._lost_port(error)
                return
            self._full = taken < len(piece) or not self._pty
            backlog_s = 0.0 if self._pty else waiting(self.port) * 10 / max(1, self._set.baud)
            if taken and self._line.wrote(taken, now, backlog_s) and self._line.left:
                self._desk.tell(LEFT, bytes((self._line.left,)) + str(int((backlog_s + self._line.left_late_s) * 1000)).encode())
            if self._line.answers.till_mask != self._mask:
                self._remember_masks()

    def _lost_port(self, error: OSError) -> None:
        if self.port >= 0:
            os.close(self.port)
            self.port = -1
            self._store.drop("port")
            self._line.lose(self._now())
        elif self._failures == 0:
            self._line.lose(self._now())
        self._full = False
        why = (
            "held"
            if error.errno in (errno.EAGAIN, errno.EBUSY)
            else "denied"
            if error.errno in (errno.EACCES, errno.EPERM)
            else "lost"
        )
        if self._failures == 0:
            self._say(f"{self.path}: {os.strerror(error.errno or 0)}; the till's bytes wait")
            self._desk.tell(LINE, words(there=0, why=why))
        self._why = why
        self._retry_at = self._now() + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1

    def _retry(self) -> None:
        try:
            self._open()
        except OSError as error:
            self._lost_port(error)
            return
        if self._line.honours_flow and self._line.answers.stopped:
            self._to_till += b"\x11"  # nobody else would let the till's terminal go on
        self._line.lose(self._now())  # while it was away nobody listened to the till: its silence is counted from here
        self._say(f"{self.path} is there again")
        self._desk.tell(LINE, words(there=1))

    # -- the daemon ------------------------------------------------------------------------------------------------

    def _at_desk(self) -> None:
        if not self._desk.taken():
            if self._desk.accept():
                self._desk.tell(
                    HELLO, words(restarted=self.restarted, in_doubt=READ_SIZE - 1 if self.restarted == "killed" else 0)
                )
                self.restarted = "told"
                self._desk.tell(LINE, words(there=int(self.port >= 0), why=self._why))
                self._told = ("", 0.0)
            return
        asked = self._desk.question()
        if asked is None:
            if not self._desk.taken():
                self._line.forget_questions()
            return
        number, wire = asked
        if self.port < 0 or not self._line.ask(wire, number):
            self._desk.tell(REFUSED, bytes((number,)))

    def _news(self, now: float) -> None:
        use = self._line.use(now)
        state, at = self._told
        if not self._desk.taken() or (use == state and (use != "printing" or now - at < NEWS_S)):
            return
        self._told = (use, now)
        counts = self._line.jobs.taken()
        quiet_ms = int((now - self._line.last_till) * 1000)
        said = words(state=use, quiet=quiet_ms, follows=int(self._line.follows), broken=int(self._line.broken), **counts)
        if not self._desk.tell(USE, said):
            self._line.jobs.give_back(counts)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _remember_masks(self) -> None:
        """Of a keeper that is killed only this is known: who had switched automatic status on."""
        self._mask = self._line.answers.till_mask
        self._memory.write(False, self._mask, self._line.answers.agent_mask)

    def _farewell(self) -> None:
        end = self._now() + FAREWELL_S
        while self.port >= 0 and not self._line.ready and self._now() < end:
            self.turn(max(0.0, end - self._now()))
        follows = self._store.there
        if follows:
            self._memory.write(True, self._line.saved(), self._to_till)
        self._store.say("STOPPING=1")
        self._desk.close(remove=not follows)
        if not follows:
            with contextlib.suppress(OSError):
                os.unlink(self.link)  # noqa: PTH108
        for descriptor in (self.port, self.master, self.slave, self._wake_in, self._wake_out):
            if descriptor >= 0:
                os.close(descriptor)


def _rest_of(found: tuple[object, ...]) -> bytes:
    """The till's bytes that had not left, which stand first in every version's state."""
    saved = found[1] if found[0] and len(found) > 1 else ()
    return saved[0] if isinstance(saved, tuple) and saved and isinstance(saved[0], bytes) else b""
