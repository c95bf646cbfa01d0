"""A port as the system shows it, before anything is opened: names, driver, rights, and whose it is.

A process of another user hides its descriptors from an ordinary one. What everybody may read still tells of most holders:
the controlling terminal (proc(5), stat, tty_nr), a getty's words, and UUCP lock files (FHS 3.0, 5.9).
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.discover.sign import Level, Sign
from agent.doctor.lines import MEDDLERS
from agent.doctor.machine import MAX_PROCESSES, Machine
from agent.ports.holders import Holder, holders

GETTYS = ("agetty", "getty", "mgetty", "login")
PROBERS = (*MEDDLERS, "brltty-udev")
LOCKS = ("run/lock", "var/lock")


@dataclass(frozen=True, slots=True)
class Place:
    """One port. ``state`` is free, held, missing, denied, not_serial, console or elsewhere; only a free one may be opened."""

    path: str
    names: tuple[str, ...]
    driver: str
    state: str
    holders: tuple[Holder, ...]
    signs: tuple[Sign, ...]


def look(path: str, machine: Machine) -> Place:
    """Look at ``path`` and open nothing."""
    if not path.startswith("/"):
        return Place(path, (), "", "elsewhere", (), (Sign("elsewhere", Level.UNKNOWN, {"port": path}),))
    port = Path(path)
    names = tuple(name for name in machine.stable_names(port) if name != path)
    state, signs, others = _state(port, machine)
    driver = machine.driver(port) if state not in ("missing", "not_serial") else ""
    return Place(path, names, driver, state, others, tuple(signs))


def _state(port: Path, machine: Machine) -> tuple[str, list[Sign], tuple[Holder, ...]]:
    values = {"port": str(port)}
    try:
        found = port.stat()
    except FileNotFoundError:
        return "missing", [Sign("missing", Level.UNKNOWN, values, "link.unplugged")], ()
    except PermissionError:
        return "denied", [Sign("denied", Level.UNKNOWN, {**values, "user": machine.user(), "group": "-"}, "link.permission")], ()
    except OSError as error:
        return "missing", [Sign("missing", Level.UNKNOWN, {**values, "why": error.strerror or ""}, "link.unplugged")], ()
    if not stat.S_ISCHR(found.st_mode) or not _is_tty(port, machine):
        return "not_serial", [Sign("not_serial", Level.UNKNOWN, values, "link.not_serial")], ()
    name = Path(os.path.realpath(port)).name
    if name in machine.consoles():
        return "console", [Sign("console", Level.UNKNOWN, {**values, "name": name}, "link.second_process")], ()
    others = tuple(claimants(port, machine))
    if others:
        return "held", [_held(others, values)], others
    user = machine.user()
    allowed, group = machine.may_open(port, user)
    if not allowed:
        return "denied", [Sign("denied", Level.UNKNOWN, {**values, "user": user, "group": group}, "link.permission")], ()
    return "free", [], ()


def _is_tty(port: Path, machine: Machine) -> bool:
    device = os.path.realpath(port)
    return device.startswith("/dev/pts/") or (machine.root / "sys/class/tty" / Path(device).name).exists()


def _held(others: tuple[Holder, ...], values: dict[str, str]) -> Sign:
    names = ", ".join(map(str, others[:4]))
    who = {other.name for other in others}
    code = "getty" if who & set(GETTYS) else "probed" if who & set(PROBERS) else "held"
    return Sign(code, Level.UNKNOWN, {**values, "names": names}, "link.second_process")


def claimants(port: Path, machine: Machine) -> list[Holder]:
    """Everybody who has the port, as far as can be seen: open descriptors, controlling terminals, gettys, lock files."""
    found = {holder.pid: holder for holder in holders(str(port))}
    device = os.path.realpath(port)
    name = Path(device).name
    number = _tty_number(device)
    for pid in _others(machine):
        if pid not in found and (_controls(machine, pid, number) or _is_getty_on(machine, pid, name)):
            found[pid] = Holder(pid, _command(machine, pid))
    for pid in _lock_files(machine, name):
        if pid not in found and (machine.root / "proc" / str(pid)).exists() and pid != os.getpid():
            found[pid] = Holder(pid, _command(machine, pid))
    return [found[pid] for pid in sorted(found)]


def unseen(machine: Machine) -> bool:
    """There are processes whose open files this user may not see: a port may be held by one of them."""
    for pid in _others(machine):
        try:
            os.listdir(machine.root / "proc" / str(pid) / "fd")
        except PermissionError:
            return True
        except OSError:
            continue
    return False


def _others(machine: Machine) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for name in [n for n in os.listdir(machine.root / "proc") if n.isdigit()][:MAX_PROCESSES]:
            if int(name) != os.getpid():
                yield int(name)


def _tty_number(device: str) -> int | None:
    # A pseudo-terminal is the controlling terminal of whoever sits at it: its holders are seen by their descriptors.
    if device.startswith("/dev/pts/"):
        return None
    try:
        number = Path(device).stat().st_rdev
    except OSError:
        return None
    major, minor = os.major(number), os.minor(number)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)  # new_encode_dev of the kernel (kdev_t.h)


def _controls(machine: Machine, pid: int, number: int | None) -> bool:
    if not number:
        return False
    try:
        fields = (machine.root / "proc" / str(pid) / "stat").read_text("utf-8", "replace").rpartition(") ")[2].split()
        return int(fields[4]) == number
    except (OSError, ValueError, IndexError):
        return False


def _is_getty_on(machine: Machine, pid: int, name: str) -> bool:
    if _command(machine, pid) not in GETTYS:
        return False
    try:
        words = (machine.root / "proc" / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.rpartition(b"/")[2] == name.encode() for word in words)


def _lock_files(machine: Machine, name: str) -> Iterator[int]:
    for folder in LOCKS:
        with contextlib.suppress(OSError, ValueError):
            yield int((machine.root / folder / f"LCK..{name}").read_text("ascii", "replace").split()[0])


def _command(machine: Machine, pid: int) -> str:
    try:
        return (machine.root / "proc" / str(pid) / "comm").read_text("utf-8", "replace").strip() or "?"
    except OSError:
        return "?"
