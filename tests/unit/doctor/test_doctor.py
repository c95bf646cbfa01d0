"""`posagent doctor`: what stands in the way is named with what to do, before anything is configured and on a whole till."""

import ast
import os
import pty
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import agent.doctor
from agent.cli.screen import Style, width
from agent.cli.views.doctor import doctor
from agent.clock import Clock
from agent.config.load import load
from agent.config.model import Config
from agent.doctor import configuration, lines, network, rights, service
from agent.doctor.finding import Finding, Outcome, result_of
from agent.doctor.machine import Machine
from agent.doctor.rounds import document, examine
from agent.paths import Paths
from agent.text import LANGUAGES, Text
from simulator.center.server import Center

FOLDER = Path(agent.doctor.__file__).parent


@dataclass(frozen=True, slots=True)
class Till(Machine):
    """A machine whose service runs as somebody else than the one who asks."""

    user_of_service: str | None = None

    def service_user(self) -> str | None:
        return self.user_of_service


@pytest.fixture
def line() -> Iterator[str]:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    os.close(theirs)
    yield name
    os.close(ours)


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], Config]:
    def write(more: str) -> Config:
        path = tmp_path / "agent.toml"
        path.write_text(f'[host]\nid = "pos-1"\n{more}')
        path.chmod(0o640)
        return load(path)

    return write


def codes(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.outcome.value, finding.code) for finding in findings]


def printer_at(port: str, mode: str = "owned") -> str:
    return f'[[terminal]]\nid = "pos-1"\n[terminal.printer]\nport = "{port}"\nmode = "{mode}"\n'


# -- the words ---------------------------------------------------------------------------------------------------------


def test_every_code_has_its_sentence_and_what_is_wrong_its_remedy() -> None:
    text = Text("en")
    said = list(_said())
    assert len(said) > 40
    for outcome, code in said:
        assert text.has(f"doctor.{code}"), code
        assert outcome in ("PASS", "SKIP") or text.has(f"doctor.{code}.remedy"), code


def _said() -> Iterator[tuple[str, str]]:
    """(outcome, code) of every finding in the source; codes that come from the host's checks are spelt out."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for call in [node] if isinstance(node, ast.Call) else []:
                named = getattr(call.func, "id", "") == "Finding" and len(call.args) > 3
                if named and isinstance(call.args[3], ast.Constant) and call.args[3].value != "config_mistake":
                    yield getattr(call.args[2], "attr", "FAIL"), str(call.args[3].value)
            if isinstance(node, ast.Dict):
                for value in node.values:
                    if isinstance(value, ast.Constant) and "_" in str(value.value):
                        yield "FAIL", str(value.value)
    for way in ("dns", "dns_timeout", "tcp", "tcp_timeout", "tls", "tls_timeout", "tls_certificate", "bad_address"):
        yield "FAIL", f"way_{way}"
    for code in ("clock_before_build", "clock_before_signed", "clock_jumped", "disk_low", "disk_read_only", "disk_no_inodes"):
        yield "FAIL", code
    yield from (("PASS", "way_reachable"), ("PASS", "clock_plausible"), ("PASS", "disk_enough"), ("UNKNOWN", "disk_unreadable"))
    yield from (("FAIL", "daemon_stuck"), ("WARN", "daemon_none"), ("WARN", "daemon_forbidden"), ("FAIL", "daemon_refuses"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_machine_without_anything(tmp_path: Path, lang: str) -> None:
    """Nothing is configured: it says so first, looks at all the rest, and fits on a technician's screen."""
    paths = Paths(tmp_path)
    findings = examine(paths, paths.config, Clock(), Till(tmp_path, {}))
    said = document(findings, lang)
    assert said["result"] == "fault"
    assert {"configuration", "versions", "rights", "disk", "clock", "service", "lines"} == {c["topic"] for c in said["checks"]}
    assert [c["code"] for c in said["checks"] if c["outcome"] == "fail"] == ["config_none"]
    screen = doctor(said, Text(lang), Style())
    assert all(width(drawn) <= 80 for drawn in screen.splitlines()), screen
    assert "posagent config example" in "".join(screen.splitlines()[-3:])


# -- configuration and rights ------------------------------------------------------------------------------------------


def test_each_mistake_is_a_finding_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('[host]\nid = "pos-1"\nidd = 1\n[centre]\n')
    config, findings = configuration.read(path)
    assert config is None
    assert [finding.outcome for finding in findings] == [Outcome.FAIL, Outcome.FAIL]
    assert findings[0].subject.endswith("agent.toml:3 host.idd")
    assert all(sentence and remedy for finding in findings for sentence, remedy in finding.said.values())


def test_a_good_file_that_everybody_may_read(configured: Callable[[str], Config]) -> None:
    config = configured("")
    assert ("warn", "config_open_to_all") not in codes(configuration.read(config.path)[1])
    config.path.chmod(0o644)
    assert ("warn", "config_open_to_all") in codes(configuration.read(config.path)[1])


