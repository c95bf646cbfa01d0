"""The end of the chain, kept beside the journal: whoever cuts or erases the file leaves this behind, and it tells.

Two small copies (`firmware.files.TwinFile`), written when the journal is opened and closed, at each signed head, and in
between seldom enough to cost nothing: so it may lag behind the journal, and it never runs ahead of what is durable.
"""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.journal.record import Head, records_anew
from agent.journal.store import Checkpoint, checkpoints, read_chain, records, rows
from firmware.errors import FirmwareError, StateError
from firmware.files import TwinFile

EVERY_RECORDS = 1000
"""Records after which the end is kept anew."""
EVERY_S = 300.0
"""Seconds after which the next commit has it kept anew; without a commit nothing is written."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """``head`` was the durable end of ``chain``; ``signed`` is the newest signature of one of its records."""

    chain: str
    head: Head
    signed: Checkpoint | None

    def objection(self, link: sqlite3.Connection) -> str:
        """What speaks against the journal behind ``link``, in one line; empty where it holds what was kept.

        Raises sqlite3.Error and DamagedError.
        """
        if read_chain(link) != self.chain:
            return "" if self._succeeded_by(link) else f"it is not the chain {self.chain} that was kept here"
        pruned = max((point.seq for point in checkpoints(link) if point.reason == "prune"), default=0)
        last = link.execute("SELECT max(seq) FROM record").fetchone()[0] or pruned
        if last < self.head.seq:
            return f"records {last + 1} to {self.head.seq} are missing at the end"
        heads = [self.head, *([Head(self.signed.seq, self.signed.hash)] if self.signed else [])]
        for head in heads:
            found = next(rows(link, head.seq - 1, 1), None) if head.seq > pruned else None
            if found is not None and (found[0], found[3]) != (head.seq, head.hash):
                return f"record {head.seq} is not the one that was written"
        return ""

    def _succeeded_by(self, link: sqlite3.Connection) -> bool:
        """Whether the chain begins with a record that names this one: a kill came before the new end was kept."""
        return any(records_anew(record) == self.chain for record in records(link, 0, 1))


class Tail:
    """Keeps the end of the journal at ``path``. Belongs to the writer. A disk that refuses costs proof, not records."""

    def __init__(self, path: Path, mono: Callable[[], float]) -> None:
        self._file = _file(path)
        self._mono = mono
        self._at = mono()
        self._failing = False
        self.kept: Kept | None = None

    def load(self) -> None:
        """Read what was kept. What cannot be read counts as nothing, and is said in the log."""
        try:
            self.kept = _parse(self._file.load())
        except StateError as error:
            self.kept = None
            _log.error("the journal cannot be held against its last head: %s", error)

    def keep(self, chain: str, head: Head, signed: Checkpoint | None = None) -> None:
        """Keep this end now, unless it is what is kept already. Never raises."""
        before = self.kept
        if signed is None and before is not None and before.chain == chain:
            signed = before.signed
        kept = Kept(chain, head, signed)
        self._at = self._mono()
        if kept == before:
            return
        try:
            self._file.store(asdict(kept))
        except FirmwareError as error:
            if not self._failing:
                _log.warning("the journal's head cannot be kept beside it: %s", error)
            self._failing = True
            return
        self._failing, self.kept = False, kept

    def follow(self, chain: str, head: Head) -> None:
        """After a commit: keep the end where the last time is long ago."""
        behind = head.seq - (self.kept.head.seq if self.kept else 0)
        paused = self._mono() - self._at >= EVERY_S
        if paused or (behind >= EVERY_RECORDS and not self._failing):
            self.keep(chain, head)


def read_kept(path: Path) -> Kept | None:
    """What is kept beside the journal at ``path``. Raises StateError where it is damaged or cannot be read."""
    return _parse(_file(path).load())


def _file(path: Path) -> TwinFile:
    return TwinFile(path.with_name(f"{path.name}.head"))


def _parse(data: Mapping[str, Any] | None) -> Kept | None:
    if data is None:
        return None
    try:
        signed = Checkpoint(**data["signed"]) if data["signed"] else None
        kept = Kept(data["chain"], Head(**data["head"]), signed)
    except (KeyError, TypeError) as error:
        raise StateError(f"the kept head of the journal is damaged: {error!r}") from None
    texts = (kept.chain, kept.head.hash, *((signed.hash, signed.wall, signed.signature) if signed else ()))
    numbers = (kept.head.seq, *((signed.seq,) if signed else ()))
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise StateError("the kept head of the journal is damaged")
    return kept
