"""The package, built and used: the same bytes twice; installed, started, upgraded, removed and purged in a private root."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.inventory import PACKAGED, Pace, compare
from tests.packaging.building import LIMIT_S, NEEDED, SOURCE, build
from tests.packaging.privateroot import PrivateRoot
from tests.packaging.service import WAIT_S, Service
from tests.system.releases import Releases

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the first of them builds the package
    pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb: packages are built on Debian"),
]


def members(package: Path) -> list[tarfile.TarInfo]:
    packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, timeout=LIMIT_S, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return archive.getmembers()


def test_built_elsewhere_it_is_the_same_byte_for_byte(source: Path, package: Path, tmp_path: Path) -> None:
    """Another folder, another umask, time zone, language and hash seed."""
    assert elsewhere(source, tmp_path, "--quick").read_bytes() == package.read_bytes()


@pytest.mark.long
def test_packed_as_it_is_shipped_it_is_the_same_as_well(source: Path, tmp_path: Path) -> None:
    """xz takes its time, so every run packs loosely."""
    assert elsewhere(source, tmp_path).read_bytes() == build(source, tmp_path / "shipped").read_bytes()


def elsewhere(source: Path, tmp_path: Path, *words: str) -> Path:
    again = tmp_path / "quite/another/place"
    again.mkdir(parents=True)
    for name in NEEDED:
        found = source / name
        if found.is_dir():
            shutil.copytree(found, again / name, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(found, again / name)
    before = os.umask(0o077)
    try:
        return build(again, tmp_path / "out", *words, TZ="Asia/Shanghai", LC_ALL="C.UTF-8", PYTHONHASHSEED="77")
    finally:
        os.umask(before)


def test_what_is_in_it(package: Path) -> None:
    found = members(package)
    names = {member.name for member in found}
    assert not [member.name for member in found if member.mode & 0o6022 and not member.issym()]  # nobody else writes, no setuid
    assert {(member.uid, member.gid) for member in found} == {(0, 0)}
    assert not [name for name in names if re.search(r"site-packages/(simulator|tests|firmware/release|pip|pytest)(/|$)", name)]
    links = {member.name: member.linkname for member in found if member.issym()}
    assert sorted(links.values()) == ["../lib/posagent/launcher", "/usr/bin/python3"]
    sources = {name for name in names if name.endswith(".py")}
    compiled = {re.sub(r"__pycache__/(.*)\.cpython-311\.pyc$", r"\1.py", name) for name in names if name.endswith(".pyc")}
    assert compiled == sources


def test_the_bytecode_is_never_compared_with_its_source(package: Path, tmp_path: Path) -> None:
    """PEP 552: flags 1, a hash that is not checked. And no folder of the machine that built it is named."""
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True, timeout=LIMIT_S)
    files = list(tmp_path.rglob("*.pyc"))
    assert files
    for path in files:
        assert path.read_bytes()[4:8] == b"\x01\x00\x00\x00", path
    (release,) = (tmp_path / "opt/posagent/releases").iterdir()
    assert compare(release / PACKAGED, release, Pace(0)).examples == []  # what the till looks at every day
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes()
            assert b"posagent-deb-" not in text, path
            assert str(SOURCE).encode() not in text or path.suffix == ".so", path


def test_another_architecture_is_built_here(source: Path, tmp_path: Path) -> None:
    package = build(source, tmp_path, "--architecture", "arm64", "--quick")
    assert subprocess.check_output(["dpkg-deb", "-f", package, "Architecture"], text=True) == "arm64\n"
    shared = [member.name for member in members(package) if member.name.endswith(".so")]
    assert shared
    assert not [name for name in shared if "x86_64" in name]


@pytest.mark.skipif(not shutil.which("lintian"), reason="no lintian here")
def test_lintian_finds_nothing_that_is_not_named(package: Path) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""


# -- in use ------------------------------------------------------------------------------------------------------------


def dpkg(root: PrivateRoot, *words: str, check: bool = True) -> str:
    return root.run("dpkg", "--force-confold", *words, check=check, env={"DEBIAN_FRONTEND": "noninteractive"})


def put(root: PrivateRoot, package: Path) -> str:
    shutil.copy(package, root.path / "srv" / package.name)
    return f"/srv/{package.name}"


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def status(root: PrivateRoot) -> dict[str, object]:
    found: dict[str, object] = json.loads(root.run("posagent", "status", "--json", check=False))
    return found


def test_a_life_install_start_upgrade_remove_purge(root: PrivateRoot, package: Path, newer: Path) -> None:
    before = set(root.left())
    dpkg(root, "-i", put(root, package))
    version = os.readlink(root.path / "opt/posagent/current").removeprefix("releases/")
    rights(root)

    service = Service(root)
    service.ready()
    assert status(root)["schema"] == 1
    assert starts(root)[1:] == [version, "1", "-", "1"]
    processes = root.run("ps", "-o", "user:20,args", "-C", "python", check=False) + root.run("ps", "-eo", "user:20,args")
    assert re.search(r"^posagent +.*-m agent run$", processes, re.MULTILINE), processes
    assert not re.search(r"^root +.*-m agent run$", processes, re.MULTILINE)
    assert service.stop() == 0
    assert starts(root)[1:] == [version, "0", "-", "0"]  # ended in order: no failure
    private_files(root)

    upgrade(root, newer, version)
    journal = (root.path / "var/lib/posagent/journal.sqlite").read_bytes()
    configuration = (root.path / "etc/posagent/agent.toml").read_bytes()

    dpkg(root, "-r", "posagent")
    assert not (root.path / "opt/posagent").exists()
    assert (root.path / "var/lib/posagent/journal.sqlite").read_bytes() == journal
    assert (root.path / "etc/posagent/agent.toml").read_bytes() == configuration
    dpkg(root, "-i", put(root, newer))
    assert (root.path / "etc/posagent/agent.toml").read_bytes() == configuration
    dpkg(root, "-P", "posagent")
    nothing_left(root, before)


def rights(root: PrivateRoot) -> None:
    """The daemon's user can change neither releases nor trust nor configuration; the installer can."""
    installers = ("/opt/posagent", "/var/lib/posagent/releases", "/var/lib/posagent/installer")
    for path in (*installers, "/opt/posagent/releases", "/etc/posagent"):
        assert "denied" in root.run("touch", f"{path}/planted", user="posagent", check=False), path
    for path in installers:
        assert "cannot move" in root.run("mv", "-T", path, f"{path}.moved", user="posagent", check=False), path
        root.run("touch", f"{path}/own", user="posagent-installer")
        root.run("rm", f"{path}/own", user="posagent-installer")
    for path in ("/var/lib/posagent/keys/x", "/etc/posagent/x"):
        assert "denied" in root.run("touch", path, user="posagent-installer", check=False), path
    assert "denied" in root.run("cat", "/etc/posagent/agent.toml", user="daemon", check=False)
    assert root.run("id", "-nG", "posagent").split() == ["posagent", "dialout"]


