"""posagent as a component of itself: its links, and what each process does that finds an update of it under way."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.starts import GOOD_S
from firmware import worker
from firmware.child import Child, Patience
from firmware.confirm import Outcome
from firmware.effects import ComponentSettings, MachineEffects, Settings
from firmware.errors import InstallFailed, ReleaseRefused
from firmware.flow import Event
from firmware.handlers.agent_self import PYTHON, AgentSelf
from firmware.interfaces import GateAnswer
from firmware.inventory import PACKAGED, Listing, Pace, compare
from firmware.probation import LIFELINE, Probation, ProbationLimits
from firmware.state import Deployment, Wanted
from tests.unit.firmware_flow.fakes import LIMITS, Bench, FakeEffects

NAME = "posagent"
CENTER = LIFELINE + "center"
TOLD = {"version": "2.0", "python": "{}.{}".format(*sys.version_info)}


# -- the links ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What the package has made: 1.0 runs."""
    home = tmp_path / "opt"
    for version in ("1.0", "2.0", "3.0"):
        release(home / "releases" / version)
    (home / "current").symlink_to("releases/1.0")
    return home


def release(folder: Path, told: Mapping[str, str] = TOLD) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/posagent").write_text("#!/bin/sh\n")
    (folder / "bin/posagent").chmod(0o755)
    (folder / "release.json").write_text(json.dumps(told))
    return folder


def links(home: Path) -> tuple[str | None, str | None]:
    return tuple(os.readlink(home / name) if (home / name).is_symlink() else None for name in ("current", "previous"))  # type: ignore[return-value]


def test_both_links_move_and_what_ran_is_the_way_back(home: Path) -> None:
    handler = AgentSelf(home / "releases", "1.0")
    assert handler.current() == "1.0"
    handler.switch("2.0")
    handler.switch("2.0")
    assert links(home) == ("releases/2.0", "releases/1.0")
    assert sorted(os.listdir(home)) == ["current", "previous", "releases"]
    AgentSelf(home / "releases", "2.0").switch("1.0")
    assert links(home) == ("releases/1.0", "releases/2.0")


@pytest.mark.parametrize("running", ["1.0", "2.0"])
def test_at_every_moment_of_a_switch_one_link_names_the_release_that_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, running: str
) -> None:
    """1.0 starts; 2.0 is what may not. There and back, by the new process or, after the launcher's choice, by the old."""
    seen: list[tuple[str | None, str | None]] = []
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        done = real(self, target)
        seen.append(links(home))
        return done

    monkeypatch.setattr(Path, "replace", watched)
    AgentSelf(home / "releases", "1.0").switch("2.0")
    AgentSelf(home / "releases", running).switch("1.0")
    assert len(seen) == 4
    assert all("releases/1.0" in pair for pair in seen), seen


def test_the_way_back_is_what_runs_and_not_what_the_launcher_would_not_run(home: Path) -> None:
    (home / "current").unlink()
    (home / "current").symlink_to("releases/2.0")  # 1.0 runs, since 2.0 did not start
    AgentSelf(home / "releases", "1.0").switch("3.0")
    assert links(home) == ("releases/3.0", "releases/1.0")


def test_tidying_leaves_no_link_to_what_went(home: Path) -> None:
    handler = AgentSelf(home / "releases", "1.0")
    handler.switch("2.0")
    AgentSelf(home / "releases", "2.0").switch("1.0")
    handler.prune({"1.0"})
    assert links(home) == ("releases/1.0", None)
    assert os.listdir(home / "releases") == ["1.0"]


def test_tidying_points_back_to_what_is_kept(home: Path) -> None:
    handler = AgentSelf(home / "releases", "1.0")
    handler.switch("2.0")
    handler.prune({"2.0", "1.0"})
    assert links(home) == ("releases/2.0", "releases/1.0")
    release(home / "releases/3.0")
    AgentSelf(home / "releases", "2.0").switch("3.0")
    AgentSelf(home / "releases", "3.0").switch("2.0")
    AgentSelf(home / "releases", "2.0").prune({"2.0", "1.0"})
    assert links(home) == ("releases/2.0", "releases/1.0")


