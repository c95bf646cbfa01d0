"""One simulated till: its devices on their lines, on ptys behind stable links or in memory under a virtual clock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import select
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from simulator.control import Listener, RefusedError
from simulator.line import Device, Line, MemoryLine, PtyLine, VirtualClock
from simulator.printer.device import EscPosPrinter
from simulator.printer.paper import Element, to_json
from simulator.reader.ccid_reader import CcidReader
from simulator.reader.msr_reader import MsrReader
from simulator.reader.neo_reader import NeoReader
from simulator.settings import BadSettingError, Value, read_setting
from simulator.till.port import TillPort

PRINTERS = ("escpos", "none")
READERS = ("ccid", "neo", "msr", "none")
DEFAULT_BAUD = 115200
READER_BAUD = 115200
MSR_BAUD = 9600
MEMORY_EPOCH = 1_800_000_000.0
"""The true time at second 0 of a virtual clock: in January 2027."""
LOCK = ".lock"
_READS_AT_ONCE = 16
"""From one line before the others have their turn; a pty gives at most 4 KB in each."""

LineKind = TypeVar("LineKind", bound=Line, covariant=True)


@dataclass(frozen=True)
class Kinds:
    """Which devices a terminal has, the printer's rate in baud, and the seed of everything random in it."""

    printer: str = "escpos"
    reader: str = "ccid"
    baud: int = DEFAULT_BAUD
    seed: int = 0

    def __post_init__(self) -> None:
        if self.printer not in PRINTERS or self.reader not in READERS:
            raise BadSettingError(f"no such device: {self.printer}, {self.reader}")


class Station(Generic[LineKind]):
    """A device at its line: moves bytes between them, and shares out what `set` changes."""

    def __init__(self, name: str, device: Device, line: LineKind) -> None:
        self.name = name
        self.device = device
        self.line = line

    def service(self, now: float) -> None:
        """Let the device hear everything that came, up to a bound, and send what is due."""
        for _ in range(_READS_AT_ONCE):
            heard = self.line.receive()
            answer = self.device.receive(heard, now) if heard else b""
            self.line.send(answer + self.device.poll(now))
            if not heard:
                break

    def change(self, name: str, value: Value, now: float) -> None:
        """Apply one setting; what the device sends because of it is on the line when this returns."""
        if name == "plugged":
            (self.line.plug if value == "yes" else self.line.unplug)()
        elif name == "noise":
            self.line.wire.noise = float(value)
        elif name == "line":
            self.line.wiring = str(value)
        elif name == "baud":
            # A DIP switch on real ones, which is read at power-on.
            self.line.baud = int(value)
            self.device.restart(now)
        else:
            self.line.send(self.device.change(name, value, now))

    def show(self) -> dict[str, Any]:
        """The truth about this device. Each setting is there by its short name and by its name in `possim set`."""
        state = self.device.state()
        state |= {"plugged": "yes" if self.line.plugged else "no", "noise": self.line.wire.noise}
        if self.name == "printer":
            state |= {"baud": self.line.baud, "line": self.line.wiring}
        named = {f"{self.name}.{short}": value for short, value in state.items()}
        counts = {"bytes_in": self.line.bytes_in, "bytes_out": self.line.bytes_out}
        return {"state": state | named, **counts, **self.device.counters()}


class Terminal(Generic[LineKind]):
    """The devices of one till and what can be asked of them; it does no I/O but through its lines."""

    def __init__(self, printer: Station[LineKind] | None, reader: Station[LineKind] | None, till: TillPort | None = None) -> None:
        self.printer = printer
        self.reader = reader
        self.till = till

    @property
    def stations(self) -> tuple[Station[LineKind], ...]:
        """The devices that are there."""
        return tuple(station for station in (self.printer, self.reader) if station)

    def set(self, key: str, text: str, now: float) -> None:
        """`possim set KEY VALUE`: BadSettingError if wrong, RefusedError for a device that is not there."""
        value = read_setting(key, text)
        owner, name = key.split(".")
        if owner == "till":
            if self.till is not None:  # else no till software is attached to this terminal, and nothing prints
                self.till.selling = value == "yes"
                self.till.service(now)
            return
        station = {"printer": self.printer, "reader": self.reader}[owner]
        if station is None:
            raise RefusedError(f"this terminal has no {owner}")
        station.change(name, value, now)

    def show(self) -> dict[str, Any]:
        """What `possim show` prints; None stands for a device that is not there."""
        return {
            "printer": self.printer.show() if self.printer else None,
            "reader": self.reader.show() if self.reader else None,
            **({"till": self.till.show()} if self.till else {}),
        }

    def receipt(self) -> tuple[Element, ...]:
        """The elements of the last receipt; RefusedError without a printer."""
        if self.printer is None or not isinstance(self.printer.device, EscPosPrinter):
            raise RefusedError("this terminal has no printer")
        return self.printer.device.receipt()

    def service(self, now: float) -> None:
        """Let every device do what it has to do."""
        for station in self.stations:
            station.service(now)
        if self.till is not None:
            self.till.service(now)

    def next_timer(self) -> float | None:
        """When a device wants to be served again though nothing came."""
        times = [at for station in self.stations if (at := station.device.next_timer()) is not None]
        if self.till is not None and (due := self.till.next_timer()) is not None:
            times.append(due)
        return min(times, default=None)


