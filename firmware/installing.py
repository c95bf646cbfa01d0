"""One job of the installer: the identity that alone may change releases, trust and the version floor (docs/decisions/0015).

Who asks may be anybody's by now: the daemon parses what devices and the network send. So a job brings wishes, bounded and
checked; paths, addresses, the trusted root and the site's commands are ``Settings`` of ours, and what ``verify`` found out is
kept by us for the steps after it.
"""

import contextlib
import fcntl
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from firmware.child import Child, Patience, described
from firmware.effects import MachineEffects, Settings
from firmware.errors import FirmwareError, InstallFailed
from firmware.files import disk_failure, make_folder, read_bounded, write_durably
from firmware.handlers import safe_name
from firmware.interfaces import GateAnswer
from firmware.inventory import head
from firmware.state import ITEMS_MAX, REVOKED_MAX, Component, Wanted
from firmware.worker import JOB_MAX, VERBS, Progress

PROTOCOL: Final = 1
ASK_S: Final = 10.0
"""A job that does not say what it is within this time is no job."""
TURN_S: Final = 30.0
"""Longest wait for the job before: its connection is closed, or it is about to end."""
FACTS_MAX: Final = 1 << 18
_TURN_STEP_S: Final = 0.05
_PROGRESS_EVERY_S: Final = 0.2


class _Here(Child):
    """Runs the heavy steps in this process: it ends with the job."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(())
        self._progress = progress

    def run(self, verb: str, job: Mapping[str, Any], patience: Patience, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """See Child."""
        del patience, progress
        return VERBS[verb](job, self._progress)


class Installer:
    """Does one job. ``wall`` gives RFC 3339 UTC, ``version`` is that of this program."""

    def __init__(self, settings: Settings, wall: Callable[[], str], version: str, progress: Progress) -> None:
        self._settings, self._wall, self._version, self._progress = settings, wall, version, progress
        self._child = _Here(progress)

    def do(self, wish: Mapping[str, Any], handed: int | None) -> dict[str, Any]:
        """What the ``ok`` line says. Raises FirmwareError; KeyError, TypeError, ValueError for a wish that is none."""
        verb = wish["verb"]
        if verb == "hello":
            return {"protocol": PROTOCOL, "version": self._version}
        effects = MachineEffects(
            self._settings,
            gate=lambda _: GateAnswer(open=False),
            device_health=dict,
            wall=self._wall,
            opened=lambda _: f"/proc/self/fd/{handed}",
            by_hand=lambda: str(wish.get("by_hand") or ""),
            devices=lambda: _devices(wish),
            child=self._child,
        )
        if verb == "inspect":
            return dict(effects.inspect(_item(wish), self._child, bytes_s=max(0, int(wish["bytes_s"]))))
        with self._turn():
            try:
                return self._change(effects, verb, wish, str((wish.get("bundle") or {}).get("path") or ""))
            finally:
                self._show()

    def _change(self, effects: MachineEffects, verb: str, wish: Mapping[str, Any], bundle: str) -> dict[str, Any]:
        match verb:
            case "tidy":
                return self._tidy(effects, wish)
            case "switch":
                return self._switch(effects, str(wish["component"]), wish["version"])
        item = _item(wish)
        match verb:
            case "arrange":
                pairs = [Wanted(str(name), str(version)) for name, version in wish["members"][: ITEMS_MAX + 1]]
                return {"members": [[one.component, one.version] for one in effects.arrange(pairs)]}
            case "learn":
                effects.learn(item, bundle)
                return {}
            case "verify":
                facts = dict(effects.verify(item, _installed(wish), bundle))
                self._keep(item, facts)
                return facts
            case "fetch":
                effects.fetch(item, {**self._known(item), "bundle": bundle}, self._progress)
                return {}
            case "stage":
                effects.stage(item, self._known(item))
                return {}
            case "commit":
                return self._commit(effects, item)
        raise ValueError(f"no verb {verb!r:.40}")

    def _switch(self, effects: MachineEffects, component: str, version: object) -> dict[str, Any]:
        wanted = None if version is None else str(version)
        if wanted is not None and not effects.from_package(component, wanted):
            head(self._inventory(component, wanted))  # only what was unpacked here has one
        effects.switch(component, wanted)
        return {}

    def _commit(self, effects: MachineEffects, item: Wanted) -> dict[str, Any]:
        if effects.current(item.component) != item.version:
            raise InstallFailed(f"{item.component} {item.version} does not run: it is not committed", code="not_current")
        effects.commit(item, head(self._inventory(item.component, item.version)))
        return {}

    def _tidy(self, effects: MachineEffects, wish: Mapping[str, Any]) -> dict[str, Any]:
        items = [Wanted(str(name), str(version)) for name, version in wish["items"][: ITEMS_MAX + 1]]
        keep = {str(name): frozenset(map(str, versions)) for name, versions in wish["keep"].items()}
        effects.tidy(items, keep, downloads=wish.get("downloads") is not False)
        for item in items:
            with contextlib.suppress(OSError):
                self._facts(item).unlink(missing_ok=True)
        return {}

    def _show(self) -> None:
        """What is signed is no secret: the daemon tells people how far behind they are. tuf writes it for its own user alone."""
        for path in (self._settings.state_dir / "trust").glob("*.json"):
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o644)

    # -- what verify found out -------------------------------------------------------------------------------------

    def _facts(self, item: Wanted) -> Path:
        return self._settings.state_dir / "facts" / f"{safe_name(item.component)}-{safe_name(item.version)}.json"

    def _inventory(self, component: str, version: str) -> Path:
        return self._settings.state_dir / "inventory" / safe_name(component) / safe_name(version)

    def _keep(self, item: Wanted, facts: Mapping[str, Any]) -> None:
        path = self._facts(item)
        make_folder(path.parent)
        write_durably(path, json.dumps({"item": [item.component, item.version], "facts": facts}).encode())

    def _known(self, item: Wanted) -> dict[str, Any]:
        try:
            kept = json.loads(read_bounded(self._facts(item), FACTS_MAX))
            if kept["item"] == [item.component, item.version]:
                return dict(kept["facts"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        raise InstallFailed(f"{item.component} {item.version} has not been verified here", code="not_verified")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One job that changes something at a time."""
        path = self._settings.state_dir / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise disk_failure(error, path) from error
        try:
            end = time.monotonic() + TURN_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise InstallFailed("another job of the installer does not end", code="busy") from None
                    time.sleep(_TURN_STEP_S)
            yield
        finally:
            os.close(descriptor)


