"""The journal through its public face: what is promised to a caller, to a receiver and to an auditor."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.errors import JournalFull, JournalTimeout
from agent.journal import Head, Journal, Signed, verify
from agent.journal.peek import newest, was_cut_off
from agent.journal.queue import Queue
from agent.journal.store import Store

Opener = Callable[..., Journal]

TEXTS = ("id", "boot", "wall", "kind", "severity", "subject", "body", "hash", "prev")
"""Columns of a record that hold text."""
FAULT = {"id": "printer.paper_end", "incident": "i-1", "terminal": "pos-1", "device": "printer"}


def test_receipt_gives_the_number_and_the_record_can_be_read(journal: Journal) -> None:
    receipt = journal.append("fault.raised", "error", "pos-1/printer", FAULT)
    assert receipt.wait(5) == 1
    (record,) = journal.read(0, 10)
    assert (record.id, record.kind, record.subject, record.body) == (receipt.id, "fault.raised", "pos-1/printer", FAULT)
    assert record.wall.endswith("Z")
    assert journal.head() == Head(1, record.hash)


def test_what_belongs_together_is_one_commit(path: Path, journal: Journal) -> None:
    """A fault, the state it led to and the verdict: three commits would be three times the wear and the wait."""
    heads: list[int] = []
    journal.subscribe(lambda: heads.append(journal.head().seq))
    for number in range(1, 31):
        journal.append_all([("fault.raised", "error", "pos-1/printer", FAULT | {"n": number, "part": part}) for part in range(3)])
        reaches(journal, 3 * number)
    assert heads == [3 * number for number in range(1, 31)]
    assert [record.body["part"] for record in journal.read(0, 6)] == [0, 1, 2, 0, 1, 2]


def test_a_cursor_that_may_wait_costs_no_commit_until_it_is_asked_for(path: Path, journal: Journal) -> None:
    journal.append("agent.started", "info", "host", {}).wait(5)
    journal.cursor("otlp")
    until(lambda: kept_cursors(path) == {"otlp": 0})
    journal.advance("otlp", 1, soon=False)
    journal.append("fault.raised", "error", "pos-1/printer", FAULT).wait(5)
    until(lambda: kept_cursors(path) == {"otlp": 1})  # went along with the record
    journal.advance("otlp", 2, soon=False)
    journal.keep_cursors()
    until(lambda: kept_cursors(path) == {"otlp": 2})


def reaches(journal: Journal, seq: int) -> None:
    until(lambda: journal.head().seq == seq)


def until(true: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def kept_cursors(path: Path) -> dict[str, int]:
    link = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return dict(link.execute("SELECT sink, seq FROM cursor").fetchall())
    finally:
        link.close()


def test_chain_goes_on_after_a_restart(path: Path, journal_at: Opener) -> None:
    first = journal_at(path)
    first.append("agent.started", "info", "host", {})
    first.close()
    second = journal_at(path)
    assert second.append("agent.stopped", "info", "host", {}).wait(5) == 2
    second.close()
    verdict = verify(path)
    assert verdict.ok
    assert (verdict.records, verdict.first, verdict.head.seq) == (2, 1, 2)


def test_verify_beside_a_running_owner(path: Path, journal: Journal) -> None:
    for number in range(20):
        journal.append("device.identified", "info", "pos-1/printer", {"n": number}).wait(5)
    assert verify(path, against=[journal.head()]).ok
    assert journal.append("agent.stopped", "info", "host", {}).wait(5) == 21


def test_the_newest_of_one_area_are_found_behind_any_number_of_others(path: Path, journal: Journal) -> None:
    """The history of updates once ended where two thousand faults and readings had come since."""
    for kind in ("update.received", "updates.other", "update.committed"):
        journal.append(kind, "info", "host", {})
    for number in range(3000):
        journal.append("fault.raised", "error", "pos-1/printer", {"n": number})
    journal.append("agent.stopped", "info", "host", {}).wait(20)
    assert [record.kind for record in newest(path, 5, "update")] == ["update.received", "update.committed"]
    assert [record.kind for record in newest(path, 1, "update")] == ["update.committed"]
    assert newest(path, 5, "selftest") == []
    assert [record.seq for record in newest(path, 2)] == [3003, 3004]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE record SET body = '{}' WHERE seq = 2", "record 2 was changed"),
        ("UPDATE record SET wall = '2001-01-01T00:00:00Z' WHERE seq = 2", "record 2 was changed"),
        ("DELETE FROM record WHERE seq = 2", "records 2 to 2 are missing"),
        ("UPDATE record SET prev = hash WHERE seq = 3", "record 3 does not follow record 2"),
        ("UPDATE record SET mono = 9e999 WHERE seq = 2", "record 2 was changed"),
        ("UPDATE record SET mono = 'noon' WHERE seq = 2", "record 2 was changed"),
        *((f"UPDATE record SET {name} = X'00ff' WHERE seq = 2", "record 2 was changed") for name in TEXTS),
        *((f"UPDATE record SET {name} = CAST(X'c328' AS TEXT) WHERE seq = 2", "record 2 was changed") for name in TEXTS),
    ],
)
def test_a_changed_record_is_found(path: Path, journal: Journal, sql: str, problem: str) -> None:
    for number in range(3):
        journal.append("fault.raised", "error", "pos-1/printer", {"n": number})
    journal.close()
    tamper(path, sql)
    verdict = verify(path)
    assert not verdict.ok
    assert problem in verdict.problems
    json.dumps(asdict(verdict))
    json.dumps([asdict(record) for record in newest(path, 3)], allow_nan=False)  # what is left of it can still be shown


@pytest.mark.parametrize("name", ["seq", "hash", "wall", "reason", "public", "signature"])
def test_a_checkpoint_of_another_type_is_found(path: Path, journal_at: Opener, name: str) -> None:
    journal = journal_at(path, signer=lambda *_: Signed("aa", "bb"))
    journal.append("agent.started", "info", "host", {}).wait(5)
    journal.sign_head()
    journal.close()
    tamper(path, f"UPDATE checkpoint SET {name} = X'00ff'")
    verdict = verify(path, check=lambda *_: True)
    assert verdict.problems == ("cannot be read: a checkpoint was changed",)
    assert journal_at(path).append("agent.started", "info", "host", {}).wait(5) == 2


def test_wrong_types_do_not_stop_the_daemon(path: Path, journal: Journal, journal_at: Opener) -> None:
    journal.append("agent.started", "info", "host", {}).wait(5)
    journal.cursor("otlp")
    journal.close()
    tamper(path, "UPDATE cursor SET seq = 'far'")
    again = journal_at(path)
    assert again.cursor("otlp") == 0
    again.close()
    tamper(path, "UPDATE record SET severity = X'00ff'")
    anew = journal_at(path)
    assert anew.append("agent.started", "info", "host", {}).wait(5) == 2
    assert anew.read(0, 1)[0].kind == "journal.begun_anew"


def test_a_chain_cut_at_its_end_is_found_by_the_head_that_the_centre_kept(path: Path, journal: Journal) -> None:
    for number in range(3):
        journal.append("fault.raised", "error", "pos-1/printer", {"n": number}).wait(5)
    kept = journal.head()
    journal.close()
    tamper(path, "DELETE FROM record WHERE seq = 3")
    for copy in path.parent.glob("journal.sqlite.head.*"):
        copy.unlink()
    assert verify(path).ok
    assert verify(path, against=[kept]).problems == ("record 3, signed or reported, is missing",)


def tamper(path: Path, sql: str) -> None:
    link = sqlite3.connect(path)
    with link:
        link.execute(sql)
    link.close()


def test_cursors_are_durable_and_never_go_back(path: Path, journal_at: Opener) -> None:
    journal = journal_at(path)
    for _ in range(3):
        journal.append("agent.started", "info", "host", {}).wait(5)
    assert (journal.cursor("otlp"), journal.backlog("otlp")) == (0, 3)
    journal.advance("otlp", 2)
    journal.advance("otlp", 1)
    journal.close()
    again = journal_at(path)
    assert (again.cursor("otlp"), again.backlog("otlp")) == (2, 1)
    again.forget("otlp")
    again.close()
    assert dict(journal_at(path).sinks()) == {}


def test_listeners_are_woken_by_a_commit(journal: Journal) -> None:
    woken = threading.Event()
    journal.subscribe(woken.set)
    journal.append("agent.started", "info", "host", {})
    assert woken.wait(5)


def test_bodies_are_swept_for_card_data(path: Path, journal: Journal) -> None:
    pan = "411111" + "1111111111"
    journal.append("fault.raised", "error", f"pos-1/{pan}", {"evidence": {"heard": [f"got {pan}", bytes(16)], pan: 1}}).wait(5)
    (record,) = journal.read(0, 1)
    assert record.body == {"evidence": {"heard": ["got [card-data]", "[16 bytes]"], "[card-data]": 1}}
    journal.close()
    assert pan.encode() not in path.read_bytes()


def test_an_oversized_body_is_cut_and_says_so(journal: Journal) -> None:
    journal.append("fault.raised", "error", "host", {"text": "x" * 100_000}).wait(5)
    (record,) = journal.read(0, 1)
    assert record.body["oversize"] == 100_011


def test_readings_at_the_bound_are_counted_and_faults_get_through(path: Path, journal_at: Opener) -> None:
    gate = Gate()
    journal = journal_at(path, queue=Queue(max_readings=2), open_store=gate.open)
    gate.hold(journal)
    first = journal.append("reading.changed", "info", "pos-1/printer", {"n": 1})
    journal.append("reading.changed", "info", "pos-1/reader", {"n": 2})
    journal.append("reading.changed", "info", "pos-1/printer", {"n": 3})
    gone = journal.append("reading.changed", "info", "pos-2/printer", {"n": 4})
    fault = journal.append("fault.raised", "error", "pos-1/printer", FAULT)
    gate.release()
    fault.wait(5)
    journal.close()
    kinds = [(record.kind, dict(record.body)) for record in read_all(path, journal_at)][1:]
    assert kinds[0] == ("journal.dropped", {"kinds": {"reading.changed": 2}})
    assert kinds[1][0] == "fault.raised"
    assert [body["n"] for _, body in kinds[2:]] == [2, 4] or [body["n"] for _, body in kinds[2:]] == [3, 4]
    assert gone.seq is not None
    assert first.seq is not None or first._waiting.latest().failed


class Gate:
    """A store whose commits can be held up, as by a slow disk."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._go = threading.Event()
        self._go.set()

    def open(self, path: Path) -> Store:
        store, append = Store(path), Store.append

        def slow(drafts: object, cursors: object) -> int:
            self.entered.set()
            assert self._go.wait(10)
            return append(store, drafts, cursors)  # type: ignore[arg-type]

        store.append = slow  # type: ignore[method-assign,assignment]
        return store

    def hold(self, journal: Journal) -> None:
        self._go.clear()
        journal.append("agent.started", "info", "host", {})
        assert self.entered.wait(5)

    def release(self) -> None:
        self._go.set()


