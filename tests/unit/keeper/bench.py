"""A keeper in this process between two pseudo-terminals, turned by hand; and what a service manager would keep for it."""

import contextlib
import fcntl
import os
import select
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path

from agent.keeper.keeper import Keeper
from agent.keeper.store import Store

LIMIT_S = 30.0


class Kept(Store):
    """A service manager's store, in this process."""

    def __init__(self) -> None:
        self.descriptors: dict[str, list[int]] = {}
        """several of one name stand side by side, as with systemd; the oldest comes last, and so is who is found"""
        self.said: list[str] = []

    @property
    def there(self) -> bool:
        return True

    def say(self, state: str, *descriptors: int) -> None:
        self.said.append(state)
        del descriptors

    def keep(self, name: str, descriptor: int) -> None:
        self.descriptors.setdefault(name, []).append(os.dup(descriptor))

    def drop(self, name: str) -> None:
        for descriptor in self.descriptors.pop(name, ()):
            os.close(descriptor)

    def handed_over(self) -> dict[str, int]:
        """What the next keeper finds."""
        return {name: os.dup(descriptors[0]) for name, descriptors in self.descriptors.items()}

    def close(self) -> None:
        for name in list(self.descriptors):
            self.drop(name)


class Bench:
    """`printer` is the device's end of the port, `till` the till's end of the keeper's pseudo-terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = folder / "port"
        self.link = folder / "printer"
        self.said: list[str] = []
        self.kept = Kept()
        self.printer = -1
        self.till = -1
        self.skip_s = 0.0
        self.plug()
        self.keeper = self.start()

    def now(self) -> float:
        return time.monotonic() + self.skip_s

    def plug(self) -> None:
        self.printer, slave = os.openpty()
        os.set_blocking(self.printer, False)
        tty.setraw(slave)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(slave))
        self._slave = slave

    def unplug(self) -> None:
        os.close(self._slave)
        os.close(self.printer)
        self.printer = -1

    def start(self) -> Keeper:
        return Keeper(
            str(self.port),
            str(self.link),
            115200,
            now=self.now,
            store=self.kept,
            kept=self.kept.handed_over(),
            say=self.said.append,
        )

    def open_till(self, flags: int = os.O_RDWR) -> int:
        till = os.open(self.link, flags | os.O_NOCTTY | os.O_NONBLOCK)
        if self.till < 0:
            self.till = till
        return till

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.keeper.turn(0.0)

    def until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while not what():
            assert time.monotonic() < end, self.said
            self.keeper.turn(0.01)

    def printed(self, size: int = 65536) -> bytes:
        """What has come to the printer; b"" when nothing has."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.printer, size)
        return b""

    def prints(self, data: bytes) -> bytes:
        """The till writes all of it; what the printer got."""
        got, left = bytearray(), data

        def done() -> bool:
            nonlocal left
            if left:
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(self.till, left) :]
            got.extend(self.printed())
            return not left and len(got) >= len(data)

        self.until(done)
        return bytes(got)

    def heard(self) -> bytes:
        """What has come to the till."""
        if not select.select([self.till], [], [], 0)[0]:
            return b""
        return os.read(self.till, 65536)

    def kill(self) -> None:
        """As kill -9 does: nothing is said or saved."""
        keeper = self.keeper
        keeper._desk.close(remove=False)
        for descriptor in (
            keeper.port,
            keeper.master,
            keeper.slave,
            keeper._wake_in,
            keeper._wake_out,
            keeper._memory.descriptor,
        ):
            if descriptor >= 0:
                os.close(descriptor)

    def end(self) -> None:
        """An orderly end."""
        self.keeper.stop()
        self.keeper.run()
        os.close(self.keeper._memory.descriptor)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.end()
        self.kept.close()
        for descriptor in (self.till, self.printer):
            if descriptor >= 0:
                os.close(descriptor)
        if self.printer >= 0:
            os.close(self._slave)


def set_line(descriptor: int, speed: int = termios.B9600, *, xonxoff: bool = False) -> None:
    """As till software sets its port."""
    found = termios.tcgetattr(descriptor)
    found[0] = termios.IXON if xonxoff else 0
    found[1] = found[3] = 0
    found[4] = found[5] = speed
    termios.tcsetattr(descriptor, termios.TCSANOW, found)


def is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
