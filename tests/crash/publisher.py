"""The service centre's side of the stage, by its own tool and its own simulator."""

import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from firmware.release.cli import main as posrelease
from tests.crash import itself
from tests.crash.scenarios import APP, HANDLERS, PRICES

HOUSE = Path(__file__).parents[2]
VALIDATE = ("/bin/sh", "-c", "test -s prices.json")
"""The site's own look into new parameters."""


class Publisher:
    """One repository. ``trees``: (component, version) → what was released under it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.trees: dict[tuple[str, str], Path] = {}
        self.repository = folder / "late" / "repository"
        self._where = ("--repo", self.repository, "--keys", folder / "keys")
        _posrelease("init", *self._where, "--clear-keys")
        shutil.copy(self.repository / "metadata" / "1.root.json", folder / "root.json")

    def app(self, version: str, health: str = "exit 0") -> None:
        app = self._folder / "apps" / version
        (app / "bin").mkdir(parents=True)
        (app / "lib" / "locale").mkdir(parents=True)
        (app / "bin" / "health").write_text(f"#!/bin/sh\n{health}\n")
        (app / "bin" / "health").chmod(0o755)
        (app / "VERSION").write_text(version)
        (app / "lib" / "app.bin").write_bytes(random.Random(version).randbytes(150_000))
        (app / "lib" / "locale" / "zh_CN").write_text(f"收银 {version}\n", "utf-8")
        self._add(APP, version, app)

    def prices(self, version: str, more: str = "") -> None:
        folder = self._folder / "prices" / version
        folder.mkdir(parents=True)
        (folder / "prices.json").write_text(json.dumps({"version": version, "tea": 350}) + more)
        (folder / "rates.toml").write_text(f'valid_with = "{version}"\n')
        self._add(PRICES, version, folder)

    def itself(self, version: str) -> None:
        folder = self._folder / "itself" / version
        itself.lay_out(folder, version, itself.python(self._folder))
        self._add(itself.OWN, version, folder)

    def _add(self, component: str, version: str, path: Path) -> None:
        named = ("--component", component, "--version", version, "--handler", HANDLERS[component])
        _posrelease("add", *self._where, *named, path)
        self.trees[component, version] = path

    def belong_together(self, app: str, prices: str) -> None:
        """A signed set of both: parameters first, so that a bad application makes them go back as well."""
        members = ("--component", PRICES, "--version", prices, "--component", APP, "--version", app)
        _posrelease("set", *self._where, "--set", "shop", "--set-version", f"{app}-{prices}", *members)

    def publish(self) -> None:
        _posrelease("publish", *self._where)

    def rotate(self, role: str) -> None:
        _posrelease("rotate", *self._where, "--role", role)
        self.publish()

    def bundle(self, version: str, path: Path) -> None:
        repo = ("--repo", self.repository)
        _posrelease("bundle", *repo, "--component", APP, "--version", version, "--out", path)


def _posrelease(*words: object) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = posrelease([str(word) for word in words])
    assert code == 0, said.getvalue()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Mapping[str, str]]:
    """A simulated centre in a process of its own, for the repository in ``folder``."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "simulator.cli", "center", "--dir", str(folder)],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(HOUSE), "PYTHONUNBUFFERED": "1"},
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
