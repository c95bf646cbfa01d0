"""Updates where another identity does what changes releases: its socket in place of worker processes (docs/decisions/0015).

One connection is one job: a line of JSON with at most one open file, lines of a worker back. Closing it ends the job.
"""

import array
import contextlib
import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

from firmware.child import Child, Patience, Talk, result
from firmware.effects import MachineEffects
from firmware.errors import FirmwareError, InstallFailed, TransportError
from firmware.interfaces import Facts
from firmware.state import Wanted

CONNECT_S: Final = 5.0
LIGHT: Final = Patience(total_s=120.0, silent_s=120.0, network=False)
"""A pointer, a number, some folders: all but the wait for a job before it."""
WISHES: Final = (
    "component",
    "version",
    "bundle",
    "installed",
    "revoked",
    "members",
    "bytes_s",
    "by_hand",
    "devices",
    "items",
    "keep",
    "downloads",
)
"""What of a job is sent. The installer knows everything else by itself, and would not believe it."""


class RemoteChild(Child):
    """Runs jobs through ``socket_path``; otherwise as ``Child``."""

    def __init__(self, socket_path: Path, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__((), now)
        self._path = socket_path
        self._link: socket.socket | None = None

    def stop(self) -> None:
        """End the job under way, and let none start until ``rearm``."""
        with self._lock:
            self._stopped = True
            if self._link is not None:
                with contextlib.suppress(OSError):
                    self._link.shutdown(socket.SHUT_RDWR)

    def run(self, verb: str, job: Mapping[str, Any], patience: Patience, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """See Child. Raises InstallFailed (no_installer) where nobody listens."""
        talk = Talk(b"", progress)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as link:
            self._connect(link)
            try:
                in_time = self._say(link, {"verb": verb, **{word: job[word] for word in WISHES if word in job}}, patience)
                in_time = in_time and self._hear(link, talk, patience)
            except ConnectionError:
                in_time = True  # it has gone: what it said before that counts
            finally:
                with self._lock:
                    self._link = None
        if self._stopped:
            raise InstallFailed("stopped", code="stopped")
        if not in_time:
            kind = TransportError if patience.network else InstallFailed
            raise kind(f"the {verb} step did not end in time", code="timeout")
        return result(talk, verb, "ended")

    def _connect(self, link: socket.socket) -> None:
        link.settimeout(CONNECT_S)
        try:
            link.connect(str(self._path))
        except OSError as error:
            why = f"the installer does not answer at {self._path}: {error.strerror or error}"
            raise InstallFailed(f"{why}; start posagent-installer.socket", code="no_installer") from error
        with self._lock:
            if self._stopped:
                raise InstallFailed("stopped", code="stopped")
            self._link = link

    def _say(self, link: socket.socket, job: dict[str, Any], patience: Patience) -> bool:
        """Send the job, and the open bundle with its first bytes. False where nobody takes it in time."""
        bundle, opened = job.get("bundle"), None
        if bundle:
            job["bundle"] = {"path": bundle["path"]}
            opened = _opened(bundle)
        link.settimeout(patience.silent_s)
        try:
            line = json.dumps(job).encode() + b"\n"
            handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [opened]))] if opened is not None else []
            sent = link.sendmsg([line], handed)
            link.sendall(line[sent:])
        except TimeoutError:
            return False
        finally:
            if opened is not None:
                os.close(opened)
        return True

    def _hear(self, link: socket.socket, talk: Talk, patience: Patience) -> bool:
        """Until it closes the connection: True; False when patience ran out."""
        link.settimeout(None)
        end, heard = self._now() + patience.total_s, self._now()
        with selectors.DefaultSelector() as selector:
            selector.register(link, selectors.EVENT_READ)
            while talk.open:
                left = min(end, heard + patience.silent_s) - self._now()
                if left <= 0:
                    return False
                if selector.select(left):
                    heard = self._now()
                    talk.read_output(cast("IO[bytes]", link))
        return True


def _opened(bundle: Mapping[str, str]) -> int:
    try:
        return os.open(bundle["opened"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TransportError(f"{bundle['path']} cannot be read: {error.strerror}", code="bundle_unreadable") from error


class DelegatedEffects(MachineEffects):
    """The effects of a user who may read releases and not change them: light steps too are jobs of the installer."""

    def switch(self, component: str, version: str | None) -> None:
        """See Effects."""
        self._child.run("switch", {"component": component, "version": version}, LIGHT, _nothing)

    def commit(self, item: Wanted, facts: Facts) -> None:
        """See Effects. The counter is the installer's own knowledge."""
        del facts
        self._child.run("commit", {"component": item.component, "version": item.version}, LIGHT, _nothing)

    def tidy(self, items: Sequence[Wanted], keep: Mapping[str, frozenset[str]], *, downloads: bool = True) -> None:
        """See Effects."""
        job = {
            "items": [[item.component, item.version] for item in items],
            "keep": {name: sorted(versions) for name, versions in keep.items()},
            "downloads": downloads,
        }
        with contextlib.suppress(FirmwareError):
            self._child.run("tidy", job, LIGHT, _nothing)

    def _list_of(self, item: Wanted) -> Path:
        """Only the installer may look whether it is there, and it finds it by itself."""
        return self._inventory(item.component, item.version)


def _nothing(_done: int, _of: int) -> None:
    pass
