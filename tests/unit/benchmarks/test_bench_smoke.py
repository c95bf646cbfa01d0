"""The benchmark's own arithmetic, and what the daemon must not load: its memory is a goal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import readers, report, starting
from tests.benchmarks.idle import Idle, Result, Traffic
from tests.benchmarks.latency import Latency
from tests.benchmarks.processes import usage
from tests.benchmarks.stats import per_day, percentile, spread

HEAVY = {"tuf", "securesystemslib", "cryptography", "rich", "PIL", "charset_normalizer", "chardet", "pytest", "simulator"}
UNUSED = {"asyncio", "multiprocessing", "tzlocal", "idna", "encodings.idna", "unicodedata", "argparse", "ctypes", "csv"}
TABLES = {"agent.cli.screen", "agent.cli.arguments", "agent.text.help", "agent.text.screens", "agent.discover.search"}
DAEMON = "import sys, agent.cli.main, agent.cli.commands.run, agent.supervisor, requests; print(*sys.modules)"


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1) == 100
    assert percentile([7.0], 0.5) == 7


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_a_percentile_of_nothing_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_a_spread_sums_up() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.count, found.p50, found.p99, found.worst) == (3, 2.0, 3.0, 3.0)


def test_a_day_has_288_times_five_minutes() -> None:
    assert per_day(2, 300) == 576


def test_usage_of_a_process_that_lives() -> None:
    found = usage(os.getpid())
    assert found.rss_kib >= found.pss_kib > 0
    assert found.cpu_s > 0
    assert found.threads >= found.processes >= 1


def test_the_tables_say_what_is_met_and_what_is_missed() -> None:
    table = report.latency_table(Latency([0.001], [0.002], [0.200], [0.001], [0.001]))
    journal, center = table.splitlines()[2:4]
    assert "10: met" in journal
    assert "1.0" in journal
    assert "100: missed" in center
    assert len({len(line) for line in table.splitlines()}) == 1


def test_the_readers_table_divides_ours_by_theirs() -> None:
    found = readers.Readers(
        slot={"floor": [0.001], "posagent": [0.002], "libccid": [0.004]},
        reset={"posagent": [0.001]},
        exchange={"posagent": [0.001], "libccid through pcscd": [0.001]},
    )
    lines = readers.table(found).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines] == ["2.00", "", "0.50", "", "", "1.00"]


def test_the_notes_say_why_a_peer_is_missing() -> None:
    ours = Idle(40_000, 40_000, 30_000, 20_000, 0.0002, 3.0, 9, 1)
    result = Result(60.0, ours, ours, ours, "not installed", Traffic(400.0, 5000.0, 0))
    assert "mender" not in report.idle_table(result)
    notes = " ".join(report.idle_notes(result))
    assert "38 MiB (missed)" in notes
    assert "0.03 % of a core (met)" in notes
    assert "not installed" in notes


def test_the_daemon_loads_nothing_heavy() -> None:
    command = [sys.executable, "-c", DAEMON]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    modules = set(run.stdout.split())
    loaded = modules | {name.partition(".")[0] for name in modules}
    assert loaded.isdisjoint(HEAVY | UNUSED | TABLES)
    assert {"requests", "apscheduler"} <= loaded


def test_what_the_daemon_did_not_load_is_there_when_somebody_asks() -> None:
    asks = (
        "; import asyncio, multiprocessing, idna; assert asyncio.run and multiprocessing.Process; idna.encode('zürich.example')"
    )
    run = subprocess.run(
        [sys.executable, "-c", DAEMON.partition("print")[0] + "print('zürich'.encode('idna'))" + asks],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert "xn--" in run.stdout


@pytest.mark.slow
def test_a_start_is_measured_to_the_first_report(tmp_path: Path) -> None:
    found = starting.measure(tmp_path, rounds=1)
    assert len(found.report) == len(found.processor) == len(found.bare) == 1
    assert 0 < found.bare[0] < found.processor[0]
    assert "first report" in starting.sections(found)[0]
