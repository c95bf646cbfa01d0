"""The launcher as it is shipped, in a root of the test's own: whatever is damaged, full or read-only, something is run."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.starts import Starts

LAUNCHER = Path(__file__).parents[2] / "packaging" / "launcher"
LIMIT_S = 60.0
PROGRAM = '#!/bin/sh\necho "$POSAGENT_RELEASE|${POSAGENT_GIVEN_UP-none}|$*|${0##*/}"\n'


@dataclass
class Till:
    """A root with some releases that say what they were run as."""

    root: Path

    def release(self, version: str) -> None:
        folder = self.root / "opt/posagent/releases" / version / "bin"
        folder.mkdir(parents=True)
        for name in ("posagent", "python"):
            (folder / name).write_text(PROGRAM)
            (folder / name).chmod(0o755)

    def point(self, name: str, version: str) -> None:
        link = self.root / "opt/posagent" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{version}")

    def boot(self, ident: str) -> None:
        (self.root / "proc/sys/kernel/random/boot_id").write_text(ident + "\n")

    @property
    def starts(self) -> Path:
        return self.root / "var/lib/posagent/starts"

    def run(self, *words: str, before: Sequence[str] = (), program: str = "usr/lib/posagent/launcher") -> "Ran":
        done = subprocess.run(
            [*before, str(self.root / program), *words], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        return Ran(done.returncode, done.stdout.strip(), done.stderr)

    def start(self) -> "Ran":
        return self.run("daemon", "run")


@dataclass
class Ran:
    """What a start came to."""

    code: int
    out: str
    err: str

    @property
    def version(self) -> str:
        return self.out.partition("|")[0]


@pytest.fixture
def till(tmp_path: Path) -> Till:
    """Release 2 runs, release 1 ran before."""
    found = Till(tmp_path / "root")
    for name in ("usr/lib/posagent", "usr/bin", "var/lib/posagent", "proc/sys/kernel/random"):
        (found.root / name).mkdir(parents=True)
    shutil.copy(LAUNCHER, found.root / "usr/lib/posagent/launcher")
    (found.root / "usr/bin/posagent").symlink_to("../lib/posagent/launcher")
    for version in ("1.0", "2.0"):
        found.release(version)
    found.point("current", "2.0")
    found.point("previous", "1.0")
    found.boot("boot-a")
    return found


def good(till: Till, version: str) -> None:
    Starts(till.starts, {"POSAGENT_RELEASE": version}).good()


def test_it_runs_the_current_release_with_its_words(till: Till) -> None:
    ran = till.start()
    assert (ran.code, ran.out, ran.err) == (0, "2.0|none|run|posagent", "")
    assert till.starts.read_text() == "boot-a 2.0 1 - 1\n"


def test_three_starts_that_nobody_called_good_bring_the_release_before_back(till: Till) -> None:
    assert [till.start().version for _ in range(3)] == ["2.0", "2.0", "2.0"]
    ran = till.start()
    assert ran.out == "1.0|2.0|run|posagent"
    assert "not good: 1.0 is run instead" in ran.err


def test_it_stays_with_the_release_before_over_boots_until_the_pointer_moves(till: Till) -> None:
    till.starts.write_text("boot-a 2.0 3 - 3\n")
    assert till.start().version == "1.0"
    good(till, "1.0")
    for boot in "bcdefg":
        till.boot(boot)
        assert till.start().out.startswith("1.0|2.0|")
    till.release("3.0")
    till.point("current", "3.0")
    assert till.start().out.startswith("3.0|none|")


def test_where_both_fail_they_take_turns(till: Till) -> None:
    versions = []
    for _ in range(10):
        versions.append(till.start().version)
        # the pauses have their own test
        boot, version, count, given_up, _ = till.starts.read_text().split()
        till.starts.write_text(f"{boot} {version} {count} {given_up} 0\n")
    assert versions == ["2.0"] * 3 + ["1.0"] * 3 + ["2.0"] * 3 + ["1.0"]


def test_a_release_that_was_called_good_begins_to_count_anew(till: Till) -> None:
    for _ in range(8):
        assert till.start().version == "2.0"
        good(till, "2.0")


def test_switching_a_till_off_and_on_is_no_failure(till: Till) -> None:
    for number in range(8):
        till.boot(f"boot-{number}")
        assert till.start().version == "2.0"


def test_restarts_in_order_are_no_failures(till: Till) -> None:
    for _ in range(8):
        assert till.start().version == "2.0"
        Starts(till.starts, {"POSAGENT_RELEASE": "2.0"}).forgive()


def test_commands_and_the_installer_run_what_the_daemon_runs_and_count_nothing(till: Till) -> None:
    till.starts.write_text("boot-a 1.0 1 2.0 1\n")
    before = till.starts.read_bytes()
    assert till.run("status", "--json", program="usr/bin/posagent").out == "1.0|2.0|status --json|posagent"
    assert till.run("installer").out == "1.0|2.0|-I -m agent.installer|python"
    assert till.starts.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\n",
        b"boot-a",
        b"boot-a 2.0 x - y\n",
        b"boot-a 2.0 99999999999999999999 - 88888888888888888888\n",
        b"boot-a 2.0 -5 - -7\n",
        b"boot-a 2.0 3 - 3 and more\n",
        b"$(touch /tmp/no) `id` ; | &\n",
        b"\x00\xff\xfe" * 100,
        b"x" * 100_000,
        b"* * * * *\n",
    ],
)
def test_a_damaged_count_is_an_empty_one(till: Till, damage: bytes) -> None:
    till.starts.write_bytes(damage)
    ran = till.start()
    assert (ran.code, ran.version) == (0, "2.0")
    assert till.starts.read_text() == "boot-a 2.0 1 - 1\n"


def test_zeros_before_a_number_are_no_octal(till: Till) -> None:
    till.starts.write_text("boot-a 2.0 002 - 002\n")
    assert till.start().version == "2.0"
    assert till.starts.read_text() == "boot-a 2.0 3 - 3\n"


def test_a_folder_in_the_place_of_the_count_stops_nothing(till: Till) -> None:
    till.starts.mkdir()
    ran = till.start()
    assert (ran.code, ran.version) == (0, "2.0")


def lost_current(till: Till) -> str:
    (till.root / "opt/posagent/current").unlink()
    return "1.0"


def current_leads_nowhere(till: Till) -> str:
    till.point("current", "9.9")
    return "1.0"


def current_leads_out(till: Till) -> str:
    link = till.root / "opt/posagent/current"
    link.unlink()
    link.symlink_to("releases/../../../tmp")
    return "1.0"


def current_is_a_folder(till: Till) -> str:
    link = till.root / "opt/posagent/current"
    link.unlink()
    link.mkdir()
    return "1.0"


def both_lost(till: Till) -> str:
    for name in ("current", "previous"):
        (till.root / "opt/posagent" / name).unlink()
    till.release("10.0")
    (till.root / "opt/posagent/releases/11.0").mkdir()  # nothing in it
    return "10.0"


def program_lost(till: Till) -> str:
    (till.root / "opt/posagent/releases/2.0/bin/posagent").unlink()
    return "1.0"


@pytest.mark.parametrize(
    "damage", [lost_current, current_leads_nowhere, current_leads_out, current_is_a_folder, both_lost, program_lost]
)
def test_without_its_pointer_it_runs_what_is_left(till: Till, damage: Callable[[Till], str]) -> None:
    expected = damage(till)
    ran = till.start()
    assert (ran.code, ran.version) == (0, expected)
    assert "names no release" in ran.err


def test_nothing_to_run_is_said_and_ends_with_4(till: Till) -> None:
    shutil.rmtree(till.root / "opt")
    ran = till.start()
    assert ran.code == 4
    assert "install the package again" in ran.err


@pytest.mark.slow
def test_from_the_fourth_start_in_a_row_it_waits_longer_and_longer(till: Till) -> None:
    till.starts.write_text("boot-a 2.0 1 - 3\n")
    began = time.monotonic()
    assert "2 s of waiting" in till.start().err
    assert time.monotonic() - began >= 2.0
    for row, pause in ((4, 4), (7, 32), (8, 60), (998, 60), (999, 60)):
        till.starts.write_text(f"boot-a 2.0 1 - {row}\n")
        with subprocess.Popen(
            [till.root / "usr/lib/posagent/launcher", "daemon"], stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as waiting:
            assert waiting.stderr is not None
            assert f": {pause} s of waiting first" in waiting.stderr.readline()
            os.killpg(waiting.pid, 9)


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_disk_that_takes_nothing_stops_no_start(till: Till, kind: str) -> None:
    """A file system of its own for the count: 4 KiB and full, or mounted read-only."""
    state = till.starts.parent
    fill = "dd if=/dev/zero of=$1/fill bs=4096 count=9 2>/dev/null; " if kind == "full" else "mount -o remount,ro $1; "
    script = f"mount -t tmpfs -o size=4k tmpfs $1 || exit 77; {fill}shift; exec $*"
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(state)]
    ran = till.run("daemon", "run", before=words)
    if ran.code in (1, 77) and not ran.out:
        pytest.skip(f"no mount is allowed here: {ran.err.strip()[-100:]}")
    assert (ran.code, ran.version) == (0, "2.0")
    assert "could not be counted" in ran.err


def test_starts_says_who_was_given_up_and_does_nothing_without_the_launcher(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    path.write_text("boot-a 1.0 2 2.0 5\n")
    Starts(path, {}).good()
    assert path.read_text() == "boot-a 1.0 2 2.0 5\n"
    mine = Starts(path, {"POSAGENT_RELEASE": "1.0", "POSAGENT_GIVEN_UP": "2.0"})
    assert mine.given_up == "2.0"
    mine.good()
    assert path.read_text() == "boot-a 1.0 0 2.0 0\n"
    mine.forgive()
    assert path.read_text() == "boot-a 1.0 0 2.0 0\n"


def test_starts_of_another_release_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    path.write_text("boot-a 2.0 2 - 2\n")
    Starts(path, {"POSAGENT_RELEASE": "1.0"}).good()
    assert path.read_text() == "boot-a 2.0 2 - 2\n"


def test_starts_that_cannot_be_written_stop_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Starts(tmp_path / "nowhere" / "starts", {"POSAGENT_RELEASE": "1.0"}).good()
    assert "left as it is" in caplog.text
