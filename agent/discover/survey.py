"""``posagent discover``: every port in turn, the daemon's from its own status, the others by looking and, where free, asking."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from agent.config.model import Config, Device
from agent.discover.place import PROBERS, Place, claimants, look, unseen
from agent.discover.search import Found, search
from agent.discover.sign import Level, Sign
from agent.discover.signs import about, shape
from agent.doctor.machine import Machine
from agent.ports.errors import LineError
from agent.ports.port import AdjustablePort
from protocols import catalogue
from protocols.connection import DeviceProtocol, LineSettings

AT_ONCE = 8
"""Ports that are searched at the same time: a silent one takes 8 s."""

Doc = Mapping[str, Any]


class Opener(Protocol):
    """Opens a line for a search; raises one of the LineError family."""

    def __call__(self, path: str, settings: LineSettings) -> AdjustablePort:
        """Open ``path`` exclusively."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose port it is by the configuration: subject ``<till>/<device>``, and how."""

    subject: str
    device: Device


@dataclass(slots=True)
class Surveyed:
    """All that is known of one port. ``state`` as in Place, or ``daemon``, ``passive``, ``unnamed``."""

    place: Place
    state: str
    owner: Owner | None = None
    found: Found | None = None
    daemon: Doc = field(default_factory=dict)
    signs: list[Sign] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the survey is given: the machine, how to open, the clock, and what is known already."""

    machine: Machine
    opener: Opener
    now: Callable[[], float]
    config: Config | None = None
    status: Doc | None = None
    """the daemon's status; None: no daemon runs"""
    remembered: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """subject to what an earlier run knew of its device"""


def survey(named: Sequence[str], around: Surroundings) -> tuple[list[Surveyed], list[Sign]]:
    """The ports ``named``, or all that can be found and all that are configured; and what concerns the whole machine."""
    owners = _owners(around.config)
    paths = list(dict.fromkeys(named)) or _all_paths(around.machine, owners)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="discover") as pool:
        ports = list(pool.map(lambda path: _port(path, around, owners, by_name=bool(named)), paths))
    return ports, list(_about_machine(ports, around.machine))


def _owners(config: Config | None) -> list[Owner]:
    return [Owner(f"{t.id}/{d.kind}", d) for t in config.terminals for d in t.devices()] if config is not None else []


def _all_paths(machine: Machine, owners: Sequence[Owner]) -> list[str]:
    """Each device once: by the name that the configuration gives it, else by its most stable one."""
    found = {os.path.realpath(owner.device.port): owner.device.port for owner in owners if owner.device.port.startswith("/")}
    for path in machine.ports():
        found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _port(path: str, around: Surroundings, owners: Sequence[Owner], *, by_name: bool) -> Surveyed:
    place = look(path, around.machine)
    owner = next((o for o in owners if _same(o.device.port, path)), None)
    known = _daemons(path, owner, around.status)
    if known is not None and known.get("mode") != "passive":
        return Surveyed(replace(place, holders=(), signs=()), "daemon", owner, daemon=known, signs=list(_daemon_signs(known)))
    matters = by_name or owner is not None
    port = Surveyed(place, place.state, owner, signs=[_weighed(sign, place.state, matters=matters) for sign in place.signs])
    if owner is not None and owner.device.mode == "passive" and (place.state == "held" or not by_name):
        port.state = "passive" if place.state in ("free", "held") else place.state
        port.signs = [_passive(place, by_name=by_name)] if port.state == "passive" else port.signs
    elif place.state == "free" and not by_name and os.path.realpath(path).startswith("/dev/pts/"):
        port.state, port.signs = "unnamed", [Sign("unnamed", Level.INFO, {"port": path})]
    elif place.state == "free":
        _search(port, around, by_name=by_name)
    return port


def _weighed(sign: Sign, state: str, *, matters: bool) -> Sign:
    """A login prompt on a port that nobody asked about is how machines are, and no reason for another exit code."""
    if matters:
        return sign
    return replace(sign, level=Level.INFO if state == "console" or sign.code == "getty" else Level.WARNING)


def _same(one: str, other: str) -> bool:
    return one == other or (one.startswith("/") and os.path.realpath(one) == os.path.realpath(other))