def read_all(path: Path, journal_at: Opener) -> list:  # type: ignore[type-arg]
    return journal_at(path).read(0, 1000)


def test_a_full_disk_keeps_faults_and_tells_them_later(path: Path, journal_at: Opener) -> None:
    disk = FullDisk()
    journal = journal_at(path, open_store=disk.open)
    journal.append("agent.started", "info", "host", {}).wait(5)
    disk.full = True
    fault = journal.append("fault.raised", "error", "pos-1/printer", FAULT)
    with pytest.raises(JournalTimeout):
        fault.wait(0.02)
    end = time.monotonic() + 30.0
    while journal.state().writable and time.monotonic() < end:
        time.sleep(0.01)  # the writer tries by itself
    state = journal.state()
    assert (state.writable, state.queued) == (False, 1)
    assert "full" in state.reason
    assert disk.reserve_freed(path)
    disk.full = False
    assert fault.wait(10) == 2
    journal.append("agent.stopped", "info", "host", {}).wait(5)
    assert journal.state().writable


class FullDisk:
    """SQLite's own SQLITE_FULL, by a bound on the number of pages."""

    def __init__(self) -> None:
        self.full = False

    def open(self, path: Path) -> Store:
        store, append, probe = Store(path), Store.append, Store.probe
        disk = self

        def refuse() -> None:
            if disk.full:
                store.link.execute("PRAGMA max_page_count = 1")
                store.link.execute("CREATE TABLE IF NOT EXISTS filler (x)")
                store.link.execute("INSERT INTO filler VALUES (zeroblob(1000000))")

        def bounded(drafts: object, cursors: object) -> int:
            refuse()
            return append(store, drafts, cursors)  # type: ignore[arg-type]

        def bounded_probe() -> None:
            refuse()
            probe(store)

        store.append = bounded  # type: ignore[method-assign,assignment]
        store.probe = bounded_probe  # type: ignore[method-assign]
        return store

    @staticmethod
    def reserve_freed(path: Path) -> bool:
        return not path.with_name("journal.sqlite.reserve").exists()