@pytest.mark.parametrize("target", ["1.0", "../elsewhere", "releases/../1.0", "releases/", "releases/a/b", "/opt"])
def test_a_pointer_that_leads_elsewhere_is_damaged(home: Path, target: str) -> None:
    (home / "current").unlink()
    (home / "current").symlink_to(target)
    with pytest.raises(InstallFailed) as caught:
        AgentSelf(home / "releases").current()
    assert caught.value.code == "pointer_damaged"


def test_a_damaged_way_back_stops_no_switch(home: Path) -> None:
    (home / "previous").symlink_to("/elsewhere")
    AgentSelf(home / "releases", "1.0").switch("2.0")
    assert links(home) == ("releases/2.0", "releases/1.0")


def test_there_is_always_a_release(home: Path) -> None:
    for version in (None, "9.9"):
        with pytest.raises(InstallFailed) as caught:
            AgentSelf(home / "releases", "1.0").switch(version)
        assert caught.value.code == "not_staged"
    assert links(home) == ("releases/1.0", None)


# -- what is a release -------------------------------------------------------------------------------------------------


def test_the_link_to_python_is_made_here_and_belongs_to_the_list_of_files(tmp_path: Path) -> None:
    folder = release(tmp_path / "staged")
    handler = AgentSelf(tmp_path / "releases")
    handler.check(folder, ())
    assert handler.links == {"bin/python": PYTHON}
    assert os.readlink(folder / "bin/python") == PYTHON
    listing = Listing(tmp_path / "inventory/x", {"release_counter": 1, "handler": "agent_self", "health_check": []})
    listing.folder("bin", 0o755)
    listing.link("bin/python", PYTHON)
    listing.finish()
    (folder / "release.json").unlink()
    (folder / "bin/posagent").unlink()
    (folder / "bin").chmod(0o755)
    assert not compare(tmp_path / "inventory/x", folder, Pace(0)).found
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/tmp/evil")
    assert compare(tmp_path / "inventory/x", folder, Pace(0)).examples == ["changed: bin/python"]


def test_the_release_that_the_package_brought_is_held_against_its_own_list(home: Path, tmp_path: Path) -> None:
    """It was no release that was unpacked here, so nobody had a list, and the daily look came to nothing."""
    settings = Settings(
        state_dir=tmp_path / "state",
        metadata_url="",
        targets_url="",
        trusted_root=tmp_path / "root.json",
        components={NAME: ComponentSettings("agent_self")},
        host={},
        program_home=home,
    )
    effects = MachineEffects(settings, gate=lambda _: GateAnswer(open=True), device_health=dict, wall=str)
    brought = home / "releases/1.0"
    with pytest.raises(InstallFailed) as caught:
        effects.inspect(Wanted(NAME, "1.0"), Worker())
    assert caught.value.code == "no_inventory"
    effects._child = Worker()
    assert effects.recall(Wanted(NAME, "1.0"))["release_counter"] == 0  # of an older package: nothing speaks against it
    listing = Listing(brought / PACKAGED, {"release_counter": 0, "handler": "agent_self", "health_check": []})
    listing.folder("bin", brought.joinpath("bin").stat().st_mode & 0o777)
    for name in ("bin/posagent", "release.json"):
        data, mode = (brought / name).read_bytes(), (brought / name).stat().st_mode & 0o777
        listing.file(name, mode, len(data), hashlib.sha256(data).hexdigest())
    listing.finish()
    assert effects.inspect(Wanted(NAME, "1.0"), Worker())["drift"] is False
    (brought / "release.json").write_text("{}")
    (brought / "bin/more").touch()
    seen = effects.inspect(Wanted(NAME, "1.0"), Worker())
    assert sorted(seen["examples"]) == ["changed: release.json", "extra: bin/more"]
    with pytest.raises(ReleaseRefused) as refused:
        effects.recall(Wanted(NAME, "1.0"))
    assert refused.value.code == "drift"