def _daemons(path: str, owner: Owner | None, status: Doc | None) -> Doc | None:
    """The daemon's own words about this port, where it looks after it."""
    for till in (status or {}).get("terminals", ()):
        for kind, device in till["devices"].items():
            if _same(str(device.get("port", "")), path):
                line = catalogue.find(kind, str(device["protocol"])).line
                more = {"subject": f"{till['id']}/{kind}", "kind": kind, "format": shape(line)}
                return {**device, **more, "baud": _baud(device, owner) or line.baud}
    return None


def _baud(device: Doc, owner: Owner | None) -> int | None:
    for fault in device.get("faults", ()):
        found = str(fault.get("evidence", {}).get("found_baud", ""))
        if fault["quality"] == "known" and found.isdigit():
            return int(found)
    return owner.device.baud if owner is not None else None


def _daemon_signs(known: Doc) -> Iterator[Sign]:
    from agent.health.catalogue import severity_of

    for fault in known.get("faults", ()):
        if fault["quality"] != "known" or fault["id"].startswith(("printer.", "reader.card")):
            continue  # what ails the device itself is what posagent status is for
        severity = severity_of(fault["id"])
        level = Level.FAULT if severity.blocks else Level.UNKNOWN if severity.unknown else Level.WARNING
        yield Sign("daemon_fault", level, {**fault["evidence"], "fault": fault["id"]}, fault["id"])


def _passive(place: Place, *, by_name: bool) -> Sign:
    names = ", ".join(map(str, place.holders)) or "-"
    level = Level.UNKNOWN if by_name else Level.INFO  # who names a port wants an answer about it, and there is none now
    return Sign("passive", level, {"port": place.path, "names": names})


def _search(port: Surveyed, around: Surroundings, *, by_name: bool) -> None:
    path = port.place.path
    first = _configured(port.owner)
    try:
        line = around.opener(path, first or LineSettings(115200))
    except LineError as error:
        port.state = error.state.value
        port.signs.append(
            Sign("cannot_open", Level.UNKNOWN, {"port": path, "why": error.detail["why"]}, _FAULTS.get(port.state, ""))
        )
        return
    try:
        # Whoever opened it between the look and now gets no byte of ours between his.
        others = claimants(Path(path), around.machine)
        if others:
            port.state = "held"
            values = {"port": path, "names": ", ".join(map(str, others))}
            port.signs.append(Sign("held", Level.UNKNOWN, values, "link.second_process"))
            return
        port.found = search(line, _protocols(port.owner), around.now, first)
    except LineError as error:
        port.signs.append(Sign("lost", Level.UNKNOWN, {"port": path, "why": error.detail["why"]}, "link.unplugged"))
        return
    finally:
        line.close()
    matters = by_name or port.owner is not None
    before = around.remembered.get(port.owner.subject, {}).get("identity", {}) if port.owner is not None else {}
    port.signs += about(port.found, first, before, matters=matters)


_FAULTS = {
    "held": "link.second_process",
    "denied": "link.permission",
    "unplugged": "link.unplugged",
    "unusable": "link.not_serial",
}


def _configured(owner: Owner | None) -> LineSettings | None:
    if owner is None:
        return None
    line = catalogue.find(owner.device.kind, owner.device.protocol).line
    return replace(line, baud=owner.device.baud or line.baud)


def _protocols(owner: Owner | None) -> list[DeviceProtocol]:
    """The configured protocol and the others of its kind that may be searched for; without a configuration all of those."""
    kinds = (owner.device.kind,) if owner is not None else ("printer", "reader")
    known = [catalogue.find(kind, name) for kind in kinds for name in catalogue.names(kind)]
    return [one for one in known if one.searched or (owner is not None and one.name == owner.device.protocol)]


def _about_machine(ports: Sequence[Surveyed], machine: Machine) -> Iterator[Sign]:
    if not ports:
        yield Sign("no_ports", Level.INFO)
    real = any(port.place.driver for port in ports)
    for name, pid in (machine.running(*PROBERS) if real else {}).items():
        yield Sign("prober_runs", Level.WARNING, {"name": name, "pid": str(pid)})
    if any(port.found is not None for port in ports) and unseen(machine):
        yield Sign("holders_unseen", Level.WARNING, {"user": machine.user()})
