"""What the daemon costs while nothing happens: one till, both devices, the centre reached.

Beside it, through the same seconds on the same machine: a bare interpreter, one that asks a second till just as often, and
Mender's daemon.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks import house, peers, relay
from tests.benchmarks.processes import Usage, usage
from tests.benchmarks.stats import per_day

SETTLE_S = 8.0
"""after the daemon is well: the first reports and the first look at the host are over"""
LOOK_S = 5.0
POLL_S = 300.0
HEARTBEAT_S = 300.0
POLLS, BEATS = 5, 4


@dataclass(frozen=True, slots=True)
class Idle:
    """Of one process tree. Memory in KiB: at the end, and the highest seen; the rest per second of the window."""

    rss_kib: int
    rss_peak_kib: int
    pss_kib: int
    private_kib: int
    cpu_share: float
    wakes_per_s: float
    threads: int
    processes: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes both ways, payload of TCP."""

    poll: float
    heartbeat: float
    window: int

    @property
    def per_day(self) -> float:
        """Polls and heartbeats of a day without events."""
        return per_day(self.poll, POLL_S) + per_day(self.heartbeat, HEARTBEAT_S)


@dataclass(frozen=True, slots=True)
class Result:
    """``mender`` is why not, where it could not be measured."""

    seconds: float
    ours: Idle
    bare: Idle
    asking: Idle
    mender: Idle | str
    traffic: Traffic


def measure(folder: Path, seconds: float) -> Result:
    """Idle for ``seconds``, then provoke polls and heartbeats and count their bytes."""
    with ExitStack() as running:
        center = running.enter_context(house.center(folder / "center"))
        tills = running.enter_context(house.terminals(folder, 2, "ccid"))
        port = urlsplit(center.url).port or 0
        otlp, ddi = running.enter_context(relay.relay(port)), running.enter_context(relay.relay(port))
        seen = replace(center, otlp=_through(center.otlp, otlp.port), ddi=_through(center.ddi, ddi.port))
        root = folder / "root"
        house.configure(root, tills[:1], seen, reader=True, heartbeat_s=int(HEARTBEAT_S))
        mender = running.enter_context(peers.mender(folder))
        bare = running.enter_context(peers.bare_python(folder))
        asking = running.enter_context(peers.bare_asking(folder, tills[1]))
        with house.daemon(root) as daemon:
            time.sleep(SETTLE_S)
            before = otlp.count + ddi.count
            pids = {"ours": daemon.pid, "bare": bare, "asking": asking} | ({} if isinstance(mender, str) else {"mender": mender})
            found = watch(pids, seconds)
            window = otlp.count + ddi.count - before
            poll = _poll_bytes(daemon, ddi)
        house.configure(root, tills[:1], seen, reader=True, heartbeat_s=1)
        with house.daemon(root):
            beat = _beat_bytes(center, otlp)
    traffic = Traffic(poll, beat, window)
    return Result(seconds, found["ours"], found["bare"], found["asking"], found.get("mender", str(mender)), traffic)


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()


def watch(pids: Mapping[str, int], seconds: float) -> dict[str, Idle]:
    """What these trees of processes cost during ``seconds``."""
    begun = time.monotonic()
    first = {name: usage(pid) for name, pid in pids.items()}
    peaks = {name: use.rss_kib for name, use in first.items()}
    while (left := begun + seconds - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left))
        last = {name: usage(pid) for name, pid in pids.items()}
        peaks = {name: max(peaks[name], use.rss_kib) for name, use in last.items()}
    took = time.monotonic() - begun
    return {name: _idle(first[name], last[name], peaks[name], took) for name in pids}


def _idle(first: Usage, last: Usage, peak: int, took: float) -> Idle:
    return Idle(
        rss_kib=last.rss_kib,
        rss_peak_kib=peak,
        pss_kib=last.pss_kib,
        private_kib=last.private_kib,
        cpu_share=(last.cpu_s - first.cpu_s) / took,
        wakes_per_s=(last.switches - first.switches) / took,
        threads=last.threads,
        processes=last.processes,
    )


def _poll_bytes(daemon: house.Daemon, counted: relay.Relay) -> float:
    """Of one poll that finds nothing: each is asked for, and answered before the next."""
    daemon.ask("update.check")  # settles what the first one brings along
    before = counted.count
    for _ in range(POLLS):
        daemon.ask("update.check")
    return (counted.count - before) / POLLS


def _beat_bytes(center: house.Center, counted: relay.Relay) -> float:
    """Of one heartbeat, at an interval of one second so that several come while we watch."""

    def beats() -> int:
        found: int = center.records(10**9)["hosts"]["bench"]["heartbeats"]
        return found

    start, before = _next_beat(beats, beats()), counted.count
    for _ in range(BEATS):
        last = _next_beat(beats, beats())
    return (counted.count - before) / (last - start)


def _next_beat(beats: Callable[[], int], known: int) -> int:
    def more() -> int:
        now = beats()
        return now if now > known else 0

    found = house.wait_for(more, "no heartbeat", every_s=0.02)
    time.sleep(0.1)  # its answer crosses the relay as well
    return found
