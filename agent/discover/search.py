"""The search on one free line: every speed and format that is in use, one harmless question each, until a device is proven.

Printers are looked for first, at all settings: DLE EOT does nothing to a card reader, but a printer that a reader's frame
reaches would put two of its bytes into its line buffer. Our own bytes back at every speed end the search: nobody is there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from agent.discover.questions import Heard, Questions
from agent.ports.port import AdjustablePort
from protocols.connection import DeviceProtocol, LineSettings

BAUDS = (115200, 9600, 19200, 38400, 57600, 4800, 2400, 1200)
FORMATS = ((8, "N"), (7, "E"), (8, "E"), (8, "O"), (7, "O"))
"""Data bits and parity, likeliest first (devices.md 1.6 and L06)."""
LIMIT_S = 30.0
"""For one port; 40 settings of 0.2 s take 8 s."""


@dataclass(slots=True)
class Found:
    """What the search came to. ``heard`` is where the device answered; None: nobody did."""

    protocol: DeviceProtocol | None = None
    heard: Heard | None = None
    loop: bool = False
    """our own bytes come back at every speed"""
    garbage: int = 0
    tried: list[LineSettings] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    lines: dict[str, bool] = field(default_factory=dict)
    """modem lines of the device, where the port has some: cts, dsr, cd, ri"""


def search(
    port: AdjustablePort,
    protocols: Sequence[DeviceProtocol],
    now: Callable[[], float],
    first: LineSettings | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Found:
    """Look for a device that speaks one of ``protocols``, at ``first`` before all and again between the formats, until ``stop``.

    Raises PortLostError.
    """
    questions, found = Questions(port, now), Found()
    end = now() + LIMIT_S
    for protocol in sorted(protocols, key=lambda one: (one.kind != "printer", one.name)):
        echoes = 0
        for settings in _settings(protocol, first, formats=port.has_formats):
            if now() >= end or stop():
                return found
            heard = questions.probe(protocol, settings)
            found.tried.append(settings)
            found.garbage += heard.garbage
            found.raw += heard.raw[:64] if len(found.raw) < 256 else b""
            if heard.proven:
                _ask_more(questions, protocol, heard)
                found.protocol, found.heard, found.lines = protocol, heard, port.modem_lines()
                return found
            echoes = echoes + 1 if heard.echo_only else 0
            if echoes >= len(BAUDS):  # a two-wire adapter echoes at wrong speeds too, but at one of them it answers
                found.loop = True
                return found
    return found


def _ask_more(questions: Questions, protocol: DeviceProtocol, heard: Heard) -> None:
    # A printer that is off-line keeps what is not real-time until it is back, and would answer then.
    if heard.readings.get("online") == "no":
        return
    queries = [*protocol.identify, *([protocol.queue_probe] if protocol.queue_probe else [])]
    questions.more(protocol, heard, queries)


def _settings(protocol: DeviceProtocol, first: LineSettings | None, *, formats: bool) -> Iterator[LineSettings]:
    line = protocol.line
    seen = set()
    speeds = BAUDS if protocol.bauds else (line.baud,)
    shapes = FORMATS if protocol.bauds and formats else ((line.bytesize, line.parity),)
    home = replace(line, baud=first.baud) if first is not None else None
    for bits, parity in shapes:
        if home is not None:  # whoever was switched off is there again soon after it was switched on
            seen.add(home)
            yield home
        for baud in speeds:
            settings = replace(line, baud=baud, bytesize=bits, parity=parity)
            if settings not in seen:
                seen.add(settings)
                yield settings