def test_a_bounded_queue_drops_the_least_and_fails_its_receipt(path: Path, journal_at: Opener) -> None:
    gate = Gate()
    journal = journal_at(path, queue=Queue(max_records=2), open_store=gate.open)
    gate.hold(journal)
    event = journal.append("device.identified", "info", "pos-1/printer", {})
    faults = [journal.append("fault.raised", "error", "pos-1/printer", {"n": n}) for n in range(2)]
    with pytest.raises(JournalFull):
        event.wait(5)
    gate.release()
    assert [fault.wait(5) for fault in faults] == [3, 4]
    assert journal.state().dropped == 1


@pytest.mark.parametrize("damage", ["garbage", "torn", "last record"])
def test_a_damaged_file_is_set_aside_and_the_new_chain_says_so(path: Path, journal_at: Opener, damage: str) -> None:
    journal = journal_at(path)
    for number in range(50):
        journal.append("fault.raised", "error", "pos-1/printer", {"n": number, "text": "t" * 400})
    journal.cursor("otlp")
    journal.close()
    if damage == "garbage":
        path.write_bytes(os.urandom(8192))
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        tamper(path, "UPDATE record SET body = '{}' WHERE seq = 50")
    again = journal_at(path)
    assert again.append("agent.started", "info", "host", {}).wait(5) == 2
    first = again.read(0, 1)[0]
    assert first.kind == "journal.begun_anew"
    assert first.body["set_aside"] == "journal.damaged-20260101T000000Z.sqlite"
    assert (path.parent / str(first.body["set_aside"])).exists()
    assert again.cursor("otlp") == 0
    assert verify(path).ok


