"""What a sweep is played on: a repository on loopback, state folders to begin with, and the processes that run them."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from simulator.center.server import Center
from tests.crash import enrolling, itself
from tests.crash.publisher import HOUSE, VALIDATE, Publisher, served
from tests.crash.scenarios import APP, HANDLERS, NEXT, PRICES, Scenario
from tests.crash.shim import Control, build

DRIVERS = 2
STICK = "shop.bundle"
HOLD = "2099-01-01T00:00:00Z"
Job = Mapping[str, Any]


class Driver:
    """One ``tests.crash.driver`` process."""

    def __init__(self, library: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.crash.driver"],
            cwd="/",
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(HOUSE), "LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job: Job) -> dict[str, Any]:
        """One run; ``code`` is its exit code, below 0 the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass
class Stage:
    """Made once for a whole sweep, used by several threads. ``early`` and ``late``: the repository before and after the
    rotation of its root and of all its keys."""

    folder: Path
    early: Mapping[str, str]
    late: Mapping[str, str]
    library: Path
    centre: enrolling.Centre
    drivers: "Queue[Driver]" = field(default_factory=Queue)
    trees: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    """(component, version) → what was released under it"""
    calm: dict[str, Any] = field(default_factory=dict)
    """scenario → what it is like when nobody disturbs it, once that is known"""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fresh(self, template: str | None) -> "Place":
        """A place of its own, beginning with that root folder."""
        with self._lock:
            number = next(self._numbers)
        place = Place(self, self.folder / "runs" / str(number))
        place.begin(self.folder / "templates" / template if template else None)
        return place

    def run(self, job: Job) -> dict[str, Any]:
        driver = self.drivers.get()
        try:
            return driver.run(job)
        finally:
            self.drivers.put(driver)


