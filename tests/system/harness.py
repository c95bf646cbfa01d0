"""One host under test: a root folder, its configuration, and `posagent` as the real program."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema

from agent.control import ask_owner
from agent.errors import AgentError

BIN = Path(sys.executable).parent
PATIENCE = 4
"""A slow or busy machine takes longer than the product's own limits; how long is reported, never asserted."""
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
COMMAND_LIMIT_S = 60.0
START_LIMIT_S = 20.0
POLL_S = 0.03

Doc = dict[str, Any]


@lru_cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """The schema of one document of the contract."""
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text()))


def check_document(document: Doc) -> None:
    """Valid against the schema that its shape asks for."""
    if "error" in document:
        name = "error"
    elif "terminals" in document:
        name = "selftest" if "result" in document else "status"
    elif "checks" in document:
        name = "doctor"
    elif "ports" in document:
        name = "discover"
    else:
        name = "update_status"
    validator(name).validate(document)


@dataclass(frozen=True)
class Done:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Doc:
        """The one JSON document on stdout."""
        found: Doc = json.loads(self.out)
        return found


def run(program: str, *words: object, env: Mapping[str, str] | None = None) -> Done:
    """Run one of the three programs to its end; no traceback may ever reach its output."""
    done = subprocess.run(
        [BIN / program, *map(str, words)],
        env={**ENVIRONMENT, **(env or {})},
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class Host:
    """posagent in `root`: commands, and at most one daemon. `stop_all` ends whatever runs."""

    root: Path
    log: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = None
    before: tuple[str, ...] = ()
    """words before `posagent run`: a program that changes what the daemon may do"""

    def __post_init__(self) -> None:
        self.log = self.root.with_name(self.root.name + ".log")
        self.etc.mkdir(parents=True, exist_ok=True)

    @property
    def etc(self) -> Path:
        return self.root / "etc" / "posagent"

    @property
    def state(self) -> Path:
        return self.root / "var" / "lib" / "posagent"

    @property
    def socket(self) -> Path:
        return self.root / "run" / "posagent" / "control.sock"

    def configure(self, text: str) -> None:
        (self.etc / "agent.toml").write_text(text, "utf-8")

    # -- commands --------------------------------------------------------------------------------------------------

    def command(self, *words: str, json_: bool = True) -> Done:
        """`posagent … --json`; its document is held against its schema where it has one."""
        done = run("posagent", "--root", self.root, *words, *(["--json"] if json_ else []))
        if json_ and (words[0] in ("status", "selftest", "discover") or (words[0] == "update" and words[1] != "history")):
            check_document(done.document)
        return done

    def journal(self, kind: str = "") -> list[Doc]:
        """The records, oldest first, of one kind (or of those that begin with `kind`)."""
        records: list[Doc] = self.command("journal", "show", "--limit", "10000").document["records"]
        return [r for r in sorted(records, key=lambda r: r["seq"]) if r["kind"].startswith(kind)]

    def verified(self) -> Doc:
        done = self.command("journal", "verify")
        assert done.code == 0, done.out
        return done.document

    # -- daemon ----------------------------------------------------------------------------------------------------

    def start(self, **env: str) -> None:
        """`posagent run`, until it answers."""
        assert self.process is None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, str(BIN / "posagent"), "run", "--root", str(self.root)],
                env={**ENVIRONMENT, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        limit = time.monotonic() + START_LIMIT_S
        while True:
            with contextlib.suppress(AgentError):
                self.ask("status")
                return
            assert self.process.poll() is None, self.log_text()
            assert time.monotonic() < limit, "the daemon does not answer: " + self.log_text()
            time.sleep(POLL_S)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """End the daemon; its exit code, and the seconds that it took."""
        process, self.process = self.process, None
        assert process is not None
        begun = time.monotonic()
        process.send_signal(number)
        try:
            return process.wait(20), time.monotonic() - begun
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def stop_all(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log_text(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def ask(self, what: str) -> Doc:
        """Ask the daemon over its socket: what `status` prints, without the start of a program."""
        return ask_owner(self.socket, {"do": what}, 10.0)

    def until(self, fits: Callable[[Doc], bool], limit_s: float, what: str = "status") -> float:
        """Seconds until the daemon's answer fits; fails with the last answer after `limit_s` (times PATIENCE)."""
        begun = time.monotonic()
        while True:
            found = self.ask(what)
            if fits(found):
                return time.monotonic() - begun
            assert time.monotonic() < begun + PATIENCE * limit_s, json.dumps(found, indent=1) + self.log_text()[-3000:]
            time.sleep(POLL_S)

    # -- what it uses ----------------------------------------------------------------------------------------------

    def cpu_s(self) -> float:
        """Processor seconds of the daemon so far."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Resident memory of the daemon."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


# -- configuration -----------------------------------------------------------------------------------------------------


def till_table(
    name: str,
    folder: Path,
    *,
    reader_mode: str = "owned",
    reader_protocol: str = "ccid",
    printer: bool = True,
    reader: bool = True,
    printer_port: Path | str | None = None,
) -> str:
    """A `[[terminal]]` on the simulated till in `folder`."""
    lines = ["[[terminal]]", f'id = "{name}"']
    if printer:
        lines += ["[terminal.printer]", f'port = "{printer_port or folder / "printer"}"', 'protocol = "escpos"']
    if reader:
        lines += [
            "[terminal.reader]",
            f'port = "{folder / "reader"}"',
            f'protocol = "{reader_protocol}"',
            f'mode = "{reader_mode}"',
        ]
    return "\n".join(lines) + "\n"


def center_table(center: Any, heartbeat_s: float = 300.0) -> str:
    return (
        f'[center]\nddi = "{center.ddi}"\ngateway_token = "{center.gateway_token}"\notlp = "{center.otlp}"\n'
        f"heartbeat_s = {heartbeat_s}\n"
    )


def host_table(name: str = "pos-1") -> str:
    return f'[host]\nid = "{name}"\n'


# -- reading documents -------------------------------------------------------------------------------------------------


def till_of(document: Doc, name: str = "pos-1") -> Doc:
    return next(till for till in document["terminals"] if till["id"] == name)


def fault_ids(document: Doc, name: str = "pos-1", device: str = "printer") -> list[str]:
    """Faults that are known now; a stale one is what was known before the line was lost."""
    faults = till_of(document, name)["devices"][device]["faults"]
    return [fault["id"] for fault in faults if fault["quality"] == "known"]


def verdict_of(document: Doc, name: str = "pos-1") -> str:
    answer: str = till_of(document, name)["can_take_money"]
    return answer


def reading(document: Doc, device: str, dial: str, name: str = "pos-1") -> str | None:
    found = till_of(document, name)["devices"][device]["readings"].get(dial)
    return found["value"] if found and found["quality"] == "known" else None


def well(*names: str) -> Callable[[Doc], bool]:
    """All these tills can take money and their devices said who they are."""

    def fits(document: Doc) -> bool:
        tills = [till_of(document, name) for name in names or ("pos-1",)]
        return all(t["can_take_money"] == "yes" and all(d["identity"] for d in t["devices"].values()) for t in tills)

    return fits


def wait_for(fits: Callable[[], bool], limit_s: float, why: Callable[[], object] = str) -> float:
    """Seconds until `fits()`; `limit_s` (times PATIENCE) is where it fails."""
    begun = time.monotonic()
    while not fits():
        assert time.monotonic() < begun + PATIENCE * limit_s, why()
        time.sleep(POLL_S)
    return time.monotonic() - begun


@contextlib.contextmanager
def helper(code: str, *words: object, **options: Any) -> Any:
    """A Python process that runs `code` until the test is through; it prints one line when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, **options
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


HOLD = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
if len(sys.argv) > 2:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("ready", flush=True)
time.sleep(600)
"""
"""Holds a line open, and locks it if there is a second word."""


def report(title: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Measured values, for `pytest -s` and for the report of a failure."""
    sys.stdout.write(f"\n{title}\n" + "".join("  " + "  ".join(map(str, row)) + "\n" for row in rows))
