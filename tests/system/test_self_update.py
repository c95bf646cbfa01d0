"""The agent updates itself: the real launcher, real releases, a loop for the service manager, and the service centre."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import Doc, Host, center_table, host_table, till_table, wait_for, well
from tests.system.releases import Releases
from tests.system.selfreleases import COMPONENT, Edit, Service, Workshop, at_start, ended, pointers, serving, versions_started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

END_S = 45.0
IMPORTS: Edit = ("agent/supervisor.py", "import threading\n", "import os\nimport threading\nimport time\n")
"""What the lines of ``at_start`` need."""
LEAK = "threading.Thread(target=lambda: [(os.open('/dev/null', 0), time.sleep(0.03)) for _ in range(199)]).start()"
HELPERS: dict[str, tuple[Edit, ...]] = {
    "2.1": (IMPORTS,),
    "2.4": (("agent/reporting.py", "OWNER_LIMIT_S = 5.0\n", 'OWNER_LIMIT_S = 5.0\nNOWHERE = "http://127.0.0.1:9"\n'),),
    "2.5": (("agent/supervisor.py", "import threading\n", "import threading\nimport time\n\nHANG = lambda: time.sleep(3600)\n"),),
}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def first(workshop: Workshop) -> Path:
    """What the package brought."""
    return workshop.release("1.0")


def action_of(center: Any, number: int, *, ended: str) -> Any:
    """hawkBit's action, once the end has been told."""
    action = center.store.actions[number]
    wait_for(lambda: action.status == ended, END_S, lambda: [(row.type, row.messages) for row in action.rows])
    return action


class Shop:
    """One till that runs posagent 1.0, and its centre."""

    def __init__(self, host: Host, service: Service, releases: Releases, center: Any, workshop: Workshop) -> None:
        self.host, self.service, self.releases, self.center, self.workshop = host, service, releases, center, workshop

    def publish(self, version: str, *edits: Edit) -> None:
        folder = self.releases.folder / f"{COMPONENT}-{version}"
        if not folder.exists():
            made = self.workshop.release(f"{version}", *edits)
            shutil.move(made, folder)
        self.releases.tool(
            "add", "--keys", self.releases.keys, "--component", COMPONENT, "--version", version, "--handler", "agent_self", folder
        )  # fmt: skip
        self.releases.publish()

    def push(self, version: str) -> int:
        number = self.releases.push(version, COMPONENT)
        assert self.host.command("update", "check").code == 0
        return number

    def deploy(self, version: str, *edits: Edit) -> tuple[Doc, Any]:
        """Publish, push, wait for the end; how it ended here, and hawkBit's action."""
        self.publish(version, *edits)
        number = self.push(version)
        end = ended(self.host, version, END_S)
        return end, action_of(self.center, number, ended="finished" if end["state"] == "committed" else "error")

    def component(self) -> Doc:
        found: Doc = self.host.ask("update.status")["components"][COMPONENT]
        return found

    def stays_with(self, version: str = "1.0") -> None:
        """The old one runs, is well, and the till is read as before."""
        self.host.until(well(), 15)
        assert pointers(self.host)[0] == f"releases/{version}"
        assert self.component()["version"] == version
        assert versions_started(self.host)[-1] == version
        assert self.host.verified()["ok"]
        assert [path.name for path in (self.host.root / "opt/posagent/releases").iterdir()] == [version]
        starts = self.host.state / "starts"
        wait_for(lambda: starts.read_text().split()[-1] == "0", 20, starts.read_text)  # the launcher pauses less then


@pytest.fixture
def shop(host: Host, terminal: Any, service_center: Any, releases: Releases, workshop: Workshop, first: Path) -> Iterator[Shop]:
    (host.etc / "root.json").write_bytes(releases.root.read_bytes())
    host.configure(
        host_table()
        + till_table("pos-1", terminal.dir)
        + center_table(service_center)
        + f'[update]\nmetadata = "{service_center.metadata}"\ntargets = "{service_center.targets}"\ntrusted_root = "root.json"\n'
        + f'probation_s = 0.5\nidle_s = 0.0\ncomponents = {{ {COMPONENT} = {{ handler = "agent_self" }} }}\n'
    )
    with serving(host, first) as service:
        until = time.monotonic() + 60
        while not host.socket.exists():
            assert time.monotonic() < until, host.log_text()
            time.sleep(0.05)
        host.until(well(), 20)
        host.until(lambda d: d["host"]["center"]["reachable"] is True, 20)
        yield Shop(host, service, releases, service_center, workshop)


