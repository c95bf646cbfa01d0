"""A reader through pcscd, with a pcscd in memory: from healthy to each fault and back; cards; the check of a test card."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.health import catalogue
from agent.health.device import CardSeen, DeviceHealth, DeviceState
from agent.health.readings import Moment
from agent.observations import CardChecked, Observation
from agent.pcsc import library, process
from agent.pcsc.library import PcscError, Seen
from agent.pcsc.look import HANGS_S, LOOK_S, PcscLook
from agent.pcsc.process import Busy
from agent.pcsc.view import View

NAME = "GemPCTwin sim 00 00"
ATR = bytes.fromhex("3B 07 50 4F 53 53 49 4D 31")
EMPTY, IN = Seen(library.EMPTY, b""), Seen(library.PRESENT | 1 << 16, ATR)
LIMIT_S = 20.0


@dataclass
class Pcscd:
    """What the library would say; a test changes it, and the look hears of it at once."""

    names: list[str] = field(default_factory=lambda: [NAME])
    seen: Seen = EMPTY
    error: int | None = None
    hangs: threading.Event | None = None
    exchanges: int = 0
    asked: int = 0
    cancels: int = 0
    answer: int | bytes = b"\x61\x07"
    news: threading.Condition = field(default_factory=threading.Condition)
    cancelled: bool = False

    def set(self, **values: object) -> None:
        with self.news:
            for name, value in values.items():
                setattr(self, name, value)
            self.news.notify_all()

    def open(self) -> None:
        self._fail("SCardEstablishContext")

    def close(self) -> None:
        pass

    def cancel(self) -> None:
        self.set(cancels=self.cancels + 1)
        if self.hangs is not None:
            self.hangs.wait()
        self.set(cancelled=True)

    def readers(self) -> list[str]:
        self._fail("SCardListReaders")
        return self.names

    def changed(self, reader: str, known: int, wait_s: float | None) -> Seen | None:
        assert reader in self.names
        self.asked += 1
        with self.news:
            if known != library.UNAWARE:
                self.news.wait_for(lambda: self.cancelled or self.error is not None or self.seen.state != known, wait_s)
            if self.cancelled and known != library.UNAWARE:
                self.cancelled = False
                raise PcscError("SCardGetStatusChange", library.CANCELLED)
        self._fail("SCardGetStatusChange")
        return self.seen

    def exchange(self, reader: str, command: bytes) -> tuple[int, bytes]:
        assert command.hex() == "00a40000023f00"
        self.exchanges += 1
        if isinstance(self.answer, int):
            raise PcscError("SCardConnect", self.answer)
        return 0, self.answer

    def _fail(self, call: str) -> None:
        if self.hangs is not None:
            self.hangs.wait()
        if self.error is not None:
            raise PcscError(call, self.error)


class Bench:
    """A look, and the model that it tells."""

    def __init__(self, pcscd: Pcscd, *, port: str = "auto", reader: str | None = None) -> None:
        self.pcscd = pcscd
        self.now = 100.0
        self.busy: Busy | None = None
        numbers = iter(range(100_000))
        self.health = DeviceHealth("reader", "reader.silent", lambda: str(next(numbers)))
        self.news = threading.Condition()
        self.log: list[object] = []
        self.look = PcscLook(
            "t/reader", port, reader=reader, now=lambda: self.now, report=self._take, pcscd=pcscd, busy=lambda: self.busy
        )
        self.look.start()

    def _take(self, seen: list[Observation]) -> None:
        with self.news:
            for one in seen:
                self.log += [one] if isinstance(one, CardChecked) else self.health.apply(one, Moment(self.now, "t"))
            self.news.notify_all()

    def faults(self) -> list[str]:
        return [f.id for f in self.health.faults() if not f.stale]

    def until(self, *faults: str, card: str | None = "any") -> None:
        def true() -> bool:
            settled = self.health.link.value == ("service" if faults else "up")
            return settled and self.faults() == [*faults] and card in ("any", self.health.readings.value("card"))

        with self.news:
            assert self.news.wait_for(true, LIMIT_S), (self.faults(), self.health.link, self.health.readings.all())

    def checked(self) -> CardChecked:
        assert self.look.check_card("t1")
        with self.news:
            assert self.news.wait_for(lambda: any(isinstance(one, CardChecked) for one in self.log), LIMIT_S)
        return next(one for one in self.log if isinstance(one, CardChecked))


@pytest.fixture
def pcscd() -> Pcscd:
    return Pcscd()


@pytest.fixture
def bench(pcscd: Pcscd):  # type: ignore[no-untyped-def]  # a generator of Bench
    made = Bench(pcscd)
    made.until(card="absent")
    yield made
    if pcscd.hangs is not None:
        pcscd.hangs.set()
    assert made.look.stop(LIMIT_S)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (library.NO_SERVICE, "reader.pcscd_down"),
        (library.NO_LIBRARY, "reader.pcscd_down"),
        (library.REFUSED, "reader.pcsc_refused"),
        (library.READER_UNAVAILABLE, "reader.pcsc_reader_lost"),
    ],
)
def test_from_healthy_to_the_fault_and_back(bench: Bench, code: int, fault: str) -> None:
    assert bench.health.state() is DeviceState.OK
    bench.pcscd.set(error=code)
    bench.until(fault)
    assert bench.health.state() is DeviceState.UNKNOWN
    (told,) = bench.health.faults()
    assert told.evidence["why"]
    assert fault not in catalogue.text(fault, "en").title
    bench.pcscd.set(error=None)
    bench.until(card="absent")
    assert bench.health.state() is DeviceState.OK


def test_a_reader_that_pcscd_lost_and_found(bench: Bench) -> None:
    bench.pcscd.set(seen=Seen(library.UNAVAILABLE, b""))
    bench.until("reader.pcsc_reader_lost")
    bench.pcscd.set(seen=EMPTY)
    bench.until(card="absent")
    bench.pcscd.set(names=[], error=library.UNKNOWN_READER)
    bench.until("reader.pcsc_reader_lost")
    bench.pcscd.set(error=None)
    bench.until("reader.pcsc_reader_lost")
    bench.pcscd.set(names=[NAME])
    bench.until(card="absent")


def test_a_pcscd_that_does_not_answer_is_stuck_until_it_does(bench: Bench) -> None:
    bench.pcscd.set(hangs=threading.Event(), seen=IN)
    with bench.news:
        assert bench.news.wait_for(lambda: bench.look._late_after is not None, LIMIT_S)
    bench.look.look()
    assert bench.faults() == [], "it may take its time"
    bench.now += 61 + HANGS_S
    bench.look.look()
    bench.until("reader.pcscd_stuck")
    assert bench.health.state() is DeviceState.UNKNOWN
    hangs = bench.pcscd.hangs
    assert hangs is not None
    hangs.set()
    bench.until(card="present")


def test_a_reader_in_a_bad_state_is_not_asked_for_without_end(bench: Bench) -> None:
    """Of it pcscd tells at once, each time."""
    bench.pcscd.set(seen=Seen(library.UNAVAILABLE, b""))
    bench.until("reader.pcsc_reader_lost")
    before = bench.pcscd.asked
    threading.Event().wait(0.3)
    assert bench.pcscd.asked - before <= 2


def test_a_check_on_a_pcscd_that_hangs_hides_nothing_and_touches_no_later_card(bench: Bench) -> None:
    hangs = threading.Event()
    bench.pcscd.set(hangs=hangs)
    assert bench.look.check_card("t1")
    with bench.pcscd.news:
        assert bench.pcscd.news.wait_for(lambda: bench.pcscd.cancels > 0, LIMIT_S)
    bench.now += HANGS_S + LOOK_S + 1.0
    bench.until("reader.pcscd_stuck")
    bench.pcscd.set(hangs=None, seen=IN)
    hangs.set()
    bench.until(card="present")
    with bench.news:
        assert bench.news.wait_for(lambda: CardChecked("t1", "unknown") in bench.log, LIMIT_S)
    assert bench.pcscd.exchanges == 0


def test_a_pcscd_that_spins_on_a_port_that_is_gone(pcscd: Pcscd, tmp_path: Path) -> None:
    port = tmp_path / "reader"
    port.touch()
    made = Bench(pcscd, port=str(port))
    made.until(card="absent")

    def look(cpu_s: float) -> None:
        made.busy = Busy(4711, cpu_s)
        made.look.look()

    look(1.0)
    look(1.0 + LOOK_S)
    assert made.faults() == [], "busy, and its reader is there"
    port.unlink()
    look(1.5 + LOOK_S)
    assert made.faults() == [], "idle without its reader"
    look(1.5 + 1.6 * LOOK_S)
    made.until("reader.pcscd_stuck")
    (told,) = made.health.faults()
    assert dict(told.evidence) == {"why": "the port is gone and pcscd spins", "cpu_percent": "60", "pid": "4711"}
    made.busy = Busy(4712, 0.1)  # somebody has restarted it
    made.look.look()
    made.until(card="absent")
    assert made.look.stop(LIMIT_S)


def test_cards_come_and_go(bench: Bench) -> None:
    bench.pcscd.set(seen=IN)
    bench.until(card="present")
    assert bench.health.readings.value("atr") == "3B 07 50 4F 53 53 49 4D 31"
    bench.pcscd.set(seen=Seen(library.PRESENT | library.IN_USE | 1 << 16, ATR))
    bench.pcscd.set(seen=Seen(library.EMPTY | 2 << 16, b""))
    bench.until(card="absent")
    assert bench.health.readings.value("atr") is None
    bench.pcscd.set(seen=Seen(library.PRESENT | library.MUTE | 3 << 16, b""))
    with bench.news:
        assert bench.news.wait_for(lambda: bench.faults() == ["reader.card_mute"], LIMIT_S)
    bench.pcscd.set(seen=Seen(library.PRESENT | 5 << 16, ATR))  # out and in again before anybody looked
    bench.until(card="present")
    moves = [c.what for c in bench.log if isinstance(c, CardSeen)]
    assert moves == ["inserted", "answered", "removed", "inserted", "removed", "inserted", "answered"]
    assert bench.pcscd.exchanges == 0, "nobody has asked for a card to be spoken to"


def test_the_check_of_a_test_card(bench: Bench) -> None:
    bench.pcscd.set(seen=IN)
    bench.until(card="present")
    assert bench.checked() == CardChecked("t1", "present", ATR, "6107", "T=0")


@pytest.mark.parametrize("state", [library.IN_USE, library.EXCLUSIVELY, library.IN_USE | library.EXCLUSIVELY])
def test_a_card_that_somebody_uses_is_not_touched(bench: Bench, state: int) -> None:
    bench.pcscd.set(seen=Seen(library.PRESENT | state | 1 << 16, ATR))
    bench.until(card="present")
    assert bench.checked().card == "in_use"
    assert bench.pcscd.exchanges == 0


@pytest.mark.parametrize(
    ("code", "card"),
    [(library.SHARING, "in_use"), (library.UNPOWERED, "mute"), (library.REMOVED, "torn"), (0x80100001, "unknown")],
)
def test_a_check_that_fails(bench: Bench, code: int, card: str) -> None:
    bench.pcscd.set(seen=IN, answer=code)
    bench.until(card="present")
    assert bench.checked().card == card


def test_which_of_several_readers() -> None:
    assert View(None).choose(["A 00 00"])[0] == "A 00 00"
    assert View("B").choose(["A 00 00", "B 00 00"])[0] == "B 00 00"
    for view, offered in ((View(None), ["A", "B"]), (View("C"), ["A", "B"]), (View(None), [])):
        reader, told = view.choose(offered)
        assert reader is None
        assert told


def test_pcscd_in_proc(tmp_path: Path) -> None:
    assert process.pcscd(tmp_path / "none") is None
    for pid, name in (("12", "sh"), ("4711", "pcscd")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(name + "\n")
        (tmp_path / pid / "stat").write_text(f"{pid} ({name} ) x) S 1 1 1 0 -1 0 0 0 0 0 250 150 0 0 20 0 1 0 100 0 0")
    found = process.pcscd(tmp_path)
    assert found is not None
    assert (found.pid, round(found.cpu_s * 100)) == (4711, 400)
