"""The tables of installing, for the terminal and for docs/benchmarks.md."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.growth import Peak
from tests.benchmarks.installing import Column, Installing
from tests.benchmarks.report import MIB, met, table
from tests.benchmarks.stats import percentile
from tests.benchmarks.syncs import Waits

OURS = "posagent"
FILE_AIMS = {"mender": 0.6, "rauc": 0.4, "floor": 1.3}
TREE_AIMS = {"mender": 0.9}
PEAK_AIM_KIB, GROWTH_AIM_KIB = 90 * MIB, 6 * MIB
_HEAD = ("", "runs", "median, s", "fastest to slowest, s", "ours ÷ it, median", "lowest to highest", "aim")


def sections(found: Installing, peaks: Sequence[Peak], waits: Mapping[str, Waits] | str) -> list[str]:
    """Tables and the lines below them."""
    file = f"one file of {found.sizes.file_bytes >> 20} MiB, as it is"
    tree = f"{found.sizes.tree_files} files, {found.tree_bytes / (1 << 20):.0f} MiB, packed {found.archive_bytes / (1 << 20):.0f}"
    notes = [*_notes(found.file, found.tree), _fresh(found.aged)]
    return [
        _compared(file, found.file, FILE_AIMS),
        _compared(tree, found.tree, TREE_AIMS),
        "\n".join(f"- {note}" for note in notes),
        _memory(peaks),
        waits if isinstance(waits, str) else _waits(waits),
    ]


def _compared(what: str, columns: Mapping[str, Column], aims: Mapping[str, float]) -> str:
    ours = columns[OURS].apart
    rows = []
    for name, column in columns.items():
        if column.missing:
            rows.append([f"{name}: skipped, {column.missing}", "0", "", "", "", "", ""])
            continue
        times = column.apart
        row = [name, str(len(times)), f"{percentile(times, 0.5):.3f}", f"{min(times):.3f} to {max(times):.3f}"]
        rows.append([*row, *(_ratio(ours, times, aims.get(name)) if name != OURS else ("", "", ""))])
    return table((what, *_HEAD[1:]), rows)


def _ratio(ours: Sequence[float], others: Sequence[float], aim: float | None) -> tuple[str, str, str]:
    """Of each round by itself, so that what else the machine does meets both."""
    ratios = [one / other for one, other in zip(ours, others, strict=True)]
    middle = percentile(ratios, 0.5)
    verdict = "" if aim is None else f"{aim}: {met(middle <= aim)}"
    return f"{middle:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", verdict


def _notes(*both: Mapping[str, Column]) -> list[str]:
    found = []
    for what, columns in zip(("file", "tree"), both, strict=True):
        ours = columns[OURS]
        found.append(
            f"Apart from these seconds, and not in the ratios: starting the worker that stages the {what} and its imports, "
            f"{percentile(ours.imports, 0.5):.3f} s (median), {min(ours.imports):.3f} to {max(ours.imports):.3f}."
        )
    return found


def _fresh(aged: str) -> str:
    if aged:
        return f"The tree was made on the file system of the run's folder, however aged it is: {aged}."
    return "The tree was made on a fresh ext4 of its own, the file on the file system of the run's folder."


def _memory(peaks: Sequence[Peak]) -> str:
    rows = [
        [f"{p.bytes >> 20} MiB", *(f"{kib / MIB:.1f}" for kib in (p.idle_rss_kib, p.rss_kib, p.pss_kib)), str(p.looks)]
        for p in peaks
    ]
    head = ("memory while one file is installed, MiB", "daemon before, RSS", "highest RSS", "highest PSS", "looks")
    highest, growth = max(p.rss_kib for p in peaks), peaks[-1].rss_kib - peaks[0].rss_kib
    aims = (
        f"\n\n- Sums over daemon and workers; the aims are held against RSS, which counts shared pages once for each process: "
        f"{PEAK_AIM_KIB // MIB} MiB at most ({met(highest <= PEAK_AIM_KIB)}), and {growth / MIB:+.1f} MiB from "
        f"{peaks[0].bytes >> 20} to {peaks[-1].bytes >> 20} MiB, at most {GROWTH_AIM_KIB // MIB} "
        f"({met(growth <= GROWTH_AIM_KIB)})."
    )
    return table(head, rows) + aims


def _waits(waits: Mapping[str, Waits]) -> str:
    rows = [[what, str(one.fsyncs), str(one.syncfs)] for what, one in waits.items()]
    return table(("waits for the disk, per operation", "fsync", "syncfs"), rows)
