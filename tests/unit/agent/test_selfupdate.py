"""posagent as a component of itself, on this machine: what runs, whether it is well, what a new release says of the place."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent import selfupdate_check
from agent.config.load import load
from agent.config.model import Limits
from agent.errors import ConfigError
from agent.house import check_supported
from agent.paths import Paths
from agent.selfupdate import ALIVE_LIMIT_S, CENTER, CHECK, GROWTH_MAX, SETTLE_S, SelfUpdate
from agent.starts import Starts
from agent.usage import Usage

HOST = '[host]\nid = "pos-1"\n'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A till on which 1.0 runs."""
    found = Paths(tmp_path / "root")
    (found.program / "releases/1.0/bin").mkdir(parents=True)
    (found.program / "current").symlink_to("releases/1.0")
    found.state.mkdir(parents=True)
    found.config.parent.mkdir(parents=True)
    found.config.write_text(HOST)
    return found


def made(paths: Paths, release: str = "1.0", limits: Limits | None = None) -> SelfUpdate:
    return SelfUpdate("posagent", paths, limits or Limits(), {"POSAGENT_RELEASE": release})


class Daemon:
    """Connects; its usage can be set, and its restarts are counted."""

    def __init__(self, own: SelfUpdate) -> None:
        self.mono, self.files, self.restarts, self.hangs = 100.0, 30, 0, False
        self.reached: bool | None = None
        own.connect(alive=self.alive, usage=self.usage, reached=lambda: self.reached, restart=self.restart)

    def alive(self, limit_s: float) -> None:
        assert limit_s == ALIVE_LIMIT_S
        if self.hangs:
            raise TimeoutError

    def usage(self) -> Usage:
        return Usage(self.mono, 1.0, 40.0, 5.0, self.files, 0)

    def restart(self) -> None:
        self.restarts += 1


@pytest.mark.parametrize(
    ("release", "passed"), [("1.0", ""), ("0.9", "1.0"), ("", "")], ids=["as pointed", "the one before", "no launcher"]
)
def test_what_the_launcher_passed_over_is_what_the_pointer_named_at_the_start(paths: Paths, release: str, passed: str) -> None:
    own = made(paths, release)
    (paths.program / "current").unlink()
    (paths.program / "current").symlink_to("releases/2.0")
    assert (own.running(), own.passed_over()) == (release, passed)


def test_what_is_tried_anew_was_not_passed_over(paths: Paths) -> None:
    own = made(paths, "0.9")
    assert own.passed_over() == "1.0"
    assert not own.rehearse("1.0").healthy
    assert own.passed_over() == ""


def test_a_command_does_not_serve(paths: Paths) -> None:
    own = made(paths)
    assert not own.serves()
    assert own.health().healthy
    assert own.lifelines() == {CENTER: "unknown"}
    Daemon(own)
    assert own.serves()


@pytest.mark.parametrize(("reached", "word"), [(None, "unknown"), (True, "ok"), (False, "unreachable")])
def test_the_centre_is_a_lifeline(paths: Paths, reached: bool | None, word: str) -> None:
    own = made(paths)
    Daemon(own).reached = reached
    assert own.lifelines() == {CENTER: word}


def test_a_main_loop_that_hangs_is_not_well(paths: Paths) -> None:
    own = made(paths)
    Daemon(own).hangs = True
    assert (own.health().healthy, own.health().code) == (False, "timeout")


def test_limits_of_its_own_count(paths: Paths) -> None:
    own = made(paths, limits=Limits(memory_mib=39.0))
    daemon = Daemon(own)
    seen = own.health()
    assert (seen.healthy, seen.code, seen.reason) == (False, "limits", "memory_mib: 40 of 39")
    daemon.files = 300
    assert "descriptors: 300 of 256" in own.health().reason


def test_a_leak_is_what_comes_after_the_start(paths: Paths) -> None:
    own = made(paths)
    daemon = Daemon(own)
    own.lifelines()
    daemon.mono, daemon.files = 100.0 + SETTLE_S - 1, 120  # sixteen tills are being opened
    assert own.health().healthy
    daemon.mono += 1
    own.lifelines()
    daemon.mono, daemon.files = daemon.mono + 90, 120 + GROWTH_MAX
    assert own.health().healthy
    daemon.files += 1
    assert own.health().reason == f"descriptors: 120 grew to {daemon.files}"


def test_a_restart_makes_the_launcher_try(paths: Paths) -> None:
    paths.starts.write_text("boot-a 1.0 0 2.0 0\n")
    own = made(paths)
    daemon = Daemon(own)
    own.restart()
    assert daemon.restarts == 1
    assert paths.starts.read_text() == "boot-a 1.0 0 - 0\n"


@pytest.mark.parametrize("content", ["", "nonsense", "boot-a 1.0 x y\n"])
def test_a_damaged_count_stops_no_restart(paths: Paths, content: str) -> None:
    paths.starts.write_text(content)
    Starts(paths.starts, {}).try_again()
    assert paths.starts.read_text() == content


def test_posagent_is_one_component(paths: Paths) -> None:
    text = '[update]\ncomponents = {{ posagent = {{ handler = "agent_self" }}, {other} = {{ handler = "{handler}" }} }}\n'
    paths.config.write_text(HOST + text.format(other="till-app", handler="app_slots"))
    check_supported(load(paths.config))
    paths.config.write_text(HOST + text.format(other="agent-two", handler="agent_self"))
    with pytest.raises(ConfigError):
        check_supported(load(paths.config))


# -- what a new release says -------------------------------------------------------------------------------------------


def checked(paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str = "2.0") -> int:
    (tmp_path / "release.json").write_text(json.dumps({"version": told}))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return selfupdate_check.main(["--root", str(paths.root), "--version", "2.0"])


def test_a_release_that_can_run_here_says_so_and_writes_nothing(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(paths.root)
    assert checked(paths, monkeypatch, tmp_path) == 0
    assert capsys.readouterr().out == "posagent 2.0 can run here\n"
    assert contents(paths.root) == before


def contents(root: Path) -> Mapping[str, object]:
    return {str(p): (p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else "") for p in root.rglob("*")}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("etc/posagent/agent.toml", "[host]\n", "configuration: "),
        ("etc/posagent/agent.toml", HOST + "[[terminal]]\nprinter = { port = 'auto' }\n", "configuration: "),
        ("var/lib/posagent/deployment.json.1", "{", "state: "),
        ("var/lib/posagent/journal.sqlite", "no database" * 1000, "journal: "),
    ],
)
def test_what_it_cannot_read_it_names(
    paths: Paths,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str,
    says: str,
) -> None:
    (paths.root / name).write_text(text)
    assert checked(paths, monkeypatch, tmp_path) == 1
    said = capsys.readouterr().out
    assert said.startswith(says)
    assert said.count("\n") == 1


def test_a_release_that_was_deployed_under_another_name_says_so(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(paths, monkeypatch, tmp_path, told="2.1") == 1
    assert capsys.readouterr().out.startswith("version: ")


def test_every_module_is_imported_and_none_does_anything(tmp_path: Path) -> None:
    """In a process of its own: importing must open, print and start nothing."""
    code = "import sys, threading; from agent.selfupdate_check import _modules as m; m()"
    code += "; print(len(sys.modules), threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    modules, threads = map(int, done.stdout.split())
    assert modules > 150
    assert threads == 1
    assert os.listdir(tmp_path) == []


def test_the_contract_between_two_releases() -> None:
    assert CHECK == ("bin/python", "-I", "-m", "agent.selfupdate_check")
