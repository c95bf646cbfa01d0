"""Builds what the configuration describes: tills with their models, and a line for each device.

The same house stands in the daemon and in a self-test without one.
"""

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from agent.clock import Clock
from agent.config.model import Config, Device, Terminal
from agent.discover.linedoctor import LineDoctor
from agent.errors import ConfigError
from agent.grouping import Grouping
from agent.health.device import DeviceHealth
from agent.health.host import HostHealth
from agent.health.hubs import Chain, Hubs
from agent.observations import LinkChanged, LinkState, Observation, PrintSeen
from agent.owner import Owner, Record
from agent.ports.errors import PortHeldError
from agent.ports.find import PortFinder
from agent.ports.holders import holders
from agent.ports.passive import PassiveLook
from agent.ports.port import Port, PortOpener
from agent.ports.pump import Pump
from agent.ports.routine import RoutineWatch
from agent.ports.topology import chain_of
from agent.ports.trace import Trace
from agent.ports.watch import Timing, Watch
from agent.till import Till, WatchedDevice
from firmware import handlers
from firmware.effects import OWN_HANDLER
from protocols.catalogue import find as find_protocol
from protocols.connection import DeviceProtocol, LineSettings
from protocols.errors import LocalProtocolError

if TYPE_CHECKING:
    from agent.pcsc.look import PcscLook

log = logging.getLogger(__name__)

Remembered = Mapping[str, Mapping[str, Any]]

BORROW_LIMIT_S = 5.0
OWNER_LIMIT_S = 5.0
BORROW_STEP_S = 0.05


class Line(Protocol):
    """What looks after one device: a pump, a passive look, or a look through pcscd."""

    name: str

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self) -> bool:
        """End; False when it did not end in time."""


class House:
    """Tills, their owner's thread, and one pump or passive look per device."""

    def __init__(
        self,
        config: Config,
        record: Record,
        clock: Clock,
        *,
        opener: PortOpener,
        remembered: Remembered | None = None,
        timing: Timing | None = None,
        hubs_of: Callable[[str], Chain] = chain_of,
    ) -> None:
        self._clock = clock
        self._hubs_of = hubs_of
        self._opener = opener
        self._timing = timing
        self._find = PortFinder()
        self._remembered = remembered or {}
        self.tills = [_till(t, remembered or {}) for t in config.terminals]
        self.owner = Owner(self.tills, HostHealth(_incident), record, clock, Grouping(Hubs(self._is_there)))
        self.pumps: dict[str, Pump] = {}
        self._lines: list[Line] = []
        self.pcsc: dict[str, PcscLook] = {}
        for till in self.tills:
            for subject, device in till.subjects():
                self._line(till, subject, device)
        self._thread = threading.Thread(target=self.owner.run, name="owner", daemon=True)

    def start(self, *, own_thread: bool) -> None:
        """Begin on all lines; ``own_thread`` runs the owner beside the caller instead of in it."""
        if own_thread:
            self._thread.start()
        for line in self._lines:
            line.start()

    def stop(self) -> None:
        """Close all ports, then let the owner finish what they said."""
        for line in self._lines:
            if not line.stop():
                log.warning("port %s did not close in time", line.name)
        self.owner.stop()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def remember(self, *, exact: bool = False) -> dict[str, dict[str, Any]]:
        """What the next start should know of each device."""
        now = self._clock.mono()
        return {subject: d.health.remember(now, exact=exact) for till in self.tills for subject, d in till.subjects()}

    def traces(self) -> list[dict[str, Any]]:
        """The flight recorder of each device."""
        now = self._clock.mono()
        found = ((till.id, kind, device) for till in self.tills for kind, device in till.devices.items())
        return [{"terminal": till, "device": kind, **device.trace.document(now)} for till, kind, device in found]

    def print_seen(self, terminal: str) -> bool:
        """A person has seen what this till's printer printed, and found it right; False where there is no such printer."""
        printers = [(till, till.devices["printer"]) for till in self.tills if till.id == terminal and "printer" in till.devices]
        for till, device in printers:
            self.owner.inbox.ask(partial(self.owner.apply, till, device, [PrintSeen()])).result(OWNER_LIMIT_S)
        return bool(printers)

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Mapping[str, Pump]]:
        """For a technician's self-test: passive lines that nobody holds are ours until the end of the block."""
        pumps: dict[str, Pump] = {}
        try:
            for till in self.tills:
                for subject, device in till.subjects():
                    if device.config.mode == "passive" and not holders(device.config.port):
                        pumps[subject] = self._pump(till, subject, device, _unless_held(self._opener), ours=False)
                        pumps[subject].start()
            self._settled(pumps)
            yield pumps
        finally:
            for subject, pump in pumps.items():
                pump.stop()
                self._give_back(subject)

    def _settled(self, pumps: Mapping[str, Pump]) -> None:
        """Wait until each line has shown what it is, or BORROW_LIMIT_S."""
        end = self._clock.mono() + BORROW_LIMIT_S
        pause = threading.Event()
        while pumps and self._clock.mono() < end:
            links = {s: d.health.link for t in self.tills for s, d in t.subjects() if s in pumps}
            if not {LinkState.PASSIVE, LinkState.CONNECTING} & set(links.values()):
                return
            pause.wait(BORROW_STEP_S)

    def _give_back(self, subject: str) -> None:
        for till in self.tills:
            for name, device in till.subjects():
                if name == subject:
                    self.owner.report(till, device, [LinkChanged(LinkState.PASSIVE, {"port": device.config.port})])

    def _line(self, till: Till, subject: str, device: WatchedDevice) -> None:
        if device.config.mode == "passive":
            report = self._reporter(till, device)
            self._lines.append(PassiveLook(subject, device.config.port, find=self._find, report=report))
            return
        if device.config.mode == "pcsc":
            self.pcsc[subject] = self._through_pcscd(till, subject, device)
            self._lines.append(self.pcsc[subject])
            return
        shared = device.config.mode == "line"
        self.pumps[subject] = self._shared(till, subject, device) if shared else self._pump(till, subject, device, self._opener)
        self._lines.append(self.pumps[subject])

    def _through_pcscd(self, till: Till, subject: str, device: WatchedDevice) -> "PcscLook":
        # Imported here: a till whose reader is not pcscd's needs none of it.
        from agent.pcsc.look import PcscLook

        config, report = device.config, self._reporter(till, device)
        return PcscLook(subject, config.port, reader=config.name, now=self._clock.mono, report=report)

    def _pump(self, till: Till, subject: str, device: WatchedDevice, opener: PortOpener, *, ours: bool = True) -> Pump:
        known = self._remembered.get(subject, {}).get("abilities")
        return Pump(
            subject,
            device.config.port,
            RoutineWatch(device.protocol, device.config.baud, self._timing, resets_cards=ours, abilities=known),
            opener=opener,
            find=self._find,
            now=self._clock.mono,
            report=self._reporter(till, device),
            doctor=LineDoctor(device.config.port, self._find, device.protocol, device.config.baud),
            trace=device.trace,
        )

    def _shared(self, till: Till, subject: str, device: WatchedDevice) -> Pump:
        """A line of the till's: its speed is the till's business, and what would print or clear a buffer is not done there."""
        from agent.ports.keeper_line import KeeperLine

        line = KeeperLine(self._clock.mono)
        protocol = replace(device.protocol, bauds=(), recovery=b"", test_print=None)
        known = self._remembered.get(subject, {}).get("abilities")
        return Pump(
            subject,
            device.config.port,
            Watch(protocol, device.config.baud, self._timing, abilities=known),
            opener=line.open,
            find=self._find,
            now=line.now,
            report=self._reporter(till, device),
            news=line.news,
            trace=device.trace,
        )

    def _reporter(self, till: Till, device: WatchedDevice) -> Callable[[list[Observation]], None]:
        def report(seen: list[Observation]) -> None:
            port = device.config.port
            # Looked up while the port is there: afterwards only its name may tell.
            news = any(isinstance(one, LinkChanged) for one in seen)
            self.owner.report(till, device, seen, (self._hubs_of(port) or self._hubs_of(self._find(port))) if news else ())

        return report

    def _is_there(self, subject: str) -> bool:
        ports = [d.config.port for till in self.tills for name, d in till.subjects() if name == subject]
        return any("://" in port or os.path.exists(self._find(port)) for port in ports)


