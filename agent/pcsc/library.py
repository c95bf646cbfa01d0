"""libpcsclite.so.1 by ctypes, as far as looking at a reader needs it (winscard.h and pcsclite.h of pcsc-lite 1.9).

Loaded when a reader is configured for it, and not before. Every call may block as long as pcscd does; whoever calls has a thread
for it, and only ``cancel`` may be called from another one.
"""

import ctypes
from dataclasses import dataclass

NAME = "libpcsclite.so.1"
MAX_NAMES = 8192
MAX_ATR = 33
MAX_ANSWER = 258
SCOPE_SYSTEM = 2
EXCLUSIVE, T0_OR_T1, UNPOWER = 1, 3, 2
INFINITE = 0xFFFFFFFF

UNAWARE, CHANGED, UNKNOWN, UNAVAILABLE, EMPTY, PRESENT, EXCLUSIVELY, IN_USE, MUTE = 0, 2, 4, 8, 0x10, 0x20, 0x80, 0x100, 0x200
"""SCARD_STATE_ bits; the upper half of the word counts card moves"""

NO_LIBRARY = 0
"""of our own: the library is not there"""
CANCELLED, TIMEOUT, SHARING = 0x80100002, 0x8010000A, 0x8010000B
UNKNOWN_READER, READER_UNAVAILABLE, NO_SERVICE, SERVICE_STOPPED, NO_READERS = (
    0x80100009,
    0x80100017,
    0x8010001D,
    0x8010001E,
    0x8010002E,
)
NO_CARD, UNRESPONSIVE, UNPOWERED, REMOVED, REFUSED = 0x8010000C, 0x80100066, 0x80100067, 0x80100069, 0x8010006A

_Handle, _Word = ctypes.c_long, ctypes.c_ulong


class PcscError(Exception):
    """A call failed; ``code`` is the library's answer, NO_LIBRARY where there is none."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call}: {code:#010x}" if code else f"{NAME} is not installed")
        self.call = call
        self.code = code


class _ReaderState(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("user_data", ctypes.c_void_p),
        ("current", _Word),
        ("event", _Word),
        ("atr_length", _Word),
        ("atr", ctypes.c_ubyte * MAX_ATR),
    )


class _Header(ctypes.Structure):
    _fields_ = (("protocol", _Word), ("length", _Word))


@dataclass(frozen=True, slots=True)
class Seen:
    """What pcscd shows of one reader: its state bits, and its card's ATR (empty without one)."""

    state: int
    atr: bytes


class Library:
    """One context with pcscd. ``open`` first; raises PcscError throughout."""

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None
        self._context = _Handle()

    def open(self) -> None:
        """Load the library, and meet pcscd."""
        try:
            self._library = self._library or ctypes.CDLL(NAME)
        except OSError:
            raise PcscError("dlopen", NO_LIBRARY) from None
        self._call("SCardEstablishContext", _Word(SCOPE_SYSTEM), None, None, ctypes.byref(self._context))

    def close(self) -> None:
        """Part from pcscd; errors do not matter any more."""
        if self._library is not None and self._context.value:
            context, self._context = self._context, _Handle()
            self._library.SCardReleaseContext(context)

    def cancel(self) -> None:
        """End ``changed`` of another thread."""
        if self._library is not None and self._context.value:
            self._library.SCardCancel(self._context)

    def readers(self) -> list[str]:
        """The names of the readers that pcscd offers."""
        names, size = ctypes.create_string_buffer(MAX_NAMES), _Word(MAX_NAMES)
        try:
            self._call("SCardListReaders", self._context, None, names, ctypes.byref(size))
        except PcscError as error:
            if error.code == NO_READERS:
                return []
            raise
        return [name.decode("utf-8", "replace") for name in names.raw[: size.value].split(b"\0") if name]

    def changed(self, reader: str, known: int, wait_s: float | None) -> Seen | None:
        """Wait until ``reader`` differs from ``known`` (UNAWARE: at once); None after ``wait_s``. Touches no card."""
        one = _ReaderState(name=reader.encode(), current=known)
        limit = _Word(INFINITE if wait_s is None else int(wait_s * 1000))
        try:
            self._call("SCardGetStatusChange", self._context, limit, ctypes.byref(one), _Word(1))
        except PcscError as error:
            if error.code == TIMEOUT:
                return None
            raise
        return Seen(int(one.event) & ~CHANGED, bytes(one.atr[: min(one.atr_length, MAX_ATR)]))

    def exchange(self, reader: str, command: bytes) -> tuple[int, bytes]:
        """One command to a card that nobody else uses; (T, answer). Leaves it without power.

        PcscError(SHARING) where somebody is connected to it.
        """
        card, protocol = _Handle(), _Word()
        kind = (_Word(EXCLUSIVE), _Word(T0_OR_T1))
        self._call("SCardConnect", self._context, reader.encode(), *kind, ctypes.byref(card), ctypes.byref(protocol))
        try:
            answer, size = ctypes.create_string_buffer(MAX_ANSWER), _Word(MAX_ANSWER)
            header = _Header(protocol.value, ctypes.sizeof(_Header))
            sent = (ctypes.byref(header), command, _Word(len(command)), None)
            self._call("SCardTransmit", card, *sent, answer, ctypes.byref(size))
            return protocol.value - 1, answer.raw[: size.value]
        finally:
            if self._library is not None:
                self._library.SCardDisconnect(card, _Word(UNPOWER))

    def _call(self, function: str, *arguments: object) -> None:
        if self._library is None:
            raise PcscError(function, NO_SERVICE)
        entry = getattr(self._library, function)
        entry.restype = _Handle
        code = int(entry(*arguments)) & 0xFFFFFFFF
        if code:
            raise PcscError(function, code)
