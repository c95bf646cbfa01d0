"""The installer over its socket, as systemd would start it: what it does for a daemon, and what it does not for anybody."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware.child import Patience
from firmware.effects import ComponentSettings, Settings
from firmware.errors import InstallFailed, ReleaseRefused
from firmware.interfaces import GateAnswer
from firmware.inventory import Listing
from firmware.remote import DelegatedEffects, RemoteChild
from firmware.state import Wanted

pytestmark = pytest.mark.slow

PATIENT = Patience(60.0, 60.0, network=False)
LIMIT_S = 60.0
CONFIG = """
[host]
id = "pos-1"
[update]
metadata = "https://releases.example/metadata"
targets = "https://releases.example/targets"
components = { till-app = { handler = "app_slots", validate = ["/bin/true"] }, posagent = { handler = "agent_self" } }
"""


@dataclass
class Side:
    """The installer's side: a socket, and one process per connection, as Accept=yes makes them."""

    root: Path
    command: tuple[str, ...]
    path: Path
    processes: list["subprocess.Popen[bytes]"]

    def ask(self, verb: str, **job: Any) -> dict[str, Any]:
        return RemoteChild(self.path).run(verb, job, PATIENT, lambda _done, _of: None)

    def raw(self, text: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(LIMIT_S)
            link.connect(str(self.path))
            link.sendall(text)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := link.recv(65536):
                    answer += part
        return answer


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    """A till that has an installer."""
    root = tmp_path / "root"
    (root / "etc/posagent").mkdir(parents=True)
    (root / "etc/posagent/agent.toml").write_text(CONFIG)
    (root / "etc/posagent/root.json").write_text("{}")
    (root / "var/lib/posagent/installer/trust").mkdir(parents=True)
    (root / "var/lib/posagent/releases").mkdir()
    (root / "var/lib/posagent/installer/releases").symlink_to("../releases")
    made = Side(root, (sys.executable, "-P", "-m", "agent.installer", "--root", str(root)), tmp_path / "s", [])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(made.path))
        listening.listen(8)
        thread = threading.Thread(target=_accept, args=(listening, made), daemon=True)
        thread.start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT_S)
    for process in made.processes:
        with process:
            process.kill()


def _accept(listening: socket.socket, side: Side) -> None:
    with contextlib.suppress(OSError):
        while True:
            link, _ = listening.accept()
            with link:
                side.processes.append(subprocess.Popen(side.command, stdin=link, stdout=link))


def staged(side: Side, version: str, counter: int = 1) -> None:
    """What a verified and unpacked release looks like, made by hand."""
    home = side.root / "var/lib/posagent"
    (home / "releases/till-app" / version).mkdir(parents=True)
    head = {"component": "till-app", "version": version, "release_counter": counter, "handler": "app_slots", "health_check": []}
    Listing(home / "installer/inventory/till-app" / version, head).finish()


def test_it_says_who_it_is(side: Side) -> None:
    assert side.ask("hello")["protocol"] == 1


def test_nothing_is_fetched_or_unpacked_that_it_has_not_verified_itself(side: Side) -> None:
    """The facts of the job are not believed: a daemon that was taken over would name any archive."""
    facts = {"archive": {"name": "x", "length": 1, "sha256": "0" * 64, "prefix": ""}, "release_counter": 99}
    for verb in ("fetch", "stage"):
        with pytest.raises(InstallFailed) as caught:
            side.ask(verb, component="till-app", version="6.6", facts=facts)
        assert caught.value.code == "not_verified"
    wish = json.dumps({"verb": "stage", "component": "till-app", "version": "6.6", "facts": facts, "validate": ["/bin/sh"]})
    assert json.loads(side.raw(wish.encode() + b"\n"))["failed"]["code"] == "not_verified"


def test_the_pointer_moves_to_what_was_unpacked_here_and_to_nothing_else(side: Side) -> None:
    staged(side, "1.0")
    side.ask("switch", component="till-app", version="1.0")
    pointer = side.root / "var/lib/posagent/releases/till-app/current"
    assert os.readlink(pointer) == "1.0"
    (side.root / "var/lib/posagent/releases/till-app/6.6").mkdir()
    with pytest.raises(InstallFailed) as caught:
        side.ask("switch", component="till-app", version="6.6")
    assert caught.value.code == "no_inventory"
    with pytest.raises(ReleaseRefused):
        side.ask("switch", component="till-app", version="../../../../tmp")
    with pytest.raises(InstallFailed):
        side.ask("switch", component="others", version="1.0")
    assert os.readlink(pointer) == "1.0"