def test_damage_while_running(path: Path, journal: Journal) -> None:
    journal.append("agent.started", "info", "host", {}).wait(5)
    journal.cursor("otlp")
    journal.advance("otlp", 1)
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        with (path.parent / name).open("r+b") as file:
            file.write(b"\xff" * 30_000)
    begun = threading.Event()
    journal.subscribe(begun.set)
    assert journal.read(0, 9) == []
    assert begun.wait(5)
    assert journal.append("fault.raised", "error", "pos-1/printer", FAULT).wait(5) == 2
    assert [record.kind for record in journal.read(0, 9)] == ["journal.begun_anew", "fault.raised"]
    assert journal.cursor("otlp") == 0


def test_a_folder_that_cannot_be_made_is_a_state_and_not_a_crash(tmp_path: Path, journal_at: Opener) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = journal_at(tmp_path / "file" / "journal.sqlite")
    receipt = journal.append("fault.raised", "error", "host", FAULT)
    with pytest.raises(JournalTimeout):
        receipt.wait(0.01)
    assert not journal.state().writable
    assert journal.read(0, 1) == []


WRITER = """
import sys, time
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]), boot_id="b", wall=lambda: "2026-01-01T00:00:00Z", mono=time.monotonic)
while True:
    for receipt in [journal.append("fault.raised", "error", "pos-1", {"n": n}) for n in range(3)]:
        receipt.wait(10)
        print(receipt.seq, receipt.id, flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_time_loses_nothing_that_was_acknowledged(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for cycle in range(12):
        said = path.parent.parent / f"said-{cycle}"
        with said.open("wb") as out:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=out)
        while said.stat().st_size < 200 + cycle * 300:
            assert writer.poll() is None
            time.sleep(0.002)
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        for line in said.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                seq, ident = line.split()
                acknowledged[ident] = int(seq)
    link = sqlite3.connect(path)
    stored = dict(link.execute("SELECT id, seq FROM record"))
    link.close()
    assert len(acknowledged) > 100
    assert acknowledged.items() <= stored.items()
    assert verify(path).ok


def test_nothing_is_written_twice_when_a_commit_fails_after_it_reached_the_disk(path: Path, journal_at: Opener) -> None:
    failed: list[bool] = []

    def open_it(path: Path) -> Store:
        store, append = Store(path), Store.append

        def late(drafts: object, cursors: object) -> int:
            first = append(store, drafts, cursors)  # type: ignore[arg-type]
            if not failed:
                failed.append(True)
                raise sqlite3.OperationalError("disk I/O error")
            return first

        store.append = late  # type: ignore[method-assign,assignment]
        return store

    journal = journal_at(path, open_store=open_it)
    assert journal.append("fault.raised", "error", "host", FAULT).wait(5) == 1
    assert journal.append("fault.cleared", "info", "host", FAULT).wait(5) == 2
    assert len(journal.read(0, 10)) == 2


def test_canonical_form_is_what_the_hash_says(journal: Journal, clock: ManualClock) -> None:
    import hashlib

    journal.append("fault.raised", "error", "终端", {"b": [1, 2.5, None, True], "a": "纸"}).wait(5)
    (record,) = journal.read(0, 1)
    fields = {name: getattr(record, name) for name in record.__slots__ if name != "hash"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == record.hash


def test_a_life_that_had_no_end_in_order_is_told_to_the_next(path: Path, journal_at: Opener) -> None:
    """The kernel kills for want of memory without a word; what stands at the end of the record tells."""
    assert not was_cut_off(path)
    journal = journal_at(path)
    journal.append("agent.started", "info", "host", {})
    journal.append("fault.raised", "warning", "host", {}).wait(5)
    assert was_cut_off(path)
    journal.append("agent.stopped", "info", "host", {})
    journal.close()
    assert not was_cut_off(path)
