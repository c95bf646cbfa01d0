"""Many tills, no hand at any of them: the Ansible role and the installer's script, tried in a private root as they are."""

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.packaging.privateroot import PrivateRoot

SOURCE = Path(__file__).parents[2]
ROLE = SOURCE / "packaging" / "ansible"
PRESEED = SOURCE / "packaging" / "preseed"
ANSIBLE = Path(sys.executable).parent / "ansible-playbook"
SECRET = "once-and-never-again"  # the one-time token of these tests

pytestmark = [pytest.mark.packaging, pytest.mark.slow]

HOST = {
    "posagent_tills": [{"id": "pos-7", "printer": {"port": "/dev/posagent/com1"}, "reader": {"port": "/dev/posagent/com2"}}],
    "posagent_sections": {"center": {"otlp": "https://centre.example:4318"}, "enrolment": {"required": True}},
    "posagent_enroll": {"url": "https://centre.example", "token": SECRET, "fingerprint": "00" * 32},
}
CONFIGURATION = """
[host]
id = "pos-7"

[[terminal]]
[terminal.printer]
port = "/dev/posagent/com1"
"""


@pytest.fixture
def site(root: PrivateRoot, package: Path) -> Path:
    """A site's folder as its technician has it, seen from inside the root."""
    folder = root.path / "srv" / "site"
    shutil.copytree(ROLE, folder)
    shutil.copy(package, folder / "posagent_amd64.deb")
    return Path("/srv/site")


def changed(said: str) -> int:
    return int(said.rpartition("changed=")[2].split()[0])


@pytest.mark.skipif(not ANSIBLE.exists(), reason="ansible-core is not installed (.ci/run installs it)")
@pytest.mark.peer
def test_ansible_puts_it_on_twice_and_takes_it_off(root: PrivateRoot, site: Path, package: Path) -> None:
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    inside = root.path / site.relative_to("/")
    (inside / "posagent_amd64.deb").rename(inside / f"posagent_{architecture}.deb")

    def run(**variables: object) -> str:
        hosts = {"tills": {"hosts": {"pos-7": {**HOST, "posagent_architecture": architecture, **variables}}}}
        (inside / "hosts.json").write_text(json.dumps(hosts))
        words = [str(ANSIBLE), "--connection", "local", "--inventory", f"{site}/hosts.json", f"{site}/playbook.yml"]
        extra = ["--extra-vars", "ansible_python_interpreter=/usr/bin/python3"]
        return root.run(*words, *extra, env={"HOME": "/root", "ANSIBLE_NOCOLOR": "1"}, check=False)

    first = run()
    assert "failed=0" in first
    assert SECRET not in first, "the token is not shown"
    etc = root.path / "etc" / "posagent"
    assert SECRET in (etc / "enroll.toml").read_text()
    assert (etc / "enroll.toml").stat().st_mode & 0o777 == 0o600
    assert (etc / "agent.toml").stat().st_mode & 0o777 == 0o640
    assert 'port = "/dev/posagent/com1"' in (etc / "agent.toml").read_text()
    assert "posagent" in root.run("posagent", "--version")
    again = run()
    assert "failed=0" in again
    assert changed(again) == 0, again
    wrong = run(posagent_sections={"center": {"otlp": "no address"}})
    assert "failed=1" in wrong, "a mistake in the configuration is one"
    kept = run(posagent_state="absent")
    assert "failed=0" in kept
    assert (etc / "agent.toml").exists()
    run(posagent_state="purged")
    assert not etc.exists()


def test_the_installers_script(root: PrivateRoot, package: Path) -> None:
    folder = root.path / "srv" / "posagent"
    shutil.copytree(PRESEED, folder)
    shutil.copy(package, folder)
    (folder / "agent.toml").write_text(textwrap.dedent(CONFIGURATION))
    (folder / "root.json").write_text("{}")
    (folder / "enroll.toml").write_text(f'url = "https://centre.example"\ntoken = "{SECRET}"\n')
    for _ in range(2):  # a late_command that was cut off is run again
        root.run("sh", "/srv/posagent/install.sh")
    etc = root.path / "etc" / "posagent"
    assert SECRET in (etc / "enroll.toml").read_text()
    assert root.run("stat", "-c", "%U:%G %a", "/etc/posagent/agent.toml", "/etc/posagent/root.json").split("\n")[:2] == [
        "root:posagent 640",
        "root:root 644",
    ]
    assert "com1" in root.run("posagent", "config", "check", check=False), "the device is not there yet, and that is all"


def test_the_installers_script_without_its_package_says_so(root: PrivateRoot) -> None:
    folder = root.path / "srv" / "posagent"
    shutil.copytree(PRESEED, folder)
    said = root.run("sh", "/srv/posagent/install.sh", check=False)
    assert "no posagent_*_" in said


@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="no debconf here")
def test_the_preseed_is_read_by_debconf() -> None:
    done = subprocess.run(
        ["debconf-set-selections", "--checkonly", PRESEED / "posagent.cfg"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