def test_posagents_own_pointers_move_to_what_was_unpacked_here_or_came_with_the_package(side: Side) -> None:
    opt = side.root / "opt/posagent"
    for version in ("1.0", "2.0", "6.6"):
        (opt / "releases" / version / "bin").mkdir(parents=True)
    (opt / "current").symlink_to("releases/1.0")
    head = {"component": "posagent", "version": "2.0", "release_counter": 3, "handler": "agent_self", "health_check": []}
    Listing(side.root / "var/lib/posagent/installer/inventory/posagent/2.0", head).finish()
    side.ask("switch", component="posagent", version="2.0")
    assert (os.readlink(opt / "current"), os.readlink(opt / "previous")) == ("releases/2.0", "releases/1.0")
    side.ask("commit", component="posagent", version="2.0")
    side.ask("switch", component="posagent", version="1.0")
    assert (os.readlink(opt / "current"), os.readlink(opt / "previous")) == ("releases/1.0", "releases/2.0")
    for version in (None, "../../../etc", "9.9"):
        with pytest.raises((InstallFailed, ReleaseRefused)):
            side.ask("switch", component="posagent", version=version)
    if os.geteuid() == 0:
        os.chown(
            opt / "releases/6.6", 65534, 65534
        )  # it belongs neither to root nor to the installer: nobody we know put it there
        with pytest.raises(InstallFailed) as caught:
            side.ask("switch", component="posagent", version="6.6")
        assert caught.value.code == "no_inventory"
    side.ask("tidy", items=[["posagent", "1.0"]], keep={"posagent": ["1.0", "2.0"]})
    assert {"1.0", "2.0"} <= set(os.listdir(opt / "releases"))
    assert os.readlink(opt / "current") == "releases/1.0"


def test_the_floor_rises_to_what_was_signed_and_not_to_what_is_said(side: Side) -> None:
    staged(side, "1.0", counter=7)
    with pytest.raises(InstallFailed) as caught:
        side.ask("commit", component="till-app", version="1.0", facts={"release_counter": 999})
    assert caught.value.code == "not_current"
    side.ask("switch", component="till-app", version="1.0")
    side.ask("commit", component="till-app", version="1.0", facts={"release_counter": 999})
    floor = json.loads((side.root / "var/lib/posagent/installer/floor.json.1").read_text())
    assert floor["data"]["counters"] == {"till-app": 7}


def test_tidying_leaves_what_runs(side: Side) -> None:
    for version in ("1.0", "1.1", "1.2"):
        staged(side, version)
    side.ask("switch", component="till-app", version="1.1")
    side.ask("tidy", items=[["till-app", "1.1"]], keep={"till-app": ["1.2"]})
    left = sorted(os.listdir(side.root / "var/lib/posagent/releases/till-app"))
    assert left == ["1.1", "1.2", "current"]
    side.ask("tidy", items=[["till-app", "1.1"]], keep={})
    assert sorted(os.listdir(side.root / "var/lib/posagent/releases/till-app")) == ["1.1", "current"]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"verb": "nonsense", "component": "till-app", "version": "1"}\n',
        b'{"verb": "main", "component": "till-app", "version": "1"}\n',
        b'{"verb": ["switch"]}\n',
        b'{"verb": "switch"}\n',
        b'{"verb": "switch", "component": {"a": 1}, "version": [1]}\n',
        b'{"verb": "tidy", "items": 5, "keep": 7}\n',
        b'{"verb": "arrange", "component": "till-app", "version": "1", "members": [[1]]}\n',
        b'{"verb": "inspect", "component": "till-app", "version": "1", "bytes_s": "x"}\n',
        b'{"verb": "commit", "component": "till-app", "version": "../x"}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b"x" * ((1 << 20) + 2),
    ],
    ids=lambda line: line[:30].decode("ascii", "replace"),
)
def test_a_wish_that_is_none_is_answered_and_changes_nothing(side: Side, line: bytes) -> None:
    staged(side, "1.0")
    said = json.loads(side.raw(line) or b'{"failed": "connection reset"}')
    assert "failed" in said or "refused" in said
    assert not (side.root / "var/lib/posagent/releases/till-app/current").exists()


