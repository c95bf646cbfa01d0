"""The tables of one line, and of many on one daemon."""

from tests.benchmarks.classifier import Throughput
from tests.benchmarks.gateway import Result
from tests.benchmarks.report import MIB, latency_table, met, table
from tests.benchmarks.roundtrip import RoundTrips
from tests.benchmarks.stats import Spread, spread

P50_AIM, P99_AIM = 3.0, 5.0
WHOLE_AIM, BYTEWISE_AIM = 30.0, 5.0


def sections(trips: RoundTrips, rates: list[Throughput], many: Result) -> list[str]:
    """In the order of the page."""
    return [trips_table(trips), *([f"- {trips.peer_why}."] if trips.peer_why else []), rates_table(rates), *gateway(many)]


def trips_table(found: RoundTrips) -> str:
    """Milliseconds, and how many times a bare question."""
    bare, ours = spread(found.bare), spread(found.ours)
    rows = [_trip("bare os.write, os.read", bare, bare), _trip("posagent: port and protocol", ours, bare)]
    rows[1][-2] += f", {P50_AIM:g}: {met(ours.p50 <= P50_AIM * bare.p50)}"
    rows[1][-1] += f", {P99_AIM:g}: {met(ours.p99 <= P99_AIM * bare.p99)}"
    if found.peer:
        rows.append(_trip("python-escpos: is_online", spread(found.peer), bare))
    return table(("status question on a pty, ms", "n", "p50", "p99", "worst", "× bare, p50", "× bare, p99"), rows)


def rates_table(rates: list[Throughput]) -> str:
    """MB per second of processor."""
    rows = [[r.name, *_rate(r.whole, WHOLE_AIM), *_rate(r.bytewise, BYTEWISE_AIM)] for r in rates]
    head = ("classifier, MB/s", "reads of 4096", f"aim {WHOLE_AIM:g}", "byte by byte", f"aim {BYTEWISE_AIM:g}")
    return table(head, rows)


def gateway(found: Result) -> list[str]:
    """What 32 devices cost, and how quick they are."""
    idle = found.idle
    rows = [
        ["resident (RSS), MiB", f"{idle.rss_kib / MIB:.1f}"],
        ["share of one core, %", f"{100 * idle.cpu_share:.3f}"],
        ["wake-ups per second", f"{idle.wakes_per_s:.1f}"],
        ["threads", str(idle.threads)],
    ]
    name = f"{found.devices} devices on one daemon, idle for {found.seconds:.0f} s"
    return [table((name, "posagent"), rows), f"The same {found.devices} devices:", latency_table(found.delays)]


def _trip(name: str, found: Spread, bare: Spread) -> list[str]:
    values = [f"{1000 * s:.3f}" for s in (found.p50, found.p99, found.worst)]
    return [name, str(found.count), *values, f"{found.p50 / bare.p50:.1f}", f"{found.p99 / bare.p99:.1f}"]


def _rate(value: float, aim: float) -> list[str]:
    return [f"{value:.1f}", met(value >= aim)]
