"""The shop: a centre, hosts with their tills, wires between them, all of them the real programs in processes of their own."""

import base64
import ctypes
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.soak.relay import Relay
from tests.soak.watch import Watch
from tests.system.harness import BIN, ENVIRONMENT, Host, center_table, run, till_table
from tests.system.releases import COMPONENT, Releases

OTHER = "price-list"
DISK_MIB = 192
MNT_DETACH = 2  # mount.h
READY_S = 30.0
POLLING = "00:00:05"


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


def build_clock(folder: Path) -> Path | None:
    """The library that shifts a clock; None where nothing can compile it."""
    cc, library = compiler(), folder / "jump.so"
    if cc is None:
        return None
    subprocess.run([cc, "-O1", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("jump.c")], check=True)
    return library


class Program:
    """One of `possim`'s programs that says in one line when it is ready."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [str(BIN / "possim"), *map(str, words)], env=ENVIRONMENT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.ready = SimpleNamespace(**json.loads(self.process.stdout.readline()))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()


class Centre(Program):
    """`possim center`; the operator's requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__("center", "--dir", folder)
        self.rest("POST", "/sim/behaviour", {"polling": POLLING})

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """One request as the operator; a centre that is down just now is asked again."""
        word = base64.b64encode(f"{self.ready.user}:{self.ready.password}".encode()).decode()
        end = time.monotonic() + READY_S
        while True:
            asked = urllib.request.Request(
                self.ready.url + path,
                None if body is None else json.dumps(body).encode(),
                {"Authorization": f"Basic {word}", "Content-Type": "application/json"},
                method=method,
            )
            try:
                with urllib.request.urlopen(asked, timeout=10) as answer:
                    raw = answer.read()
                    return json.loads(raw) if raw else None
            except urllib.error.HTTPError as error:
                if time.monotonic() > end or error.code < 500:
                    raise
            except OSError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.3)

    def actions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.rest("GET", "/sim/actions")["actions"]
        return found

    def action(self, number: int) -> dict[str, Any]:
        return next(action for action in self.actions() if action["id"] == number)

    def installed(self, host: str) -> dict[str, str]:
        """What the centre holds for installed: component -> version."""
        found = self.rest("GET", f"/rest/v1/targets/{host}/installedDS")
        return {module["name"]: module["version"] for module in found["modules"]} if found else {}