def private_files(root: PrivateRoot) -> None:
    """What a day's work has made: keys and record for nobody else, nothing that everybody may write."""
    places = ("/var/lib/posagent", "/opt/posagent", "/etc/posagent", "/run/posagent")
    found = root.run("find", *places, "-perm", "/022", "!", "-type", "l", "!", "-type", "s")
    assert found.split() == ["/var/lib/posagent"]  # group-writable and sticky
    listed = root.run("find", "/var/lib/posagent", "-type", "f", "-perm", "/077", "-user", "posagent").split()
    assert [path for path in listed if not path.endswith("/starts") and not path.endswith(".pub")] == []


def starts(root: PrivateRoot) -> list[str]:
    return (root.path / "var/lib/posagent/starts").read_text("ascii").split()


def upgrade(root: PrivateRoot, newer: Path, version: str) -> None:
    """The new release runs, the one before lies whole beside it, and a bad one is left for it by the launcher."""
    dpkg(root, "-i", put(root, newer))
    opt = root.path / "opt/posagent"
    assert os.readlink(opt / "current") == "releases/99.1"
    assert os.readlink(opt / "previous") == f"releases/{version}"
    assert sorted(os.listdir(opt / "releases")) == sorted([version, "99.1"])
    assert root.run("posagent", "--version").strip()
    broken = opt / "releases/99.1/bin/posagent"
    text = broken.read_text()
    broken.write_text("#!/bin/sh\nexit 1\n")
    for _ in range(3):
        root.run("/usr/lib/posagent/launcher", "daemon", "run", user="posagent", check=False)
    service = Service(root)
    service.ready()
    assert starts(root)[1:] == [version, "1", "99.1", "4"]
    assert "did not start well" in service.said()
    assert status(root)["schema"] == 1  # commands run the same release
    assert service.stop() == 0
    broken.write_text(text)
    (root.path / "var/lib/posagent/starts").unlink()


def nothing_left(root: PrivateRoot, before: set[str]) -> None:
    allowed = re.compile(r"srv/|log$|var/lib/dpkg/|var/log/(dpkg|alternatives)\.log$|var/cache/|etc/\.pwd\.lock$|run/|tmp/|dev/")
    users = {f"etc/{name}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")}
    for path, kind in root.left().items():
        if kind == "folder" or path in before or allowed.match(path):
            continue
        assert path.removesuffix("-") in users, f"{path} ({kind}) was left behind"
        if path in users and Path("/", path).exists():
            assert (root.path / path).read_bytes() == Path("/", path).read_bytes(), path
    for folder in ("opt/posagent", "etc/posagent", "var/lib/posagent", "run/posagent"):
        assert not (root.path / folder).exists(), folder