@dataclass
class Place:
    """One root folder of a terminal, with what belongs to its runs beside it."""

    stage: Stage
    folder: Path
    center: Center | None = None
    told: bool = False
    """whether another centre than this one has acknowledged the end already"""
    token: str = ""
    """to come in with"""

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def state(self) -> Path:
        return self.root / "var" / "lib" / "posagent"

    @property
    def media(self) -> Path:
        """Where the stick is."""
        return self.root / "media"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def begin(self, template: Path | None) -> None:
        self.folder.mkdir(parents=True)
        if template is not None:
            shutil.copytree(template, self.root, symlinks=True)
        else:
            self.state.mkdir(parents=True)

    def set_up(self, scenario: Scenario) -> None:
        """What a person or the centre has brought before anything runs."""
        if scenario.enrols:
            enrolling.set_up(self, scenario)
            return
        if scenario.by == "install":
            self.media.mkdir(exist_ok=True)
            shutil.copy(self.stage.folder / STICK, self.media / STICK)
        if scenario.by == "centre":
            self.center = Center(self.folder).start()
            self.center.settings.urgent_sleep = "00:00:01"  # what could not be taken now is offered again soon
            store = self.center.store
            ((name, version),) = scenario.new.items()
            module = store.create_module(name, version, "application")
            deployed = store.create_set(name, version, "app", [module.id])
            kind = "downloadonly" if scenario.download_only else "forced"
            assert store.assign(deployed, store.create_target("pos-1"), kind) is not None
        self.configure(scenario)

    def configure(self, scenario: Scenario) -> None:
        """The configuration file, for runs that read one."""
        if scenario.by in ("engine", "stick", "itself"):
            return
        etc = self.root / "etc" / "posagent"
        etc.mkdir(parents=True, exist_ok=True)
        late, text = self.stage.late, '[host]\nid = "pos-1"\n'
        if self.center is not None:
            text += f'[center]\nddi = "{self.center.ddi}"\ngateway_token = "{self.center.gateway_token}"\n'
        text += f'[update]\nmetadata = "{late["metadata"]}"\ntargets = "{late["targets"]}"\nprobation_s = 0.0\nidle_s = 0.0\n'
        text += f'trusted_root = "{self.stage.folder / "root.json"}"\n'
        text += f'components = {{ {APP} = {{ handler = "app_slots", health_check = ["bin/health"] }} }}\n'
        (etc / "agent.toml").write_text(text)

    def control(self, mode: str, **how: Any) -> Control:
        return Control.make(self.folder / "control", self.stage.library, self.root, mode, **how)

    def strike(self, scenario: Scenario, control: Control | None = None, **more: Any) -> dict[str, Any]:
        """The run in which the blow falls: what the scenario asks for."""
        return self._run(scenario, scenario.early, control, **more)

    def resume(self, scenario: Scenario) -> dict[str, Any]:
        """The same again, afterwards."""
        return self._run(scenario, early=False)

    def enrol(self) -> dict[str, Any]:
        """The daemon's enrolment, as at any start."""
        return self._send({"do": "enrol", "ahead_s": 0.0}, None)

    def _run(self, scenario: Scenario, early: bool, control: Control | None = None, **more: Any) -> dict[str, Any]:
        if scenario.enrols:
            return self._send(enrolling.job(self, scenario), control, **more)
        match scenario.by:
            case "centre":
                what: dict[str, Any] = {"do": "centre", "deployment": scenario.deployment}
            case "install":
                what = {"do": "command", "words": ["update", "install", str(self.media / STICK)]}
            case "hold":
                what = {"do": "command", "words": ["update", "hold", HOLD]}
            case "release":
                what = {"do": "command", "words": ["update", "release"]}
            case _:
                return self.deploy(scenario.deployments(str(self.stage.folder / STICK)), scenario, early, control, **more)
        return self._send(what, control, **more)

    def deploy(
        self,
        deployments: Sequence[Mapping[str, Any]],
        scenario: Scenario,
        early: bool = False,
        control: Control | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Start the engine, go on with what lies there, and take the deployments."""
        center = self.stage.early if early else self.stage.late
        settings: dict[str, list[Any]] = {APP: [HANDLERS[APP], ["bin/health"]], PRICES: [HANDLERS[PRICES], [], list(VALIDATE)]}
        settings[itself.OWN] = [HANDLERS[itself.OWN]]
        what = {
            "do": "deploy",
            "metadata": center["metadata"],
            "targets": center["targets"],
            "trusted_root": str(self.stage.folder / "root.json"),
            "components": {name: settings[name] for name in scenario.components},
            "deployments": list(deployments),
        }
        return self._live(what, control, **more) if scenario.by == "itself" else self._send(what, control, **more)

    def _live(self, what: Job, control: Control | None, **more: Any) -> dict[str, Any]:
        """One life of the daemon after the other, until one ends otherwise than to be started anew."""
        machine = itself.Machine(self.folder / "machine", self.root)
        machine.boot()
        for _ in range(itself.LIVES):
            release = machine.start()
            if release == itself.DEAD:
                continue
            done = self._send({**what, "release": release}, control, **more)
            if done["code"] != itself.AGAIN:
                return done
        raise AssertionError(f"no end after {itself.LIVES} starts: {self.said()}")

    def _send(self, what: Job, control: Control | None, **more: Any) -> dict[str, Any]:
        how = {"root": str(self.root), "control": str(control.path) if control else "", "log": str(self.log)}
        return self.stage.run({**what, **how, **more})

    def command(self, *words: str) -> dict[str, Any]:
        """``posagent`` with these words."""
        return self._send({"do": "command", "words": list(words)}, None)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""

    def remove(self) -> None:
        if self.center is not None:
            self.center.stop()
        shutil.rmtree(self.folder)


def _template(stage: Stage, name: str, before: str | None, *, download_only: bool = False, **versions: str) -> None:
    place = stage.fresh(before)
    new = {word.replace("_", "-"): version for word, version in versions.items()}
    ends = "downloaded" if download_only else "committed"
    made = Scenario(f"before-{name}", "", {}, new, ends, early=True, download_only=download_only)
    done = place.strike(made)
    assert done["code"] == 0, place.said()
    shutil.copytree(place.root, stage.folder / "templates" / name, symlinks=True)
    place.remove()


def _itself(stage: Stage) -> None:
    place = stage.fresh("empty")
    itself.installed(place.root, stage.trees[itself.OWN, itself.FIRST])
    shutil.copytree(place.root, stage.folder / "templates" / "itself", symlinks=True)
    place.remove()


def _held(stage: Stage) -> None:
    hold = Scenario("before-held", "one", {}, {APP: "1.0"}, "held", by="hold")
    place = stage.fresh(hold.template)
    place.set_up(hold)
    assert place.strike(hold)["code"] == 0, place.said()
    shutil.copytree(place.root, stage.folder / "templates" / "held", symlinks=True)
    place.remove()


def _enrolled(stage: Stage) -> None:
    place, first = stage.fresh("empty"), Scenario("before-enrolled", "empty", {}, {}, "enrolled", by="enrol")
    place.set_up(first)
    assert place.strike(first)["code"] == 0, place.said()
    stage.centre.known(place.token).certificate_s = 9 * enrolling.FIRST_S  # what renewals get
    shutil.copytree(place.root, stage.folder / "templates" / "enrolled", symlinks=True)
    place.remove()


def _publish_all(publisher: Publisher) -> None:
    """Everything that is ever asked for, but the next versions."""
    publisher.app("1.0")
    publisher.app("1.1")
    publisher.app("1.2", "echo no database; exit 1")
    publisher.prices("1")
    publisher.prices("1.9", "}")
    publisher.prices("2")
    for version in (itself.FIRST, "2.0", itself.WORSE, itself.DEAD):
        publisher.itself(version)
    for pair in (("1.0", "1"), ("1.1", "2"), ("1.2", "2")):
        publisher.belong_together(*pair)
    publisher.publish()


def _move_on(publisher: Publisher) -> None:
    """New versions, a bundle, and four newer roots: no online key is the one that the terminals know."""
    publisher.app(NEXT[APP])
    publisher.prices(NEXT[PRICES])
    publisher.itself(NEXT[itself.OWN])
    publisher.belong_together(NEXT[APP], NEXT[PRICES])
    publisher.publish()
    for role in ("timestamp", "snapshot", "targets", "root"):
        publisher.rotate(role)
    publisher.bundle("1.1", publisher.repository.parent.parent / STICK)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Everything that a sweep needs, below ``folder``."""
    library = build(folder)
    publisher = Publisher(folder)
    _publish_all(publisher)
    shutil.copytree(publisher.repository, folder / "early" / "repository")
    with contextlib.ExitStack() as running:
        early, late = (running.enter_context(served(folder / name)) for name in ("early", "late"))
        centre = enrolling.Centre(running.enter_context(Center(folder / "centre", mutual=True)))
        stage = Stage(folder, early, late, library, centre, trees=publisher.trees)
        for _ in range(DRIVERS):
            driver = Driver(library)
            running.callback(driver.stop)
            stage.drivers.put(driver)
        shutil.copytree(stage.fresh(None).root, folder / "templates" / "empty")
        _template(stage, "one", None, till_app="1.0")
        _template(stage, "two", "one", till_app="1.1")
        _template(stage, "ahead", "one", download_only=True, till_app="1.1")
        _template(stage, "prices", None, prices="1")
        _template(stage, "pair", None, till_app="1.0", prices="1")
        _held(stage)
        _itself(stage)
        _enrolled(stage)
        _move_on(publisher)
        yield stage


@contextlib.contextmanager
def workshop(fallback: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a sweep makes a hundred thousand fsyncs, and none of them is measured."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield fallback
        return
    folder = Path(tempfile.mkdtemp(prefix="posagent-crash-", dir=shared))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # interrupted, a run may still be writing there
