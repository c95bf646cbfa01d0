"""From the file to a Config, or to all of its mistakes (contract: architecture.md, Configuration)."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.config.lines import key_lines
from agent.config.mistakes import ConfigError, Mistake
from agent.config.model import (
    LANGUAGES,
    NEEDS,
    PRINTER_MODES,
    READER_MODES,
    Center,
    Component,
    Config,
    Device,
    Enrolment,
    Host,
    Limits,
    Money,
    Terminal,
    Update,
)
from agent.config.rules import command, component_name, identity, is_protocol, key_place, network_place, port, url, urls
from agent.config.table import Notes, Table, dotted
from agent.window import Window

BAUDS = (1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 115200, 230400, 460800, 921600)
_MAX_BYTES = 1 << 18
MIRRORS_MAX = 8
"""Each one that is dead costs its time at every download."""
_PROTOCOLS = {"printer": ("escpos",), "reader": ("ccid", "neo", "msr")}
_MODES = {"printer": PRINTER_MODES, "reader": READER_MODES}
_HANDLERS = ("app_slots", "single_file", "agent_self")


def load(path: Path) -> Config:
    """Read ``path``. Raises ConfigError with every mistake that the text shows; files that it names are not touched."""
    path = path.absolute()
    source = _read(path)
    try:
        values = tomllib.loads(source)
        notes = Notes(key_lines(source))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(path, [_syntax(error)]) from error
    config = _config(Table(values, (), notes), path)
    if config is None or notes.mistakes:
        raise ConfigError(path, notes.mistakes)
    return config


def check_surroundings(config: Config) -> tuple[Mistake, ...]:
    """Look at what the file names: trusted root, CA, ports. For ``config check``; the daemon copes without them."""
    named: list[tuple[str, str, Path]] = []
    if config.update is not None:
        named.append(("update.trusted_root", "no_file", config.update.trusted_root))
    if config.center is not None and config.center.ca is not None:
        named.append(("center.ca", "no_file", config.center.ca))
    for number, terminal in enumerate(config.terminals, 1):
        named += [
            (f"terminal[{number}].{device.kind}.port", "no_port", Path(device.port))
            for device in terminal.devices()
            if device.port.startswith("/")
        ]
    return tuple(Mistake(1, key, code, {"path": str(path)}) for key, code, path in named if not path.exists())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(path, [Mistake(1, "file", "unreadable", {"path": str(path), "reason": reason})]) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(path, [Mistake(1, "file", "too_large", {"limit": str(_MAX_BYTES)})])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, [Mistake(line, "file", "not_utf8")]) from error


def _syntax(error: Exception) -> Mistake:
    """Take the line out of tomllib's message: ``… (at line 3, column 7)`` or ``… (at end of document)``."""
    message, _, place = str(error).rpartition(" (at ")
    line = place.removeprefix("line ").partition(",")[0]
    return Mistake(int(line) if line.isdigit() else 1, "file", "syntax", {"reason": message or str(error)})


def _config(table: Table, path: Path) -> Config | None:
    host = table.table("host")
    name = None
    if host is None:
        if not table.has("host"):
            table.wrong("missing", "host")
    else:
        name = identity(host, "id", required=True)
        host.close()
    terminals = tuple(_terminals(table, name, path.parent))
    center, update, enrolment, limits = (table.table(key) for key in ("center", "update", "enrolment", "limits"))
    config = Config(
        host=Host(name or ""),
        terminals=terminals,
        center=None if center is None else _center(center, path.parent, enrolled=enrolment is not None),
        update=None if update is None else _update(update, path.parent, frozenset(one.id for one in terminals)),
        path=path,
        enrolment=None if enrolment is None else _enrolment(enrolment),
        limits=Limits() if limits is None else _limits(limits),
    )
    table.close()
    return config if name is not None else None


def _terminals(table: Table, host: str | None, folder: Path) -> Iterator[Terminal]:
    seen: dict[str, str] = {}
    ports: dict[str, str] = {}
    for number, terminal in enumerate(table.tables("terminal"), 1):
        name = identity(terminal, "id") or host or ""
        if name and name in seen:
            terminal.wrong("duplicate_terminal", "id", value=name, other=seen[name])
        seen.setdefault(name, f"terminal[{number}]")
        devices = {kind: _device(terminal, kind, folder, ports) for kind in ("printer", "reader")}
        yield Terminal(name, devices["printer"], devices["reader"], _money(terminal, devices))
        terminal.close()


def _device(terminal: Table, kind: str, folder: Path, ports: dict[str, str]) -> Device | None:
    table = terminal.table(kind)
    if table is None:
        return None
    place = port(table, "port", folder)
    if place in ports:
        table.wrong("duplicate_port", "port", value=place, other=ports[place])
    elif place != "auto":
        ports[place] = dotted(table.path)
    known = _PROTOCOLS[kind]
    protocol = table.text("protocol") or known[0]
    if not is_protocol(kind, protocol, known):
        table.unknown_value("protocol", protocol, known)
    baud = table.integer("baud")
    if baud is not None and baud not in BAUDS:
        near = min(BAUDS, key=lambda known: abs(known - baud))
        table.wrong("baud", "baud", value=str(baud), nearest=str(near), known=", ".join(map(str, BAUDS)))
    modes = _MODES[kind]
    firmware = table.text("firmware") if kind == "reader" else None
    name = table.text("name") if kind == "reader" else None
    device = Device(kind, place, protocol, baud, table.choice("mode", modes, modes[0]), firmware, name)
    table.close()
    return device


