"""Keeps the journal within its bound: decides what may go, has the place signed, and hands the order to the writer.

Normally only what every receiver has dealt with goes. Where one is stuck for ever the bound still holds: at the hard
limit the oldest records go all the same, and the writer records for whom how many were lost. The same holds for a place
that nobody could sign: only the hard limit forces it, the writer records it, and `verify` does not take it for proof.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.journal.reader import Reader
from agent.journal.record import Head
from agent.journal.store import Checkpoint, Store


@dataclass(frozen=True, slots=True)
class Signed:
    """An Ed25519 signature and the key that made it, both hex (RFC 8032)."""

    public: str
    signature: str


Signer = Callable[[str, Head, str], Signed | None]
"""(chain id, head, RFC 3339 wall time) → signature; None where it cannot be made in bounded time."""


class Pruner:
    """Watches the size. ``consider`` runs on the writer's thread, the signing on one that lives only as long."""

    def __init__(
        self,
        limit_bytes: int,
        signer: Signer | None,
        post: Callable[[Checkpoint], None],
        reader: Reader,
        wall: Callable[[], str],
    ) -> None:
        self._hard = limit_bytes
        self._soft = limit_bytes * 7 // 8
        self._target = limit_bytes * 5 // 8
        self._signer = signer
        self._post = post
        self._reader = reader
        self._wall = wall
        self._unseen = 0
        self._thread: threading.Thread | None = None

    def consider(self, store: Store, written: int, cursors: Mapping[str, int]) -> None:
        """Start a pruning where the file has grown beyond seven eighths of its bound. Raises sqlite3.Error.

        ``written`` characters came since the last call; the size is looked at once in a 64th of the bound.
        """
        self._unseen += written
        if self._unseen < self._hard // 64 or (self._thread is not None and self._thread.is_alive()):
            return
        self._unseen = 0
        used = store.used_bytes()
        first = store.first_seq()
        if used <= self._soft or first <= store.pruned_to():
            return
        cut = first + (store.head.seq - first) * (used - self._target) // used
        if used <= self._hard:
            cut = min([cut, *cursors.values()])
        if cut >= first:
            self._start(store.chain, cut, forced=used > self._hard)

    def join(self, timeout_s: float) -> None:
        """Wait for a signature that is under way."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _start(self, chain: str, cut: int, *, forced: bool) -> None:
        self._thread = threading.Thread(target=self._sign, args=(chain, cut, forced), name="journal-prune", daemon=True)
        self._thread.start()

    def _sign(self, chain: str, cut: int, forced: bool) -> None:
        found = self._reader.read(cut - 1, 1)
        if not found or found[0].seq != cut:
            return
        head, wall = Head(cut, found[0].hash), self._wall()
        signed = self._signer(chain, head, wall) if self._signer else None
        if signed is None and not forced:
            return  # there is room left: the next look may find a signer that works
        public, signature = (signed.public, signed.signature) if signed else ("", "")
        self._post(Checkpoint(head.seq, head.hash, wall, "prune", public, signature))
