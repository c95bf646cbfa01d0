"""The machine's effects with a worker in this process: what it is told, and a kill at every change of the disk."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware import worker
from firmware.child import Child, Patience
from firmware.effects import ComponentSettings, MachineEffects, Settings
from firmware.engine import Engine, GateAnswer, Limits, UpdateRecord
from firmware.errors import InstallFailed, ReleaseRefused
from firmware.floor import Floor
from firmware.interfaces import Effects
from firmware.probation import ProbationLimits
from firmware.state import Component, Deployment, StateFile, Wanted

from .fakes import Killed

pytestmark = pytest.mark.usefixtures("fast_disk")
ITEM = Wanted("till-app", "1.1")
LIMITS = Limits(probation=ProbationLimits(min_s=0.0))


def _archive() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in (("bin/health", b"#!/bin/sh\nexit 0\n"), ("version", b"1.1")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text))
    return gzip.compress(raw.getvalue(), mtime=0)


ARCHIVE = _archive()


class InProcess(Child):
    """The worker's answers without its process: a forced release, its bytes, and the real unpacking."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Mapping[str, Any]] = []
        self.handler = "app_slots"

    def run(self, verb: str, job: Mapping[str, Any], patience: Patience, progress: Callable[[int, int], None]) -> dict[str, Any]:
        self.jobs.append(job)
        if verb == "verify":
            digest = hashlib.sha256(ARCHIVE).hexdigest()
            archive = {"name": "till-app-1.1.tar.gz", "length": len(ARCHIVE), "sha256": digest, "prefix": digest}
            facts = {"release_counter": 11, "handler": self.handler, "health_check": [], "archive": archive}
            return {**facts, "size_unpacked": 100, "members": 2}
        if verb == "fetch":
            Path(job["download"]).parent.mkdir(exist_ok=True)
            Path(job["download"]).write_bytes(ARCHIVE)
            return {}
        return worker.VERBS[verb](job, progress)


def _settings(folder: Path) -> Settings:
    return Settings(
        state_dir=folder,
        metadata_url="http://127.0.0.1:1/metadata",
        targets_url="http://127.0.0.1:1/targets",
        trusted_root=folder / "root.json",
        components={"till-app": ComponentSettings("app_slots")},
        host={"labels": ["pilot"], "terminals": ["pos-1"]},
        token="TargetToken secret",
        reserve_bytes=0,
    )


def _effects(settings: Settings, child: Child) -> MachineEffects:
    return MachineEffects(
        settings, gate=lambda _deployment: GateAnswer(True), device_health=dict, wall=lambda: "2026-03-01T12:00:00Z",
        child=child,
    )  # fmt: skip


def test_what_the_worker_is_told(tmp_path: Path) -> None:
    child = InProcess()
    effects: Effects = _effects(_settings(tmp_path), child)
    effects.verify(ITEM, Component())
    effects.verify(ITEM, Component("1.0", None, 10))
    first, second = child.jobs
    assert (first["installed"], second["installed"]) == (None, {"version": "1.0", "counter": 10})
    assert first["host"] == {"labels": ["pilot"], "terminals": ["pos-1"], "hardware": []}
    assert first["now"] == "2026-03-01T12:00:00Z"
    assert first["download"] == str(tmp_path / "downloads" / "till-app-1.1.archive")
    assert first["release"] == str(tmp_path / "releases" / "till-app" / "1.1")


def test_a_release_for_another_handler_is_refused(tmp_path: Path) -> None:
    child = InProcess()
    child.handler = "flash_everything"
    with pytest.raises(ReleaseRefused) as caught:
        _effects(_settings(tmp_path), child).verify(ITEM, Component())
    assert caught.value.code == "wrong_handler"


def test_a_relative_trusted_root_is_our_mistake(tmp_path: Path) -> None:
    settings = replace(_settings(tmp_path), trusted_root=Path("root.json"))
    with pytest.raises(InstallFailed) as caught:
        _effects(settings, InProcess()).verify(ITEM, Component())
    assert caught.value.code == "no_root"


def test_a_component_that_this_till_does_not_have_leaves_nothing_to_be_cleared_away(tmp_path: Path) -> None:
    """Its refusal never ended, at no start anew, and kept every later update out: whoever pushes could stop them all."""
    _effects(_settings(tmp_path), Child()).tidy([Wanted("other", "9.0")], {"other": frozenset()})