def test_power_cuts_in_an_upgrade_leave_a_till_that_starts(root: PrivateRoot, package: Path, newer: Path) -> None:
    """After preinst, after unpacking, and in the middle of postinst: the pointer names a whole release."""
    dpkg(root, "-i", put(root, package))
    version = os.readlink(root.path / "opt/posagent/current").removeprefix("releases/")
    said = root.run("posagent", "--version")
    file = put(root, newer)
    dpkg(root, "--unpack", file)
    assert not (root.path / "opt/posagent/releases" / version).exists()  # dpkg has taken it away already
    assert os.readlink(root.path / "opt/posagent/current") == f"releases/{version}+kept"
    assert root.run("posagent", "--version") == said
    dpkg(root, "--unpack", file)  # once more, from the beginning
    assert root.run("posagent", "--version") == said
    dpkg(root, "--configure", "posagent")
    assert os.readlink(root.path / "opt/posagent/current") == "releases/99.1"
    assert os.readlink(root.path / "opt/posagent/previous") == f"releases/{version}"
    assert sorted(os.listdir(root.path / "opt/posagent/releases")) == sorted([version, "99.1"])
    dpkg(root, "--configure", "--pending")


def test_a_self_update_is_not_taken_back_by_an_older_package(root: PrivateRoot, package: Path, newer: Path) -> None:
    dpkg(root, "-i", put(root, package))
    opt = root.path / "opt/posagent"
    version = os.readlink(opt / "current").removeprefix("releases/")
    root.run("cp", "-a", f"/opt/posagent/releases/{version}", "/opt/posagent/releases/200.0")
    root.run("ln", "-sfT", "releases/200.0", "/opt/posagent/current")
    dpkg(root, "-i", put(root, newer))
    assert os.readlink(opt / "current") == "releases/200.0"
    assert os.readlink(opt / "previous") == "releases/99.1"
    dpkg(root, "-i", put(root, package))  # a downgrade is meant
    assert os.readlink(opt / "current") == f"releases/{version}"


UPDATE = """
[host]
id = "pos-1"
[update]
metadata = "https://127.0.0.1:9/metadata"
targets = "https://127.0.0.1:9/targets"
probation_s = 0.5
components = { till-app = { handler = "app_slots", health_check = ["bin/health"], validate = ["/bin/ls", "VERSION"] } }
"""
GREEDY = "exec /usr/bin/python3 -c 'print(len(bytearray(400 << 20)))'"
AS_POSAGENT = 'test "$(id -un)" = posagent && ! touch VERSION 2>/dev/null'


def test_a_till_is_updated_by_the_installer_and_not_by_the_daemon(root: PrivateRoot, package: Path, tmp_path: Path) -> None:
    """From a stick, with the daemon and (as root) without it: nothing that runs belongs to the daemon."""
    made = Releases(None, tmp_path / "centre")
    made.folder.mkdir()
    made.init()
    dpkg(root, "-i", put(root, package))
    (root.path / "etc/posagent/agent.toml").write_text(UPDATE, "utf-8")
    shutil.copy(made.root, root.path / "etc/posagent/root.json")
    root.run("chmod", "0644", "/etc/posagent/root.json")
    for version, health in (("1.0", AS_POSAGENT), ("2.0", "exit 1"), ("3.0", AS_POSAGENT)):
        made.release(version, health)
        stick = root.path / f"srv/{version}.bundle"
        made.tool("bundle", "--component", "till-app", "--version", version, "--out", stick)
        stick.chmod(0o644)

    service = Service(root)
    service.ready()
    said = root.run("posagent", "update", "install", "/srv/1.0.bundle", "--json", check=False)
    assert running(root) == "1.0", said + service.said()
    assert '"signed"' in root.run("cat", "/var/lib/posagent/installer/trust/timestamp.json", user="posagent")
    said = root.run("posagent", "update", "install", "/srv/2.0.bundle", "--json", check=False)
    assert "the previous version runs again" in said, said + service.said()
    assert running(root) == "1.0"
    assert service.end_daemon() == 0
    said = root.run("posagent", "update", "install", "/srv/3.0.bundle", "--json", check=False)
    assert running(root) == "3.0", said + service.said()
    root.run("posagent", "update", "rollback", "till-app", "--json")
    assert running(root) == "1.0"
    service.close()

    releases = root.run("find", "/var/lib/posagent/releases", "/var/lib/posagent/installer", "!", "-user", "posagent-installer")
    assert releases.split() == ["/var/lib/posagent/installer/releases"]  # the link that tmpfiles.d makes
    assert root.run("find", "/var/lib/posagent", "-user", "root").split() == ["/var/lib/posagent", releases.strip()]
    floor = json.loads((root.path / "var/lib/posagent/installer/floor.json.1").read_text())
    assert floor["data"]["counters"]["till-app"] == 3
    assert not (root.path / "var/lib/posagent/floor.json.1").exists()
    private_files(root)


