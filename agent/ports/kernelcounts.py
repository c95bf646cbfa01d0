"""A serial port's error counters as the kernel shows them without the port being opened (/proc/tty/driver, proc_tty.c).

Drivers of built-in ports (ttyS, ttyAMA, …) show them, to root alone; USB adapters do not. What is not shown is not known.
"""

import os
import re
from pathlib import Path

NAMES = {"fe": "frame", "pe": "parity", "brk": "break", "oe": "overrun"}
"""The kernel's words to ours; it leaves out counters that are nought."""
FILES = {"ttyS": "serial", "ttyAMA": "ttyAMA"}
MAX_SIZE = 64 * 1024
_LINE = re.compile(r"^(\d+): uart:(\S+)(.*)$", re.MULTILINE)
_COUNT = re.compile(r"\b(fe|pe|brk|oe):(\d+)")


def kernel_counts(path: str, folder: Path = Path("/proc/tty/driver")) -> dict[str, int] | None:
    """frame, parity, break, overrun of the port at ``path`` since the machine started; None where nobody tells."""
    name = Path(os.path.realpath(path)).name
    series = name.rstrip("0123456789")
    if series not in FILES or series == name:
        return None
    try:
        with (folder / FILES[series]).open(encoding="ascii", errors="replace") as file:
            text = file.read(MAX_SIZE)
    except OSError:
        return None
    for number, kind, rest in _LINE.findall(text):
        if number == name.removeprefix(series) and kind != "unknown":
            return {**dict.fromkeys(NAMES.values(), 0), **{NAMES[word]: int(count) for word, count in _COUNT.findall(rest)}}
    return None