def test_nothing_installed_is_not_healthy_and_unknown_components_are_refused(tmp_path: Path) -> None:
    effects = _effects(_settings(tmp_path), InProcess())
    assert effects.health("till-app", ("bin/health",)).code == "missing"
    with pytest.raises(ReleaseRefused) as caught:
        effects.current("espresso")
    assert caught.value.code == "unknown_component"


CHANGES = ("open", "write", "pwrite", "replace", "rename", "unlink", "mkdir", "rmdir", "symlink", "fsync")


class Cutter:
    """Cuts the power just before the n-th change of the file system."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, at: int) -> None:
        self.count, self.at, self.armed = 0, at, True
        for name in CHANGES:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if name != "open" or args[1] & os.O_CREAT:
                self.count += 1
                if self.armed and self.count >= self.at:
                    # Dead is dead: nothing that a finally-block still tries may touch the disk.
                    raise Killed
            return real(*args, **more)

        return call


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal: list[UpdateRecord] = []
        old = folder / "releases" / "till-app" / "1.0"
        old.mkdir(parents=True)
        (old / "version").write_text("1.0")
        old.with_name("current").symlink_to("1.0")

    def run(self) -> None:
        """One life: from the start to the end of what is to be done, or to a power cut."""
        clock = [0.0]
        effects = _effects(_settings(self.folder), InProcess())
        engine = Engine(
            StateFile(self.folder / "deployment.json"), effects, self.journal.append, lambda: clock[0],
            recorded=lambda key: any(seen.key == key for seen in self.journal), limits=LIMITS,
        )  # fmt: skip
        engine.resume()
        engine.request(Deployment("d1", "7", (ITEM,)))
        while (wait_s := engine.step()) is not None:
            clock[0] += wait_s

    @property
    def runs(self) -> str:
        return (self.folder / "releases" / "till-app" / "current" / "version").read_text()


@pytest.mark.slow
def test_a_power_cut_before_every_change_of_the_file_system(tmp_path: Path) -> None:
    at, killed = 0, True
    while killed:
        at += 1
        machine = Machine(tmp_path / str(at))
        with pytest.MonkeyPatch.context() as patch:
            cutter = Cutter(patch, machine.folder, at)
            try:
                machine.run()
                killed = False
            except Killed:
                cutter.armed = False
                assert machine.runs in ("1.0", "1.1"), at
                machine.run()
        assert machine.runs == "1.1", at
        assert [step.state for step in machine.journal if step.final] == ["committed"], at
        assert Floor(machine.folder / "floor.json").counter("till-app") == 11, at
        names = {str(path.relative_to(machine.folder)) for path in machine.folder.rglob("*")}
        # The floor's files are held by its own tests. Strays of a store have fixed names and go with the next one.
        strays = {name for name in names if name.startswith(".")}
        ours = {name for name in names if not name.startswith(("floor.json", "releases/till-app/1.", "."))}
        assert strays <= {f".{file}.json.{copy}.tmp" for file in ("floor", "deployment") for copy in "12"}, at
        assert ours == {
            "deployment.json.1", "deployment.json.2", "downloads", "releases", "releases/till-app",
            "releases/till-app/current", "inventory", "inventory/till-app", "inventory/till-app/1.1",
        }, at  # fmt: skip
    assert at > 80, "every change is struck"


def test_a_release_is_recalled_only_as_it_was_unpacked(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.run()
    effects = _effects(_settings(tmp_path), InProcess())
    found = dict(effects.recall(ITEM))
    assert len(found.pop("unpacked")) == 64, "the SHA-256 of the archive that was unpacked"
    assert found == {"release_counter": 11, "health_check": []}
    release = tmp_path / "releases" / "till-app" / "1.1"
    data = (release / "version").read_bytes()
    (release / "version").write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(ReleaseRefused, match="changed: version") as caught:
        effects.recall(ITEM)
    assert caught.value.code == "drift"
    with pytest.raises(ReleaseRefused) as caught:
        effects.recall(Wanted("till-app", "0.9"))
    assert caught.value.code == "not_kept"
    with pytest.raises(InstallFailed) as failed:
        effects.recall(Wanted("till-app", "1.0"))
    assert failed.value.code == "no_inventory"
