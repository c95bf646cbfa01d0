"""The journal as lines of JSON that anybody can check without this program: each record with its hash and the one before.

The first line tells the chain's id and its signed checkpoints, each further line is one record as ``journal show --json``
prints it. A record's hash is over the canonical form of its other fields (`agent.journal.record`).
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from agent.errors import JournalError
from agent.journal.store import DamagedError, checkpoints, connect, read_chain, records, unreadable

PAGE: Final = 512
"""Records read at once."""


def lines(path: Path, *, newest: int | None = None) -> Iterator[str]:
    """The header, then the records, oldest first; of a long journal only the ``newest`` where a number is given.

    All of one moment: what the daemon writes meanwhile is left out. Raises JournalError for a damaged file, NotAvailable
    where it cannot be read.
    """
    try:
        with contextlib.closing(connect(path, read_only=True)) as link:
            link.execute("BEGIN")
            last = link.execute("SELECT max(seq) FROM record").fetchone()[0] or 0
            after = 0 if newest is None else max(0, last - newest)
            signed = [asdict(point) for point in checkpoints(link) if point.signature]
            yield _line({"schema": 1, "chain": read_chain(link), "head": last, "after": after, "checkpoints": signed})
            while page := records(link, after, PAGE):
                for record in page:
                    yield _line(asdict(record))
                after = page[-1].seq
    except (sqlite3.Error, DamagedError) as error:
        damaged = JournalError(f"{path}: {error}", code="journal_damaged", remedy="posagent journal verify tells what is wrong")
        away = unreadable(path, error) if isinstance(error, sqlite3.Error) else None
        raise away or damaged from None


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