def test_open_doors_in_the_state_folder(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    keys = paths.state / "keys"
    keys.mkdir(parents=True)
    (keys / "journal.key").write_bytes(b"\x01" * 32)
    (keys / "journal.key").chmod(0o600)
    (keys / "journal.pub").write_text("00")
    assert codes(list(rights.look(paths, Machine()))) == [("pass", "rights_good")]
    (keys / "journal.key").chmod(0o640)
    (paths.state / "releases").mkdir()
    (paths.state / "releases").chmod(0o777)
    assert codes(list(rights.look(paths, Machine()))) == [("fail", "open_to_all"), ("fail", "key_open")]


# -- lines -------------------------------------------------------------------------------------------------------------


def test_a_port_that_is_there(line: str, configured: Callable[[str], Config]) -> None:
    config = configured(printer_at(line))
    assert ("pass", "port_good") in codes(list(lines.look(config, Machine(), None)))


def test_a_port_that_is_missing_or_no_line(tmp_path: Path, configured: Callable[[str], Config]) -> None:
    for port, code in ((tmp_path / "gone", "port_missing"), (tmp_path / "file", "port_not_serial")):
        (tmp_path / "file").touch()
        config = configured(printer_at(str(port)))
        assert ("fail", code) in codes(list(lines.look(config, Machine(), None)))


def test_a_port_that_the_service_may_not_open(line: str, configured: Callable[[str], Config]) -> None:
    Path(line).chmod(0o600)
    found = list(lines.look(configured(printer_at(line)), Till(user_of_service="nobody"), None))
    assert found[0].code == ("port_forbidden")
    assert found[0].values["user"] == "nobody"


@pytest.mark.parametrize(("mode", "expected"), [("owned", ("fail", "port_in_use")), ("passive", ("pass", "port_in_use_passive"))])
def test_a_port_that_another_program_holds(
    line: str, configured: Callable[[str], Config], mode: str, expected: tuple[str, str]
) -> None:
    hold = "import sys,os; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-S", "-c", hold, line]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        config = configured(printer_at(line, mode))
        assert codes(list(lines.look(config, Machine(), None)))[0] == expected
        assert codes(list(lines.look(config, Machine(), other.pid)))[0] == ("pass", "port_good"), "the daemon's own"
        other.stdin.close()


def test_a_name_that_moves_a_console_and_a_meddler(tmp_path: Path, line: str, configured: Callable[[str], Config]) -> None:
    by_id = tmp_path / "dev/serial/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-adapter").symlink_to(line)
    proc = tmp_path / "proc/77"
    proc.mkdir(parents=True)
    (proc / "comm").write_text("ModemManager\n")
    driver = tmp_path / "sys/class/tty" / Path(line).name / "device"
    driver.mkdir(parents=True)
    (driver / "driver").mkdir()
    machine = Till(tmp_path, {})
    found = list(lines.look(configured(printer_at(line)), machine, None))
    assert codes(found) == [("warn", "port_name_moves"), ("warn", "meddler")]
    assert found[0].values["better"].endswith("by-id/usb-adapter")
    (tmp_path / "proc/cmdline").write_text(f"quiet console={Path(line).name},115200")
    (tmp_path / "etc/udev/rules.d").mkdir(parents=True)
    (tmp_path / "etc/udev/rules.d/50-posagent.rules").touch()
    assert codes(list(lines.look(configured(printer_at(line)), machine, None))) == [("fail", "port_is_console")]


# -- service -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, ("unknown", "unit_unseen")),
        ({"LoadState": "not-found"}, ("warn", "unit_missing")),
        ({"LoadState": "loaded", "ActiveState": "failed", "Result": "watchdog"}, ("fail", "unit_failed")),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"}, ("warn", "unit_disabled")),
        (
            {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "3"},
            ("warn", "unit_restarts"),
        ),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"}, ("pass", "unit_good")),
    ],
)
def test_what_systemd_says(seen: dict[str, str], expected: tuple[str, str]) -> None:
    assert codes([service.judge_unit(seen)]) == [expected]


# -- network -----------------------------------------------------------------------------------------------------------


def _uncertified() -> None:
    """A till that was never enrolled."""


def center(server: Center, *, token: str | None = None, url: str | None = None) -> str:
    return f'[center]\nddi = "{url or server.ddi}"\ngateway_token = "{token or server.gateway_token}"\notlp = "{server.otlp}"\n'


def test_a_centre_that_knows_us(service_center: Center, configured: Callable[[str], Config]) -> None:
    found = list(network.look(configured(center(service_center)), Clock(), {}, _uncertified))
    assert codes(found) == [("pass", "way_reachable"), ("pass", "answers")] * 2


def test_a_wrong_token(service_center: Center, configured: Callable[[str], Config]) -> None:
    found = list(network.look(configured(center(service_center, token="wrong")), Clock(), {}, _uncertified))
    assert ("fail", "token_wrong") in codes(found)
    assert "wrong" not in str([finding.values for finding in found]).replace("token_wrong", "")


def test_an_address_where_nobody_listens(service_center: Center, configured: Callable[[str], Config]) -> None:
    config = configured(center(service_center, url="http://127.0.0.1:9/DEFAULT/controller/v1"))
    found = list(network.look(config, Clock(), {"HTTPS_PROXY": "http://proxy.example:3128"}, _uncertified))
    assert codes(found)[:2] == [("warn", "proxy_unused"), ("fail", "way_tcp")]
    assert result_of(found) == "fault"


def test_no_metadata_at_the_address(service_center: Center, configured: Callable[[str], Config]) -> None:
    more = f'[update]\nmetadata = "{service_center.url}/metadata"\ntargets = "{service_center.url}/targets"\n'
    root = "[update.components.pos-app]\n"
    found = list(network.look(configured(more + root), Clock(), {}, _uncertified))
    assert codes(found) == [("pass", "way_reachable"), ("fail", "metadata_none")]