class Worker(Child):
    """Its answer without its process."""

    def run(self, verb: str, job: Mapping[str, Any], patience: Patience, progress: Callable[[int, int], None]) -> dict[str, Any]:
        return worker.VERBS[verb](job, progress)


def test_the_new_release_runs_by_the_python_of_the_one_that_runs(home: Path, tmp_path: Path) -> None:
    (home / "releases/1.0/bin/python").symlink_to("/usr/local/bin/python3")
    folder = release(tmp_path / "staged")
    AgentSelf(home / "releases", "1.0").check(folder, ())
    assert os.readlink(folder / "bin/python") == "/usr/local/bin/python3"


@pytest.mark.parametrize(
    ("told", "code"),
    [({}, "not_an_agent"), ({"version": 3}, "not_an_agent"), ({**TOLD, "python": "2.7"}, "wrong_python")],
)
def test_what_is_no_release_of_posagent_is_refused(tmp_path: Path, told: Mapping[str, str], code: str) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        AgentSelf(tmp_path).check(release(tmp_path / "staged", told), ())
    assert caught.value.code == code


def test_a_release_without_a_program_is_refused(tmp_path: Path) -> None:
    folder = release(tmp_path / "staged")
    (folder / "bin/posagent").chmod(0o644)
    with pytest.raises(ReleaseRefused) as caught:
        AgentSelf(tmp_path).check(folder, ())
    assert caught.value.code == "not_an_agent"


# -- the table, process by process -------------------------------------------------------------------------------------


@dataclass
class FakeOwn:
    """One process of posagent."""

    release: str = "1.0"
    passed: str = ""
    daemon: bool = True
    fit: bool = True
    well: bool = True
    center: str = "ok"
    component: str = NAME
    restarts: int = 0
    rehearsed: list[str] = field(default_factory=list)

    def running(self) -> str:
        return self.release

    def passed_over(self) -> str:
        return self.passed

    def serves(self) -> bool:
        return self.daemon

    def rehearse(self, version: str) -> Outcome:
        self.rehearsed.append(version)
        return Outcome(self.fit, "healthy" if self.fit else "exit", "configuration: it cannot be read")

    def health(self) -> Outcome:
        return Outcome(self.well, "healthy" if self.well else "limits", "descriptors: 300 of 256")

    def lifelines(self) -> Mapping[str, str]:
        return {CENTER: self.center}

    def restart(self) -> None:
        self.restarts += 1


class OwnEffects(FakeEffects):
    """A machine with posagent as a component: its health is that of the process."""

    def health(self, component: str, argv: object) -> Outcome:
        assert self.own is not None
        return self.own.health()


@dataclass
class Till:
    """Starts one process after the other on one state file, as the launcher would."""

    folder: Path
    effects: OwnEffects = field(default_factory=lambda: OwnEffects({NAME: "1.0"}))
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        self.process()

    def process(self, release: str = "1.0", **how: object) -> FakeOwn:
        """A new process; the launcher passed over what the pointer names, where that is another release."""
        pointed = self.effects.pointer[NAME] or ""
        own = FakeOwn(release, passed=pointed if pointed != release else "")
        self.effects.own = replace(own, **how)  # type: ignore[arg-type]
        if hasattr(self, "bench"):
            self.bench.start()
        else:
            limits = replace(LIMITS, probation=replace(LIMITS.probation, own_min_s=5.0))
            self.bench = Bench(self.folder, self.effects, limits)
        return self.own

    @property
    def own(self) -> FakeOwn:
        assert isinstance(self.effects.own, FakeOwn)
        return self.effects.own

    def run(self) -> dict[str, str] | None:
        """Until it ends, or asks to be started anew; how the deployment ended."""
        for _ in range(200):
            wait_s = self.bench.engine.step()
            if self.own.restarts or wait_s is None:
                break
            self.bench.clock += wait_s
        return next(iter(self.bench.engine.history()[-1:]), None)

    def switched(self, version: str = "2.0") -> None:
        assert self.bench.engine.request(Deployment("d1", "7", (Wanted(NAME, version),)))
        assert self.run() is None
        assert (self.own.restarts, self.effects.pointer[NAME]) == (1, version)


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path)


