"""Looks at a host from outside, all the time: what it uses, and that the version floor never falls. No code of the product."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVERY_S = 0.5
ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass(frozen=True)
class Use:
    """One look at a daemon: MiB resident, threads, open files."""

    rss: float
    threads: int
    files: int


def use_of(pid: int) -> Use | None:
    """None where it is gone."""
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))
        return Use(int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"]), files)
    except (OSError, KeyError):
        return None


def read_twin(path: Path) -> dict[str, Any] | None:
    """The newest copy of a state file that is whole JSON; None where there is none."""
    found = []
    for copy in (path.with_name(path.name + ".1"), path.with_name(path.name + ".2")):
        try:
            document = json.loads(copy.read_bytes())
            found.append((document["sequence"], document["data"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return max(found, key=lambda pair: pair[0])[1] if found else None


def tree(folder: Path) -> tuple[int, int]:
    """Files and bytes below ``folder``."""
    files, size = 0, 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                size += Path(path, name).lstat().st_size
                files += 1
            except OSError:
                continue
    return files, size


@dataclass
class Watch:
    """The looks at one host. ``pid`` gives its daemon's number, or 0."""

    state: Path
    pid: Callable[[], int]
    most: Use = field(default_factory=lambda: Use(0.0, 0, 0))
    looks: int = 0
    floor: dict[str, int] = field(default_factory=dict)
    fell: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        seen = use_of(self.pid())
        if seen is not None:
            self.looks += 1
            self.most = Use(max(self.most.rss, seen.rss), max(self.most.threads, seen.threads), max(self.most.files, seen.files))
        stored = read_twin(self.state / "floor.json")
        if stored is None:
            if self.floor:
                self.fell.append("the floor is gone")
            return
        now = {f"role {r}": stored["versions"].get(r, 0) for r in ROLES}
        now |= {f"component {name}": counter for name, counter in stored["counters"].items()}
        self.fell += [f"{name}: {was} -> {now.get(name, 0)}" for name, was in self.floor.items() if now.get(name, 0) < was]
        self.floor = now
