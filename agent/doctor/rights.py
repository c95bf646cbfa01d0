"""Files and folders of posagent: who may read and write them."""

import os
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import Finding, Outcome
from agent.doctor.machine import Machine, mode_of
from agent.paths import Paths

TOPIC = "rights"
MAX_FILES = 2000
"""More than this are not looked at; a state folder without releases has some thirty."""


def look(paths: Paths, machine: Machine) -> Iterator[Finding]:
    """State folder, keys, and anything that everybody may change."""
    state = paths.state
    if not state.exists():
        yield Finding(TOPIC, str(state), Outcome.SKIP, "state_none", {"path": str(state)})
        return
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        values = {"path": str(state), "user": machine.user()}
        yield Finding(TOPIC, str(state), Outcome.WARN, "state_forbidden", values)
        return
    open_to_all = sorted(str(path) for path in _inside(state) if _anybody_writes(path))
    keys = sorted(str(path) for path in _inside(state / "keys") if path.is_file() and _is_private(path))
    loose = [path for path in keys if (mode_of(Path(path)) or 0) & 0o077]
    for path in open_to_all[:3]:
        yield Finding(TOPIC, path, Outcome.FAIL, "open_to_all", {"path": path, "more": str(len(open_to_all) - 1)})
    for path in loose[:3]:
        yield Finding(TOPIC, path, Outcome.FAIL, "key_open", {"path": path})
    if not open_to_all and not loose:
        yield Finding(TOPIC, str(state), Outcome.PASS, "rights_good", {"keys": str(len(keys))})


def _inside(folder: Path) -> Iterator[Path]:
    """``folder`` and what lies in it; links are not followed."""
    count = 0
    if folder.is_dir():
        yield folder
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            count += 1
            if count > MAX_FILES:
                return
            yield Path(place, name)


def _anybody_writes(path: Path) -> bool:
    return not path.is_symlink() and bool((mode_of(path) or 0) & 0o002)


def _is_private(path: Path) -> bool:
    return path.suffix not in (".pub", ".crt", ".pem", ".json") or b"PRIVATE KEY" in _head(path)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""