class Till(Program):
    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self.folder, self.name = folder, name
        super().__init__("terminal", "--dir", folder, "--seed", seed)

    def set(self, key: str, value: str) -> None:
        subprocess.run([BIN / "possim", "set", "--dir", self.folder, key, value], check=True, timeout=30, env=ENVIRONMENT)

    def truth(self) -> dict[str, Any]:
        done = subprocess.run(
            [BIN / "possim", "show", "--dir", self.folder, "--json"], check=True, timeout=30, env=ENVIRONMENT, capture_output=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


class Shop(Releases):
    """The service centre's tool, which one person uses at a time."""

    def __init__(self, centre: Centre, folder: Path) -> None:
        super().__init__(centre.ready, folder)
        self.desk = threading.RLock()

    def add(self, version: str, health: str, *more: object, component: str = COMPONENT, size: int = 0) -> None:
        with self.desk:
            path = self.app(version, health) if component == COMPONENT else self._other(component, version)
            if size:
                (path / "data").write_bytes(os.urandom(size))
            self.tool("add", "--keys", self.keys, "--component", component, "--version", version, *more, path)
            self.publish()

    def assign(self, host: str, pairs: list[tuple[str, str]], kind: str = "forced") -> int | None:
        """`posrelease push`; the number of the open action, None where it is installed already."""
        who = ("--management", self.center.management, "--user", self.center.user, "--password", self.center.password)
        what = [word for component, version in pairs for word in ("--component", component, "--version", version)]
        words = ("push", "--json", "--repo", self.repo, *who, *what, "--terminal", host, "--type", kind)
        end = time.monotonic() + READY_S
        while True:
            with self.desk:
                done = run("posrelease", *words)
            if done.code == 0:
                number = done.document["assigned"][0]["action"]
                return None if number is None else int(number)
            assert done.code == 3, done
            assert time.monotonic() < end, done
            time.sleep(0.5)  # the centre is away just now


@dataclass
class Box:
    """One host: its daemon, which is started again whenever it ends; its wires, its clock, its disk."""

    host: Host
    name: str
    tills: list[Till]
    ddi: Relay
    repo: Relay
    clock: Path | None
    disk: bool
    env: dict[str, str]
    troubles: list[tuple[float, float, str]] = field(default_factory=list)
    """(begin, end, kind) of what was done to it, monotonic seconds"""
    starts: int = 0
    ends: list[int] = field(default_factory=list)
    """exit codes of daemons that nobody had killed"""
    watch: Watch = field(init=False)
    process: subprocess.Popen[bytes] | None = None
    pause_s: Callable[[], float] = lambda: 0.5
    _killed: set[int] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.watch = Watch(self.host.state, self.pid)

    def pid(self) -> int:
        process = self.process
        return process.pid if process is not None and process.poll() is None else 0

    def start(self) -> None:
        """Like systemd with Restart=always."""
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        self.watch.start()

    def kill(self) -> bool:
        pid = self.pid()
        if pid:
            self._killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        return bool(pid)

    def stop(self) -> tuple[int, float]:
        """End it as a shutdown does; exit code and seconds."""
        self._stopping.set()
        self.watch.stop()
        assert self._keeper is not None
        begun = time.monotonic()
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
        self._keeper.join(30)
        code = self.process.wait(1) if self.process is not None and not self._keeper.is_alive() else -99
        return code, time.monotonic() - begun

    def jump(self, seconds: int) -> None:
        """The wall clock of all that runs here from now on."""
        if self.clock is not None:
            with self.clock.open("r+b", buffering=0) as file:
                file.write(seconds.to_bytes(8, "little", signed=True))

    def children(self) -> list[tuple[int, str]]:
        """(pid, command line) of what the daemon has started."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(") ")[2].split()[1]) == self.pid() != 0:
                    found.append((int(entry.name), (entry / "cmdline").read_text().replace("\0", " ")))
            except (OSError, IndexError):
                continue
        return found

    def runs(self) -> dict[str, str]:
        """What the pointers name and the files say."""
        return {
            name: (self.host.state / "releases" / name / "current" / "VERSION").read_text()
            for name in (COMPONENT, OTHER)
            if (self.host.state / "releases" / name / "current").exists()
        }

    def _keep(self) -> None:
        while not self._stopping.is_set():
            with self.host.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [str(BIN / "posagent"), "run", "--root", str(self.host.root)],
                    env=ENVIRONMENT | self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self.starts += 1
            code = self.process.wait()
            if self.process.pid not in self._killed and not self._stopping.is_set():
                self.ends.append(code)
            self._stopping.wait(self.pause_s())


def mount_disk(folder: Path) -> bool:
    """A small file system of our own; only in a mount namespace of our own."""
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={DISK_MIB}m".encode()) == 0)


def unmount_disk(folder: Path) -> None:
    """Take it away again; what is still open on it stays until it is closed."""
    ctypes.CDLL(None).umount2(os.fsencode(folder), MNT_DETACH)


def open_box(folder: Path, name: str, shop: Shop, tills: list[Till], library: Path | None, disk: bool, seed: int) -> Box:
    """A configured host behind wires of its own; nothing runs yet."""
    host = Host(folder / name)
    if disk and not mount_disk(host.root / "var"):
        disk = False
    center = shop.center
    ddi, repo = Relay(center.url, seed), Relay(center.url, seed + 1)
    clock, env = None, {}
    if library is not None:
        clock = folder / f"{name}.clock"
        clock.write_bytes(bytes(8))
        env = {"LD_PRELOAD": str(library), "SOAK_CLOCK": str(clock)}
    (host.etc / "root.json").write_bytes(shop.root.read_bytes())
    wired = SimpleNamespace(ddi=center.ddi.replace(center.url, ddi.url), otlp=ddi.url, gateway_token=center.gateway_token)
    host.configure(
        f'[host]\nid = "{name}"\n'
        + "".join(till_table(till.name, till.folder) for till in tills)
        + center_table(wired, heartbeat_s=20.0)
        + f'[update]\nmetadata = "{center.metadata.replace(center.url, repo.url)}"\n'
        + f'targets = "{center.targets.replace(center.url, repo.url)}"\n'
        + 'trusted_root = "root.json"\nprobation_s = 12.0\nidle_s = 1.0\nlabels = ["shop-17"]\n'
        + f'components = {{ {COMPONENT} = {{ handler = "app_slots", health_check = ["bin/health"] }}, '
        + f'{OTHER} = {{ handler = "app_slots" }} }}\n'
    )
    return Box(host, name, tills, ddi, repo, clock, disk, env)
