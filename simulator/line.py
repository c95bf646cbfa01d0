"""A serial line between a host and a simulated device: a pty, or memory under a virtual clock.

Both kinds behave alike: a host that listens at another baud than the device gets garbage, and gives it; noise flips
bits; an unplugged line fails with EIO. A line may send the host's own bytes back, or carry nothing to the host. Parity and
7 bits, which a pty cannot carry, exist in memory (`framing`); modem lines are whatever the test's port says.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import secrets
import struct
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from simulator import framing
from simulator.settings import Value

SWALLOWED_SHARE = 0.25
"""Of the bytes heard at a wrong baud, those that the receiver does not take for a byte at all."""
HOST_BUFFER = 4096
"""What waits for a host that does not read; what comes on top is lost, as in a UART (the pty's own limit is alike)."""
_READ_SIZE = 65536
_FIRED_AT_ONCE = 10_000


class Device(Protocol):
    """A simulated device without any I/O: bytes in, bytes out, time passed in (`now`, seconds, monotonic)."""

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the host sent; return what the device sends at once."""
        ...

    def poll(self, now: float) -> bytes:
        """What the device sends because time has passed."""
        ...

    def next_timer(self) -> float | None:
        """When `poll` has something to do, or None."""
        ...

    def change(self, name: str, value: Value, now: float) -> bytes:
        """Apply one setting by its short name; return what the device sends because of it."""
        ...

    def restart(self, now: float) -> None:
        """Begin anew as after power-on; the settings stay."""
        ...

    def state(self) -> dict[str, Value | None]:
        """The settings of the device that are not the line's, by short name."""
        ...

    def counters(self) -> dict[str, int]:
        """What the device counted."""
        ...


class Wire:
    """What happens to bytes on their way. Repeatable: the same seed and traffic give the same damage."""

    def __init__(self, seed: int = 0) -> None:
        self.noise = 0.0
        self._random = random.Random(seed)

    def carry(self, data: bytes, sent_at: int, heard_at: int) -> bytes:
        """What a receiver at `heard_at` baud hears of `data` sent at `sent_at` baud.

        At a wrong baud every byte becomes a uniformly random one or is swallowed, so that a valid status pattern
        comes up exactly as often as by chance and no driver can learn from the simulator's habits.
        """
        if sent_at != heard_at:
            data = bytes(self._random.randrange(256) for _ in data if self._random.random() >= SWALLOWED_SHARE)
        if not self.noise:
            return data
        return bytes(self._disturb(byte) for byte in data)

    def _disturb(self, byte: int) -> int:
        return byte ^ (1 << self._random.randrange(8)) if self._random.random() < self.noise else byte


class Line(ABC):
    """The device's end of a line. `baud` is the device's own rate; bytes are counted as the host put them on it."""

    def __init__(self, baud: int, seed: int) -> None:
        self.baud = baud
        self.wire = Wire(seed)
        self.wiring = "ok"
        """ok; echo: two wires, the host hears itself; loop: a plug, nobody else is there; deaf: the wire to the host is broken"""
        self.format = framing.Format()
        """the device's own; the host's is `host_format`"""
        self.bytes_in = 0
        self.bytes_out = 0

    def receive(self) -> bytes:
        """Everything the host sent since the last call, as the device hears it."""
        raw = self._take()
        if raw and self.wiring in ("echo", "loop"):
            self._give(raw)
        if not raw or self.wiring == "loop":
            return b""
        self.bytes_in += len(raw)
        arrived = framing.carry(raw, self.host_format(), self.format)
        return self.wire.carry(arrived, self.host_baud(), self.baud)

    def send(self, data: bytes) -> None:
        """Put `data` on the line in one write; what nobody can take is lost."""
        if data and self.plugged:
            self.bytes_out += len(data)
            if self.wiring not in ("loop", "deaf"):
                arrived = framing.carry(data, self.format, self.host_format())
                self._give(self.wire.carry(arrived, self.baud, self.host_baud()))

    @property
    @abstractmethod
    def plugged(self) -> bool:
        """Whether the cable is in."""

    @abstractmethod
    def plug(self) -> None:
        """Put the cable in (again)."""

    @abstractmethod
    def unplug(self) -> None:
        """Pull the cable: the host's next read or write fails with EIO."""

    @abstractmethod
    def host_baud(self) -> int:
        """The rate that the host set on its end."""

    def host_format(self) -> framing.Format:
        """The format that the host set; a pty has none, and carries bytes as they are."""
        return self.format

    @abstractmethod
    def _take(self) -> bytes: ...

    @abstractmethod
    def _give(self, data: bytes) -> None: ...


# --- ptys ---------------------------------------------------------------------------------------------------------

# asm-generic/ioctls.h, termbits.h: only struct termios2 carries any rate as a number. Byte offsets within it:
_TCGETS2, _TCSETS2 = 0x802C542A, 0x402C542B
_TERMIOS2_SIZE, _C_CFLAG, _C_ISPEED, _C_OSPEED = 44, 8, 36, 40
_CBAUD, _BOTHER = 0o010017, 0o010000


def line_speed(descriptor: int) -> int:
    """The output rate set on a terminal, in baud; asked of a pty's master it is the slave's. OSError if gone."""
    settings = fcntl.ioctl(descriptor, _TCGETS2, bytes(_TERMIOS2_SIZE))
    return int(struct.unpack_from("=I", settings, _C_OSPEED)[0])


def set_line_speed(descriptor: int, baud: int) -> None:
    """Set any rate, standard or not, for both directions."""
    settings = bytearray(fcntl.ioctl(descriptor, _TCGETS2, bytes(_TERMIOS2_SIZE)))
    (cflag,) = struct.unpack_from("=I", settings, _C_CFLAG)
    struct.pack_into("=I", settings, _C_CFLAG, (cflag & ~_CBAUD) | _BOTHER)
    struct.pack_into("=II", settings, _C_ISPEED, baud, baud)
    fcntl.ioctl(descriptor, _TCSETS2, bytes(settings))


class PtyLine(Line):
    """A pty behind a stable link. The device holds the master, and a slave too, so that a host may come and go."""

    def __init__(self, link: Path, baud: int = 115200, seed: int = 0) -> None:
        super().__init__(baud, seed)
        if link.exists() and not link.is_symlink():
            raise FileExistsError(errno.EEXIST, "is in the way and not a link", str(link))
        self.link = link
        self._master = -1
        self._slave = -1
        self.plug()

    @property
    def plugged(self) -> bool:
        """Whether the pty exists."""
        return self._master >= 0

    def fileno(self) -> int:
        """The master's descriptor, -1 while unplugged."""
        return self._master

    def plug(self) -> None:
        """Open a new pty, raw and at the device's rate, and point the link at it in one step."""
        if self.plugged:
            return
        self._master, self._slave = os.openpty()
        os.set_blocking(self._master, False)
        tty.setraw(self._slave)
        set_line_speed(self._slave, self.baud)
        new = self.link.with_name(f".{self.link.name}.{secrets.token_hex(4)}")
        new.symlink_to(os.ttyname(self._slave))
        new.replace(self.link)

    def unplug(self) -> None:
        """Remove the link and close both ends: a host that has it open is hung up."""
        if not self.plugged:
            return
        self.link.unlink(missing_ok=True)
        for descriptor in (self._slave, self._master):
            os.close(descriptor)
        self._master = self._slave = -1

    def host_baud(self) -> int:
        """What the host set with tcsetattr, as the master sees it."""
        return line_speed(self._master)

    def _take(self) -> bytes:
        if not self.plugged:
            return b""
        try:
            return os.read(self._master, _READ_SIZE)
        except BlockingIOError:
            return b""

    def _give(self, data: bytes) -> None:
        # A host that does not read fills the pty; the rest is lost, as it would be in a UART.
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)


