"""Who else has this line open? Read from /proc, so that nothing has to be opened to find out.

A pseudo-terminal's other side keeps its own end open too; a process that holds the master of a line is that line's device,
not a rival for it, and one descriptor of its own on the terminal side is not counted.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_PROCESSES = 4096
"""More are not looked at; a till has some hundred."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the line open. ``name`` is its command, without arguments: they may hold secrets."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]"


def holders(path: str, *, but: int | None = None) -> list[Holder]:
    """Processes that hold ``path`` open, except ``but`` (default: this process). Processes we may not look into are left out."""
    target = os.path.realpath(path)
    own = os.getpid() if but is None else but
    pty = _pty_number(target)
    found = []
    for pid in _pids():
        ends, masters = _open_ends(pid, target, pty)
        if ends > min(masters, 1) and pid != own:
            found.append(Holder(pid, _name(pid)))
    return found


def _pids() -> Iterator[int]:
    try:
        names = [n for n in os.listdir("/proc") if n.isdigit()]
    except OSError:
        return
    yield from map(int, names[:MAX_PROCESSES])


def _pty_number(target: str) -> str | None:
    return target.removeprefix("/dev/pts/") if target.startswith("/dev/pts/") else None


def _open_ends(pid: int, target: str, pty: str | None) -> tuple[int, int]:
    ends = masters = 0
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError:
        return 0, 0
    for number in numbers:
        try:
            link = os.readlink(f"{folder}/{number}")
        except OSError:
            continue
        if link == target:
            ends += 1
        elif pty is not None and link.endswith("/ptmx") and _master_of(pid, number) == pty:
            masters += 1
    return ends, masters


def _master_of(pid: int, number: str) -> str | None:
    try:
        text = Path(f"/proc/{pid}/fdinfo/{number}").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("tty-index:"):
            return line.split(":", 1)[1].strip()
    return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() or "?"
    except OSError:
        return "?"
