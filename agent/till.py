"""One till as the owner of the state sees it: its devices' health and what the site needs of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agent.config.model import Device, Terminal
from agent.health.device import DeviceHealth, DeviceState
from agent.health.terminal import Need, Verdict, device_need, verdict
from agent.observations import LineUse
from agent.ports.trace import Trace
from protocols.connection import DeviceProtocol


@dataclass(slots=True)
class WatchedDevice:
    """A configured device with its model. ``holder`` names who has a passive line, as last seen."""

    config: Device
    protocol: DeviceProtocol
    health: DeviceHealth
    holder: str = ""
    last_active: float = 0.0
    """monotonic time of the last card move or slip: what the update gate waits for"""
    use: LineUse | None = None
    """of a shared line: what the till does there, as last told"""
    trace: Trace = field(default_factory=lambda: Trace(with_bytes=False))
    """its flight recorder"""


class Till:
    """The devices of one ``[[terminal]]`` and its verdict."""

    def __init__(self, terminal: Terminal, devices: dict[str, WatchedDevice]) -> None:
        self.terminal = terminal
        self.devices = devices
        self.last_verdict: Verdict | None = None

    @property
    def id(self) -> str:
        """The till's own id."""
        return self.terminal.id

    def subjects(self) -> Iterator[tuple[str, WatchedDevice]]:
        """``<till>/<kind>`` with the device."""
        for kind, device in self.devices.items():
            yield f"{self.id}/{kind}", device

    def judge(self, host_need: Callable[[str, Terminal], Need]) -> Verdict:
        """Can it take money now? ``host_need`` answers for what the host knows: network and clock."""
        needs = []
        for name in self.terminal.money.needs:
            if name in ("printer", "reader"):
                device = self.devices.get(name)
                needs.append(device_need(name, device.health if device else None))
            else:
                needs.append(host_need(name, self.terminal))
        if not needs:
            return Verdict("unknown", (), ())
        return verdict(needs)

    def worst(self) -> DeviceState:
        """The worst word of its devices, for a one-line summary."""
        order = [DeviceState.FAILED, DeviceState.UNKNOWN, DeviceState.DEGRADED, DeviceState.OK]
        states = {d.health.state() for d in self.devices.values()}
        return next((s for s in order if s in states), DeviceState.UNKNOWN)