def test_the_new_process_commits_and_never_the_old_one(till: Till) -> None:
    till.switched()
    assert till.own.rehearsed == ["2.0", "2.0"], "after unpacking, and just before the switch"
    assert till.bench.finals == []
    till.process("2.0")
    begun = till.bench.clock
    assert (till.run() or {})["state"] == "committed"
    assert till.bench.clock - begun >= 5.0, "as long as the launcher asks for"
    assert till.bench.finals == ["committed"]
    assert till.bench.engine.component(NAME).previous == "1.0"  # type: ignore[union-attr]


def test_what_the_launcher_would_not_run_goes_back(till: Till) -> None:
    till.switched()
    till.process("1.0")
    end = till.run() or {}
    assert (end["state"], end["code"]) == ("rolled_back", "not_alive")
    assert (till.effects.pointer[NAME], till.own.restarts) == ("1.0", 0)


def test_a_new_process_that_is_worse_goes_back_and_the_old_one_tells_it(till: Till) -> None:
    till.switched()
    till.process("2.0", well=False)
    assert till.run() is None
    assert (till.effects.pointer[NAME], till.own.restarts, till.bench.finals) == ("1.0", 1, [])
    till.process("1.0")
    end = till.run() or {}
    assert (end["state"], end["code"]) == ("rolled_back", "health_check_limits")


def test_where_the_old_one_does_not_start_the_new_one_stays_and_says_so(till: Till) -> None:
    till.switched()
    till.process("2.0", well=False)
    till.run()
    till.process("2.0")
    end = till.run() or {}
    assert (end["state"], end["code"], till.effects.pointer[NAME]) == ("failed", "rollback_failed", "2.0")
    assert "descriptors" in end["reason"]
    assert "1.0 does not start any more" in end["reason"]


def test_a_kill_at_the_switch_is_found_by_the_new_process(till: Till) -> None:
    class Cut(BaseException):
        pass

    def cut(name: str) -> None:
        if name == "switched":
            raise Cut

    till.bench.hook = cut
    with pytest.raises(Cut):
        till.switched()
    till.bench.hook = lambda _: None
    till.process("2.0")
    assert (till.run() or {})["state"] == "committed"


def test_a_release_that_says_no_is_refused_and_nothing_is_switched(till: Till) -> None:
    till.own.fit = False
    till.bench.engine.request(Deployment("d1", "7", (Wanted(NAME, "2.0"),)))
    end = till.run() or {}
    assert (end["state"], end["code"]) == ("refused", "self_test_failed")
    assert "configuration: it cannot be read" in end["reason"]
    assert not [call for call in till.effects.calls if call.startswith("switch")]


def test_a_release_that_says_no_just_before_the_switch_fails(till: Till) -> None:
    def changed(name: str) -> None:
        till.own.fit = till.own.fit and name != "gate"

    till.bench.hook = changed
    till.bench.engine.request(Deployment("d1", "7", (Wanted(NAME, "2.0"),)))
    end = till.run() or {}
    assert (end["state"], end["code"], till.effects.pointer[NAME]) == ("failed", "self_test_failed", "1.0")


def test_without_a_launcher_nothing_is_begun(till: Till) -> None:
    till.process("")
    till.bench.engine.request(Deployment("d1", "7", (Wanted(NAME, "2.0"),)))
    end = till.run() or {}
    assert (end["state"], end["code"]) == ("failed", "no_launcher")


