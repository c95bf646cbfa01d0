"""The processes of a run: simulated tills, a simulated centre and the daemon, each started as a user would start it."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent.control import ask_owner
from agent.errors import AgentError

BIN = Path(sys.executable).parent
START_S = 20.0
STOP_S = 10.0

T = TypeVar("T")


class NotReadyError(RuntimeError):
    """Something did not come up in time."""


@contextlib.contextmanager
def process(arguments: Sequence[str | Path], log: Path, **more: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with the block: SIGTERM first, then SIGKILL."""
    with log.open("ab") as errors:
        running = subprocess.Popen([str(a) for a in arguments], stderr=errors, **more)
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(STOP_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            if running.stdout is not None:
                running.stdout.close()


@contextlib.contextmanager
def ready(arguments: Sequence[str | Path], log: Path) -> Iterator[dict[str, Any]]:
    """A possim process that has said that it is ready, as that one line of JSON."""
    with process(arguments, log, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        if not select.select([running.stdout], [], [], START_S)[0]:
            raise NotReadyError(f"{arguments}: see {log}")
        yield json.loads(running.stdout.readline())


@dataclass(frozen=True, slots=True)
class Center:
    """A running centre; ``otlp`` and ``ddi`` are where the daemon is sent (perhaps through a relay)."""

    url: str
    otlp: str
    ddi: str
    gateway_token: str
    user: str
    password: str

    def records(self, after: int = 0) -> dict[str, Any]:
        """What the intake got."""
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, self.url, self.user, self.password)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
        with opener.open(f"{self.url}/sim/records?after={after}", timeout=START_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def center(folder: Path) -> Iterator[Center]:
    """`possim center`."""
    with ready([BIN / "possim", "center", "--dir", folder], folder.with_suffix(".log")) as told:
        yield Center(*(told[key] for key in ("url", "otlp", "ddi", "gateway_token", "user", "password")))


@contextlib.contextmanager
def terminals(folder: Path, count: int, reader: str) -> Iterator[list[Path]]:
    """So many `possim terminal`; gives their folders."""
    with contextlib.ExitStack() as all_of_them:
        folders = [folder / f"till-{number}" for number in range(1, count + 1)]
        for one in folders:
            command: list[str | Path] = [BIN / "possim", "terminal", "--dir", one, "--reader", reader]
            all_of_them.enter_context(ready(command, one.with_suffix(".log")))
        yield folders


@contextlib.contextmanager
def many_tills(folder: Path, count: int, reader: str) -> Iterator[list[Path]]:
    """As ``terminals``, all of them in one process: a gateway's worth of processes would measure the machine."""
    command: list[str | Path] = [sys.executable, "-m", "tests.benchmarks.many_tills", folder, str(count), reader]
    with ready(command, folder / "tills.log"):
        yield [folder / f"till-{number}" for number in range(1, count + 1)]


def configure(root: Path, tills: Sequence[Path], server: Center, *, reader: bool, heartbeat_s: int = 300) -> None:
    """Write the daemon's configuration below ``root``."""
    lines = ["[host]", 'id = "bench"']
    for till in tills:
        lines += ["[[terminal]]", f'id = "{till.name}"', "[terminal.printer]", f'port = "{till}/printer"']
        if reader:
            lines += ["[terminal.reader]", f'port = "{till}/reader"', 'mode = "owned"']
    lines += ["[center]", f'ddi = "{server.ddi}"', f'gateway_token = "{server.gateway_token}"']
    lines += [f'otlp = "{server.otlp}"', f"heartbeat_s = {heartbeat_s}"]
    file = root / "etc" / "posagent" / "agent.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o600)


class Daemon:
    """A running `posagent run`."""

    def __init__(self, root: Path, pid: int) -> None:
        self.pid = pid
        self.journal = root / "var" / "lib" / "posagent" / "journal.sqlite"
        self._socket = root / "run" / "posagent" / "control.sock"

    def ask(self, what: str) -> Mapping[str, Any]:
        """A request to its socket."""
        return ask_owner(self._socket, {"do": what})

    def healthy(self) -> bool:
        """Whether all devices are identified and well and the centre is reached."""
        try:
            document = self.ask("status")
        except AgentError:
            return False
        devices = [d for till in document["terminals"] for d in till["devices"].values()]
        backlog: int = document["host"]["center"]["backlog"]
        return all(d["state"] == "ok" for d in devices) and document["host"]["center"]["reachable"] and not backlog


@contextlib.contextmanager
def daemon(root: Path, limit_s: float = START_S) -> Iterator[Daemon]:
    """`posagent run`, up and well."""
    more = {"POSAGENT_ROOT": str(root), "POSAGENT_LOG": "warning"}
    with process([BIN / "posagent", "run"], root / "run.log", env={**os.environ, **more}) as running:
        one = Daemon(root, running.pid)
        wait_for(one.healthy, f"the daemon is not well: see {root}/run.log", limit_s)
        yield one


def pause(seconds: float) -> None:
    """Let what has just started come to rest."""
    time.sleep(seconds)


def wait_for(what: Callable[[], T], why_not: str, limit_s: float = START_S, every_s: float = 0.1) -> T:
    """The first true answer of ``what``. Raises NotReadyError after ``limit_s``."""
    end = time.monotonic() + limit_s
    while not (found := what()):
        if time.monotonic() > end:
            raise NotReadyError(why_not)
        time.sleep(every_s)
    return found
