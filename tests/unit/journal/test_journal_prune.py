"""The journal's bound: what goes, what stays, and what is said about it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.journal import Checkpoint, Head, Journal, Signed, verify
from agent.journal.prune import Pruner
from agent.journal.verify import CheckSignature
from agent.signer import checker, signer

Opener = Callable[..., Journal]

LIMIT = 256 * 1024


def sign(chain: str, head: Head, wall: str) -> Signed:
    return Signed("aa" * 32, f"{chain}{head.seq}{head.hash}{wall}".encode().hex())


def check(chain: str, point: Checkpoint) -> bool:
    return point.signature == sign(chain, Head(point.seq, point.hash), point.wall).signature


def fill(journal: Journal, count: int, sink: str | None) -> None:
    for number in range(count):
        receipt = journal.append("device.identified", "info", "host", {"n": number, "t": "x" * 400})
        if number % 20 == 19 or number == count - 1:
            seq = receipt.wait(5)
            if sink:
                journal.advance(sink, seq)


def test_a_pruned_journal_stays_small_and_verifies(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, limit_bytes=LIMIT, signer=sign)
    journal.cursor("otlp")
    fill(journal, 1500, "otlp")
    head = journal.head()
    journal.close()
    verdict = verify(path, check=check, against=[head])
    assert verdict.ok, verdict.problems
    assert verdict.first == verdict.pruned_to + 1 > 1
    assert verdict.head.seq == 1500
    assert verdict.signature == "valid"
    assert path.stat().st_size < LIMIT * 1.3


def test_a_forged_checkpoint_is_found(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, limit_bytes=LIMIT, signer=sign)
    fill(journal, 800, None)
    journal.close()
    verdict = verify(path, check=lambda _chain, _point: False)
    assert (verdict.ok, verdict.signature) == (False, "invalid")


def test_a_stuck_receiver_does_not_break_the_bound_and_the_loss_is_told(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, limit_bytes=LIMIT, signer=sign)
    journal.cursor("stuck")
    fill(journal, 1500, None)
    lost = [record for record in journal.read(0, 5000) if record.kind == "journal.lost"]
    assert lost
    body = lost[-1].body
    assert body["receivers"]["stuck"]["count"] > 0  # type: ignore[index,call-overload]
    assert journal.cursor("stuck") >= body["upto"]  # type: ignore[operator]
    journal.close()
    assert verify(path, check=check).ok
    assert path.stat().st_size < LIMIT * 1.5


def test_signed_heads_are_kept(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, signer=sign)
    assert journal.sign_head() is None
    fill(journal, 3, None)
    point = journal.sign_head()
    assert point is not None
    assert point.seq == 3
    assert journal.sign_head() is point
    fill(journal, 1, None)
    assert journal.sign_head() is not point
    journal.close()
    assert verify(path).signature == "unchecked"
    assert verify(path, check=check).signature == "valid"


def test_real_signatures_are_made_and_checked_by_a_worker(path: Path, journal_at: Opener) -> None:
    keys = path.parent / "keys"
    journal = journal_at(path, signer=signer(keys))
    fill(journal, 2, None)
    assert journal.sign_head() is not None
    journal.close()
    assert (keys / "journal.key").stat().st_mode & 0o777 == 0o600
    assert verify(path, check=checker(keys)).signature == "valid"
    link = sqlite3.connect(path)
    with link:
        link.execute("UPDATE checkpoint SET wall = '2001-01-01T00:00:00Z'")
    link.close()
    assert verify(path, check=checker(keys)).signature == "invalid"


def test_a_key_that_others_may_read_is_not_used(path: Path, journal_at: Opener) -> None:
    keys = path.parent / "keys"
    journal = journal_at(path, signer=signer(keys))
    fill(journal, 1, None)
    keys.mkdir(mode=0o700)
    (keys / "journal.key").write_text("00" * 32)
    (keys / "journal.key").chmod(0o644)
    assert journal.sign_head() is None


def forge(path: Path, signature: str) -> None:
    """What somebody does who wants the first fifty records gone."""
    link = sqlite3.connect(path)
    with link:
        (hashed,) = link.execute("SELECT hash FROM record WHERE seq = 50").fetchone()
        link.execute("DELETE FROM record WHERE seq <= 50")
        link.execute("INSERT INTO checkpoint VALUES (50, 'prune', ?, '2026-01-01T00:00:00Z', '', ?)", (hashed, signature))
    link.close()


@pytest.mark.parametrize("judge", [None, check])
def test_a_forged_pruning_without_a_signature_is_found(path: Path, journal_at: Opener, judge: CheckSignature | None) -> None:
    journal = journal_at(path, signer=sign)
    fill(journal, 60, None)
    journal.sign_head()
    journal.close()
    forge(path, "")
    verdict = verify(path, check=judge)
    assert not verdict.ok
    assert verdict.problems == ("records up to 50 are gone, and no signature says that they were pruned",)


def test_a_forged_pruning_with_a_bad_signature_is_found(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, signer=sign)
    fill(journal, 60, None)
    journal.close()
    forge(path, "00" * 64)
    assert verify(path, check=check).problems == ("records up to 50 are gone, and the signature of that pruning is not good",)


def test_nothing_is_pruned_unsigned_while_there_is_room(path: Path, journal_at: Opener) -> None:
    posted: list[Checkpoint] = []
    journal = journal_at(path)
    fill(journal, 2, None)
    for failing in (None, lambda *_: None):
        pruner = Pruner(LIMIT, failing, posted.append, journal._reader, journal._wall)
        pruner._sign(journal.chain(), 1, False)
        assert posted == []
    pruner._sign(journal.chain(), 1, True)
    assert [(point.seq, point.signature) for point in posted] == [(1, "")]


def test_a_bound_that_forces_an_unsigned_pruning_is_recorded_and_not_taken_for_proof(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, limit_bytes=LIMIT, signer=lambda *_: None)
    journal.cursor("otlp")
    fill(journal, 1500, "otlp")
    lost = [record for record in journal.read(0, 5000) if record.kind == "journal.lost"]
    assert lost
    assert lost[-1].body["signed"] is False
    journal.close()
    assert path.stat().st_size < LIMIT * 1.5
    verdict = verify(path, check=check)
    assert not verdict.ok
    assert verdict.problems == (f"records up to {verdict.pruned_to} are gone, and no signature says that they were pruned",)
