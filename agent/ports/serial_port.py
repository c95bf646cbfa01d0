"""The one module that knows pyserial, and maps its three families of errors to ours.

Measured of pyserial 3.5 (devices.md 6.3): a hang-up comes as SerialException, OSError or termios.error depending on the call;
``exclusive`` is flock only; a write without time-out blocks for ever; ``close`` can wait for output to drain. So pyserial opens
and configures, and the bytes go through the descriptor, where a wait is one blocked call instead of a poll.
"""

import contextlib
import errno
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import serial

from agent.ports.errors import LineError, PortDeniedError, PortHeldError, PortLostError, PortMissingError, PortUnusableError
from agent.ports.holders import holders
from protocols.connection import LineSettings

WRITE_LIMIT_S = 1.0
READ_SIZE = 4096
WAKE = b"w"
TIOCGICOUNT = 0x545D
"""asm-generic/ioctls.h; struct serial_icounter_struct (linux/serial.h) is 20 ints, overrun the 8th, buf_overrun the 11th."""
T = TypeVar("T")


class SerialPort:
    """An open serial line (or a pyserial URL that has a descriptor, such as socket://)."""

    def __init__(self, path: str, settings: LineSettings) -> None:
        self.path = path
        self._serial = _opened(path, settings)
        try:
            self._fd: int = self._serial.fileno()
            os.set_blocking(self._fd, False)
            self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            self._serial.close()
            raise PortUnusableError(path, str(error)) from None
        self._closed = False
        self._poll = select.poll()  # one for the life of the port: it is asked every second
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake_out, select.POLLIN)

    def read(self, wait_s: float | None) -> bytes:
        """See Port.read."""
        ready = self._poll.poll(None if wait_s is None else max(0.0, wait_s) * 1000)
        data, line = b"", 0
        for number, happened in ready:
            if number == self._fd:
                line = happened
            else:
                os.read(self._wake_out, READ_SIZE)
        if line & select.POLLIN:
            try:
                data = os.read(self._fd, READ_SIZE)
            except BlockingIOError:
                return b""  # another process has read it away
            except OSError as error:
                raise PortLostError(self.path, _why(error)) from None
        if line and not data:
            raise PortLostError(self.path, "hung up")
        return data

    def write(self, data: bytes | bytearray) -> None:
        """See Port.write."""
        while data:
            try:
                data = data[self._put(data) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                if not poll.poll(WRITE_LIMIT_S * 1000):
                    raise PortLostError(self.path, "takes no bytes") from None

    def set_baud(self, baud: int) -> None:
        """See Port.set_baud."""

        def change() -> None:
            self._serial.baudrate = baud
            termios.tcflush(self._fd, termios.TCIFLUSH)

        self._guard(change)

    def resume(self) -> None:
        """See Port.resume."""
        # A URL has no terminal settings; a line that is gone says so at the next write.
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)
            termios.tcflow(self._fd, termios.TCOON)

    @property
    def has_formats(self) -> bool:
        """See AdjustablePort.has_formats."""
        return "://" not in self.path and not os.path.realpath(self.path).startswith("/dev/pts/")

    def set_line(self, settings: LineSettings) -> None:
        """See AdjustablePort.set_line."""

        def change() -> None:
            self._serial.baudrate = settings.baud
            if self.has_formats:  # a pseudo-terminal answers EINVAL to a parity (devices.md 6.3)
                self._serial.bytesize = settings.bytesize
                self._serial.parity = settings.parity
                self._serial.stopbits = settings.stopbits
            termios.tcflush(self._fd, termios.TCIFLUSH)

        self._guard(change)

    def modem_lines(self) -> dict[str, bool]:
        """See AdjustablePort.modem_lines."""
        try:
            return {name: bool(getattr(self._serial, name)) for name in ("cts", "dsr", "cd", "ri")}
        except (serial.SerialException, OSError, AttributeError):
            return {}  # ENOTTY: a pseudo-terminal; a URL of another kind of line

    def lost_bytes(self) -> dict[str, int]:
        """See AdjustablePort.lost_bytes."""
        try:
            counts = struct.unpack("20i", fcntl.ioctl(self._fd, TIOCGICOUNT, bytes(80)))
        except OSError:
            return {}  # ENOTTY: a pseudo-terminal; a driver that does not count
        return {"overrun": counts[7], "buf_overrun": counts[10]}

    def wake(self) -> None:
        """See Port.wake."""
        if not self._closed:
            try:
                os.write(self._wake_in, WAKE)
            except OSError:
                return  # full: it is awake already; closed: nobody waits

    def close(self) -> None:
        """See Port.close."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(serial.SerialException, OSError, termios.error):
            termios.tcflush(self._fd, termios.TCIOFLUSH)  # a real UART drains for up to 30 s otherwise
        with contextlib.suppress(serial.SerialException, OSError, termios.error):
            self._serial.close()
        os.close(self._wake_out)
        os.close(self._wake_in)

    def _put(self, part: bytes | bytearray) -> int:
        try:
            return os.write(self._fd, part)
        except BlockingIOError:
            raise
        except (OSError, ValueError) as error:
            raise PortLostError(self.path, _why(error)) from None

    def _guard(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except BlockingIOError:
            raise
        except (serial.SerialException, OSError, termios.error, TypeError, ValueError) as error:
            raise PortLostError(self.path, _why(error)) from None


def _opened(path: str, settings: LineSettings) -> serial.SerialBase:
    is_url = "://" in path
    try:
        line = serial.serial_for_url(
            path,
            baudrate=settings.baud,
            bytesize=settings.bytesize,
            parity=settings.parity,
            stopbits=settings.stopbits,
            timeout=0,
            write_timeout=WRITE_LIMIT_S,
            xonxoff=False,
            rtscts=False,
            dsrdtr=False,
            do_not_open=True,
        )
        if not is_url:
            line.exclusive = True
        line.open()
    except (serial.SerialException, OSError, termios.error, ValueError) as error:
        raise _open_error(path, error, is_url=is_url) from None
    if not is_url:
        _keep_others_out(line)
    return line


def _keep_others_out(line: serial.SerialBase) -> None:
    # TIOCEXCL on a pseudo-terminal outlives a killed holder; on a real line it goes with the last descriptor.
    if os.path.realpath(str(line.port)).startswith("/dev/pts/"):
        return
    try:
        fcntl.ioctl(line.fileno(), termios.TIOCEXCL)
    except OSError:
        return  # flock still keeps out everybody who asks


def _open_error(path: str, error: Exception, *, is_url: bool) -> LineError:
    if is_url:
        return PortMissingError(urlsplit(path).scheme + "://…", _why(error))  # a URL may carry a password
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY):
        others = ", ".join(map(str, holders(path)))
        return PortHeldError(path, f"held by {others}" if others else "held by another process")
    if number in (errno.EACCES, errno.EPERM):
        return PortDeniedError(path, "permission denied")
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO):
        return PortMissingError(path, "no such device")
    return PortUnusableError(path, _why(error))


def _why(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None and error.args and isinstance(error.args[0], int):
        number = error.args[0]
    return os.strerror(number) if isinstance(number, int) else type(error).__name__
