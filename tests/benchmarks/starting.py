"""From the start of the daemon to its first report at the centre, one till with both devices; beside it, a bare Python.

The centre is one of our own: it notes when the first POST to ``/v1/logs`` has come in whole, and answers as a collector does.
"""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from tests.benchmarks import house, processes
from tests.benchmarks.report import met, table
from tests.benchmarks.stats import percentile

ROUNDS = 9
LIMIT_S = 60.0
AIM_S, AIM_RATIO = 2.0, 15.0


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds, one for each start: until the first report, of the processor until then, and of a bare Python's whole life."""

    report: list[float]
    processor: list[float]
    bare: list[float]


class _Intake(BaseHTTPRequestHandler):
    first: ClassVar[threading.Event]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/logs":
            self.first.set()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def measure(folder: Path, rounds: int = ROUNDS) -> Starts:
    """In turns: a bare Python, then the daemon with a state folder that it knows from its first start."""
    found = Starts([], [], [])
    with house.terminals(folder, 1, "ccid") as tills:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Intake)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            root = folder / "root"
            _configure(root, tills[0], f"http://127.0.0.1:{server.server_port}")
            for number in range(rounds + 1):  # the first start of all writes what later ones read: not counted
                bare = _bare()
                report, processor = _start(root)
                if number:
                    found.bare.append(bare)
                    found.report.append(report)
                    found.processor.append(processor)
        finally:
            server.shutdown()
            server.server_close()
    return found


def _configure(root: Path, till: Path, otlp: str) -> None:
    etc = root / "etc/posagent"
    etc.mkdir(parents=True)
    devices = f'[terminal.printer]\nport = "{till}/printer"\n[terminal.reader]\nport = "{till}/reader"\nmode = "owned"\n'
    (etc / "agent.toml").write_text(f'[host]\nid = "bench"\n[[terminal]]\nid = "pos-1"\n{devices}[center]\notlp = "{otlp}"\n')


def _start(root: Path) -> tuple[float, float]:
    _Intake.first = threading.Event()
    more = {"POSAGENT_ROOT": str(root), "POSAGENT_LOG": "warning"}
    begun = time.monotonic()
    with house.process([house.BIN / "posagent", "run"], root / "run.log", env={**os.environ, **more}) as running:
        if not _Intake.first.wait(LIMIT_S):
            raise house.NotReadyError(f"no report: see {root}/run.log")
        took = time.monotonic() - begun
        return took, processes.cpu_s(running.pid)


def _bare() -> float:
    running = subprocess.Popen([sys.executable, "-c", "pass"])
    _, _, used = os.wait4(running.pid, 0)
    running.returncode = 0
    return used.ru_utime + used.ru_stime


def sections(found: Starts) -> list[str]:
    """A table and what it means."""
    bare, processor, report = (sorted(values) for values in (found.bare, found.processor, found.report))
    ratio = percentile(processor, 0.5) / percentile(bare, 0.5)
    rows = [
        _row("start → first report at the centre, s", report, f"{AIM_S:g}: {met(percentile(report, 0.5) <= AIM_S)}"),
        _row("of the processor until then, s", processor, ""),
        _row("bare Python, start to end, of the processor, s", bare, ""),
        ["ours ÷ bare Python, of the processor", "", f"{ratio:.1f}", "", f"{AIM_RATIO:g}: {met(ratio <= AIM_RATIO)}"],
    ]
    return [table(("start", "runs", "p50", "worst", "aim at p50"), rows)]


def _row(name: str, values: list[float], aim: str) -> list[str]:
    return [name, str(len(values)), f"{percentile(values, 0.5):.3f}", f"{values[-1]:.3f}", aim]
