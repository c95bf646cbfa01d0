"""What the doctor reads of the machine: users, groups, processes, drivers. All of it from files; nothing is changed."""

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVICE_USER = "posagent"
MAX_PROCESSES = 4096
MAX_PORTS = 64
"""Ports beyond are not named."""
_STABLE = ("dev/serial/by-id", "dev/serial/by-path")
_SERIAL = ("ttyS", "ttyUSB", "ttyACM", "ttyAMA", "ttymxc", "ttyO", "ttyTHS", "rfcomm")


@dataclass(frozen=True, slots=True)
class Machine:
    """``root`` is where ``dev``, ``proc`` and ``sys`` lie; ``environ`` is the environment of whoever asks."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def user(self) -> str:
        """Who asks."""
        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return str(os.geteuid())

    def service_user(self) -> str | None:
        """The user that the service runs as; None where it is not installed."""
        try:
            return pwd.getpwnam(SERVICE_USER).pw_name
        except KeyError:
            return None

    def groups_of(self, user: str) -> set[str]:
        """Names of the groups of ``user``, its own included."""
        found = {entry.gr_name for entry in grp.getgrall() if user in entry.gr_mem}
        with contextlib.suppress(KeyError):
            found.add(grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name)
        return found

    def may_open(self, path: Path, user: str) -> tuple[bool, str]:
        """Whether ``user`` may read and write ``path`` by its mode, and the group that may. Raises OSError."""
        found = path.stat()
        group = _group_name(found.st_gid)
        if user == "root":
            return True, group
        with contextlib.suppress(KeyError):
            if pwd.getpwnam(user).pw_uid == found.st_uid and found.st_mode & 0o600 == 0o600:
                return True, group
        if group in self.groups_of(user) and found.st_mode & 0o060 == 0o060:
            return True, group
        return found.st_mode & 0o006 == 0o006, group

    def running(self, *names: str) -> dict[str, int]:
        """Those of these programs that run, with a process id each."""
        found: dict[str, int] = {}
        with contextlib.suppress(OSError):
            for number in [n for n in os.listdir(self.root / "proc") if n.isdigit()][:MAX_PROCESSES]:
                with contextlib.suppress(OSError):
                    name = (self.root / "proc" / number / "comm").read_text("utf-8", "replace").strip()
                    if name in names:
                        found.setdefault(name, int(number))
        return found

    def driver(self, port: Path) -> str:
        """The kernel driver of a serial port, empty where sysfs names none (a pseudo-terminal has none)."""
        device = self.root / "sys/class/tty" / Path(os.path.realpath(port)).name / "device/driver"
        return Path(os.path.realpath(device)).name if device.exists() else ""

    def stable_names(self, port: Path) -> list[str]:
        """``/dev/serial/by-id`` and ``by-path`` names of ``port``, the former first."""
        device = os.path.realpath(port)
        return [str(link) for link in self._links() if os.path.realpath(link) == device]

    def ports(self) -> list[str]:
        """Serial ports with hardware behind them, each by its most stable name."""
        found: dict[str, str] = {os.path.realpath(link): str(link) for link in reversed(self._links())}
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(self.root / "sys/class/tty")):
                path = self.root / "dev" / name
                if name.startswith(_SERIAL) and path.exists() and self._is_real(name):
                    found.setdefault(os.path.realpath(path), str(path))
        return sorted(found.values())[:MAX_PORTS]

    def consoles(self) -> set[str]:
        """Names of the serial lines that the kernel uses as console (``console=ttyS0,115200``)."""
        with contextlib.suppress(OSError):
            words = (self.root / "proc/cmdline").read_text("utf-8", "replace").split()
            return {word[8:].partition(",")[0] for word in words if word.startswith("console=")}
        return set()

    def distribution(self) -> str:
        """Name of the operating system, empty where it does not say."""
        with contextlib.suppress(OSError):
            for line in (self.root / "etc/os-release").read_text("utf-8", "replace").splitlines():
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip('"')
        return ""

    def _links(self) -> list[Path]:
        found: list[Path] = []
        for folder in _STABLE:
            with contextlib.suppress(OSError):
                found += sorted((self.root / folder).iterdir())
        return found

    def _is_real(self, name: str) -> bool:
        # The kernel makes ttyS0 to ttyS3 where no chip is; their type is 0 then (serial_core.h, PORT_UNKNOWN).
        try:
            return (self.root / "sys/class/tty" / name / "type").read_text("ascii").strip() != "0"
        except (OSError, UnicodeError):
            return True


def mode_of(path: Path) -> int | None:
    """Permission bits of ``path`` itself; None where it cannot be looked at."""
    try:
        return stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        return None


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