def _money(terminal: Table, devices: dict[str, Device | None]) -> Money:
    present = tuple(kind for kind, device in devices.items() if device is not None)
    table = terminal.table("money")
    if table is None:
        return Money(present)
    needs = table.texts("needs") if table.has("needs") else present
    acquirer = tuple(place for item in table.texts("acquirer") if (place := network_place(table, "acquirer", item)) is not None)
    for need in needs:
        if need not in NEEDS:
            table.unknown_value("needs", need, NEEDS)
        elif need in devices and devices[need] is None and not terminal.has(need):
            table.wrong("need_without_device", "needs", value=need)
    if "network" in needs and not table.has("acquirer"):
        table.wrong("network_without_acquirer", "needs")
    table.close()
    return Money(needs, acquirer)


def _center(table: Table, folder: Path, *, enrolled: bool) -> Center:
    """``enrolled``: a certificate says who we are, and a token need not."""
    ca = table.text("ca")
    center = Center(
        ddi=url(table, "ddi"),
        token=table.text("token"),
        gateway_token=table.text("gateway_token"),
        otlp=url(table, "otlp"),
        ca=None if ca is None else folder / ca,
        heartbeat_s=table.number("heartbeat_s", Center().heartbeat_s, low=1, high=86400),
    )
    if table.has("ddi") and not enrolled and not table.has("token") and not table.has("gateway_token"):
        table.wrong("no_token", "token")
    table.close()
    return center


def _enrolment(table: Table) -> Enrolment:
    required, key = table.flag("required", default=Enrolment().required), key_place(table, Enrolment().key)
    found = Enrolment(required, table.texts("sticks"), table.texts("marks"), key)
    for name in ("sticks", "marks"):
        if any(not path.startswith("/") for path in getattr(found, name)):
            table.wrong("not_absolute", name)
    table.close()
    return found


def _limits(table: Table) -> Limits:
    defaults = Limits()
    found = Limits(
        memory_mib=table.number("memory_mib", defaults.memory_mib, low=48, high=4096),
        cpu_percent=table.number("cpu_percent", defaults.cpu_percent, low=1, high=100),
        disk_mib=table.number("disk_mib", defaults.disk_mib, low=96, high=65536),
        traffic_mib_per_day=table.number("traffic_mib_per_day", defaults.traffic_mib_per_day, low=1, high=65536),
    )
    table.close()
    return found


def _update(table: Table, folder: Path, tills: frozenset[str]) -> Update:
    defaults = Update(None, None, folder / "root.json")
    given: dict[str, Any] = {key: url(table, key) for key in ("metadata", "targets")}
    for key, other in (("metadata", "targets"), ("targets", "metadata")):
        if table.has(key) and not table.has(other):
            table.wrong("half_repository", other, other=key)
    mirrors = urls(table, "mirrors")
    if mirrors and not table.has("targets"):
        table.wrong("mirrors_alone", "mirrors")
    if len(mirrors) > MIRRORS_MAX:
        table.wrong("too_many_mirrors", "mirrors", value=str(MIRRORS_MAX))
    update = Update(
        **given,
        mirrors=mirrors,
        trusted_root=folder / (table.text("trusted_root") or "root.json"),
        labels=table.texts("labels"),
        components=_components(table, tills),
        probation_s=table.number("probation_s", defaults.probation_s, low=0, high=86400),
        idle_s=table.number("idle_s", defaults.idle_s, low=0, high=3600),
        idle_check=table.argv("idle_check"),
        window=_window(table),
        notice_command=table.argv("notice_command"),
        notice_s=table.number("notice_s", defaults.notice_s, low=0, high=3600),
        notice_lang=table.choice("notice_lang", LANGUAGES, defaults.notice_lang),
    )
    table.close()
    return update


def _window(table: Table) -> str:
    words = table.text("window")
    try:
        return str(Window.parse(words)) if words else ""
    except ValueError:
        table.wrong("window", "window", value=words or "")
        return ""


def _components(update: Table, tills: frozenset[str]) -> dict[str, Component]:
    table = update.table("components")
    components: dict[str, Component] = {}
    for name in table.names() if table is not None else ():
        item = table.table(name) if table is not None else None
        if item is None:
            continue
        component_name(item, name)
        handler = item.text("handler") or _HANDLERS[0]
        if not is_protocol("handler", handler, _HANDLERS):
            item.unknown_value("handler", handler, _HANDLERS)
        serves = item.texts("tills")
        for stranger in sorted(set(serves) - tills):
            item.wrong("no_such_till", "tills", value=stranger)
        components[name] = Component(handler, command(item, "health_check"), command(item, "validate"), serves)
        item.close()
    return components
