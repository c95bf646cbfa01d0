"""posagent as what is struck: its releases, and the launcher between two lives of the daemon.

The launcher is the shipped one, without its pauses. Its count of starts lies in a folder of its own, outside of what is watched:
what a blow does to that file is tests/packaging/test_launcher.py's. Each strike and each start after it is another boot.
"""

import json
import random
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

OWN = "posagent"
FIRST = "1.0"
"""What the package brought: it lies there from the beginning, and has no list of its files."""
WORSE, DEAD = "2.1", "2.2"
"""Releases: one that uses too much, one that ends as soon as it is started."""
AGAIN = 66
"""Exit code of a run that has ended in order, to be started anew."""
LIVES = 16
LAUNCHER = Path(__file__).parents[2] / "packaging" / "launcher"
PROGRAM = '#!/bin/sh\nprintf %s "$POSAGENT_RELEASE"\n'
PYTHON = "#!/bin/sh\nexit 0\n"


def lay_out(folder: Path, version: str, python: Path) -> None:
    """A release that says what it was run as, and whose self-test says yes. ``python`` is what its link names."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/posagent").write_text(PROGRAM)
    (folder / "bin/posagent").chmod(0o755)
    (folder / "bin/python").symlink_to(python)
    (folder / "lib").mkdir()
    (folder / "lib/agent.bin").write_bytes(random.Random(version).randbytes(60_000))
    told = {"version": version, "python": "{}.{}".format(*sys.version_info)}
    (folder / "release.json").write_text(json.dumps(told))


def python(folder: Path) -> Path:
    """Stands for the interpreter."""
    path = folder / "python"
    if not path.exists():
        path.write_text(PYTHON)
        path.chmod(0o755)
    return path


def installed(root: Path, release: Path) -> None:
    """As the package leaves it."""
    opt = root / "opt/posagent"
    shutil.copytree(release, opt / "releases" / FIRST, symlinks=True)
    (opt / "current").symlink_to(f"releases/{FIRST}")


class Machine:
    """What starts the daemon of the till in ``root``."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._launcher = folder / "usr/lib/posagent/launcher"
        if not folder.exists():
            self._launcher.parent.mkdir(parents=True)
            text = LAUNCHER.read_text("utf-8")
            assert text.count("\nPAUSES=3 ") == 1
            self._launcher.write_text(text.replace("\nPAUSES=3 ", "\nPAUSES=999 "))
            self._launcher.chmod(0o755)
            (folder / "var/lib/posagent").mkdir(parents=True)
            (folder / "proc/sys/kernel/random").mkdir(parents=True)
            (folder / "opt").symlink_to(root / "opt")

    def boot(self) -> None:
        """Count from anew."""
        (self._folder / "proc/sys/kernel/random/boot_id").write_text(f"{uuid.uuid4()}\n")

    def start(self) -> str:
        """The version that the launcher runs."""
        words = [str(self._launcher), "daemon", "run"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
