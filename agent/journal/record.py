"""What one record is, its canonical form, and how each is chained to the one before.

Canonical form: JSON with sorted keys, no blanks, everything outside ASCII escaped, so that the same record has the same
bytes on every machine. ``hash`` is SHA-256 over the canonical form of all other fields, ``prev`` (the hash before it)
included; the first record's ``prev`` is made from the journal's own id, so that two journals never share a chain.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from agent.redact import JSON, redact, redact_json

MAX_BODY = 16_384
"""Characters of a body in canonical form. A longer one is replaced by its beginning, and says so."""

READING_KINDS = ("reading.", "card.", "statistics.")
"""Kinds of which only the latest matters: under pressure they coalesce, and go first."""

KEPT_KINDS = ("fault.", "update.", "verdict.", "journal.")
"""Kinds that outlast everything else in a full queue, and for which the reserve of the disk is kept."""

BEGUN_ANEW = "journal.begun_anew"
"""The first record of a chain that follows a damaged, cut or erased one."""


Entry = tuple[str, str, str, Mapping[str, object]]
"""What a record is made of: kind, severity, subject, body."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that has not found its place in the chain yet. ``body`` is canonical JSON text, swept for card data."""

    id: str
    boot: str
    wall: str
    mono: float
    kind: str
    severity: str
    subject: str
    body: str

    @property
    def is_reading(self) -> bool:
        """Whether it may be dropped or coalesced under pressure."""
        return self.kind.startswith(READING_KINDS)

    @property
    def is_kept(self) -> bool:
        """Whether it is among the last to be dropped."""
        return self.kind.startswith(KEPT_KINDS)


@dataclass(frozen=True, slots=True)
class Record:
    """One event as stored.

    ``seq`` counts from 1 without a gap; ``id`` makes a repeated report harmless; ``boot`` and ``mono`` (seconds) order
    records even where ``wall`` (RFC 3339, UTC) jumped; ``hash`` and ``prev`` are lower-case hex.
    """

    seq: int
    id: str
    boot: str
    wall: str
    mono: float
    kind: str
    severity: str
    subject: str
    body: Mapping[str, JSON]
    hash: str
    prev: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: who knows it can tell later whether anything before it was changed."""

    seq: int
    hash: str


def canonical(value: object) -> str:
    """``value`` in canonical form. Raises ValueError for NaN, TypeError for what JSON cannot say."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_body(body: Mapping[str, object]) -> str:
    """A body swept for card data, in canonical form, at most `MAX_BODY` characters."""
    text = canonical(redact_json(body))
    if len(text) <= MAX_BODY:
        return text
    return canonical({"oversize": len(text), "beginning": redact(text[: MAX_BODY // 4])})


def genesis(chain: str) -> str:
    """The ``prev`` of the first record of the journal whose id is ``chain``."""
    return hashlib.sha256(f"posagent.journal/1 {chain}".encode()).hexdigest()


def digest(seq: int, draft: Draft, prev: str) -> str:
    """The hash of ``draft`` at place ``seq`` after the record whose hash is ``prev``."""
    fields = {
        "boot": draft.boot,
        "id": draft.id,
        "kind": draft.kind,
        "mono": draft.mono,
        "prev": prev,
        "seq": seq,
        "severity": draft.severity,
        "subject": draft.subject,
        "wall": draft.wall,
    }
    # the body is canonical already, and "body" sorts before all other names: no need to parse it again
    return hashlib.sha256(f'{{"body":{draft.body},{canonical(fields)[1:]}'.encode()).hexdigest()


def records_anew(record: Record) -> str | None:
    """The id of the chain that this record says it follows, where it is the first of a chain begun anew."""
    last = record.body.get("last_chain") if (record.seq, record.kind) == (1, BEGUN_ANEW) else None
    return last if isinstance(last, str) else None


def whole(seq: int, draft: Draft, prev: str, hashed: str) -> bool:
    """Whether a stored record is the one that was hashed. In a file that somebody changed any column may have any type."""
    try:
        return digest(seq, draft, prev) == hashed
    except (TypeError, ValueError):
        return False


def placed(seq: int, draft: Draft, prev: str, digested: str) -> Record:
    """``draft`` as a record at its place; of a changed one what can be shown, for `verify` to judge."""
    return Record(
        seq=seq,
        id=str(draft.id),
        boot=str(draft.boot),
        wall=str(draft.wall),
        mono=_seconds(draft.mono),
        kind=str(draft.kind),
        severity=str(draft.severity),
        subject=str(draft.subject),
        body=_body(draft.body),
        hash=str(digested),
        prev=str(prev),
    )


def _seconds(mono: object) -> float:
    return mono if isinstance(mono, float) and math.isfinite(mono) else 0.0


def _body(text: str) -> Mapping[str, JSON]:
    try:
        body = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {"unreadable": str(text)[:200]}