def _unless_held(opener: PortOpener) -> PortOpener:
    def open_free(path: str, settings: LineSettings) -> Port:
        others = holders(path)
        if others:
            raise PortHeldError(path, "held by " + ", ".join(map(str, others)))
        return opener(path, settings)

    return open_free


def _incident() -> str:
    return str(uuid.uuid4())


def _till(terminal: Terminal, remembered: Remembered) -> Till:
    devices = {}
    for config in terminal.devices():
        protocol = _protocol(terminal, config)
        before = remembered.get(f"{terminal.id}/{config.kind}", {})
        health = DeviceHealth(
            config.kind, protocol.silent_fault, _incident, remembered=before, wanted_firmware=config.firmware or ""
        )
        devices[config.kind] = WatchedDevice(config, protocol, health, trace=Trace(with_bytes=config.kind == "printer"))
    return Till(terminal, devices)


def check_supported(config: Config) -> None:
    """Raise ConfigError for what the file may say and this version cannot do: the daemon would not start with it."""
    for terminal in config.terminals:
        for device in terminal.devices():
            _protocol(terminal, device)
    if config.update is not None:
        if len([c for c in config.update.components.values() if c.handler == OWN_HANDLER]) > 1:
            raise ConfigError("[update] posagent itself is one component, not two", remedy=f"leave one with {OWN_HANDLER}")
        for name, component in config.update.components.items():
            if component.handler not in handlers.names():
                raise ConfigError(
                    f"[update] component {name}: handler {component.handler!r} is not in this version",
                    remedy=f"choose one of {', '.join(handlers.names())}",
                )


def _protocol(terminal: Terminal, device: Device) -> DeviceProtocol:
    where = f"[terminal.{device.kind}] of {terminal.id}"
    if device.port == "auto" and device.mode != "pcsc":
        raise ConfigError(f'{where}: port = "auto" is not in this version', remedy="name the port, best by /dev/serial/by-id/…")
    try:
        return find_protocol(device.kind, device.protocol)
    except LocalProtocolError as error:
        raise ConfigError(f"{where}: {error}", remedy="choose a protocol that this version has") from None