# --- memory -------------------------------------------------------------------------------------------------------


class VirtualClock:
    """Time that passes only when it is told to. Timers fire in their order, each at its own time."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._parts: list[tuple[Callable[[], float | None], Callable[[float], None]]] = []

    def __call__(self) -> float:
        """The time in seconds, like time.monotonic."""
        return self.now

    def register(self, next_timer: Callable[[], float | None], fire: Callable[[float], None]) -> None:
        """Have `fire(now)` called whenever the time of `next_timer()` has come."""
        self._parts.append((next_timer, fire))

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; RuntimeError if a timer fires without end at the same time."""
        end = self.now + seconds
        fired = 0
        while True:
            due = [(at, index) for index, (timer, _) in enumerate(self._parts) if (at := timer()) is not None]
            if not due or min(due)[0] > end:
                break
            at, index = min(due)
            fired = 0 if at > self.now else fired + 1
            if fired > _FIRED_AT_ONCE:
                raise RuntimeError(f"a timer of part {index} does not move on from {self.now}")
            self.now = max(self.now, at)
            self._parts[index][1](self.now)
        self.now = end


class MemoryLine(Line):
    """A line in memory: what the host writes is heard at once, at the clock's time; nothing sleeps, no thread."""

    def __init__(self, clock: VirtualClock, baud: int = 115200, seed: int = 0) -> None:
        super().__init__(baud, seed)
        self.clock = clock
        self.host = HostEnd(self, baud)
        self.on_data: Callable[[float], None] = lambda _now: None
        self._inbox = bytearray()
        self._plugged = True

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._plugged

    def plug(self) -> None:
        """Put the cable in; a host end that failed stays failed, the host has to open the line again."""
        self._plugged = True

    def open(self) -> HostEnd:
        """A new host's end, which `host` is from now on; the former one is closed. OSError ENOENT while unplugged."""
        if not self._plugged:
            raise OSError(errno.ENOENT, "the line is unplugged")
        self.host.close()
        self.host = HostEnd(self, self.baud)
        return self.host

    def unplug(self) -> None:
        """Fail the host's end and forget what was under way."""
        self._plugged = False
        self._inbox.clear()
        self.host.fail()

    def host_baud(self) -> int:
        """What the host set."""
        return self.host.baud

    def host_format(self) -> framing.Format:
        """What the host set."""
        return self.host.format

    def deliver(self, data: bytes) -> None:
        """Called by the host's end: `data` reaches the device now."""
        self._inbox += data
        self.on_data(self.clock.now)

    def _take(self) -> bytes:
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def _give(self, data: bytes) -> None:
        self.host.put(data)


