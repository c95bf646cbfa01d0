"""A service centre and a till that runs 1.0: engine, effects and the worker's own verbs on a real signed repository.

The verbs run in this process, with their job and their answer through JSON as over the pipes; a clock that only moves
when the engine waits replaces sleeping. ``attack`` holds what must be true after every attack, ``honest`` that the till
can still be updated.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import TargetFile

from firmware import worker
from firmware.child import Child, Patience, Talk, described, result
from firmware.effects import ComponentSettings, MachineEffects, Settings
from firmware.engine import Engine, GateAnswer, Limits, UpdateRecord
from firmware.errors import FirmwareError, InstallFailed, StateError
from firmware.floor import Floor
from firmware.lastgood import LastGoodTime
from firmware.manifest import Target
from firmware.probation import ProbationLimits
from firmware.release import changes, keys
from firmware.release.choices import DEFAULT_OPTIONS, Options
from firmware.release.repository import Repository
from firmware.state import Deployment, StateFile, Wanted

from .web import Web

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(probation=ProbationLimits(min_s=0.0, poll_s=0.0, health_retry_s=0.0), retry_count=1)
MEMORY = ("trust/", "floor.json", "deployment.json", "time.json")
"""What may change while an attack is refused; its content has rules of its own."""


class Here(Child):
    """The worker's verbs without its process. ``before`` is told of each verb as it is about to begin."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], None] = lambda _verb: None
        self.verbs: list[str] = []

    def run(self, verb: str, job: Mapping[str, Any], patience: Patience, progress: Callable[[int, int], None]) -> dict[str, Any]:
        self.before(verb)
        self.verbs.append(verb)
        if self._stopped:
            raise InstallFailed("stopped", code="stopped")
        talk = Talk(b"", progress)
        try:
            said: dict[str, Any] = {"ok": worker.VERBS[verb](json.loads(json.dumps(job)), progress)}
        except FirmwareError as error:
            said = described(error)
        talk.result = json.loads(json.dumps(said))
        return result(talk, verb, "ended with exit code 1")