@pytest.mark.skipif(not Path("/lib/systemd/systemd").exists(), reason="no systemd here")
def test_under_systemd_with_the_units_as_they_are(root: PrivateRoot, package: Path, tmp_path: Path) -> None:
    """The sandbox is real: started, watched over, updated through the socket that systemd listens at, stopped in order."""
    made = Releases(None, tmp_path / "centre")
    made.folder.mkdir()
    made.init()
    made.release("1.0", AS_POSAGENT)
    dpkg(root, "-i", put(root, package))
    (root.path / "etc/posagent/agent.toml").write_text(UPDATE, "utf-8")
    shutil.copyfile(made.root, root.path / "etc/posagent/root.json")
    made.release("2.0", GREEDY)
    for version in ("1.0", "2.0"):
        made.tool("bundle", "--component", "till-app", "--version", version, "--out", root.path / f"srv/{version}.bundle")
    root.run("chmod", "0644", "/etc/posagent/root.json", "/srv/1.0.bundle", "/srv/2.0.bundle")
    try:
        root.boot()
    except OSError as error:
        pytest.skip(str(error))

    def shown(name: str) -> str:
        return root.run("systemctl", "show", "-P", name, "posagent.service", check=False).strip()

    wait_for(lambda: shown("ActiveState") == "active")
    process = root.run("cat", f"/proc/{shown('MainPID')}/status")
    assert re.search(r"^NoNewPrivs:\t1$", process, re.MULTILINE)
    assert re.search(r"^Seccomp:\t2$", process, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", process, re.MULTILINE)
    assert not re.search(r"^Uid:.*\b0\b", process, re.MULTILINE)
    said = root.run("posagent", "update", "install", "/srv/1.0.bundle", "--json", check=False)
    assert running(root) == "1.0", said + root.run("journalctl", "--no-pager", "-n", "50", check=False)
    assert (shown("MemoryHigh"), shown("MemoryMax"), shown("TasksMax")) == (str(384 << 20), str(512 << 20), "128")
    root.run("systemctl", "restart", "posagent.service")
    assert starts(root)[2] == "1"  # the restart was forgiven
    if (group := control_group(root)) is not None:
        limits(root, group, shown)
    root.run("systemctl", "stop", "posagent.service")
    assert (shown("Result"), shown("ExecMainStatus")) == ("success", "0")


def control_group(root: PrivateRoot) -> Path | None:
    """The kernel's limits of the daemon's service; None on a machine that counts no memory in groups for us."""
    groups = root.path / "sys/fs/cgroup"
    found = [groups / f"{name}system.slice/posagent.service" for name in ("", "memory/")]
    names = ("memory.max", "memory.limit_in_bytes")
    return next((folder for folder in found for name in names if (folder / name).exists()), None)


def limits(root: PrivateRoot, group: Path, shown: Callable[[str], str]) -> None:
    """A release's health check that takes too much is ended, not the daemon; the daemon itself is started anew, and says so."""
    told = [path.read_text().strip() for name in ("memory.max", "memory.limit_in_bytes") if (path := group / name).exists()]
    assert told == [str(512 << 20)]
    tasks = [group / "pids.max", root.path / "sys/fs/cgroup/pids/system.slice/posagent.service/pids.max"]
    assert [path.read_text().strip() for path in tasks if path.exists()] == ["128"]

    def most(size: str) -> None:
        root.run("systemctl", "set-property", "--runtime", "posagent.service", f"MemoryMax={size}", "MemoryHigh=infinity")

    process = shown("MainPID")
    most("160M")
    said = root.run("posagent", "update", "install", "/srv/2.0.bundle", "--json", check=False)
    assert running(root) == "1.0", said
    assert "signal 9" in said
    assert shown("MainPID") == process

    most("12M")
    root.run("systemctl", "kill", "-s", "KILL", "posagent.service")  # as the kernel does to one that grew
    wait_for(lambda: int(shown("NRestarts") or 0) >= 2)  # the next one had no room at all
    most("512M")
    wait_for(lambda: shown("ActiveState") == "active" and shown("MainPID") not in ("0", process))
    told = root.run("posagent", "journal", "show", "--json", check=False).splitlines()
    assert any('"cut_off": true' in line or '"cut_off":true' in line for line in told), told[-5:]


def running(root: PrivateRoot) -> str:
    """What the till would start now."""
    return root.run("cat", "/var/lib/posagent/releases/till-app/current/VERSION", user="daemon", check=False)
