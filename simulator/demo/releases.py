"""The releases of the demonstration: made, signed and published with posrelease, in the background and in order.

A release is a folder with a health check; the good ones find what they need, the broken one does not.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.demo.cast import Cast

COMPONENT = "till-app"
HEALTH_CHECK = "bin/health"
_HEALTH = """#!/bin/sh
here=$(dirname "$0")/..
test -s "$here/prices.csv" || { echo "no price list"; exit 1; }
"""


@dataclass
class Releases:
    """``repository`` is what the centre serves; the thief's own repository lies elsewhere."""

    cast: Cast
    folder: Path
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "releases"))

    @property
    def repository(self) -> Path:
        """Served by the centre."""
        return self.folder / "center/repository"

    @property
    def stolen(self) -> Path:
        """The thief's repository, with keys of his own."""
        return self.folder / "thief/repository"

    def close(self) -> None:
        """Wait for what is under way; what was not begun is left."""
        self._worker.shutdown(cancel_futures=True)

    def found(self, repository: Path) -> Future[None]:
        """Make keys and an empty repository."""

        def work() -> None:
            repository.parent.mkdir(parents=True, exist_ok=True)
            self._posrelease("init", repository, "--clear-keys")

        return self._worker.submit(work)

    def make(self, version: str, *, repository: Path | None = None, good: bool = True) -> Future[None]:
        """Sign and publish a version; ``good`` False leaves out what its health check looks for."""
        where = repository or self.repository

        def work() -> None:
            app = write_app(self.folder / f"app-{version}", version, good=good)
            self._posrelease("add", where, "--component", COMPONENT, "--version", version, app)
            self._posrelease("publish", where)

        return self._worker.submit(work)

    def push(self, version: str, host: str, center: Mapping[str, Any], repository: Path | None = None) -> int:
        """Assign a version to a host; gives the number of the roll-out."""
        where = ("--repo", repository or self.repository, "--management", center["management"])
        who = ("--user", center["user"], "--password", center["password"], "--terminal", host)
        what = ("--component", COMPONENT, "--version", version)
        document = self.cast.json("posrelease", "push", *where, *who, *what)
        return int(document["assigned"][0]["action"])

    def _posrelease(self, verb: str, repository: Path, *more: str | Path) -> None:
        keys = repository.parent / "keys"
        self.cast.command("posrelease", verb, "--repo", repository, "--keys", keys, *more)


def write_app(folder: Path, version: str, *, good: bool) -> Path:
    """A small till application."""
    health = folder / HEALTH_CHECK
    health.parent.mkdir(parents=True)
    health.write_text(_HEALTH, "utf-8")
    health.chmod(0o755)
    (folder / "VERSION").write_text(f"{version}\n", "utf-8")
    if good:
        (folder / "prices.csv").write_text("tea,2.50\n", "utf-8")
    return folder


def flip_one_bit(repository: Path, version: str) -> None:
    """What somebody on the server does to an archive after it was signed."""
    (archive,) = (repository / "targets").glob(f"*.{COMPONENT}-{version}.tar.gz")
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)


def take_over(repository: Path, thief: Path, kept: Path) -> None:
    """The thief's metadata and targets in place of the centre's, whose own are kept aside in ``kept``."""
    repository.rename(kept)
    shutil.copytree(thief, repository)


def give_back(repository: Path, kept: Path) -> None:
    """Undo `take_over`."""
    shutil.rmtree(repository)
    kept.rename(repository)
