"""A client of pcscd over its C library, as small as the tests need it (winscard.h of pcsc-lite 1.9)."""

from __future__ import annotations

import ctypes

LIBRARY = "libpcsclite.so.1"
SHARED, ANY_PROTOCOL, LEAVE = 2, 3, 0
UNAWARE, CHANGED, EMPTY, PRESENT, MUTE = 0x0, 0x2, 0x10, 0x20, 0x200

_Handle = ctypes.c_long
_Word = ctypes.c_ulong


class PcscError(Exception):
    """A function of the library failed; `code` is its answer."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function}: {code:#010x}")
        self.code = code


class _ReaderState(ctypes.Structure):
    _fields_ = (
        ("reader", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
        ("current", _Word),
        ("event", _Word),
        ("atr_length", _Word),
        ("atr", ctypes.c_ubyte * 33),
    )


class _Protocol(ctypes.Structure):
    _fields_ = (("protocol", _Word), ("length", _Word))


class Pcsc:
    """One context with pcscd."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self._context = _Handle()
        self._call("SCardEstablishContext", _Word(2), None, None, ctypes.byref(self._context))

    def __enter__(self) -> Pcsc:
        return self

    def __exit__(self, *_: object) -> None:
        self._call("SCardReleaseContext", self._context)

    def readers(self) -> list[str]:
        """The readers that pcscd offers."""
        size = _Word(4096)
        names = ctypes.create_string_buffer(size.value)
        self._call("SCardListReaders", self._context, None, names, ctypes.byref(size))
        return [name.decode() for name in names.raw[: size.value].split(b"\0") if name]

    def wait(self, reader: str, state: int, timeout_s: float) -> tuple[int, bytes]:
        """Wait until `reader` shows one of the bits of `state`; its state and the card's ATR. PcscError at the end."""
        one = _ReaderState(reader=reader.encode(), current=UNAWARE)
        while True:
            self._call("SCardGetStatusChange", self._context, _Word(int(timeout_s * 1000)), ctypes.byref(one), _Word(1))
            if one.event & state:
                return one.event, bytes(one.atr[: one.atr_length])
            one.current = one.event & ~CHANGED

    def connect(self, reader: str) -> Card:
        """The card in `reader`."""
        handle, protocol = _Handle(), _Word()
        name = reader.encode()
        self._call(
            "SCardConnect", self._context, name, _Word(SHARED), _Word(ANY_PROTOCOL),
            ctypes.byref(handle), ctypes.byref(protocol),
        )  # fmt: skip
        return Card(self, handle, protocol.value)

    def _call(self, function: str, *arguments: object) -> None:
        entry = getattr(self._library, function)
        entry.restype = _Handle
        code = entry(*arguments) & 0xFFFFFFFF
        if code:
            raise PcscError(function, code)


class Card:
    """A connected card."""

    def __init__(self, pcsc: Pcsc, handle: _Handle, protocol: int) -> None:
        self._pcsc = pcsc
        self._handle = handle
        self.protocol = protocol

    def transmit(self, command: str) -> str:
        """One APDU, in hex, and its answer."""
        data = bytes.fromhex(command)
        header = _Protocol(self.protocol, ctypes.sizeof(_Protocol))
        answer, size = ctypes.create_string_buffer(300), _Word(300)
        self._pcsc._call(
            "SCardTransmit", self._handle, ctypes.byref(header), data, _Word(len(data)), None,
            answer, ctypes.byref(size),
        )  # fmt: skip
        return answer.raw[: size.value].hex(" ")

    def begin(self) -> None:
        """Nobody else may use the card until ``end``."""
        self._pcsc._call("SCardBeginTransaction", self._handle)

    def end(self) -> None:
        """Others may use it again."""
        self._pcsc._call("SCardEndTransaction", self._handle, _Word(LEAVE))

    def disconnect(self) -> None:
        """Let go of the card."""
        self._pcsc._call("SCardDisconnect", self._handle, _Word(LEAVE))