def serve(link: socket.socket, make: Callable[[Progress], Installer]) -> int:
    """Do the one job of a connection; the exit code. The process ends when the other side closes it."""
    handed: list[int] = []
    with link.makefile("w", encoding="utf-8") as sink:
        try:
            wish = json.loads(_line(link, handed))
            threading.Thread(target=_end_with, args=(link,), name="connection", daemon=True).start()
            said = {"ok": make(_reporter(sink)).do(wish, handed[0] if handed else None)}
        except FirmwareError as error:
            said = described(error)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OSError) as error:
            said = described(InstallFailed(f"the installer cannot do this: {error!r:.200}", code="internal"))
        with contextlib.suppress(OSError):
            sink.write(json.dumps(said, ensure_ascii=False) + "\n")
            sink.flush()
    return 0 if "ok" in said else 1


def _reporter(sink: IO[str]) -> Progress:
    """Tell progress: the first, the last, and five a second."""
    next_at = 0.0

    def progress(done: int, of: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at or done >= of:
            next_at = time.monotonic() + _PROGRESS_EVERY_S
            sink.write(json.dumps({"progress": [done, of]}) + "\n")
            sink.flush()

    return progress


def _line(link: socket.socket, handed: list[int]) -> bytes:
    """The job. ValueError when it is too long, or does not come."""
    end, data = time.monotonic() + ASK_S, bytearray()
    while not data.endswith(b"\n"):
        link.settimeout(max(0.001, end - time.monotonic()))
        part, found, _, _ = socket.recv_fds(link, 65536, 1, socket.MSG_CMSG_CLOEXEC)
        handed += found
        data += part
        if not part or len(data) > JOB_MAX:
            raise ValueError("no whole line")
    link.settimeout(None)
    return bytes(data)


def _end_with(link: socket.socket) -> None:
    """Nobody waits for what is under way any more: end as a kill would, which every step withstands."""
    watch = select.poll()
    watch.register(link, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    watch.poll()
    os._exit(1)


def _item(wish: Mapping[str, Any]) -> Wanted:
    return Wanted(str(wish["component"]), safe_name(str(wish["version"])))


def _devices(wish: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    return {str(subject): {str(k): str(v) for k, v in said.items()} for subject, said in (wish.get("devices") or {}).items()}


def _installed(wish: Mapping[str, Any]) -> Component:
    """What the daemon says of the version that runs; the floor, which is ours, has the last word."""
    seen = wish.get("installed") or {}
    found = Component()
    found.version = str(seen["version"]) if seen else None
    found.release_counter = int(seen.get("counter") or 0)
    found.revoked = tuple(map(str, wish.get("revoked") or ()))[-REVOKED_MAX:]
    return found