def test_a_configuration_that_others_may_write_installs_nothing(side: Side) -> None:
    (side.root / "etc/posagent/agent.toml").chmod(0o664)
    staged(side, "1.0")
    with pytest.raises(InstallFailed) as caught:
        side.ask("switch", component="till-app", version="1.0")
    assert caught.value.code == "unsafe_owner"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_trusted_root_that_the_daemon_could_have_written_installs_nothing(side: Side) -> None:
    os.chown(side.root / "etc/posagent/root.json", 54321, 54321)
    staged(side, "1.0")
    with pytest.raises(InstallFailed) as caught:
        side.ask("switch", component="till-app", version="1.0")
    assert caught.value.code == "unsafe_owner"


def test_a_daemon_that_may_not_look_into_the_lists_has_a_release_held_against_its_own(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked whether the list is there, was denied, and took that for its own mistake: no daily check, no way back."""
    staged(side, "1.0")
    settings = Settings(
        state_dir=side.root / "var/lib/posagent/installer",
        metadata_url="",
        targets_url="",
        trusted_root=side.root / "etc/posagent/root.json",
        components={"till-app": ComponentSettings("app_slots")},
    )
    child = RemoteChild(side.path)
    effects = DelegatedEffects(settings, gate=lambda _: GateAnswer(True), device_health=dict, wall=str, child=child)
    honest = Path.exists

    def denied(path: Path) -> bool:
        if "inventory" in path.parts:
            raise PermissionError(errno.EACCES, "denied", str(path))
        return honest(path)

    monkeypatch.setattr(Path, "exists", denied)
    assert effects.recall(Wanted("till-app", "1.0"))["release_counter"] == 1
    (side.root / "var/lib/posagent/releases/till-app/1.0/more").touch()
    with pytest.raises(ReleaseRefused) as caught:
        effects.recall(Wanted("till-app", "1.0"))
    assert caught.value.code == "drift"


def test_a_job_ends_with_its_connection_and_the_next_one_waits_for_it(side: Side) -> None:
    """The lock is held by us as a job would hold it: the one that waits must end when nobody waits for it any more."""
    import fcntl

    staged(side, "1.0")
    with (side.root / "var/lib/posagent/installer/lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        child = RemoteChild(side.path)
        caught: list[BaseException] = []

        def ask() -> None:
            try:
                child.run("switch", {"component": "till-app", "version": "1.0"}, PATIENT, lambda _done, _of: None)
            except BaseException as error:
                caught.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while not side.processes:
            asking.join(0.05)
        asking.join(2.0)  # gives it time to come to the lock; right in either case
        assert asking.is_alive()
        child.stop()
        asking.join(LIMIT_S)
        assert not asking.is_alive()
        assert side.processes[0].wait(LIMIT_S) != 0
    assert isinstance(caught[0], InstallFailed)
    assert caught[0].code == "stopped"
    side.ask("switch", component="till-app", version="1.0")
    assert os.readlink(side.root / "var/lib/posagent/releases/till-app/current") == "1.0"


def test_nobody_at_the_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed) as caught:
        RemoteChild(tmp_path / "nobody").run("hello", {}, PATIENT, lambda _done, _of: None)
    assert caught.value.code == "no_installer"


def test_a_bundle_is_handed_over_open(side: Side, tmp_path: Path) -> None:
    """What it says of the file shows that it has read it, although its name leads nowhere for it."""
    stick = tmp_path / "stick"
    stick.write_bytes(b"this is no bundle")
    job = {"component": "till-app", "version": "1.0", "bundle": {"path": "/media/stick", "opened": str(stick)}}
    with pytest.raises(ReleaseRefused) as caught:
        side.ask("verify", **job)
    assert caught.value.code == "bad_bundle"
    assert "/media/stick" in str(caught.value)
