"""What a search says about line and device: pure functions from what was heard to signs (devices.md section 7, L01 to L15)."""

from collections.abc import Iterator, Mapping

from agent.discover.questions import Heard
from agent.discover.search import Found
from agent.discover.sign import Level, Sign
from protocols.connection import DeviceProtocol, LineSettings

AT = b"AT"
"""How a modem manager begins (devices.md L15)."""


def about(found: Found, configured: LineSettings | None, before: Mapping[str, str], *, matters: bool) -> Iterator[Sign]:
    """All signs; ``before`` is who the device was, ``matters`` whether somebody expects a device here."""
    if found.protocol is None or found.heard is None:
        yield _nobody(found, matters=matters)
        return
    yield from _settings(found.heard, configured)
    yield from _flow(found.protocol, found.heard, found.lines)
    yield from _identity(found.heard.identity, before)


def _nobody(found: Found, *, matters: bool) -> Sign:
    if found.loop:
        return Sign("loop", Level.FAULT, {}, "link.echo")
    heard = {"bytes": str(found.garbage), "settings": str(len(found.tried))}
    if AT in found.raw:
        return Sign("modem_talk", Level.UNKNOWN, heard, "link.modem_probe")
    if found.garbage:
        return Sign("garbled", Level.UNKNOWN, heard, "link.noise")
    level = Level.UNKNOWN if matters else Level.INFO
    return Sign("silent", level, {"settings": str(len(found.tried))}, "link.silent" if matters else "")


def _settings(heard: Heard, configured: LineSettings | None) -> Iterator[Sign]:
    line = heard.settings
    if configured is not None and line.baud != configured.baud:
        values = {"configured_baud": str(configured.baud), "found_baud": str(line.baud)}
        yield Sign("other_baud", Level.FAULT, values, "link.baud_mismatch")
    if (line.bytesize, line.parity) != (8, "N"):
        yield Sign("other_format", Level.FAULT, {"format": shape(line)}, "link.parity_mismatch")
    if heard.echo:
        yield Sign("half_duplex", Level.WARNING, {"times": str(heard.echo)}, "link.half_duplex")


def _flow(protocol: DeviceProtocol, heard: Heard, lines: Mapping[str, bool]) -> Iterator[Sign]:
    online = heard.readings.get("online") != "no"
    blocked = protocol.queue_probe is not None and protocol.queue_probe in heard.unanswered
    if heard.stopped and online:
        yield Sign("stuck_xoff", Level.FAULT, {"last": "XOFF", "online": "yes"}, "link.stuck_xoff")
    elif blocked and online:
        # It answers what is real-time and takes no data: its DSR input wants our DTR, or it waits for something (1.6).
        yield Sign("takes_no_data", Level.WARNING, {"unanswered": str(protocol.queue_probe)}, "link.flow_mismatch")
    if lines and not lines.get("cts", True) and not lines.get("dsr", True):
        yield Sign("modem_lines_low", Level.INFO, {"cts": "low", "dsr": "low"})


def _identity(identity: Mapping[str, str], before: Mapping[str, str]) -> Iterator[Sign]:
    changed = [
        name for name in ("maker", "model", "serial") if name in identity and before.get(name, identity[name]) != identity[name]
    ]
    if changed:
        values = {"before": ", ".join(before[n] for n in changed), "now": ", ".join(identity[n] for n in changed)}
        yield Sign("swapped", Level.WARNING, values, "link.device_swapped")


def shape(line: LineSettings) -> str:
    """``8N1`` and its like."""
    return f"{line.bytesize}{line.parity}{line.stopbits}"
