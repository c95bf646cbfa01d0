"""The keeper's two terminals, with plain termios: the printer's port, and the pseudo-terminal that the till opens.

A pseudo-terminal has no modem lines, no parity and no 7 bits: those of the till cannot be carried to the port. Speed, stop
bits and RTS/CTS can. Any speed is set as a number (struct termios2, asm-generic/termbits.h), as the till may have set one.
"""

import fcntl
import os
import struct
import termios

TCGETS2, TCSETS2 = 0x802C542A, 0x402C542B
_SIZE, _FLAGS, _ISPEED = 44, "=IIII", 36
_CBAUD, _BOTHER = 0o010017, 0o010000
_CARRIED = termios.CSTOPB | termios.CRTSCTS
TIOCPKT = 0x5420
READ_SIZE = 4096
"""With its first byte, which is packet mode's. The rest is the most that a killed keeper puts in doubt."""


class Settings:
    """What the till has set that concerns the port."""

    __slots__ = ("baud", "carried", "flow")

    def __init__(self, baud: int, carried: int, *, flow: bool) -> None:
        self.baud = baud
        self.carried = carried
        self.flow = flow
        """XON/XOFF"""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> tuple[int, int, bool]:
        """As plain values."""
        return self.baud, self.carried, self.flow


def settings_of(master: int, before: int = 0) -> Settings:
    """What is set on the till's side, asked of the master's.

    B0 means: hang up. Behind a pseudo-terminal there are no modem lines to drop: the speed stays at ``before``.
    """
    raw = fcntl.ioctl(master, TCGETS2, bytes(_SIZE))
    iflag, _, cflag, _ = struct.unpack_from(_FLAGS, raw)
    (baud,) = struct.unpack_from("=I", raw, _ISPEED + 4)
    return Settings(baud or before, cflag & _CARRIED, flow=bool(iflag & termios.IXON))


def make_raw(descriptor: int, settings: Settings) -> None:
    """8 bits, no parity, nothing translated, no kernel flow control but RTS/CTS where it is carried, at any speed."""
    raw = bytearray(fcntl.ioctl(descriptor, TCGETS2, bytes(_SIZE)))
    cflag = termios.CS8 | termios.CREAD | termios.CLOCAL | _BOTHER | settings.carried  # without HUPCL: DTR stays
    struct.pack_into(_FLAGS, raw, 0, termios.IGNBRK | termios.IGNPAR, 0, cflag, 0)
    raw[16 + 1 + termios.VMIN], raw[16 + 1 + termios.VTIME] = 1, 0
    struct.pack_into("=II", raw, _ISPEED, settings.baud, settings.baud)
    fcntl.ioctl(descriptor, TCSETS2, bytes(raw))


def is_pty(path: str) -> bool:
    """Whether ``path`` leads to a pseudo-terminal."""
    return os.path.realpath(path).startswith("/dev/pts/")


def open_port(path: str, settings: Settings) -> int:
    """The printer's port, for us alone. Raises OSError: EAGAIN held by another, ENOTTY no terminal, and what open gives."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        make_raw(descriptor, settings)
        if not is_pty(path):  # on a pseudo-terminal it would outlive us
            fcntl.ioctl(descriptor, termios.TIOCEXCL)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_pty(settings: Settings) -> tuple[int, int]:
    """Master and slave, raw, in packet mode. We keep the slave open, so that the till may come and go."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    make_raw(slave, settings)
    packet_mode(master)
    return master, slave


def packet_mode(master: int) -> None:
    """Every read begins with a byte that says whether it is data, or what the till has changed (tty_ioctl(4), TIOCPKT)."""
    fcntl.ioctl(master, TIOCPKT, struct.pack("i", 1))


def waiting(descriptor: int) -> int:
    """Bytes that were written and have not left."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0


def publish(slave: int, link: str, like: str) -> None:
    """Point ``link`` at the slave in one step, and let those open it who may open ``like``. Raises OSError."""
    name = os.ttyname(slave)
    if os.path.lexists(link) and not os.path.islink(link):  # noqa: PTH114
        raise FileExistsError(17, "is in the way and no link", link)
    try:
        os.chmod(name, 0o660)  # noqa: PTH101
        os.chown(name, -1, os.stat(like).st_gid)  # noqa: PTH116
    except OSError:
        pass  # a group that is not ours: the till runs as our user, or in the group tty
    new = f"{link}.{os.getpid()}"
    os.symlink(name, new)  # noqa: PTH211
    os.replace(new, link)  # noqa: PTH105