def test_a_good_release_is_installed_proves_itself_and_can_be_left_again(shop: Shop) -> None:
    end, action = shop.deploy("2.0")
    assert (end["state"], end["code"]) == ("committed", "")
    assert pointers(shop.host) == ("releases/2.0", "releases/1.0")
    assert shop.component() == {"version": "2.0", "previous": "1.0", "state": "committed"}
    assert versions_started(shop.host) == ["1.0", "2.0"]
    assert not action.active
    installed = shop.center.store.targets["pos-1"].installed
    assert [(m.name, m.version) for m in installed.modules.values()] == [(COMPONENT, "2.0")]
    committed = shop.host.journal("update.committed")[-1]
    after = [r["seq"] for r in shop.host.journal("agent.started") if r["body"]["version"] == "2.0"]
    assert max(after) < committed["seq"], "only the new one can say that it stays"
    assert sum(r["body"]["final"] for r in shop.host.journal("update.")) == 1
    assert shop.service.starts == 2 + shop.service.killed
    assert shop.host.log_text().count("not good") == 0
    history = shop.host.command("update", "history").document["records"]
    assert history[-1]["body"]["component"] == COMPONENT
    by_hand = shop.host.command("update", "rollback", COMPONENT)
    assert by_hand.code == 0, "the daemon ends under the command's feet, and the command goes on"
    back = ended(shop.host, "1.0", END_S)
    assert back["state"] == "committed"
    assert pointers(shop.host) == ("releases/1.0", "releases/2.0")
    assert versions_started(shop.host) == ["1.0", "2.0", "1.0"]
    shop.service.stop()
    alone = shop.host.command("update", "rollback", COMPONENT)
    assert (alone.code, alone.document["error"]["code"]) == (3, "no_service")
    assert pointers(shop.host) == ("releases/1.0", "releases/2.0")


@pytest.mark.parametrize("versions", [("2.1",), pytest.param(("2.2", "2.3", "2.4", "2.5"), marks=pytest.mark.long)], ids=" ".join)
def test_a_release_that_is_worse_goes_back_by_itself_and_says_why(shop: Shop, versions: tuple[str, ...]) -> None:
    """Each of them lives; the new process itself finds that it may not stay. One after the other on one till."""
    wrong: dict[str, tuple[str, str, Edit]] = {
        "2.1": (
            "health_check_limits",
            "descriptors",
            at_start(LEAK),
        ),
        "2.2": ("device_silent", "is silent now", ("agent/ports/serial_port.py", "os.write(self._fd, part)", "len(part)")),
        "2.3": ("device_lost", "well before", ("agent/house.py", "            line.start()", "            pass")),
        "2.4": (
            "center_lost",
            "center was well before",
            ("agent/reporting.py", "                center.ddi,", "                NOWHERE,"),
        ),
        "2.5": (
            "main_loop",
            "does not answer",
            at_start("threading.Timer(1, lambda: self._house.owner.inbox.post(HANG)).start()"),
        ),
    }
    for version in versions:
        code, why, edit = wrong[version]
        end, action = shop.deploy(version, edit, *HELPERS.get(version, ()))
        assert (end["state"], end["code"]) == ("rolled_back", code), end
        assert why in end["reason"]
        assert any(why in message for message in action.rows[-1].messages), action.rows[-1].messages
        shop.stays_with("1.0")
        assert shop.component()["state"] == "rolled_back"
    assert shop.center.store.targets["pos-1"].installed is None, "what went back was never installed"
    assert shop.deploy("3.0")[0]["state"] == "committed"


@pytest.mark.parametrize("versions", [("2.1",), pytest.param(("2.2", "2.3", "2.4"), marks=pytest.mark.long)], ids=" ".join)
def test_a_release_that_does_not_stay_alive_is_left_by_the_launcher(shop: Shop, versions: tuple[str, ...]) -> None:
    """At once, soon, late, or hanging before its main loop runs: after three starts the old one runs and tells it."""
    wrong = {
        "2.1": at_start("os._exit(9)"),
        "2.2": at_start("threading.Timer(0.5, lambda: os._exit(9)).start()"),
        "2.3": at_start("threading.Timer(3.2, lambda: os._exit(9)).start()"),
        "2.4": at_start("time.sleep(3600)"),
    }
    shop.service.start_limit_s = 12.0
    shop.service.starts_max = 60
    for version in versions:
        end, action = shop.deploy(version, wrong[version], IMPORTS)
        assert (end["state"], end["code"]) == ("rolled_back", "not_alive"), end
        assert "did not stay alive: the launcher runs 1.0 again" in " ".join(action.rows[-1].messages)
        assert not any(row.type == "finished" for row in action.rows)
        shop.stays_with("1.0")
    assert "2.4" not in versions or shop.service.killed >= 3, "what hangs is killed by its watchdog"
    assert shop.deploy("3.0")[0]["state"] == "committed"


