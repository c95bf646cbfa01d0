"""Engine, effects and worker processes on a real signed repository over loopback: a till without its daemon."""

import functools
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware.effects import ComponentSettings, MachineEffects, Settings
from firmware.engine import Engine, GateAnswer, Limits, UpdateRecord
from firmware.lastgood import LastGoodTime
from firmware.probation import ProbationLimits
from firmware.release import stick
from firmware.release.choices import DEFAULT_OPTIONS, Options
from firmware.release.repository import Repository
from firmware.state import Deployment, StateFile, Wanted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(probation=ProbationLimits(min_s=0.0, poll_s=0.0, health_retry_s=0.0), retry_count=1, retry_first_s=0.0)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        pass


class Till:
    """A service centre's repository, its web server, and one machine with a till application."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state_dir = folder, folder / "till"
        self.state_dir.mkdir()
        self.repository = Repository.create(folder / "centre", folder / "keys", now=NOW)
        (folder / "root.json").write_bytes(self.repository.root_bytes)
        handler = functools.partial(_Files, directory=str(self.repository.folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = False
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        url = f"http://127.0.0.1:{self.server.server_port}"
        self.settings = Settings(
            state_dir=self.state_dir,
            metadata_url=f"{url}/metadata",
            targets_url=f"{url}/targets",
            trusted_root=folder / "root.json",
            components={name: ComponentSettings("app_slots", ("bin/health",)) for name in ("till-app", "fonts")},
            host={"labels": ["pilot"], "terminals": ["pos-1"], "hardware": []},
            reserve_bytes=0,
        )
        self.journal: list[UpdateRecord] = []
        self.start()

    def start(self) -> None:
        self.effects = MachineEffects(
            self.settings,
            gate=lambda _deployment: GateAnswer(True),
            device_health=dict,
            wall=lambda: NOW.isoformat(),
        )
        self.engine = Engine(
            StateFile(self.state_dir / "deployment.json"), self.effects, self.journal.append, time.monotonic,
            recorded=lambda key: any(seen.key == key for seen in self.journal), limits=LIMITS, jitter=lambda: 0.0,
        )  # fmt: skip
        self.engine.resume()

    def release(
        self, version: str, health: str = "exit 0", component: str = "till-app", options: Options = DEFAULT_OPTIONS
    ) -> None:
        app = self.folder / f"{component}-{version}"
        (app / "bin").mkdir(parents=True)
        (app / "bin" / "health").write_text(f"#!/bin/sh\n{health}\n")
        (app / "bin" / "health").chmod(0o755)
        (app / "version").write_text(version)
        self.repository.add_release(component, version, app, now=NOW, options=options)
        self.repository.publish(NOW)

    def update(self, version: str) -> str:
        assert self.engine.request(Deployment(f"d-{version}-{len(self.journal)}", "1", (Wanted("till-app", version),)))
        self.run()
        return self.journal[-1].state

    def run(self) -> None:
        while (wait_s := self.engine.step()) is not None:
            time.sleep(min(wait_s, 0.05))

    def bundle(self, version: str) -> Path:
        out = self.folder / f"{version}.bundle"
        stick.bundle(self.repository, "till-app", version, out, NOW)
        return out

    def insert(self, bundle: Path, version: str) -> None:
        wanted = (Wanted("till-app", version),)
        name = f"stick-{version}-{len(self.journal)}"
        assert self.engine.request(Deployment(name, "", wanted, person=True, bundle=str(bundle)))

    def run_to(self, state: str) -> None:
        while self.engine.status()["deployment"]["step"] != state:
            self.engine.step()

    @property
    def runs(self) -> str:
        return (self.state_dir / "releases" / "till-app" / "current" / "version").read_text()

    @property
    def left(self) -> list[str]:
        """What lies in the releases folder, and what is left of downloads."""
        return sorted(path.name for name in ("releases/till-app", "downloads") for path in (self.state_dir / name).iterdir())


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    made = Till(tmp_path)
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


@pytest.mark.slow
def test_install_update_roll_back_refuse(till: Till) -> None:
    till.release("1.0")
    assert till.update("1.0") == "committed"
    assert till.runs == "1.0"
    till.release("1.1")
    assert till.update("1.1") == "committed"
    assert till.runs == "1.1"
    assert till.left == ["1.0", "1.1", "current"]
    till.release("1.2", "echo no database; exit 1")
    assert till.update("1.2") == "rolled_back"
    assert "no database" in till.journal[-1].reason
    assert till.runs == "1.1"
    assert till.update("1.0") == "refused"
    assert till.journal[-1].code == "downgrade"
    assert till.update("1.1") == "committed"
    assert till.update("9.9") == "refused"
    assert till.journal[-1].code == "unknown_target"
    assert till.left == ["1.0", "1.1", "current"]
    assert till.engine.status()["components"]["till-app"] == {"version": "1.1", "previous": "1.0", "state": "refused"}


@pytest.mark.slow
def test_forged_and_unreachable(till: Till) -> None:
    till.release("1.0")
    assert till.update("1.0") == "committed"
    till.release("1.1")
    archive = next((till.repository.folder / "targets").glob("*.till-app-1.1.tar.gz"))
    good = archive.read_bytes()
    archive.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert till.update("1.1") == "refused"
    assert till.journal[-1].code == "bad_hash"
    archive.write_bytes(good)
    till.settings = replace(till.settings, metadata_url="http://127.0.0.1:9/metadata")
    till.start()
    assert till.update("1.1") == "failed"
    assert till.runs == "1.0"
    till.settings = replace(till.settings, metadata_url=till.settings.targets_url.replace("targets", "metadata"))
    till.start()
    assert till.update("1.1") == "committed"


def test_wrong_handler_missing_root_and_bad_names(till: Till) -> None:
    till.release("1.0")
    assert till.update("../1.0") == "refused"
    assert till.journal[-1].code == "bad_name"
    till.settings = replace(till.settings, trusted_root=till.folder / "nothing.json")
    till.start()
    assert till.update("1.0") == "failed"
    assert till.journal[-1].code == "no_root"


@pytest.mark.slow
def test_a_worker_killed_in_every_step_is_a_failed_update_and_the_next_one_works(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.release("1.0")
    for version, verb in (("a", "verify"), ("b", "fetch"), ("c", "stage")):
        with monkeypatch.context() as patch:
            command = (
                "/bin/sh",
                "-c",
                f'test "$0" = {verb} && kill -9 $$; exec {sys.executable} -P -m firmware.worker "$0"',
            )
            patch.setattr(till.effects._child, "_command", command)
            assert till.engine.request(Deployment(version, "", (Wanted("till-app", "1.0"),)))
            till.run()
        assert (till.journal[-1].state, till.journal[-1].code) == ("failed", "worker_failed")
        assert till.engine.status()["components"]["till-app"]["version"] is None
    assert till.update("1.0") == "committed"
    assert till.left == ["1.0", "current"]


@pytest.mark.slow
def test_a_clock_behind_the_last_signature_installs_nothing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.work.CLOCK_S", 0.0)
    till.release("1.0")
    for version, behind in (("1.0", timedelta(days=365)), ("1.1", timedelta(hours=2))):
        monkeypatch.setattr(till.effects, "_wall", lambda behind=behind: (NOW - behind).isoformat())
        assert till.engine.request(Deployment(version, "", (Wanted("till-app", version),)))
        for _ in range(4):
            till.engine.step()
        deployment = till.engine.status()["deployment"]
        assert deployment is not None
        assert (deployment["step"], deployment["waiting_for"]) == ("verifying", "clock")
        assert "the centre signed at 2026-03-01T12:00:00Z" in deployment["reason"]
        till.release("1.1") if version == "1.0" else None
        monkeypatch.setattr(till.effects, "_wall", NOW.isoformat)
        till.run()
        assert till.journal[-1].state == "committed"
    assert LastGoodTime(till.state_dir / "time.json").moment == NOW


def test_the_daemon_stays_light() -> None:
    code = (
        "import sys, firmware.engine, firmware.effects, firmware.handlers.app_slots\n"
        "heavy = {'tuf', 'securesystemslib', 'cryptography', 'requests', 'urllib3', 'tarfile'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.stderr.strip() == ""
    assert done.returncode == 0


@pytest.mark.slow
def test_from_a_bundle_with_no_network(till: Till) -> None:
    till.release("1.0")
    path = till.bundle("1.0")
    till.repository.folder.rename(till.folder / "away")
    till.insert(path, "1.0")
    till.run()
    assert (till.journal[-1].state, till.journal[-1].stick, till.runs) == ("committed", True, "1.0")
    assert till.left == ["1.0", "current"]


@pytest.mark.slow
@pytest.mark.parametrize(("step", "restart"), [("verifying", False), ("fetching", False), ("fetching", True)])
def test_a_stick_that_is_gone_ends_the_update_at_once_and_harms_nothing(till: Till, step: str, restart: bool) -> None:
    """No week of trying again, as with a network: whoever pulled it out knows."""
    till.release("1.0")
    assert till.update("1.0") == "committed"
    till.release("1.1")
    path = till.bundle("1.1")
    till.insert(path, "1.1")
    till.run_to(step)
    path.rename(till.folder / "in a pocket")
    if restart:
        till.start()
    till.run()
    last = till.journal[-1]
    assert (last.state, last.code, till.runs) == ("failed", "bundle_unreadable", "1.0")
    assert till.left == ["1.0", "current"]
    (till.folder / "in a pocket").rename(path)
    till.insert(path, "1.1")
    till.run()
    assert (till.journal[-1].state, till.runs) == ("committed", "1.1")


@pytest.mark.slow
def test_a_stick_stays_in_and_the_power_is_cut(till: Till) -> None:
    till.release("1.0")
    till.insert(till.bundle("1.0"), "1.0")
    till.run_to("fetching")
    till.start()
    till.run()
    assert (till.journal[-1].state, till.runs) == ("committed", "1.0")


@pytest.mark.slow
def test_several_components_need_a_signed_set_and_follow_its_order(till: Till) -> None:
    till.release("1.0")
    till.release("4", component="fonts")
    items = (Wanted("till-app", "1.0"), Wanted("fonts", "4"))
    assert till.engine.request(Deployment("d1", "1", items))
    till.run()
    assert (till.journal[-1].state, till.journal[-1].code) == ("refused", "no_set")
    stick.add_set(till.repository, "shop", "1", [("fonts", "4"), ("till-app", "1.0")], NOW)
    till.repository.publish(NOW)
    assert till.engine.request(Deployment("d2", "2", items))
    till.run()
    assert (till.journal[-1].state, till.journal[-1].component) == ("committed", "fonts+till-app")
    assert (till.state_dir / "releases" / "fonts" / "current" / "version").read_text() == "4"


def test_a_release_packed_with_zstd(till: Till) -> None:
    till.release("1.0")
    till.release("1.1", options=Options(archive=".tar.zst"))
    assert till.update("1.0") == "committed"
    assert till.update("1.1") == "committed"
    assert till.runs == "1.1"
    assert [path.name.partition(".")[2] for path in (till.folder / "centre" / "targets").glob("*.tar.zst")] == [
        "till-app-1.1.tar.zst"
    ]
