"""The thread of a port: opens, reports, backs off, comes back, ends in time."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.observations import LineFinding, LinkChanged, LinkState, Observation, Refreshed
from agent.ports.errors import PortLostError, PortMissingError
from agent.ports.find import PortFinder
from agent.ports.passive import PassiveLook
from agent.ports.pump import MAX_TASKS, Pump
from agent.ports.watch import Watch
from agent.ports.whereabouts import Whereabouts
from protocols.catalogue import find
from protocols.connection import LineSettings


class FakePort:
    """A line in memory that is silent, and may be lost."""

    def __init__(self) -> None:
        self.lost = False
        self.closed = 0
        self.written = bytearray()
        self._wake = threading.Event()

    def read(self, wait_s: float | None) -> bytes:
        self._wake.wait(wait_s)
        self._wake.clear()
        if self.lost:
            raise PortLostError("fake", "hung up")
        return b""

    def write(self, data: bytes) -> None:
        self.written += data

    def set_baud(self, baud: int) -> None:
        assert baud > 0

    def resume(self) -> None:
        self.written += b"(resumed)"

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self.closed += 1


class Bench:
    def __init__(self) -> None:
        self.ports: list[FakePort] = []
        self.missing = False
        self.tries = 0
        self.seen: list[Observation] = []
        self.changed = threading.Condition()
        self.pump = Pump(
            "till/printer",
            "fake",
            Watch(find("printer", "escpos")),
            opener=self.open,
            find=lambda path: path,
            now=time.monotonic,
            report=self.report,
        )

    def open(self, path: str, settings: LineSettings) -> FakePort:
        assert (path, settings.baud) == ("fake", 115200)
        self.tries += 1
        if self.missing:
            raise PortMissingError(path, "no such device")
        self.ports.append(FakePort())
        return self.ports[-1]

    def report(self, seen: list[Observation]) -> None:
        with self.changed:
            self.seen += seen
            self.changed.notify_all()

    def wait(self, true: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, 10)

    def links(self) -> list[LinkState]:
        return [o.state for o in self.seen if isinstance(o, LinkChanged)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lost_port_is_closed_at_once_and_opened_again(bench: Bench) -> None:
    bench.pump.start()
    try:
        deadline = time.monotonic() + 5
        while not bench.ports or not bench.ports[0].written:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        bench.ports[0].lost = True
        bench.ports[0].wake()
        bench.wait(lambda: LinkState.UNPLUGGED in bench.links())
        assert bench.ports[0].closed >= 1
        while len(bench.ports) < 2:
            assert time.monotonic() < deadline + 5
            time.sleep(0.005)
    finally:
        assert bench.pump.stop()
    assert all(p.closed for p in bench.ports)


def test_a_missing_port_is_told_once_and_a_task_still_ends(bench: Bench) -> None:
    bench.missing = True
    bench.pump.start()
    try:
        bench.wait(lambda: bench.links() == [LinkState.UNPLUGGED])
        assert bench.pump.submit(lambda watch, now: watch.refresh("token", now))
        bench.wait(lambda: Refreshed("token", answered=False) in bench.seen)
    finally:
        assert bench.pump.stop()
    assert bench.links() == [LinkState.UNPLUGGED]


def test_tasks_are_bounded(bench: Bench) -> None:
    for _ in range(MAX_TASKS):
        assert bench.pump.submit(lambda watch, now: None)
    assert not bench.pump.submit(lambda watch, now: None)


def test_a_passive_look_never_opens(tmp_path: Path) -> None:
    seen: list[Observation] = []
    path = tmp_path / "reader"
    look = PassiveLook("r", str(path), find=PortFinder(()), report=seen.extend)
    look._look()
    assert [o.state for o in seen if isinstance(o, LinkChanged)] == [LinkState.UNPLUGGED]
    os.mkfifo(path)  # opening a fifo would block for ever
    look._look()
    look._look()
    assert [o.state for o in seen if isinstance(o, LinkChanged)] == [LinkState.UNPLUGGED, LinkState.PASSIVE]


def test_a_device_that_came_back_under_another_name_is_found_by_its_stable_name(tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    old, new = tmp_path / "ttyUSB0", tmp_path / "ttyUSB1"
    old.touch()
    (by_id / "usb-FTDI_A1").symlink_to(old)
    finder = PortFinder((str(by_id), str(tmp_path / "by-path")))
    assert finder(str(old)) == str(old)
    old.unlink()
    (by_id / "usb-FTDI_A1").unlink()
    assert finder(str(old)) == str(old), "nobody knows yet"
    new.touch()
    (by_id / "usb-FTDI_A1").symlink_to(new)
    assert os.path.realpath(finder(str(old))) == str(new)
    assert finder("socket://127.0.0.1:9100") == "socket://127.0.0.1:9100"


def test_our_own_mistake_makes_the_line_unknown_and_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, now: float) -> None:
        raise RuntimeError("4111111111111111")

    bench.pump.start()
    try:
        deadline = time.monotonic() + 5
        while not bench.ports or not bench.ports[0].written:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        bench.pump.submit(lambda watch, now: broken(b"", now))
        bench.wait(lambda: LinkState.CONNECTING in bench.links())
        while len(bench.ports) < 2:
            assert time.monotonic() < deadline + 5
            time.sleep(0.005)
    finally:
        assert bench.pump.stop()
    told = [o.detail["why"] for o in bench.seen if isinstance(o, LinkChanged)]
    assert told[0] == "own error: RuntimeError"


def test_a_mistake_while_the_port_is_away_does_not_end_its_thread(bench: Bench) -> None:
    bench.missing = True
    begun = threading.Event()

    def broken(watch: Watch, now: float) -> None:
        begun.set()
        raise RuntimeError("a task")

    bench.pump.start()
    try:
        bench.wait(lambda: LinkState.UNPLUGGED in bench.links())
        bench.pump.submit(broken)
        assert begun.wait(10)
        bench.missing = False
        deadline = time.monotonic() + 20
        while not bench.ports:
            assert time.monotonic() < deadline, "nobody opens it any more"
            time.sleep(0.01)
    finally:
        assert bench.pump.stop()


def test_a_line_under_another_name_is_told_until_it_has_its_own_again() -> None:
    where = Whereabouts("/dev/ttyUSB0")
    assert where.opened("/dev/ttyUSB0") == []
    told = where.opened("/dev/serial/by-id/usb-FTDI_A1")
    assert told == [LineFinding("link.renamed", True, {"configured": "/dev/ttyUSB0", "now": "/dev/serial/by-id/usb-FTDI_A1"})]
    assert where.lost("no such device") == []
    assert where.opened("/dev/serial/by-id/usb-FTDI_A1") == [], "once"
    assert where.opened("/dev/ttyUSB0") == [LineFinding("link.renamed", False)]


def test_a_serial_server_that_is_down_is_told_without_its_password() -> None:
    where = Whereabouts("socket://user:secret@10.0.0.9:4001")
    (told,) = where.lost("Connection refused")
    assert told == LineFinding("link.server_down", True, {"kind": "socket", "why": "Connection refused"})
    assert where.lost("Connection refused") == []
    assert where.opened("socket://user:secret@10.0.0.9:4001") == [LineFinding("link.server_down", False)]


def test_the_thread_of_the_port_tells_where_the_line_is() -> None:
    bench = Bench()
    bench.pump._find = lambda path: "/dev/elsewhere"
    bench.pump._opener = lambda path, settings: FakePort()
    bench.pump.start()
    try:
        told = LineFinding("link.renamed", True, {"configured": "fake", "now": "/dev/elsewhere"})
        bench.wait(lambda: told in bench.seen)
    finally:
        assert bench.pump.stop()


def test_why_a_port_is_away_is_logged_once_and_not_with_every_try(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "agent.ports.pump")
    bench.missing = True
    bench.pump.start()
    try:
        deadline = time.monotonic() + 20
        while bench.tries < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        assert bench.pump.stop()
    assert len([record for record in caplog.records if "port till/printer" in record.getMessage()]) == 1
