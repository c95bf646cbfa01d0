"""The engine's effects on this machine: heavy steps in a worker process, light ones here.

Imported by the daemon, so nothing heavy is (a test watches that): tuf, cryptography and requests stay in the worker.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from firmware.child import Child, Patience
from firmware.confirm import Checks, Outcome
from firmware.errors import FirmwareError, InstallFailed, ReleaseRefused, one_line
from firmware.files import free_bytes
from firmware.floor import Floor
from firmware.handlers import Handler, open_handler, safe_name
from firmware.interfaces import Facts, GateAnswer, Own
from firmware.state import Component, Deployment, Wanted

VERIFY: Final = Patience(total_s=300.0, silent_s=300.0, network=True)
FETCH: Final = Patience(total_s=24 * 3600.0, silent_s=180.0, network=True)
STAGE: Final = Patience(total_s=1900.0, silent_s=1900.0, network=False)
CHECK: Final = Patience(total_s=4 * 3600.0, silent_s=600.0, network=False)
QUIET_BYTES_S: Final = 8 << 20
"""Reading of the daily check, per second: an eMMC gives ten times as much."""
RESERVE_BYTES: Final = 64 << 20
"""Disk that no update may fill: the journal and the till need it."""


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """``[update] components`` of the configuration.

    ``health_check`` holds when the release brings none of its own; ``validate`` is the site's look into what was unpacked.
    """

    handler: str
    health_check: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """``[update]`` of the configuration, and who this machine is (``host``: labels, terminals, hardware; lists of str).

    ``state_dir`` is ``<root>/var/lib/posagent``. ``token`` is a whole Authorization value. ``mirrors`` hold what lies below
    ``targets_url``, and are asked before it. ``program_home`` is where this program's own releases lie (``/opt/posagent``).
    """

    state_dir: Path
    metadata_url: str
    targets_url: str
    trusted_root: Path
    components: Mapping[str, ComponentSettings]
    host: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ca: Path | None = None
    token: str | None = None
    allow_http: bool = False
    reserve_bytes: int = RESERVE_BYTES
    mirrors: Sequence[str] = ()
    program_home: Path | None = None


OWN_HANDLER: Final = "agent_self"
"""The handler of this program itself; one component at most has it."""


def _nothing(_done: int, _of: int) -> None:
    pass


class MachineEffects:
    """See ``interfaces.Effects``. ``gate`` and ``device_health`` come from the agent; ``wall`` gives RFC 3339 UTC."""

    def __init__(
        self,
        settings: Settings,
        *,
        gate: Callable[[Deployment], GateAnswer],
        device_health: Callable[[], Mapping[str, str]],
        wall: Callable[[], str],
        clock: Callable[[], str] = str,
        opened: Callable[[str], str] = str,
        by_hand: Callable[[], str] = str,
        devices: Callable[[], Mapping[str, Mapping[str, str]]] = dict,
        child: Child | None = None,
        own: Own | None = None,
    ) -> None:
        """``clock`` tells why ``wall`` cannot be right, and nothing while it can; ``opened`` where a worker finds a bundle;
        ``by_hand`` the moment that a person has confirmed, RFC 3339, while that counts; ``devices`` what each device
        (``<till>/<kind>``) has said of itself, nothing where it is not known now; ``own`` is this program as a component."""
        self.own = own
        self._clock, self._opened, self._by_hand = clock, opened, by_hand
        self._settings, self._gate, self._device_health, self._wall = settings, gate, device_health, wall
        self._child, self._devices = child or Child(), devices
        self._checks = Checks()
        self._floor_path = settings.state_dir / "floor.json"
        self._downloads = settings.state_dir / "downloads"
        self._handlers: dict[str, Handler] = {}
        # By the address of a download: which file it was when its hash was right. Forgotten at every end: read again then.
        self._verified: dict[str, Any] = {}

    def components(self) -> Sequence[str]:
        """See Effects."""
        return tuple(self._settings.components)

    def current(self, component: str) -> str | None:
        """See Effects."""
        return self._handler(component).current()

    def clock(self) -> str:
        """See Effects."""
        return self._clock()

    def learn(self, item: Wanted, bundle: str = "") -> None:
        """See Effects."""
        self._child.run("learn", self._job(item, {"bundle": bundle}), VERIFY, _nothing)

    def arrange(self, items: Sequence[Wanted]) -> Sequence[Wanted]:
        """See Effects."""
        job = self._job(items[0], {}) | {"members": [[item.component, item.version] for item in items]}
        return [Wanted(*pair) for pair in self._child.run("arrange", job, VERIFY, _nothing)["members"]]

    def verify(self, item: Wanted, installed: Component, bundle: str = "") -> Facts:
        """See Effects. The answer also carries handler, size_unpacked, members, archive {name, length, sha256}, bundle."""
        configured = self._settings.components[item.component].handler
        running = {"version": installed.version, "counter": installed.release_counter} if installed.version else None
        others = {name: self.current(name) for name in self.components()}
        job = self._job(item, {"bundle": bundle}) | {
            "installed": running,
            "components": {name: version for name, version in others.items() if version is not None},
        }
        job["revoked"] = list(installed.revoked)
        job["devices"] = {subject: dict(said) for subject, said in self._devices().items()}
        facts = {**self._child.run("verify", job, VERIFY, _nothing), "bundle": bundle}
        if facts.get("handler") != configured:
            raise ReleaseRefused(
                f"{item.component} is handled by {configured} here, the release is for {one_line(facts.get('handler'), 40)}",
                code="wrong_handler",
            )
        return facts

    def recall(self, item: Wanted) -> Facts:
        """See Effects. The answer carries release_counter, health_check, and unpacked: the SHA-256 of the archive that was."""
        if not self._handler(item.component).release(item.version).is_dir():
            raise ReleaseRefused(f"{item.component} {item.version} is not kept here any more", code="not_kept")
        try:
            found = self.inspect(item, self._child, bytes_s=0)
        except InstallFailed as error:
            if error.code == "no_inventory" and self.from_package(item.component, item.version):
                return {"release_counter": 0, "health_check": []}
            raise
        if found["drift"]:
            examples = "; ".join(found["examples"][:3])
            raise ReleaseRefused(f"{item.component} {item.version} is not as it was installed: {examples}", code="drift")
        head = found["head"]
        counter, check = int(head["release_counter"]), list(head["health_check"])
        return {"release_counter": counter, "health_check": check, "unpacked": str(head.get("archive", ""))}

    def inspect(self, item: Wanted, child: Child, *, bytes_s: int = QUIET_BYTES_S) -> Mapping[str, Any]:
        """Hold a release that lies here against the list of its files, with a worker of ``child``.

        ``{"drift": bool, "changed", "missing", "extra": counts, "examples": [text], "head": {…}}``. ``bytes_s`` bounds the
        reading, 0 not at all. Raises InstallFailed (no_inventory, disk_error, timeout, stopped, worker_failed).
        """
        job = self._job(item, {}) | {"inventory": str(self._list_of(item)), "bytes_s": bytes_s}
        return child.run("inspect", job, CHECK, _nothing)

    def fetch(self, item: Wanted, facts: Facts, progress: Callable[[int, int], None]) -> None:
        """See Effects."""
        job = self._job(item, facts)
        self._verified = {job["download"]: self._child.run("fetch", job, FETCH, progress).get("verified")}

    def stage(self, item: Wanted, facts: Facts) -> None:
        """See Effects."""
        configured = self._settings.components[item.component]
        job = self._job(item, facts) | {"handler": configured.handler, "validate": list(configured.validate)}
        job["verified"] = self._verified.get(job["download"])
        self._child.run("stage", job, STAGE, _nothing)

    def gate(self, deployment: Deployment) -> GateAnswer:
        """See Effects."""
        return self._gate(deployment)

    def device_health(self) -> Mapping[str, str]:
        """See Effects."""
        return self._device_health()

    def health(self, component: str, argv: Sequence[str]) -> Outcome:
        """See Effects."""
        handler = self._handler(component)
        if self.own is not None and self._is_own(component) and not (seen := self.own.health()).healthy:
            return seen
        version = handler.current()
        if version is None:
            return Outcome(False, "missing", f"no version of {component} is installed")
        return self._checks.run(handler.release(version), argv or self._settings.components[component].health_check)

    def switch(self, component: str, version: str | None) -> None:
        """See Effects."""
        self._handler(component).switch(version)

    def commit(self, item: Wanted, facts: Facts) -> None:
        """See Effects."""
        Floor(self._floor_path).raise_counter(item.component, int(facts["release_counter"]))

    def tidy(self, items: Sequence[Wanted], keep: Mapping[str, frozenset[str]], *, downloads: bool = True) -> None:
        """See Effects."""
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self._downloads)) if downloads else ():
                Path(entry.path).unlink(missing_ok=True)
        for item in items:
            with contextlib.suppress(FirmwareError, OSError):
                brought = self._brought_by_package(item.component)
                self._handler(item.component).prune(keep.get(item.component, frozenset()) | brought)
                self._prune_inventory(item.component, keep.get(item.component, frozenset()))

    def short(self) -> bool:
        """See Effects."""
        with contextlib.suppress(OSError):
            return free_bytes(self._settings.state_dir) < self._settings.reserve_bytes
        return False

    def stop(self) -> None:
        """See Effects."""
        self._child.stop()
        self._checks.stop()

    def rearm(self) -> None:
        """See Effects."""
        self._child.rearm()
        self._checks.rearm()

    def _prune_inventory(self, component: str, keep: frozenset[str]) -> None:
        kept = {*keep, self.current(component)}
        folder = self._inventory(component, "x").parent
        if folder.is_dir():
            for entry in list(os.scandir(folder)):
                if entry.name not in kept:
                    Path(entry.path).unlink(missing_ok=True)

    def _inventory(self, component: str, version: str) -> Path:
        return self._settings.state_dir / "inventory" / safe_name(component) / safe_name(version)

    def _list_of(self, item: Wanted) -> Path:
        """The list of a release's files: kept here when it was unpacked, or brought along by the package."""
        from firmware.inventory import PACKAGED  # an idle daemon has no use for it

        kept = self._inventory(item.component, item.version)
        if not kept.exists() and self.from_package(item.component, item.version):
            return self._handler(item.component).release(item.version) / PACKAGED
        return kept

    def _handler(self, component: str) -> Handler:
        if component not in self._settings.components:
            raise ReleaseRefused(f"this machine has no component {one_line(component, 80)!r}", code="unknown_component")
        if component not in self._handlers:
            folder = self._settings.state_dir / "releases" / safe_name(component)
            if self._is_own(component):
                if self._settings.program_home is None:
                    raise InstallFailed("nobody has said where posagent itself lies", code="no_launcher")
                folder = self._settings.program_home / "releases"
            self._handlers[component] = open_handler(self._settings.components[component].handler, folder)
        return self._handlers[component]

    def _brought_by_package(self, component: str) -> frozenset[str]:
        """Releases of this program without a list of files: dpkg's to remove, and perhaps the way back that it has pointed to."""
        if not self._is_own(component) or self._settings.program_home is None:
            return frozenset()
        names = [entry.name for entry in os.scandir(self._settings.program_home / "releases") if not entry.name.startswith(".")]
        listed = self._inventory(component, "x").parent
        return frozenset(name for name in names if not (listed / name).exists())

    def from_package(self, component: str, version: str) -> bool:
        """Whether that release of this program came with the package: dpkg has the list of its files, and it belongs to root.

        (To us where one user is everything. What the installer has unpacked is its own too, and always has a list.)
        """
        try:
            return self._is_own(component) and self._handler(component).release(version).lstat().st_uid in (0, os.geteuid())
        except OSError:
            return False

    def _is_own(self, component: str) -> bool:
        known = self._settings.components.get(component)
        return known is not None and known.handler == OWN_HANDLER

    def _job(self, item: Wanted, facts: Facts) -> dict[str, Any]:
        """What the worker is told on its stdin; the token never stands in its arguments or environment."""
        settings = self._settings
        if not settings.trusted_root.is_absolute():
            raise InstallFailed("the path of the trusted root must be absolute", code="no_root")
        bundle = str(facts.get("bundle") or "")
        return {
            "component": item.component,
            "version": item.version,
            "state_dir": str(settings.state_dir),
            "floor": str(self._floor_path),
            "download": str(self._downloads / f"{safe_name(item.component)}-{safe_name(item.version)}.archive"),
            "release": str(self._handler(item.component).release(item.version)),
            "inventory": str(self._inventory(item.component, item.version)),
            "metadata_url": settings.metadata_url,
            "targets_url": settings.targets_url,
            "mirrors": list(settings.mirrors),
            "trusted_root": str(settings.trusted_root),
            "ca": str(settings.ca) if settings.ca else None,
            "token": settings.token,
            "bundle": {"path": bundle, "opened": self._opened(bundle)} if bundle else None,
            "allow_http": settings.allow_http,
            "host": {key: list(settings.host.get(key, ())) for key in ("labels", "terminals", "hardware")},
            "now": self._wall(),
            "by_hand": self._by_hand(),
            "reserve_bytes": settings.reserve_bytes,
            "facts": dict(facts),
        }
