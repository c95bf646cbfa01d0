"""Releases of posagent itself, made of this source tree, good and bad; and what stands in for the service manager.

A release is what the package lays down, but for the libraries: those it takes from the environment of the tests. Its times are
shorter by edits of its own constants, said in QUICK.
"""

import contextlib
import importlib.util
import json
import os
import py_compile
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.errors import AgentError
from tests.system.harness import ENVIRONMENT, PATIENCE, POLL_S, Doc, Host

SOURCE: Final = Path(__file__).parents[2]
COMPONENT: Final = "posagent"
PYTHON: Final = "{}.{}".format(*sys.version_info)
SITE: Final = f"lib/python{PYTHON}/site-packages"
Edit = tuple[str, str, str]
"""File, what stands there, what is to stand there."""
QUICK: Final[Sequence[Edit]] = (
    ("firmware/probation.py", "own_min_s: float = 120.0", "own_min_s: float = 4.0"),
    ("firmware/probation.py", "max_s: float = 600.0", "max_s: float = 12.0"),
    ("agent/starts.py", "GOOD_S: Final = 120.0", "GOOD_S: Final = 4.0"),
    ("agent/selfupdate.py", "SETTLE_S: Final = 30.0", "SETTLE_S: Final = 1.0"),
    ("agent/selfupdate.py", "ALIVE_LIMIT_S: Final = 5.0", "ALIVE_LIMIT_S: Final = 4.0"),
)
RUN: Final = "        stop = StopSignal(self._house.owner.stop)\n"
"""In agent/supervisor.py: where the daemon begins to run."""


def at_start(code: str) -> Edit:
    """One line of Python that the daemon of a release begins with."""
    return ("agent/supervisor.py", RUN, f"        {code}\n{RUN}")


def _builder() -> Any:
    spec = importlib.util.spec_from_file_location("posagent_build", SOURCE / "packaging/build.py")
    assert spec is not None
    assert spec.loader is not None
    built = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(built)
    return built


class Workshop:
    """Makes releases; the first one is compiled, the others are copies with some files changed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._build = folder, _builder()
        self._model = folder / "model"
        self._lay_out(self._model)
        for edit in QUICK:
            self._edit(self._model, edit)
        self._build.compile_here(self._model / SITE, "posagent")

    def _lay_out(self, release: Path) -> None:
        site, base = release / SITE, Path(sys._base_executable)  # type: ignore[attr-defined]
        for path in self._build.own_files():
            target = site / path.relative_to(SOURCE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        (release / "bin").mkdir()
        (release / "bin/python").symlink_to(base)
        (release / "bin/posagent").write_text(self._build.START)
        (release / "bin/posagent").chmod(0o755)
        (release / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {PYTHON}\n")

    def release(self, version: str, *edits: Edit) -> Path:
        """The folder of one release."""
        release = self._folder / version
        shutil.copytree(self._model, release, symlinks=True)
        (release / "release.json").write_text(json.dumps({"version": version, "python": PYTHON, "architecture": "amd64"}))
        own = (release / SITE / "agent/__init__.py").read_text().partition('__version__ = "')[2].partition('"')[0]
        for edit in (("agent/__init__.py", f'__version__ = "{own}"', f'__version__ = "{version}"'), *edits):
            compiled = self._edit(release, edit)
            py_compile.compile(str(compiled), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        return release

    def _edit(self, release: Path, edit: Edit) -> Path:
        name, before, after = edit
        path = release / SITE / name
        text = path.read_text("utf-8")
        assert text.count(before) == 1, (name, before)
        path.write_text(text.replace(before, after), "utf-8")
        return path


@dataclass
class Service:
    """systemd's part: starts the launcher, again and again, and kills what does not feed its watchdog. Bounded, no pause."""

    host: Host
    start_limit_s: float = 15.0
    watchdog_s: float = 10.0
    starts_max: int = 12
    starts: int = 0
    killed: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def launcher(self) -> Path:
        return self.host.root / "usr/lib/posagent/launcher"

    def install(self, release: Path) -> None:
        """What the package does: launcher, release, pointer, folders."""
        self.launcher.parent.mkdir(parents=True)
        shutil.copy(SOURCE / "packaging/launcher", self.launcher)
        (self.host.root / "var/lib/posagent").mkdir(parents=True, exist_ok=True)
        (self.host.root / "proc/sys/kernel/random").mkdir(parents=True)
        (self.host.root / "proc/sys/kernel/random/boot_id").write_text("this-boot\n")
        opt = self.host.root / "opt/posagent"
        shutil.copytree(release, opt / "releases" / release.name, symlinks=True)
        (opt / "current").symlink_to(f"releases/{release.name}")

    def start(self) -> None:
        """Until ``stop``, on a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="service")
        self._thread.start()

    def stop(self) -> None:
        """As `systemctl stop`."""
        self._stopping.set()
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive()

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, self.host.log.open("ab") as log:
            heard.bind(f"\0posagent-test-{os.getpid()}-{id(self)}")
            told = {
                "NOTIFY_SOCKET": "@" + heard.getsockname()[1:].decode(),
                "WATCHDOG_USEC": str(int(self.watchdog_s * 1_000_000)),
            }
            while not self._stopping.is_set() and self.starts < self.starts_max:
                self.starts += 1
                words = [str(self.launcher), "daemon", "run", "--root", str(self.host.root)]
                environment = {**ENVIRONMENT, **told}
                self._process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                self._watch(self._process, heard)

    def _watch(self, process: "subprocess.Popen[bytes]", heard: socket.socket) -> None:
        until = time.monotonic() + self.start_limit_s
        heard.settimeout(POLL_S)
        while process.poll() is None:
            with contextlib.suppress(TimeoutError):
                said = heard.recv(4096)
                if said in (b"READY=1", b"WATCHDOG=1"):
                    until = time.monotonic() + self.watchdog_s
                elif said == b"STOPPING=1":
                    until = time.monotonic() + 2 * self.watchdog_s
            if time.monotonic() > until:
                self.killed += 1
                process.kill()
        process.wait()


@contextlib.contextmanager
def serving(host: Host, release: Path, **how: Any) -> Iterator[Service]:
    """A till with that release of posagent, which runs until the end of the block."""
    service = Service(host, **how)
    service.install(release)
    try:
        service.start()
        yield service
    finally:
        service.stop()


def ended(host: Host, version: str, limit_s: float) -> Doc:
    """How the deployment of ``version`` ended, once the daemon that answers says so, restarts in between."""
    until = time.monotonic() + PATIENCE * limit_s
    found: Mapping[str, Any] = {}
    while time.monotonic() < until:
        with contextlib.suppress(AgentError, OSError):
            found = host.ask("update.status")
            last = found.get("last")
            if found["deployment"] is None and last is not None and last["version"] == version:
                return dict(last)
        time.sleep(POLL_S)
    raise AssertionError(f"{json.dumps(found, indent=1)}\n{host.log_text()[-6000:]}")


def versions_started(host: Host) -> list[str]:
    """Which releases have run, in their order, one after the other told once."""
    found: list[str] = []
    for record in host.journal("agent.started"):
        if found[-1:] != [record["body"]["version"]]:
            found.append(record["body"]["version"])
    return found


def pointers(host: Host) -> tuple[str, str | None]:
    """``current`` and ``previous``."""
    opt = host.root / "opt/posagent"
    previous = opt / "previous"
    return os.readlink(opt / "current"), os.readlink(previous) if previous.is_symlink() else None
