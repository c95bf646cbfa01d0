"""`python -m tests.benchmarks`: prints what it measured; `--write` keeps it in docs/benchmarks.md. About seven minutes."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import (
    classifier,
    gateway,
    growth,
    idle,
    install_report,
    installing,
    latency,
    line_report,
    readers,
    report,
    roundtrip,
    sharing,
    starting,
    syncs,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BLOCKS = {
    "watch": ("<!-- measured -->", "<!-- end -->"),
    "start": ("<!-- starting -->", "<!-- end of starting -->"),
    "readers": ("<!-- readers -->", "<!-- end of readers -->"),
    "lines": ("<!-- lines -->", "<!-- end of lines -->"),
    "sharing": ("<!-- sharing -->", "<!-- end of sharing -->"),
    "install": ("<!-- installing -->", "<!-- end of installing -->"),
}
"""Where each part stands in the document."""


def main() -> int:
    """Measure, print, and write if asked to."""
    options = _options()
    begun = time.monotonic()
    for half in [options.only] if options.only else BLOCKS:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="posagent-bench-", dir=options.dir) as name:
            parts = _parts(half, Path(name), options.seconds)
        text = "\n\n".join([report.heading(report.machine(load)), *parts])
        sys.stdout.write(text + "\n\n")
        if options.write:
            _write(half, text)
    _say(f"took {time.monotonic() - begun:.0f} s")
    return 0


def _write(half: str, text: str) -> None:
    begin, end = BLOCKS[half]
    before, _, rest = DOCUMENT.read_text().partition(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def _parts(half: str, folder: Path, seconds: float) -> list[str]:
    if half == "watch":
        return _watching(folder, seconds)
    if half == "start":
        _say(f"starting the daemon {starting.ROUNDS + 1} times, about 20 s")
        return starting.sections(starting.measure(folder))
    if half == "sharing":
        _say("a shared printer line beside socat, about 30 s")
        return [sharing.section(*sharing.measure(folder / "sharing"))]
    if half == "lines":
        return _lines(folder, min(seconds, gateway.SECONDS))
    return _readers(folder) if half == "readers" else _installing(folder)


def _readers(folder: Path) -> list[str]:
    _say("readers: a question and its answer, about 10 s")
    found = readers.measure(folder)
    return [readers.table(found), *("\n".join(f"- {why}" for why in found.missing) for _ in found.missing[:1])]


def _watching(folder: Path, seconds: float) -> list[str]:
    _say("latency: one fault after the other, about 20 s")
    (folder / "latency").mkdir()
    delays = latency.measure(folder / "latency")
    _say(f"idle: {seconds:.0f} s of nothing, and the traffic after it")
    (folder / "idle").mkdir()
    quiet = idle.measure(folder / "idle", seconds)
    return [
        report.latency_table(delays),
        report.idle_table(quiet),
        "\n".join(f"- {note}" for note in report.idle_notes(quiet)),
    ]


def _lines(folder: Path, seconds: float) -> list[str]:
    _say("a status question beside a bare one, and python-escpos's, about 20 s")
    trips = roundtrip.measure()
    _say("the classifier, about 15 s")
    rates = classifier.measure()
    _say(f"{2 * gateway.TILLS} devices on one daemon, about two minutes")
    (folder / "gateway").mkdir()
    return line_report.sections(trips, rates, gateway.measure(folder / "gateway", seconds=seconds))


def _installing(folder: Path) -> list[str]:
    _say("waits for the disk: counted once per operation")
    waits = syncs.measure(folder / "syncs")
    _say("memory: a small and a large file")
    peaks = growth.measure(folder / "growth", (20 << 20, 200 << 20))
    _say("installing: a file and a tree, in turns, about two minutes")
    found = installing.measure(folder / "installing", installing.Sizes(), _say)
    return install_report.sections(found, peaks, waits)


def _say(what: str) -> None:
    sys.stderr.write(what + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to idle (60)")
    parser.add_argument("--dir", type=Path, help="where to work: its disk is the one that is measured")
    parser.add_argument("--only", choices=tuple(BLOCKS), help="one part of it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
