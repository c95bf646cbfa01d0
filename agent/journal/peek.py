"""The newest records, read beside a running owner or without one. For commands."""

import contextlib
import sqlite3
from pathlib import Path

from agent.errors import JournalError, NotAvailable
from agent.journal.record import Record
from agent.journal.store import connect, records, unreadable


def newest(path: Path, limit: int, area: str = "") -> list[Record]:
    """The last ``limit`` records, of one ``area`` (what stands before the dot of a kind) or of all, oldest first.

    Raises JournalError for a damaged file, NotAvailable where it cannot be read.
    """
    try:
        with contextlib.closing(connect(path, read_only=True)) as link:
            if area:  # however much else was recorded since
                found = link.execute(
                    "SELECT seq FROM record WHERE substr(kind, 1, ?) = ? ORDER BY seq DESC LIMIT ?",
                    (len(area) + 1, f"{area}.", limit),
                ).fetchall()
                return [record for (seq,) in reversed(found) for record in records(link, seq - 1, 1)]
            last = link.execute("SELECT max(seq) FROM record").fetchone()[0] or 0
            return records(link, max(0, last - limit), limit)
    except sqlite3.Error as error:
        damaged = JournalError(f"{path}: {error}", code="journal_damaged", remedy="posagent journal verify tells what is wrong")
        raise unreadable(path, error) or damaged from None


def was_cut_off(path: Path) -> bool:
    """Whether the daemon's last life had no end in order: a kill (for want of memory, say), a crash, a power cut.

    False too where nothing can be read: then nothing is known.
    """
    try:
        last = newest(path, 1, "agent")
    except (JournalError, NotAvailable):
        return False
    return bool(last) and last[0].kind == "agent.started"
