"""A bare machine, the package, a token file, one till's devices: it comes in, reports, is updated, and updates itself.

The real package under the real systemd, a simulated till on pseudo-terminals, a simulated centre that asks every host for
its certificate. Only some waiting times of the agent are shorter (QUICK), in the sources that the package is built from.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.building import LIMIT_S, build, copied
from tests.packaging.privateroot import PrivateRoot
from tests.system.releases import Releases
from tests.system.selfreleases import QUICK

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb: packages are built on Debian"),
    pytest.mark.skipif(not Path("/lib/systemd/systemd").exists(), reason="no systemd here"),
]

WAIT_S = 180.0
HEALTHY = 'test "$(id -un)" = posagent'
CONFIGURATION = """
[host]
id = "pos-1"

[[terminal]]
id = "pos-1"
[terminal.printer]
port = "{printer}"
[terminal.reader]
port = "{reader}"
mode = "owned"

[center]
ddi = "{ddi}"
otlp = "{otlp}"
ca = "/etc/posagent/centre-ca.pem"
heartbeat_s = 2

[enrolment]

[update]
metadata = "{metadata}"
targets = "{targets}"
probation_s = 0.5
idle_s = 0.0
components = {{ till-app = {{ handler = "app_slots", health_check = ["bin/health"] }}, posagent = {{ handler = "agent_self" }} }}
"""


def sources(folder: Path, version: str) -> Path:
    """The sources as they are, with QUICK's waiting times and another version."""
    source = copied(folder)
    found = re.search(r'__version__ = ".*"', (source / "agent/__init__.py").read_text("utf-8"))
    assert found is not None
    for name, before, after in (*QUICK, ("agent/__init__.py", found.group(), f'__version__ = "{version}"')):
        path = source / name
        text = path.read_text("utf-8")
        assert text.count(before) == 1, (name, before)
        path.write_text(text.replace(before, after), "utf-8")
    return source


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that is put on."""
    folder = tmp_path_factory.mktemp("first-of-all")
    return build(sources(folder / "source", "1.0"), folder, "--quick")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the release that comes over the air."""
    folder = tmp_path_factory.mktemp("second")
    package = build(sources(folder / "source", "2.0"), folder, "--quick")
    subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True, timeout=LIMIT_S)
    release: Path = folder / "unpacked/opt/posagent/releases/2.0"
    for link in [path for path in release.rglob("*") if path.is_symlink()]:
        link.unlink()  # an archive of a release holds none; whoever unpacks it makes them
    return release


def until(what: Callable[[], Any], why: Callable[[], str]) -> Any:
    end = time.monotonic() + WAIT_S
    while not (found := what()):
        assert time.monotonic() < end, why()
        time.sleep(0.1)
    return found


def test_a_package_a_token_and_the_devices_are_all_it_takes(
    root: PrivateRoot, first: Path, second: Path, service_centers: Callable[..., Any], terminal: Any, tmp_path: Path
) -> None:
    center = service_centers(name="center", mutual=True)
    releases = Releases(center, tmp_path / "center")
    releases.init()
    if not root.share_ptys():
        pytest.skip("the pseudo-terminals of this machine cannot be shown in a private root")
    ports = {name: os.path.realpath(terminal.dir / name) for name in ("printer", "reader")}
    for port in ports.values():
        Path(port).chmod(0o666)  # on a till udev and the group dialout do this

    # what a person, a preseed or an Ansible role puts there; nothing of it names the machine's certificate or key
    etc = root.path / "etc/posagent"
    etc.mkdir()
    words = {"ddi": center.ddi, "otlp": center.otlp, "metadata": center.metadata, "targets": center.targets}
    (etc / "agent.toml").write_text(CONFIGURATION.format(**ports, **words), "utf-8")
    shutil.copyfile(releases.root, etc / "root.json")
    shutil.copyfile(center.authority.file, etc / "centre-ca.pem")
    token = center.est.issue("pos-1", [("merchant-47", "shop-17", "pos-1")])
    lines = {"url": center.url, "token": token, "fingerprint": center.authority.fingerprint()}
    (etc / "enroll.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()), "utf-8")
    (etc / "enroll.toml").chmod(0o600)
    for path in ("agent.toml", "root.json", "centre-ca.pem"):
        root.run("chmod", "0644", f"/etc/posagent/{path}")

    shutil.copy(first, root.path / "srv/posagent.deb")
    root.run("dpkg", "--force-confold", "-i", "/srv/posagent.deb", env={"DEBIAN_FRONTEND": "noninteractive"})
    try:
        root.boot()
    except OSError as error:
        pytest.skip(str(error))

    def told() -> str:
        log = root.run("journalctl", "--no-pager", "-n", "80", check=False)
        return log + root.run("posagent", "--lang", "en", "status", check=False)

    def heard(kind: str, **body: str) -> bool:
        events = center.intake.records(0)["logs"]
        return any(e["kind"] == kind and body.items() <= dict(e["body"] or {}).items() for e in events)

    # 1. it comes in by its token, and reports a till that can take money
    until(lambda: heard("enrolment.done"), told)
    until(lambda: heard("verdict.changed", can_take_money="yes"), told)
    assert token not in root.run("cat", "/etc/posagent/enroll.toml")

    # 2. its till application is updated
    releases.release("1.0", HEALTHY)
    push(releases, center, "till-app", "1.0")
    root.run("posagent", "update", "check")  # the next poll may be five minutes away
    until(lambda: heard("update.committed", component="till-app", version="1.0"), told)
    assert root.run("cat", "/var/lib/posagent/releases/till-app/current/VERSION", user="daemon") == "1.0"

    # 3. it updates itself, and a new process says that it stays
    words_of_it = ("--component", "posagent", "--version", "2.0", "--handler", "agent_self")
    releases.tool("add", "--keys", releases.keys, *words_of_it, second)
    releases.publish()
    number = push(releases, center, "posagent", "2.0")
    root.run("posagent", "update", "check")
    until(lambda: heard("update.committed", component="posagent", version="2.0"), told)
    until(lambda: center.store.actions[number].status == "finished", told)
    assert os.readlink(root.path / "opt/posagent/current") == "releases/2.0"
    assert os.readlink(root.path / "opt/posagent/previous") == "releases/1.0"
    assert root.run("posagent", "--version").strip() == "posagent 2.0"
    assert root.run("systemctl", "show", "-P", "ActiveState", "posagent.service").strip() == "active"
    assert root.run("posagent", "journal", "verify")
    terminal.set("printer.paper", "end")
    until(lambda: heard("fault.raised", id="printer.paper_end"), told)
    assert not heard("fault.raised", id="host.release_drift")
    assert "are not checked" not in root.run("journalctl", "--no-pager", "-u", "posagent.service")


def push(releases: Releases, center: Any, component: str, version: str) -> int:
    """Assign it; the number of hawkBit's action."""
    who = ("--management", center.management, "--user", center.user, "--password", center.password, "--ca", center.authority.file)
    done = releases.tool("push", *who, "--component", component, "--version", version, "--terminal", "pos-1", "--type", "forced")
    return int(done.document["assigned"][0]["action"])
