"""Is the journal whole? Reads only, one record at a time, beside a running owner or without one."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.errors import NotAvailable
from agent.journal.record import Head, genesis, whole
from agent.journal.store import Checkpoint, DamagedError, checkpoints, connect, read_chain, rows, unreadable
from agent.journal.tail import Kept, read_kept
from firmware.errors import StateError

MAX_PROBLEMS = 20
"""After this many the rest is left out: the first one is the one that matters."""
_ALL = 1 << 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """``ok`` with ``records`` between ``first`` and ``head``; else ``problems``, one line each.

    ``signature`` is of the newest signed checkpoint: valid, invalid, unchecked (nobody was asked to check) or unsigned.
    Up to ``proven_to`` a signature vouches for the chain (0: for nothing of it); of what follows only its own hashes, and
    the head that is kept beside it, tell that it is whole.
    """

    ok: bool
    chain: str
    records: int
    first: int
    head: Head
    problems: tuple[str, ...]
    signature: str
    pruned_to: int
    proven_to: int


CheckSignature = Callable[[str, Checkpoint], bool]
"""(chain id, checkpoint) → whether its signature is good and made by this terminal's key."""


def verify(path: Path, *, check: CheckSignature | None = None, against: Iterable[Head] = ()) -> Verdict:
    """Walk the whole chain in one snapshot.

    ``check`` judges signatures (see `agent.signer.checker`); ``against`` are heads that somebody else kept, such as the
    centre: a chain that was rewritten since does not hold them. Never raises for what is in the file, but NotAvailable
    where the disk, or whoever owns the file, does not let us read it.
    """
    try:
        kept = read_kept(path)  # before the snapshot: it must not be ahead of it
    except StateError as error:
        if error.code == "state_unreadable":
            raise NotAvailable(str(error), code="journal_unreadable", remedy="run it as the owner of that folder") from None
        return _failed(f"the head that is kept beside it cannot be read: {error}")
    if kept is not None and not path.exists():
        return _failed(f"it is gone, though record {kept.head.seq} was written")
    try:
        link = connect(path, read_only=True)
    except sqlite3.Error as error:
        return _unread(path, error, "opened")
    try:
        link.execute("BEGIN")
        return _walk(link, check, {head.seq: head.hash for head in against}, kept)
    except (sqlite3.Error, DamagedError) as error:
        return _unread(path, error, "read")
    finally:
        link.close()


def _walk(link: sqlite3.Connection, check: CheckSignature | None, reported: dict[int, str], kept: Kept | None) -> Verdict:
    chain, points = read_chain(link), checkpoints(link)
    pruned = [point for point in points if point.reason == "prune"]
    start = Head(pruned[-1].seq, pruned[-1].hash) if pruned else Head(0, genesis(chain))
    promised = {**{point.seq: point.hash for point in points if point.seq > start.seq}, **reported}
    problems: list[str] = []
    head, first = start, 0
    for seq, draft, prev, hashed in rows(link, start.seq, _ALL):
        first = first or seq
        if seq != head.seq + 1:
            problems.append(f"records {head.seq + 1} to {seq - 1} are missing")
        elif prev != head.hash:
            problems.append(f"record {seq} does not follow record {head.seq}")
        if not whole(seq, draft, prev, hashed):
            problems.append(f"record {seq} was changed")
        if promised.pop(seq, hashed) != hashed:
            problems.append(f"record {seq} is not the one whose hash was signed or reported")
        head = Head(seq, str(hashed))
        if len(problems) >= MAX_PROBLEMS:
            break
    else:
        problems += [f"record {seq}, signed or reported, is missing" for seq in sorted(promised) if seq > start.seq]
    problems += [objection] if kept is not None and (objection := kept.objection(link)) else []
    signature, bad, proven = _signatures(chain, _with_kept(points, chain, kept), check)
    problems += bad
    count = head.seq - first + 1 if first else 0
    return Verdict(
        ok=not problems,
        chain=chain,
        records=count,
        first=first,
        head=head,
        problems=tuple(problems[:MAX_PROBLEMS]),
        signature=signature,
        pruned_to=start.seq,
        proven_to=min(proven, head.seq),
    )


def _with_kept(points: list[Checkpoint], chain: str, kept: Kept | None) -> list[Checkpoint]:
    signed = kept.signed if kept is not None and kept.chain == chain else None
    return points if signed is None or signed in points else [*points, signed]


class _Signatures(NamedTuple):
    word: str
    problems: list[str]
    proven_to: int


def _signatures(chain: str, points: Sequence[Checkpoint], check: CheckSignature | None) -> _Signatures:
    """The word for the signatures, and what is wrong with them. What is gone before a pruning only a signature vouches for."""
    signed = [point for point in points if point.signature]
    problems = [
        f"records up to {point.seq} are gone, and no signature says that they were pruned"
        for point in points
        if point.reason == "prune" and not point.signature
    ]
    if not signed:
        return _Signatures("unsigned", problems, 0)
    if check is None:
        return _Signatures("unchecked", problems, max(point.seq for point in signed))
    bad = [point for point in signed if not check(chain, point)]
    proven_to = max((point.seq for point in signed if point not in bad), default=0)
    return _Signatures("invalid" if bad else "valid", problems + [_not_good(point) for point in bad], proven_to)


def _not_good(point: Checkpoint) -> str:
    if point.reason == "prune":
        return f"records up to {point.seq} are gone, and the signature of that pruning is not good"
    return f"the signature of record {point.seq} is not good"


def _unread(path: Path, error: Exception, what: str) -> Verdict:
    """The verdict on what is in the file; NotAvailable is raised where the error says nothing about that."""
    away = unreadable(path, error) if isinstance(error, sqlite3.Error) else None
    if away is not None:
        raise away from None
    return _failed(f"cannot be {what}: {error}")


def _failed(problem: str) -> Verdict:
    return Verdict(
        ok=False,
        chain="",
        records=0,
        first=0,
        head=Head(0, ""),
        problems=(problem,),
        signature="unsigned",
        pruned_to=0,
        proven_to=0,
    )
