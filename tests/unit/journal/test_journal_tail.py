"""A cut or erased journal is found by what is kept beside it; a kill between the two is not taken for one."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.journal import Checkpoint, Head, Journal, Signed, verify
from agent.journal.tail import EVERY_RECORDS, EVERY_S, Tail, read_kept
from firmware.files import TwinFile

Opener = Callable[..., Journal]


def sign(chain: str, head: Head, wall: str) -> Signed:
    return Signed("aa", f"{chain}{head.seq}{head.hash}{wall}".encode().hex())


def check(chain: str, point: Checkpoint) -> bool:
    return point.signature == sign(chain, Head(point.seq, point.hash), point.wall).signature


def fill(journal: Journal, count: int = 10) -> None:
    for receipt in [journal.append("fault.raised", "error", "pos-1/printer", {"n": n}) for n in range(count)]:
        receipt.wait(5)


def tamper(path: Path, sql: str) -> None:
    link = sqlite3.connect(path)
    with link:
        link.execute(sql)
    link.close()


CUTS = [
    ("DELETE FROM record WHERE seq > 9", "records 10 to 10 are missing at the end", 9),
    ("DELETE FROM record WHERE seq > 5", "records 6 to 10 are missing at the end", 5),
    ("DELETE FROM record", "records 1 to 10 are missing at the end", 0),
    ("UPDATE meta SET value = 'another' WHERE name = 'chain'", "that was kept here", 10),
]


@pytest.mark.parametrize(("sql", "problem", "last"), CUTS)
def test_a_cut_end_is_found_by_verify(path: Path, journal: Journal, sql: str, problem: str, last: int) -> None:
    fill(journal)
    journal.close()
    tamper(path, sql)
    verdict = verify(path)
    assert (verdict.ok, verdict.head.seq) == (False, last)
    assert verdict.problems[-1].endswith(problem)


@pytest.mark.parametrize(("sql", "problem"), [(sql, problem) for sql, problem, _ in CUTS])
def test_a_cut_end_is_set_aside_at_the_start_and_told(
    path: Path, journal: Journal, journal_at: Opener, caplog: pytest.LogCaptureFixture, sql: str, problem: str
) -> None:
    fill(journal)
    head, chain = journal.head(), journal.chain()
    journal.close()
    tamper(path, sql)
    again = journal_at(path)
    (first,) = again.read(0, 5)
    assert first.kind == "journal.begun_anew"
    assert str(first.body["reason"]).endswith(problem)
    assert (first.body["last_chain"], first.body["last_seq"], first.body["last_hash"]) == (chain, head.seq, head.hash)
    assert (path.parent / str(first.body["set_aside"])).exists()
    assert "begins anew after record 10" in caplog.text
    again.close()
    assert verify(path).ok


@pytest.mark.parametrize("how", ["emptied", "deleted"])
def test_an_erased_file_is_not_followed_silently(
    path: Path, journal: Journal, journal_at: Opener, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    fill(journal)
    chain = journal.chain()
    journal.close()
    if how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    assert not verify(path).ok
    again = journal_at(path)
    (first,) = again.read(0, 5)
    assert (first.kind, first.body["last_chain"], first.body["last_seq"]) == ("journal.begun_anew", chain, 10)
    assert "begins anew" in caplog.text
    assert list(path.parent.glob("*damaged*")) == []
    again.close()
    assert verify(path).ok


def test_a_deleted_file_is_said_to_be_gone(path: Path, journal: Journal) -> None:
    fill(journal)
    journal.close()
    path.unlink()
    assert verify(path).problems == ("it is gone, though record 10 was written",)


def test_a_kill_before_the_new_end_was_kept_is_no_second_beginning(path: Path, journal: Journal, journal_at: Opener) -> None:
    fill(journal)
    journal.close()
    old = {copy: copy.read_bytes() for copy in path.parent.glob("journal.sqlite.head.*")}
    path.write_bytes(b"")
    anew = journal_at(path)
    fill(anew, 2)
    anew.close()
    for copy, content in old.items():
        copy.write_bytes(content)
    assert verify(path).ok
    third = journal_at(path)
    assert third.head().seq == 3
    assert third.chain() == anew.chain()


def test_what_is_kept_may_lag(path: Path, journal: Journal, journal_at: Opener) -> None:
    fill(journal, 5)
    journal.close()
    lagging = {copy: copy.read_bytes() for copy in path.parent.glob("journal.sqlite.head.*")}
    second = journal_at(path)
    fill(second, 5)
    second.close()
    for copy, content in lagging.items():
        copy.write_bytes(content)
    assert verify(path).ok
    assert journal_at(path).head().seq == 10
    kept = read_kept(path)
    assert kept is not None
    assert kept.head.seq == 10


def test_the_signed_part_is_told_and_its_signature_kept(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path, signer=sign)
    fill(journal, 3)
    assert journal.sign_head() is not None
    fill(journal, 2)
    journal.close()
    verdict = verify(path, check=check)
    assert (verdict.ok, verdict.proven_to, verdict.head.seq) == (True, 3, 5)
    tamper(path, "DELETE FROM checkpoint")
    assert verify(path, check=check).proven_to == 3
    assert verify(path, check=lambda *_: False).problems == ("the signature of record 3 is not good",)
    assert verify(path, check=lambda *_: False).proven_to == 0


def test_an_end_that_was_tampered_with_is_found(path: Path, journal: Journal, journal_at: Opener) -> None:
    fill(journal)
    journal.close()
    file = TwinFile(path.with_name("journal.sqlite.head"))
    data = file.load()
    assert data is not None
    file.store({**data, "head": {"seq": 7, "hash": "00" * 32}})
    assert verify(path).problems == ("record 7 is not the one that was written",)
    file.store({**data, "head": {"seq": "7", "hash": "00" * 32}})
    assert "cannot be read" in verify(path).problems[0]
    for copy in file.copies:
        copy.write_bytes(b"{")
    assert "cannot be read" in verify(path).problems[0]
    assert journal_at(path).head().seq == 10  # nothing to hold it against: the records stay


def test_it_is_written_seldom_and_never_when_nothing_happens(tmp_path: Path, clock: ManualClock) -> None:
    tail = Tail(tmp_path / "journal.sqlite", clock.mono)
    tail.keep("c", Head(1, "a"))
    tail.follow("c", Head(EVERY_RECORDS, "b"))
    assert tail.kept is not None
    assert tail.kept.head.seq == 1
    tail.follow("c", Head(EVERY_RECORDS + 1, "c"))
    assert tail.kept.head.seq == EVERY_RECORDS + 1
    clock.advance(EVERY_S)
    tail.follow("c", Head(EVERY_RECORDS + 2, "d"))
    assert tail.kept.head.seq == EVERY_RECORDS + 2
    stored = tail._file.copies[0].stat().st_ino
    tail.keep("c", Head(EVERY_RECORDS + 2, "d"))
    assert tail._file.copies[0].stat().st_ino == stored


def test_a_disk_that_refuses_costs_proof_and_not_records(
    path: Path, journal_at: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = journal_at(path)
    for write in ("_write_temporary", "_overwrite"):
        monkeypatch.setattr(f"firmware.files.{write}", _no_space)
    with caplog.at_level(logging.WARNING):
        fill(journal, EVERY_RECORDS * 2)
        journal.close()
    assert caplog.text.count("cannot be kept beside it") == 1
    assert verify(path).head.seq == EVERY_RECORDS * 2


def _no_space(*_: object) -> Path:
    raise OSError(28, "No space left on device")
