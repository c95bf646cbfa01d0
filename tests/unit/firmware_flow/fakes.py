"""A machine in memory for the engine: what is installed, what fails, and a list of everything that was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware.confirm import Outcome
from firmware.engine import Engine, GateAnswer, Limits, UpdateRecord
from firmware.errors import InstallFailed, ReleaseRefused
from firmware.interfaces import Own
from firmware.probation import ProbationLimits
from firmware.state import Component, Deployment, StateFile, Wanted

LIMITS = Limits(
    retry_first_s=1.0,
    retry_max_s=8.0,
    retry_count=4,
    local_tries=3,
    probation=ProbationLimits(min_s=2.0, max_s=20.0, silent_s=1.5, health_tries=2),
)


class Killed(BaseException):
    """The power is cut here: passes every ``except Exception``."""


class FakeEffects:
    """The world. ``trouble[name]`` is a list of what the next calls of that effect raise (None: nothing)."""

    def __init__(self, installed: Mapping[str, str | None]) -> None:
        self.pointer = dict(installed)
        self.staged: set[tuple[str, str]] = {(name, version) for name, version in installed.items() if version}
        self.calls: list[str] = []
        self.trouble: dict[str, list[BaseException | None]] = {}
        self.healthy: dict[tuple[str, str | None], bool] = {}
        self.devices: dict[str, str] = {"pos-1/printer": "ok"}
        self.gates: list[GateAnswer] = []
        self.clocks: list[str] = []
        self.order: list[str] = []
        self.floor: dict[str, int] = {}
        self.hook: Callable[[str], None] = lambda _name: None
        self.stopped = self.full = False
        self.own: Own | None = None

    def _call(self, name: str, detail: str = "") -> None:
        self.calls.append(f"{name} {detail}".strip())
        self.hook(name)
        queue = self.trouble.get(name)
        error = queue.pop(0) if queue else None
        if error is not None:
            raise error

    def components(self) -> Sequence[str]:
        return list(self.pointer)

    def current(self, component: str) -> str | None:
        if component not in self.pointer:
            raise ReleaseRefused(f"no component {component}", code="unknown_component")
        return self.pointer[component]

    def clock(self) -> str:
        return self.clocks.pop(0) if self.clocks else ""

    def learn(self, item: Wanted, bundle: str = "") -> None:
        self._call("learn", bundle)

    def arrange(self, items: Sequence[Wanted]) -> Sequence[Wanted]:
        self._call("arrange")
        return sorted(items, key=lambda item: self.order.index(item.component)) if self.order else items

    def verify(self, item: Wanted, installed: Component, bundle: str = "") -> Mapping[str, Any]:
        self._call("verify", f"{item.component} {bundle}".strip())
        counter = int(item.version.replace(".", ""))
        return {
            "release_counter": counter,
            "health_check": ["bin/health"],
            "archive": {"length": 100, "sha256": f"of {item.version}"},
        }

    def recall(self, item: Wanted) -> Mapping[str, Any]:
        self._call("recall", item.component)
        if (item.component, item.version) not in self.staged:
            raise ReleaseRefused(f"{item.version} is not kept", code="not_kept")
        counter = int(item.version.replace(".", ""))
        return {"release_counter": counter, "health_check": ["bin/health"], "unpacked": f"of {item.version}"}

    def fetch(self, item: Wanted, facts: Mapping[str, Any], progress: Callable[[int, int], None]) -> None:
        progress(10, 100)
        self._call("fetch", item.component)
        progress(100, 100)

    def stage(self, item: Wanted, facts: Mapping[str, Any]) -> None:
        self._call("stage", item.component)
        self.staged.add((item.component, item.version))

    def gate(self, deployment: Deployment) -> GateAnswer:
        self._call("gate")
        return self.gates.pop(0) if self.gates else GateAnswer(True)

    def health(self, component: str, argv: Sequence[str]) -> Outcome:
        self._call("health", f"{component} {self.pointer[component]}")
        good = self.healthy.get((component, self.pointer[component]), True)
        return Outcome(good, "healthy" if good else "exit", "" if good else "exit code 1")

    def device_health(self) -> Mapping[str, str]:
        self._call("device_health")
        return dict(self.devices)

    def switch(self, component: str, version: str | None) -> None:
        self._call("switch", f"{component} {version}")
        if version is not None and (component, version) not in self.staged:
            raise InstallFailed(f"{component} {version} is not there")
        self.pointer[component] = version
        self.hook("switched")

    def commit(self, item: Wanted, facts: Mapping[str, Any]) -> None:
        self._call("commit", item.component)
        self.floor[item.component] = max(self.floor.get(item.component, 0), facts["release_counter"])

    def tidy(self, items: Sequence[Wanted], keep: Mapping[str, frozenset[str]], *, downloads: bool = True) -> None:
        self._call("tidy")
        for name, versions in keep.items():
            self.staged = {(n, v) for n, v in self.staged if n != name or v in versions or v == self.pointer[n]}

    def short(self) -> bool:
        return self.full

    def stop(self) -> None:
        self.stopped = True

    def rearm(self) -> None:
        self.stopped = False


@dataclass
class Bench:
    """An engine on a real state file, its fake world, a journal and a clock that only moves when the engine waits."""

    folder: Path
    effects: FakeEffects
    limits: Limits = LIMITS
    clock: float = 100.0
    journal: list[UpdateRecord] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    record_trouble: list[BaseException | None] = field(default_factory=list)
    store_trouble: list[BaseException | None] = field(default_factory=list)
    hook: Callable[[str], None] = lambda _name: None

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Build the engine anew from the disk, as a restart does."""
        self.file = StateFile(self.folder / "deployment.json")
        store = self.file._file.store

        def watched(data: Mapping[str, Any]) -> None:
            error = self.store_trouble.pop(0) if self.store_trouble else None
            if error is not None:
                raise error
            self.hook("store")
            store(data)
            deployment = data["deployment"]
            if deployment and self.states[-1:] != [deployment["state"]]:
                self.states.append(deployment["state"])
            self.hook("stored")

        self.file._file.store = watched  # type: ignore[method-assign]
        self.effects.hook = lambda name: self.hook(name)
        self.engine = Engine(
            self.file, self.effects, self.record, lambda: self.clock,
            recorded=lambda key: any(seen.key == key for seen in self.journal), limits=self.limits, jitter=lambda: 0.5,
        )  # fmt: skip
        self.engine.resume()

    def record(self, step: UpdateRecord) -> None:
        error = self.record_trouble.pop(0) if self.record_trouble else None
        if error is not None:
            raise error
        self.hook("record")
        self.journal.append(step)
        self.hook("recorded")

    def run(self, max_steps: int = 400) -> None:
        """Step until there is nothing to do; waiting moves the clock."""
        for _ in range(max_steps):
            wait_s = self.engine.step()
            if wait_s is None:
                return
            self.clock += wait_s
        raise AssertionError(f"not done after {max_steps} steps: {self.engine.status()}")

    @property
    def finals(self) -> list[str]:
        return [step.state for step in self.journal if step.final]


def wanted(*pairs: tuple[str, str], id_: str = "d1", action: str = "7") -> Deployment:
    items = tuple(Wanted(name, version) for name, version in (pairs or (("till-app", "1.1"),)))
    return Deployment(id_, action, items)


def updated(folder: Path) -> Bench:
    """A till on which 1.1 was installed over 1.0."""
    bench = Bench(folder, FakeEffects({"till-app": "1.0"}))
    assert bench.engine.request(wanted(id_="d0"))
    bench.run()
    return bench


def back(version: str = "1.0", component: str = "till-app") -> Deployment:
    """What `update rollback` asks for."""
    return Deployment("back", "", (Wanted(component, version),), person=True, back=True)