class HostEnd:
    """The host's end of a line in memory, as an opened port: read what is there, write, set the rate, close."""

    def __init__(self, line: MemoryLine, baud: int) -> None:
        self.baud = baud
        self.format = framing.Format()
        self._line = line
        self._waiting = bytearray()
        self._closed = False
        self._failed = False

    @property
    def waiting(self) -> int:
        """How many bytes a `read` would find; 0 on a line that is gone."""
        return len(self._waiting)

    def read(self, size: int = _READ_SIZE) -> bytes:
        """Up to `size` bytes of what has come, b"" if nothing; OSError EIO once unplugged, EBADF once closed."""
        self._check()
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return data

    def write(self, data: bytes) -> int:
        """Send all of `data`; errors as in `read`."""
        self._check()
        self._line.deliver(data)
        return len(data)

    def set_baud(self, baud: int) -> None:
        """Set the rate of this end, in baud."""
        self._check()
        self.baud = baud

    def close(self) -> None:
        """Close this end; what the device sends from now on is lost."""
        self._closed = True
        self._waiting.clear()

    def put(self, data: bytes) -> None:
        """Called by the line: `data` has come; what exceeds HOST_BUFFER is lost."""
        if not self._closed:
            self._waiting += data[: HOST_BUFFER - len(self._waiting)]

    def fail(self) -> None:
        """Called by the line when it is pulled."""
        self._failed = True
        self._waiting.clear()

    def _check(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "the port is closed")
        if self._failed:
            raise OSError(errno.EIO, "the line was unplugged")
