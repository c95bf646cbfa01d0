"""The line keeper and a plain `socat` bridge between the same two pseudo-terminals: throughput, one byte's delay, cost."""

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.report import met, table
from tests.benchmarks.stats import Spread, spread
from tests.system.harness import BIN, ENVIRONMENT

TEXT = b"\x1b@" + b"".join(b"%-32s %8.2f\n" % (b"Espresso %d" % n, n) for n in range(30)) + b"\x1dV\x42\x00"
RASTER = b"\x1dv0\x00\x48\x00\x00\x04" + bytes(range(256)) * (72 * 1024 // 256)
STREAM = (TEXT * 20 + RASTER) * 4
UART_50 = 50 * 115200 / 10
"""Bytes per second of fifty printers at 115200 baud."""
RATIO_AIM, DELAY_AIM_S, RSS_AIM_KIB = 0.3, 0.001, 14 * 1024
READY_S = 10.0


@dataclass(frozen=True, slots=True)
class Bridge:
    """What one bridge did: bytes per second, delays of single bytes, RSS in KiB, share of a core while idle."""

    rate: float
    delays: Spread
    rss_kib: int
    idle_share: float


@contextlib.contextmanager
def keeper(port: Path, link: Path) -> Iterator[int]:
    """`posagent line`; its process."""
    words = [str(BIN / "posagent"), "line", "--port", str(port), "--link", str(link)]
    with _running(words, link) as pid:
        yield pid


@contextlib.contextmanager
def socat(port: Path, link: Path) -> Iterator[int]:
    """A plain bridge."""
    words = ["socat", f"PTY,link={link},rawer", f"FILE:{port},rawer"]
    with _running(words, link) as pid:
        yield pid


@contextlib.contextmanager
def _running(words: list[str], link: Path) -> Iterator[int]:
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + READY_S
        while not link.exists():
            if time.monotonic() > end:
                raise RuntimeError(f"{words[0]} made no {link}")
            time.sleep(0.01)
        time.sleep(1.0)
        yield process.pid
    finally:
        process.terminate()
        process.wait()
        link.unlink(missing_ok=True)


def measure(folder: Path, idle_s: float = 10.0, rounds: int = 3) -> tuple[Bridge, Bridge | None]:
    """The keeper, and socat where there is one; their best rates of so many rounds in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: list[Callable[[Path, Path], contextlib.AbstractContextManager[int]]] = [keeper]
    if shutil.which("socat"):
        kinds.append(socat)
    found: list[list[Bridge]] = [[] for _ in kinds]
    for turn in range(rounds):
        for at, kind in enumerate(kinds):
            found[at].append(_one(folder, kind, idle_s if turn == 0 else 0.0))
    best = [Bridge(max(b.rate for b in one), one[0].delays, one[-1].rss_kib, one[0].idle_share) for one in found]
    return best[0], best[1] if len(best) > 1 else None


def _one(folder: Path, kind: Callable[[Path, Path], contextlib.AbstractContextManager[int]], idle_s: float) -> Bridge:
    master, slave = os.openpty()
    tty.setraw(slave)
    port, link = folder / "port", folder / "link"
    port.unlink(missing_ok=True)
    port.symlink_to(os.ttyname(slave))
    try:
        with kind(port, link) as pid:
            till = os.open(link, os.O_RDWR | os.O_NOCTTY)
            try:
                tty.setraw(till)
                share = _idle(pid, idle_s)
                delays = spread(_delays(till, master, 2000 if idle_s else 200))
                rate = _rate(till, master)
                return Bridge(rate, delays, _rss_kib(pid), share)
            finally:
                os.close(till)
    finally:
        os.close(master)
        os.close(slave)


def _rate(till: int, printer: int) -> float:
    writer = threading.Thread(target=_write_all, args=(till,), name="till")
    begun = time.perf_counter()
    writer.start()
    got = 0
    while got < len(STREAM):
        got += len(os.read(printer, 65536))
    took = time.perf_counter() - begun
    writer.join()
    return got / took


def _write_all(till: int) -> None:
    left = memoryview(STREAM)
    while left:
        left = left[os.write(till, left[:16384]) :]


def _delays(till: int, printer: int, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        os.write(till, b"\n")
        os.read(printer, 16)
        found.append(time.perf_counter() - begun)
        select.select([], [], [], 0.001)
    return found


def _idle(pid: int, seconds: float) -> float:
    if not seconds:
        return 0.0
    before = _cpu_s(pid)
    time.sleep(seconds)
    return (_cpu_s(pid) - before) / seconds


def _cpu_s(pid: int) -> float:
    """From the scheduler's own count, which is finer than a tick."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def section(ours: Bridge, plain: Bridge | None) -> str:
    """The table and what belongs below it."""
    columns = [ours] + ([plain] if plain is not None else [])
    rows = [
        ["throughput, MB/s", *(f"{b.rate / 1e6:.1f}" for b in columns)],
        ["one byte from till to printer, p50, ms", *(f"{1000 * b.delays.p50:.3f}" for b in columns)],
        ["the same, p99, ms", *(f"{1000 * b.delays.p99:.3f}" for b in columns)],
        ["resident (RSS), MiB", *(f"{b.rss_kib / 1024:.1f}" for b in columns)],
        ["share of one core while idle, %", *(f"{100 * b.idle_share:.4f}" for b in columns)],
    ]
    text = table(("a shared printer line", "line keeper", *(["socat"] if plain is not None else [])), rows)
    fast = f"{ours.rate / UART_50:.0f} × fifty printers at 115200 baud (aim 1: {met(ours.rate >= UART_50)})"
    ratio = "socat is not installed here"
    added = ours.delays.p99
    if plain is not None:
        ratio = f"{ours.rate / plain.rate:.2f} × socat's (aim {RATIO_AIM}: {met(ours.rate >= RATIO_AIM * plain.rate)})"
        added = max(0.0, ours.delays.p99 - plain.delays.p99)
    return (
        f"{text}\n\n- Throughput is {fast}, and {ratio}.\n"
        f"- Added delay of one byte at p99: {1000 * added:.3f} ms (aim {1000 * DELAY_AIM_S:.0f}: {met(added <= DELAY_AIM_S)}); "
        f"memory: aim {RSS_AIM_KIB // 1024} MiB ({met(ours.rss_kib <= RSS_AIM_KIB)}); "
        f"idle: aim 0.00 % ({met(ours.idle_share < 0.00005)})."
    )