def _devices(kinds: Kinds, epoch: float) -> Iterator[tuple[str, Device, int]]:
    """`epoch`: the true time, in seconds since 1970, at second 0 of the clock that serves them."""
    if kinds.printer != "none":
        yield "printer", EscPosPrinter(serial=f"SIM{kinds.seed:07d}"), kinds.baud
    if kinds.reader == "ccid":
        yield "reader", CcidReader(kinds.seed), READER_BAUD
    elif kinds.reader == "neo":
        yield "reader", NeoReader(kinds.seed, lambda now: epoch + now), READER_BAUD
    elif kinds.reader == "msr":
        yield "reader", MsrReader(kinds.seed), MSR_BAUD


def in_memory(clock: VirtualClock, kinds: Kinds | None = None) -> Terminal[MemoryLine]:
    """A till in memory: `terminal.printer.line.host` is the host's end of its printer's line."""
    kinds = kinds or Kinds()
    stations: dict[str, Station[MemoryLine]] = {}
    for name, device, baud in _devices(kinds, MEMORY_EPOCH):
        station = Station(name, device, MemoryLine(clock, baud, kinds.seed))
        station.line.on_data = station.service
        clock.register(device.next_timer, station.service)
        stations[name] = station
    return Terminal(stations.get("printer"), stations.get("reader"))


class TerminalServer:
    """A till on ptys in a folder, with the control socket of `possim set`; `run` serves it until `stop`.

    It blocks in one poll without a time limit, so that it costs nothing while nothing happens.
    """

    def __init__(self, folder: Path, kinds: Kinds | None = None, till: Path | None = None) -> None:
        """Take the folder and put everything up; RefusedError if another terminal has it. `till`: where its software prints."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(os.close, self._lock)
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
            self._cleanup.callback(os.close, descriptor)
        try:
            self.terminal = self._on_ptys(kinds or Kinds(), till)
            self._listener = Listener(folder, self._control)
            self._cleanup.callback(self._listener.close)
        except BaseException:
            self._cleanup.close()
            raise

    def _on_ptys(self, kinds: Kinds, till: Path | None) -> Terminal[PtyLine]:
        stations = {}
        for name, device, baud in _devices(kinds, time.time() - time.monotonic()):
            line = PtyLine(self.folder / name, baud, kinds.seed)
            self._cleanup.callback(line.unplug)
            stations[name] = Station(name, device, line)
        software = TillPort(till, kinds.baud, kinds.seed) if till is not None else None
        if software is not None:
            self._cleanup.callback(software.close)
        return Terminal(stations.get("printer"), stations.get("reader"), software)

    def ready(self) -> dict[str, Any]:
        """The line that `possim terminal` prints: paths of what the terminal has, None for what it has not."""
        paths = {name: str(self.folder / name) for name in ("printer", "reader") if getattr(self.terminal, name)}
        control = str(self.folder / self._listener.name)
        return {"ready": True, "printer": None, "reader": None, **paths, "control": control}

    def run(self) -> None:
        """Serve until `stop` is called, then take everything down."""
        try:
            while not self._stopped():
                self._serve_once()
        finally:
            self.close()

    def close(self) -> None:
        """Take links, ptys and socket down; not while another thread is in `run`."""
        self._cleanup.close()

    def stop(self) -> None:
        """End `run`; may be called from a signal handler or another thread."""
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")

    def _stopped(self) -> bool:
        try:
            return bool(os.read(self._wake_read, 1))
        except BlockingIOError:
            return False

    def _serve_once(self) -> None:
        # Asked anew each time: a pty that is unplugged frees its descriptor's number for whatever opens next.
        waiting = select.poll()
        for descriptor in self._descriptors():
            waiting.register(descriptor, select.POLLIN)
        due = self.terminal.next_timer()
        timeout_ms = None if due is None else math.ceil(max(0.0, due - time.monotonic()) * 1000)
        for descriptor, _ in waiting.poll(timeout_ms):
            self._listener.service(descriptor)
        self.terminal.service(time.monotonic())

    def _descriptors(self) -> list[int]:
        lines = [station.line.fileno() for station in self.terminal.stations if station.line.plugged]
        till = self.terminal.till
        ports = [till.fileno()] if till is not None and till.fileno() >= 0 else []
        return [self._wake_read, *lines, *ports, *self._listener.descriptors()]

    def _control(self, request: Mapping[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        match request:
            case {"set": [str(key), str(text)]}:
                self.terminal.set(key, text, now)
                return {}
            case {"show": True}:
                self.terminal.service(now)
                return {"show": self.terminal.show()}
            case {"receipt": True}:
                self.terminal.service(now)
                return {"receipt": to_json(self.terminal.receipt())}
        raise RefusedError("this terminal does not know that request")


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise RefusedError(f"another terminal already runs in {folder}") from error
    return descriptor
