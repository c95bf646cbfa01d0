"""The configured ports: there, the right kind, ours to open, and nobody else's. No port is opened."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.config.model import Config, Device
from agent.doctor.finding import Finding, Outcome
from agent.doctor.machine import Machine
from agent.ports.holders import holders

TOPIC = "lines"
MEDDLERS = ("ModemManager", "brltty", "gpsd")
"""Programs that write to serial adapters which they take for modems, braille displays or receivers (devices.md L13)."""
RULES = ("etc/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d")


def look(config: Config | None, machine: Machine, own_pid: int | None) -> Iterator[Finding]:
    """Each configured device, then what concerns all lines. ``own_pid`` is the daemon's: it may hold its ports."""
    devices = [(t.id, d) for t in config.terminals for d in t.devices()] if config is not None else []
    for till, device in devices:
        yield _device(f"{till}/{device.kind}", device, machine, own_pid)
    real = [Path(d.port) for _, d in devices if d.port.startswith("/")]
    yield from _spare(machine, {os.path.realpath(port) for port in real})
    if any(machine.driver(port) for port in real) or not real:
        yield from _meddlers(machine)


def _device(subject: str, device: Device, machine: Machine, own_pid: int | None) -> Finding:
    if not device.port.startswith("/"):
        return Finding(TOPIC, subject, Outcome.SKIP, "port_elsewhere", {"port": device.port})
    port = Path(device.port)
    values = {"port": device.port}
    try:
        found = port.stat()
    except FileNotFoundError:
        there = ", ".join(machine.ports()) or "-"
        return Finding(TOPIC, subject, Outcome.FAIL, "port_missing", {**values, "there": there})
    except OSError as error:
        return Finding(TOPIC, subject, Outcome.UNKNOWN, "port_unseen", {**values, "why": error.strerror or str(error)})
    if not stat.S_ISCHR(found.st_mode):
        return Finding(TOPIC, subject, Outcome.FAIL, "port_not_serial", values)
    user = machine.service_user() or machine.user()
    allowed, group = machine.may_open(port, user)
    if not allowed:
        return Finding(TOPIC, subject, Outcome.FAIL, "port_forbidden", {**values, "user": user, "group": group})
    return _holders(subject, device, values, own_pid) or _name(subject, port, machine, values)


def _holders(subject: str, device: Device, values: dict[str, str], own_pid: int | None) -> Finding | None:
    others = [holder for holder in holders(device.port) if holder.pid != own_pid]
    if not others:
        return None
    names = ", ".join(str(holder) for holder in others[:4])
    if device.mode == "passive":
        return Finding(TOPIC, subject, Outcome.PASS, "port_in_use_passive", {**values, "names": names})
    return Finding(TOPIC, subject, Outcome.FAIL, "port_in_use", {**values, "names": names})


def _name(subject: str, port: Path, machine: Machine, values: dict[str, str]) -> Finding:
    name = Path(os.path.realpath(port)).name
    if name in machine.consoles():
        return Finding(TOPIC, subject, Outcome.FAIL, "port_is_console", {**values, "name": name})
    better = machine.stable_names(port)
    if better and not port.is_symlink():
        return Finding(TOPIC, subject, Outcome.WARN, "port_name_moves", {**values, "better": better[0]})
    return Finding(TOPIC, subject, Outcome.PASS, "port_good", {**values, "driver": machine.driver(port) or "-"})


def _spare(machine: Machine, used: set[str]) -> Iterator[Finding]:
    spare = [port for port in machine.ports() if os.path.realpath(port) not in used]
    if spare:
        yield Finding(TOPIC, "", Outcome.PASS, "ports_spare", {"ports": ", ".join(spare)})
    elif not used:
        yield Finding(TOPIC, "", Outcome.WARN, "ports_none")


def _meddlers(machine: Machine) -> Iterator[Finding]:
    if any(any((machine.root / folder).glob("*posagent*.rules")) for folder in RULES):
        return
    for name, pid in machine.running(*MEDDLERS).items():
        yield Finding(TOPIC, name, Outcome.WARN, "meddler", {"name": name, "pid": str(pid)})