@pytest.mark.parametrize("release", ["1.0", "2.0"])
def test_a_command_proves_nothing_and_leaves_it_to_the_service(till: Till, release: str) -> None:
    till.switched()
    till.process(release, daemon=False)
    for _ in range(100):
        till.bench.clock += till.bench.engine.step() or 0.0
    assert till.bench.engine.status()["deployment"]["waiting_for"] == "posagent run"
    assert till.bench.finals == []
    till.process("2.0")
    assert (till.run() or {})["state"] == "committed"


def test_what_dpkg_has_installed_meanwhile_stays(till: Till) -> None:
    till.switched()
    till.effects.pointer[NAME] = "3.0"
    till.process("3.0")
    end = till.run() or {}
    assert (end["state"], end["code"], till.effects.pointer[NAME]) == ("rolled_back", "pointer_moved", "3.0")


def test_what_the_pointer_names_and_nobody_runs_is_not_installed_already(till: Till) -> None:
    till.effects.pointer[NAME] = "2.0"
    till.effects.staged.add((NAME, "2.0"))
    till.process("1.0", passed="")
    till.bench.engine.request(Deployment("d1", "7", (Wanted(NAME, "2.0"),)))
    assert till.run() is None
    assert till.own.restarts == 1, "it is tried"


def test_a_process_that_dies_each_time_is_ended_by_force(till: Till) -> None:
    till.switched()
    for _ in range(60):
        till.process("2.0")
        till.bench.engine.step()
        if till.bench.engine.status()["deployment"]["step"] == "rolling_back":
            break
    till.run()
    till.process("1.0")
    end = till.run() or {}
    assert (end["state"], end["code"]) == ("rolled_back", "loop")


# -- the rule of its probation -----------------------------------------------------------------------------------------


def judged(before: Mapping[str, str], after: Mapping[str, str], age_s: float, *, own: bool = True) -> tuple[Event, str]:
    limits = ProbationLimits(min_s=1.0, max_s=20.0, own_min_s=5.0)
    probation = Probation(limits, {}, before, 0.0, own=own)
    probation.checked({})
    probation.checked({})
    verdict = probation.judge(after, age_s)
    return verdict.event, verdict.code


def test_its_probation_is_as_long_as_the_launchers() -> None:
    assert ProbationLimits().own_min_s >= GOOD_S
    assert judged({}, {}, 4.9)[0] is Event.LATER
    assert judged({}, {}, 5.0)[0] is Event.DONE
    assert judged({}, {}, 1.0, own=False)[0] is Event.DONE


@pytest.mark.parametrize("seen", ["unknown", "unreachable"])
def test_a_centre_that_was_reached_must_be_reached_again(seen: str) -> None:
    assert judged({CENTER: "ok"}, {CENTER: seen}, 19.0) == (Event.LATER, "probation_extended")
    assert judged({CENTER: "ok"}, {CENTER: seen}, 20.0) == (Event.WORSE, "center_lost")
    assert judged({CENTER: "unreachable"}, {CENTER: seen}, 5.0)[0] is Event.DONE, "offline as before"


def test_a_device_that_is_not_read_any_more_is_the_fault_of_posagent_and_of_no_other_release() -> None:
    device = {"pos-1/reader": "ok"}
    assert judged(device, {"pos-1/reader": "unknown"}, 20.0) == (Event.WORSE, "device_lost")
    assert judged(device, {"pos-1/reader": "unknown"}, 20.0, own=False) == (Event.DONE, "unsettled")
    assert judged(device, {"pos-1/reader": "reader.card_mute"}, 20.0) == (Event.DONE, "unsettled")


def test_what_was_well_once_is_not_lost() -> None:
    probation = Probation(ProbationLimits(max_s=20.0, own_min_s=5.0), {}, {CENTER: "ok", "pos-1/printer": "ok"}, 0.0, own=True)
    probation.checked({})
    probation.checked({})
    assert probation.judge({CENTER: "ok", "pos-1/printer": "printer.paper_end"}, 6.0).event is Event.LATER
    late = probation.judge({CENTER: "unreachable", "pos-1/printer": "printer.paper_end"}, 20.0)
    assert late.event is Event.DONE
