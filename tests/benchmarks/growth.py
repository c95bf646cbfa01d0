"""The memory of the daemon and its workers together, while one file is installed: the highest seen, for two sizes.

The real daemon, told by `posrelease push` through the simulated centre; looked at every LOOK_S seconds, from the push until the
pointer has moved. What lives shorter than that may be missed; the workers live for tenths of seconds.
"""

import contextlib
import io
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firmware.release.choices import Options
from firmware.release.cli import main as posrelease
from firmware.release.repository import Repository
from tests.benchmarks import house, trees
from tests.benchmarks.processes import memory
from tests.benchmarks.web import Web, web

COMPONENT = "blob"
LOOK_S = 0.004
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Peak:
    """KiB over the whole tree of processes: the highest sums seen, and the daemon alone before. ``looks``: how many."""

    bytes: int
    rss_kib: int
    pss_kib: int
    idle_rss_kib: int
    looks: int


def measure(folder: Path, sizes: tuple[int, ...]) -> list[Peak]:
    """One installation of each size, each on a new host."""
    folder.mkdir(parents=True)
    found = []
    for number, size in enumerate(sizes):
        place = folder / f"host-{number}"
        place.mkdir()
        found.append(_one(place, size))
    return found


def _one(folder: Path, size: int) -> Peak:
    file, now = trees.one_file(folder / "subject.bin", size), datetime.now(UTC)
    shop = Repository.create(folder / "center" / "repository", folder / "keys", now=now)
    shop.add_release(COMPONENT, "1.0", file, options=Options(archive=".file", handler="single_file"), now=now)
    shop.publish(now)
    with (
        web(folder / "center" / "repository") as server,
        house.ready([house.BIN / "possim", "center", "--dir", folder / "center"], folder / "center.log") as told,
        house.terminals(folder, 1, "none") as tills,
    ):
        root = folder / "root"
        _configure(root, tills, told, server, shop.root_bytes)
        with house.daemon(root) as daemon:
            before, _ = memory(daemon.pid)
            _push(folder, "bench", told)
            return _watch(daemon, root, size, before)


def _configure(root: Path, tills: list[Path], told: dict[str, Any], server: Web, trusted: bytes) -> None:
    seen = house.Center(*(told[key] for key in ("url", "otlp", "ddi", "gateway_token", "user", "password")))
    house.configure(root, tills, seen, reader=False)
    etc = root / "etc" / "posagent"
    (etc / "root.json").write_bytes(trusted)
    with (etc / "agent.toml").open("a") as file:
        file.write(
            f'[update]\nmetadata = "{server.url}/metadata"\ntargets = "{server.url}/targets"\ntrusted_root = "root.json"\n'
            f'probation_s = 0.5\nidle_s = 0.0\ncomponents = {{ {COMPONENT} = {{ handler = "single_file" }} }}\n'
        )


def _push(folder: Path, host: str, told: dict[str, Any]) -> None:
    words = ["push", "--repo", folder / "center" / "repository", "--management", told["management"], "--user", told["user"]]
    words += ["--password", told["password"], "--component", COMPONENT, "--version", "1.0", "--terminal", host]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = posrelease([str(word) for word in words])
    if code:
        raise RuntimeError(said.getvalue())


def _watch(daemon: house.Daemon, root: Path, size: int, before: int) -> Peak:
    pointer = root / "var" / "lib" / "posagent" / "releases" / COMPONENT / "current"
    daemon.ask("update.check")
    end, rss, pss, looks = time.monotonic() + LIMIT_S, 0, 0, 0
    while not pointer.is_symlink():
        if time.monotonic() > end:
            raise house.NotReadyError(f"nothing was installed: see {root}/run.log")
        seen = memory(daemon.pid)
        rss, pss, looks = max(rss, seen[0]), max(pss, seen[1]), looks + 1
        time.sleep(LOOK_S)
    return Peak(size, rss, pss, before, looks)
