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

from tests.packaging.building import LIMIT_S, SOURCE, build, copied
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
PIN = "27182818"
TOKEN = "pkcs11:token=till?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/posagent/pin"
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


def softhsm_is_here() -> bool:
    programs = all(map(shutil.which, ("softhsm2-util", "pkcs11-tool", "openssl")))
    return bool(
        programs and Path("/usr/lib/softhsm/libsofthsm2.so").exists() and [*Path("/usr/lib").glob("*/engines-3/pkcs11.so")]
    )


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
    token = settle(root, center, releases, terminal)
    root.run("dpkg", "--force-confold", "-i", put(root, first), env={"DEBIAN_FRONTEND": "noninteractive"})
    boot(root)

    def told() -> str:
        return said(root)

    def heard(kind: str, **body: str) -> bool:
        return at_the_centre(center, kind, **body)

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
    log = root.run("journalctl", "--no-pager", "-u", "posagent.service")
    assert "are not checked" not in log
    assert "Traceback" not in log


@pytest.mark.peer
@pytest.mark.long
@pytest.mark.skipif(
    not softhsm_is_here(), reason="softhsm2, opensc or libengine-pkcs11-openssl is not here (.ci/run installs them)"
)
def test_a_key_in_a_token_works_under_the_unit_with_the_documented_drop_in(
    root: PrivateRoot, first: Path, service_centers: Callable[..., Any], terminal: Any, tmp_path: Path
) -> None:
    center = service_centers(name="center", mutual=True)
    releases = Releases(center, tmp_path / "center")
    releases.init()
    settle(root, center, releases, terminal, enrolment=f'key = "{TOKEN}"\n')
    root.run("dpkg", "--force-confold", "-i", put(root, first), env={"DEBIAN_FRONTEND": "noninteractive"})
    root.run("mkdir", "-p", "/var/lib/till-token", "/etc/systemd/system/posagent.service.d")
    (root.path / "etc/posagent/token.conf").write_text("directories.tokendir = /var/lib/till-token\nobjectstore.backend = file\n")
    (root.path / "etc/posagent/pin").write_text(PIN)
    root.run("chown", "posagent:posagent", "/var/lib/till-token", "/etc/posagent/pin")
    root.run("chmod", "0700", "/var/lib/till-token")
    root.run("chmod", "0600", "/etc/posagent/pin")
    root.run("chmod", "0644", "/etc/posagent/token.conf")
    made = ["softhsm2-util", "--init-token", "--free", "--label", "till", "--so-pin", "31415926", "--pin", PIN]
    root.run(*made, user="posagent", env={"SOFTHSM2_CONF": "/etc/posagent/token.conf"})
    documented = re.search(r"```ini\n(\[Service\]\n.*?)```", (SOURCE / "docs/deployment.md").read_text("utf-8"), re.DOTALL)
    assert documented is not None
    (root.path / "etc/systemd/system/posagent.service.d/token.conf").write_text(documented[1])
    boot(root)
    until(lambda: at_the_centre(center, "enrolment.done"), lambda: said(root))
    until(lambda: at_the_centre(center, "verdict.changed", can_take_money="yes"), lambda: said(root))
    key = root.run("sh", "-c", "cat /var/lib/posagent/enrolment/key-*.pem")
    assert key.startswith("pkcs11:"), "the file names a key, and is none"
    assert PIN not in key


def settle(root: PrivateRoot, center: Any, releases: Releases, terminal: Any, *, enrolment: str = "") -> str:
    """What a person, a preseed or an Ansible role puts there; nothing of it names the machine's certificate or key. The token."""
    if not root.share_ptys():
        pytest.skip("the pseudo-terminals of this machine cannot be shown in a private root")
    ports = {name: os.path.realpath(terminal.dir / name) for name in ("printer", "reader")}
    for port in ports.values():
        Path(port).chmod(0o666)  # on a till udev and the group dialout do this
    etc = root.path / "etc/posagent"
    etc.mkdir()
    words = {"ddi": center.ddi, "otlp": center.otlp, "metadata": center.metadata, "targets": center.targets}
    text = CONFIGURATION.format(**ports, **words).replace("[enrolment]\n", f"[enrolment]\n{enrolment}")
    (etc / "agent.toml").write_text(text, "utf-8")
    shutil.copyfile(releases.root, etc / "root.json")
    shutil.copyfile(center.authority.file, etc / "centre-ca.pem")
    token: str = center.est.issue("pos-1", [("merchant-47", "shop-17", "pos-1")])
    lines = {"url": center.url, "token": token, "fingerprint": center.authority.fingerprint()}
    (etc / "enroll.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()), "utf-8")
    (etc / "enroll.toml").chmod(0o600)
    for path in ("agent.toml", "root.json", "centre-ca.pem"):
        root.run("chmod", "0644", f"/etc/posagent/{path}")
    return token


def put(root: PrivateRoot, package: Path) -> str:
    shutil.copy(package, root.path / "srv/posagent.deb")
    return "/srv/posagent.deb"


def boot(root: PrivateRoot) -> None:
    try:
        root.boot()
    except OSError as error:
        pytest.skip(str(error))


def said(root: PrivateRoot) -> str:
    log = root.run("journalctl", "--no-pager", "-n", "80", check=False)
    return log + root.run("posagent", "--lang", "en", "status", check=False)


def at_the_centre(center: Any, kind: str, **body: str) -> bool:
    events = center.intake.records(0)["logs"]
    return any(e["kind"] == kind and body.items() <= dict(e["body"] or {}).items() for e in events)


def push(releases: Releases, center: Any, component: str, version: str) -> int:
    """Assign it; the number of hawkBit's action."""
    who = ("--management", center.management, "--user", center.user, "--password", center.password, "--ca", center.authority.file)
    done = releases.tool("push", *who, "--component", component, "--version", version, "--terminal", "pos-1", "--type", "forced")
    return int(done.document["assigned"][0]["action"])