class Till:
    """``repo`` is what the honest centre signs, ``web`` what the till is really told."""

    def __init__(self, folder: Path, web: Web) -> None:
        self.folder, self.web, self.state = folder, web, folder / "till"
        self.repo = Repository.open(folder / "centre", folder / "keys")
        web.folder = self.repo.folder
        self.now, self.clock, self.by_hand = NOW, 0.0, ""
        self.journal: list[UpdateRecord] = []
        self.waits: list[float] = []
        self.waiting_for: set[str] = set()
        self.recovered = self.stolen = False
        self.settings = Settings(
            state_dir=self.state,
            metadata_url=f"{web.url}/metadata",
            targets_url=f"{web.url}/targets",
            trusted_root=folder / "root.json",
            components={"till-app": ComponentSettings("app_slots"), "scanner": ComponentSettings("app_slots")},
            host={"labels": ["pilot"], "terminals": ["pos-1"], "hardware": ["till-mk2"]},
            token="TargetToken secret",
            reserve_bytes=0,
        )
        self.start()

    def start(self, **changes: Any) -> None:
        """(Re)start on what lies on the disk."""
        self.settings = replace(self.settings, **changes)
        self.child = Here()
        self.effects = MachineEffects(
            self.settings,
            gate=lambda _deployment: GateAnswer(True),
            device_health=dict,
            wall=lambda: self.now.isoformat(),
            clock=self.wrong,
            by_hand=lambda: self.by_hand,
            child=self.child,
        )
        self.engine = Engine(
            StateFile(self.state / "deployment.json"), self.effects, self.journal.append, lambda: self.clock,
            recorded=lambda key: any(seen.key == key for seen in self.journal), limits=LIMITS, jitter=lambda: 0.5,
        )  # fmt: skip
        self.engine.resume()

    def wrong(self) -> str:
        """As the agent judges its clock: a memory that cannot be read is no permission."""
        try:
            by_hand = datetime.fromisoformat(self.by_hand) if self.by_hand else None
            return LastGoodTime(self.state / "time.json", by_hand).wrong(self.now)
        except StateError as error:
            return str(error)

    # -- the centre ---------------------------------------------------------------------------------------------------

    def release(self, version: str, component: str = "till-app", options: Options = DEFAULT_OPTIONS) -> None:
        """An honest release, published."""
        app = self.folder / "app"
        app.mkdir(exist_ok=True)
        (app / "version").write_text(version)
        self.repo.add_release(component, version, app, options=options, now=self.now)
        self.repo.publish(self.now)

    def sign_files(self, files: Mapping[str, bytes], custom: Mapping[str, Any] | None = None, hash_name: str = "sha256") -> None:
        """What a thief of the targets keys, or a centre that errs, can sign: any bytes under any name."""
        with self.repo.locked():
            content = self.repo.upcoming("targets")
            for name, raw in files.items():
                digest = hashlib.new(hash_name, raw).hexdigest()
                content.targets[name] = TargetFile(len(raw), {hash_name: digest}, name, {"custom": dict(custom or {})})
                place = self.repo.targets / Target(name, 0, digest, prefix=digest).path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(raw)
            self.repo.stage("targets", content, self.now)
        self.repo.publish(self.now)

    def sign_release(self, archive: bytes, version: str = "2.0", manifest: bytes | None = None, **changes: Any) -> None:
        """A validly signed release of any archive, with any manifest."""
        raw = json.dumps(manifest_of(archive, version, **changes)).encode() if manifest is None else manifest
        custom = {"component": "till-app", "version": version, "release_counter": 2}
        self.sign_files({f"till-app-{version}.json": raw, f"till-app-{version}.tar.gz": archive}, custom)

    def rotate_online(self) -> None:
        """The centre takes the keys of timestamp and snapshot away, in a new root."""
        self.stolen = False
        for role in ("timestamp", "snapshot"):
            name = f"{role}-new"
            fresh = keys.add(self.folder / "keys", [name], None)
            self.repo.ring.take(fresh)
            changes.rotate(self.repo, role, self.now, replace=[role], new_keys=[fresh.by_holder(name).public_key])

    # -- the till -----------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> str:
        """The version as the application's own file says, through the pointer."""
        return (self.state / "releases" / "till-app" / "current" / "version").read_text()

    def floor(self) -> dict[str, int]:
        floor = Floor(self.state / "floor.json")
        return {**floor.versions, **{f"counter {name}": number for name, number in floor.counters.items()}}

    def files(self) -> set[str]:
        """Everything on the till but the memory of trust and of the deployment; strays of them included."""
        names = {str(path.relative_to(self.state)) for path in self.state.rglob("*")}
        names |= {str(path.relative_to(self.folder)) for path in (self.folder / "outside").rglob("*")}
        return {name for name in names if not name.startswith(MEMORY) or "tmp" in name} - {"trust"}

    def run(self, steps: int = 80) -> None:
        for _ in range(steps):
            wait_s = self.engine.step()
            if wait_s is None:
                return
            self.waits.append(wait_s)
            self.clock += wait_s
            if deployment := self.engine.status()["deployment"]:
                self.waiting_for.add(deployment["waiting_for"])

    def update(self, version: str, component: str = "till-app") -> UpdateRecord:
        """One deployment to its end."""
        assert self.engine.request(Deployment(str(uuid.uuid4()), "7", (Wanted(component, version),)))
        self.run()
        return self.journal[-1]

    def attack(
        self, code: str | Iterable[str], version: str = "2.0", component: str = "till-app", state: str = "refused"
    ) -> UpdateRecord:
        """Demand what the attacker wants installed: refused with its code, and nothing of the till has changed."""
        floor, files = self.floor(), self.files()
        last = self.update(version, component)
        self.unharmed(floor, files)
        assert last.final, last
        assert (last.state, last.code) == (state, code), last.reason
        assert last.reason.isprintable(), last.reason
        assert len(last.reason) < 512
        return last

    def unharmed(self, floor: Mapping[str, int], files: set[str]) -> None:
        assert self.runs == "1.0"
        assert (self.state / "releases" / "till-app" / "current").readlink() == Path("1.0")
        now = self.floor()
        assert {key: number for key, number in floor.items() if now.get(key, 0) < number} == {}, "the floor fell"
        assert self.files() == files
        assert self.secret() == "secret"

    def secret(self) -> str:
        """A file outside of the till's folders that no attack may touch."""
        return (self.folder / "outside" / "secret").read_text()

    def honest(self, version: str = "3.0") -> None:
        """The attacker is gone: the next honest release is installed as if nothing had been.

        Where online keys were ``stolen`` the centre has replaced them, as the specification asks.
        """
        self.web.lies.clear()
        self.web.folder = self.repo.folder
        if self.stolen:
            self.rotate_online()
        self.release(version)
        last = self.update(version)
        assert (last.state, last.code) == ("committed", ""), last
        assert self.runs == version
        self.recovered = True

    def refuses(self, code: str, version: str = "2.0", component: str = "till-app", state: str = "refused") -> UpdateRecord:
        """``attack`` and ``honest``."""
        last = self.attack(code, version, component, state)
        self.honest()
        return last


def manifest_of(archive: bytes, version: str = "2.0", **changes: Any) -> dict[str, Any]:
    """A manifest document that a till would take, but for ``changes``."""
    facts = {"name": f"till-app-{version}.tar.gz", "length": len(archive), "sha256": hashlib.sha256(archive).hexdigest()}
    document: dict[str, Any] = {
        "schema": 1, "component": "till-app", "version": version, "release_counter": 2, "handler": "app_slots",
        "archive": facts, "size_unpacked": 4096, "members": 8,
    }  # fmt: skip
    return {**document, **changes}


def make_template(folder: Path, web: Web) -> Path:
    """A centre with two holders who must both sign, and a till on which 1.0 was installed the regular way."""
    Repository.create(folder / "centre", folder / "keys", 2, 2, now=NOW)
    shutil.copy(folder / "centre" / "metadata" / "1.root.json", folder / "root.json")
    (folder / "till").mkdir(mode=0o700)
    (folder / "outside").mkdir()
    (folder / "outside" / "secret").write_text("secret")
    till = Till(folder, web)
    till.release("1.0")
    assert till.update("1.0").state == "committed"
    return folder


def copy_of(template: Path, folder: Path) -> Path:
    shutil.copytree(template, folder, symlinks=True, copy_function=_copy)
    return folder


def _copy(source: str, target: str, *, follow_symlinks: bool = True) -> str:
    return shutil.copy2(source, target, follow_symlinks=follow_symlinks)


def later(**period: float) -> datetime:
    return NOW + timedelta(**period)


def is_root() -> bool:
    return os.geteuid() == 0
