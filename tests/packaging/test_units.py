"""The units: how exposed they are, what they start, and that a hung main loop is not fed for."""

import configparser
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from agent.inbox import Inbox
from agent.notify import notify
from agent.supervisor import feeding

PACKAGING = Path(__file__).parents[2] / "packaging"
UNITS = ("posagent.service", "posagent-installer@.service", "posagent-line@.service")
RELIABILITY = PACKAGING.parent / "docs" / "reliability.md"
LIMIT_S = 60.0


def exposure(unit: str) -> float:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(PACKAGING / "system" / unit)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    return float(found[1])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_as_little_exposed_as_the_page_says(unit: str) -> None:
    found = exposure(unit)
    assert found <= 2.0
    assert f"| `{unit}` | {found} |" in RELIABILITY.read_text("utf-8")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_runs_as_nobody_great_and_leaves_no_core(unit: str) -> None:
    text = (PACKAGING / "system" / unit).read_text("utf-8")
    words = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert words["User"].startswith("posagent")
    assert words["NoNewPrivileges"] == "yes"
    assert words["LimitCORE"] == "0"
    assert words["ProtectSystem"] == "strict"
    assert words["CapabilityBoundingSet"] == ""
    assert words["DevicePolicy"] == "closed"
    assert {"MemoryMax", "TasksMax"} <= set(words)
    assert "Requires" not in words


def test_the_lock_holds_what_setup_cfg_asks_for() -> None:
    config = configparser.ConfigParser()
    config.read(PACKAGING.parent / "setup.cfg", encoding="utf-8")
    asked = [re.split(r"[\[><=;, ]", line, maxsplit=1)[0].lower() for line in config["options"]["install_requires"].split()]
    names = {name for name in asked if re.fullmatch(r"[a-z][a-z0-9._-]+", name)}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (PACKAGING / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    assert {name for name in names if not name.startswith("python_version")} <= locked, "run make lock"


def test_a_hung_main_loop_is_not_fed_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chore of the scheduler as the daemon has it: it asks the main loop to feed, and does not feed by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(LIMIT_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        inbox = Inbox()
        every_s, feed = feeding(inbox)[0]
        assert every_s == 1.0
        hung, end = threading.Event(), threading.Event()
        loop = threading.Thread(target=drain, args=(inbox, end), daemon=True)
        loop.start()
        feed()
        assert heard.recv(64) == b"WATCHDOG=1"
        inbox.post(lambda: hang(hung))
        for _ in range(3):
            feed()
        # What is in the socket now came from before the hang: a mark of our own is the next that is heard.
        notify("MARK=1")
        assert heard.recv(64) == b"MARK=1"
        hung.set()
        assert heard.recv(64) == b"WATCHDOG=1"
        end.set()
        inbox.post(lambda: None)
        loop.join(LIMIT_S)


def hang(until: threading.Event) -> None:
    until.wait(LIMIT_S)


def drain(inbox: Inbox, end: threading.Event) -> None:
    """The owner's loop: one piece of work after the other."""
    while not end.is_set():
        if (work := inbox.take(LIMIT_S)) is not None:
            work()