def test_a_release_that_cannot_read_what_is_here_is_refused_before_the_switch(shop: Shop) -> None:
    wrong: dict[str, tuple[str, Edit]] = {
        "2.1": ("configuration: ", ("agent/config/load.py", "_MAX_BYTES = 1 << 18", "_MAX_BYTES = 16")),
        "2.2": ("modules: ", ("firmware/behind.py", "from pathlib import Path", "from pathlib import Pathology")),
        "2.3": ("version: ", ("agent/selfupdate_check.py", '["version"]', '["python"]')),
    }
    for version, (why, edit) in wrong.items():
        end, action = shop.deploy(version, edit)
        assert (end["state"], end["code"]) == ("refused", "self_test_failed"), end
        assert end["reason"].startswith(f"posagent {version} cannot run here: {why}")
        assert any(why in message for message in action.rows[-1].messages)
        shop.stays_with("1.0")
    assert shop.service.starts == 1 + shop.service.killed, "the daemon was not even started anew"


def test_what_a_newer_release_writes_the_older_one_reads(shop: Shop) -> None:
    """A fake newer release adds keys to the state, to each component and to the journal's records, and then dies."""
    more = (
        IMPORTS,
        at_start("threading.Timer(1.5, lambda: os._exit(9)).start()"),
        (
            "firmware/state.py",
            '            "format": FORMAT,\n            "components"',
            '            "format": FORMAT, "future": {"x": [1]},\n            "components"',
        ),
        (
            "firmware/state.py",
            '        "devices_before": progress.devices_before,\n',
            '        "devices_before": progress.devices_before,\n        "future": {"y": 2},\n',
        ),
        ("agent/supervisor.py", 'begun = {"version"', 'begun = {"future": {"z": None}, "version"'),
    )
    end, _ = shop.deploy("2.0", *more)
    assert (end["state"], end["code"]) == ("rolled_back", "not_alive"), end
    shop.stays_with("1.0")
    told = [r for r in shop.host.journal("agent.started") if r["body"]["version"] == "2.0"]
    assert told
    assert all("future" in r["body"] for r in told)
    assert shop.host.command("update", "status").code == 1
    assert shop.host.command("update", "history").code == 0


def test_the_same_release_may_be_tried_again(shop: Shop, tmp_path: Path) -> None:
    """It died because of something on this till: when that is gone, the next push of the very same release is a true try."""
    flag = tmp_path / "something-is-wrong"
    flag.touch()
    end, _ = shop.deploy("2.0", at_start(f"os.path.exists({str(flag)!r}) and os._exit(9)"), IMPORTS)
    assert (end["state"], end["code"]) == ("rolled_back", "not_alive"), end
    flag.unlink()
    number = shop.push("2.0")
    action_of(shop.center, number, ended="finished")
    assert versions_started(shop.host)[-1] == "2.0"
    assert pointers(shop.host) == ("releases/2.0", "releases/1.0")


def test_where_the_old_one_does_not_start_any_more_the_new_one_stays_and_says_so(shop: Shop) -> None:
    shop.service.starts_max = 60
    old = shop.host.root / "opt/posagent/releases/1.0/bin/posagent"
    shop.publish("2.0", ("agent/ports/serial_port.py", "os.write(self._fd, part)", "len(part)"))
    number = shop.releases.push("2.0", COMPONENT)
    shop.host.command("update", "check")
    until = time.monotonic() + 120
    while versions_started(shop.host)[-1] != "2.0":
        assert time.monotonic() < until
        time.sleep(0.05)
    old.write_text("#!/bin/sh\nexit 9\n")
    end = ended(shop.host, "2.0", END_S)
    assert (end["state"], end["code"]) == ("failed", "rollback_failed"), end
    assert "1.0 does not start any more" in end["reason"]
    assert pointers(shop.host)[0] == "releases/2.0"
    action_of(shop.center, number, ended="error")
