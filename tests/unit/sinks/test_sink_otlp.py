"""Reports against the simulated centre: in order, each once, whatever the centre does."""

import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.journal import Journal
from agent.sinks.base import SAVING_S, Backoff, Runner
from agent.sinks.otlp import OtlpSink
from firmware.errors import HttpStatusError
from firmware.traffic import Traffic
from firmware.transport import Transport
from protocols.center.otlp import DeviceState
from simulator.center.server import Center


def steady(seconds: float, share: float = 0.0) -> float:
    return seconds


@pytest.fixture
def runner(service_center: Center, journal: Journal, clock: ManualClock) -> Iterator[Runner]:
    transport = Transport(timeout_s=2.0)
    sink = OtlpSink(
        service_center.otlp,
        transport,
        journal,
        clock,
        host_id="pos-1",
        version="1.0",
        devices=lambda: [DeviceState("pos-1/printer", "printer", "ok")],
        jitter=steady,
    )
    yield Runner(sink, journal, clock, backoff=Backoff(steady))
    transport.close()


def fill(journal: Journal, count: int) -> list[str]:
    receipts = [journal.append("fault.raised", "error", "pos-1/printer", {"n": n}) for n in range(count)]
    for receipt in receipts:
        receipt.wait(5)
    return [receipt.id for receipt in receipts]


def test_records_arrive_in_order_with_id_and_head(service_center: Center, journal: Journal, runner: Runner) -> None:
    ids = fill(journal, 300)
    while runner.step() == 0.0:
        pass
    events = list(service_center.intake.events)
    assert [event.id for event in events] == ids
    assert [event.seq for event in events] == list(range(1, 301))
    assert events[0].body == {"n": 0}
    assert service_center.intake.hosts["pos-1"].head == (300, journal.head().hash)
    assert not service_center.intake.complaints
    status = runner.status()
    assert (status.reachable, status.backlog, status.reason) == (True, 0, "")


def test_heartbeats_tell_when_the_next_one_is_due(
    service_center: Center, journal: Journal, runner: Runner, clock: ManualClock
) -> None:
    assert runner.step() == 300.0
    host = service_center.intake.hosts["pos-1"]
    assert host.heartbeats == 1
    assert host.next_due == clock.wall().timestamp() + 450
    clock.advance(299)
    assert runner.step() == pytest.approx(1.0)
    clock.advance(1)
    runner.step()
    assert host.heartbeats == 2
    states = [m for m in host.metrics.values() if m["name"] == "hw.status"]
    assert {m["attributes"]["hw.state"]: m["value"] for m in states}["ok"] == 1


@pytest.mark.parametrize(
    ("mode", "options", "least_s"),
    [
        ("status", {"status": 503}, 1.0),
        ("status", {"status": 429, "retry_after": 7}, 7.0),
        ("status", {"status": 401}, 60.0),
        ("status", {"status": 404}, 60.0),
        ("status", {"status": 500}, 1.0),
        ("html", {}, 1.0),
        ("half", {}, 1.0),
        ("cut", {}, 1.0),
    ],
)
def test_a_sick_centre_costs_only_delay(
    service_center: Center,
    journal: Journal,
    runner: Runner,
    clock: ManualClock,
    mode: str,
    options: dict,  # type: ignore[type-arg]
    least_s: float,
) -> None:
    service_center.behaviour.add(mode, "/v1/*", **options)
    ids = fill(journal, 3)
    assert runner.step() >= least_s
    status = runner.status()
    assert status.reachable is False
    assert status.reason
    assert status.backlog == 3
    service_center.behaviour.clear()
    assert 0 < runner.step() <= max(least_s, 60.0)
    clock.advance(61)
    runner.step()
    assert [event.id for event in service_center.intake.events if not event.duplicate] == ids
    assert runner.status().backlog == 0
    assert not service_center.intake.complaints


def test_the_wait_grows_and_ends_with_success(
    service_center: Center, journal: Journal, runner: Runner, clock: ManualClock
) -> None:
    fill(journal, 1)
    service_center.down()
    waits = []
    for _ in range(10):
        waits.append(runner.step())
        clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    service_center.up()
    runner.step()
    assert runner.status().reachable
    assert len(service_center.intake.events) == 1


def test_too_much_sent_within_a_day_gathers_reports_and_loses_none(
    service_center: Center, journal: Journal, clock: ManualClock
) -> None:
    traffic, limit = Traffic(), 20_000
    transport = Transport(timeout_s=2.0, traffic=traffic)
    sink = OtlpSink(service_center.otlp, transport, journal, clock, host_id="pos-1", version="1.0", devices=list, jitter=steady)
    runner = Runner(sink, journal, clock, backoff=Backoff(steady), saving=lambda: traffic.moved > limit)
    rounds = 0
    while runner.step() < SAVING_S:
        fill(journal, 1)
        rounds += 1
        assert rounds < 100, traffic.moved
    assert traffic.moved > limit
    before = len(service_center.intake.events)
    fill(journal, 5)
    clock.advance(SAVING_S / 2)
    assert runner.step() == SAVING_S / 2, "a new record does not shorten it"
    assert len(service_center.intake.events) == before
    clock.advance(SAVING_S / 2)
    runner.step()
    assert len(service_center.intake.events) == journal.head().seq
    transport.close()


def test_one_record_that_is_refused_does_not_take_the_others_with_it(journal: Journal, clock: ManualClock) -> None:
    transport = PickyIntake("fault.cleared")
    sink = OtlpSink(
        "http://127.0.0.1:1",
        transport,  # type: ignore[arg-type]
        journal,
        clock,
        host_id="pos-1",
        version="1.0",
        devices=list,
    )
    fill(journal, 5)
    journal.append("fault.cleared", "info", "pos-1/printer", {}).wait(5)
    fill(journal, 5)
    runner = Runner(sink, journal, clock)
    runner.step()
    assert sorted(set(transport.taken)) == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert journal.cursor("otlp") == 11
    journal.append("agent.stopped", "info", "host", {}).wait(5)
    journal.append("agent.started", "info", "host", {}).wait(10)  # what was appended before it is durable with it
    refused = [record for record in journal.read(11, 5) if record.kind == "report.refused"]
    assert [(record.body["first"], record.body["count"]) for record in refused] == [(6, 1)]


class PickyIntake:
    """An intake that answers 400 to every batch in which one kind is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.taken: list[int] = []

    def post_bytes(self, url: str, data: bytes, headers: object) -> bytes:
        import json

        from firmware.errors import HttpStatusError

        if url.endswith("metrics"):
            return b"{}"
        records = json.loads(data)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        if any(record["eventName"] == self.kind for record in records):
            raise HttpStatusError("answers 400", status=400)
        for record in records:
            named = {a["key"]: a["value"] for a in record["attributes"]}
            self.taken.append(int(named["posagent.event.seq"]["intValue"]))
        return b""

    def close(self) -> None:
        return


def test_a_partial_success_is_recorded_and_not_sent_again(journal: Journal, clock: ManualClock) -> None:
    class Partial(PickyIntake):
        def post_bytes(self, url: str, data: bytes, headers: object) -> bytes:
            super().post_bytes(url, data, headers)
            return b'{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}'

    transport = Partial("")
    sink = OtlpSink(
        "http://127.0.0.1:1",
        transport,  # type: ignore[arg-type]
        journal,
        clock,
        host_id="pos-1",
        version="1.0",
        devices=list,
    )
    fill(journal, 2)
    runner = Runner(sink, journal, clock)
    for _ in range(4):
        runner.step()
        journal.append("agent.started", "info", "host", {}).wait(5)
    assert len(transport.taken) == len(set(transport.taken))
    journal.append("agent.started", "info", "host", {}).wait(10)  # what was appended before it is durable with it
    refused = [record for record in journal.read(0, 50) if record.kind == "report.refused"]
    assert refused[0].body["reason"] == "too old"
    assert len(refused) <= 4


def test_the_thread_wakes_for_a_new_record_and_stops(
    service_center: Center, journal: Journal, clock: ManualClock, runner: Runner
) -> None:
    runner.start()
    assert runner.poke(5.0)
    arrived = threading.Event()
    journal.append("fault.raised", "error", "pos-1/printer", {"n": 1}).wait(5)
    for _ in range(500):
        if service_center.intake.events:
            arrived.set()
            break
        threading.Event().wait(0.01)
    assert arrived.is_set()
    assert runner.stop()


class Collector:
    """A collector that notes each request and, where told so, cannot unpack gzip."""

    def __init__(self, *, refuses: int = 0) -> None:
        self.refuses = refuses
        self.requests: list[tuple[bool, int]] = []

    def post_bytes(self, url: str, data: bytes, headers: Mapping[str, str]) -> bytes:
        packed = headers.get("Content-Encoding") == "gzip"
        plain = gzip.decompress(data) if packed else data
        assert json.loads(plain)
        self.requests.append((packed, len(data)))
        if packed and self.refuses:
            raise HttpStatusError("no gzip here", status=self.refuses)
        return b"{}"

    def close(self) -> None:
        pass


def heartbeat(collector: Collector, journal: Journal, clock: ManualClock) -> OtlpSink:
    devices = [DeviceState(f"pos-{n}/printer", "printer", "ok") for n in range(2)]
    transport: Any = collector
    return OtlpSink("http://x", transport, journal, clock, host_id="h", version="1", devices=lambda: devices, jitter=steady)


def test_a_heartbeat_is_compressed(journal: Journal, clock: ManualClock) -> None:
    collector = Collector()
    heartbeat(collector, journal, clock).tick(clock.mono())
    assert [packed for packed, _ in collector.requests] == [True]
    assert collector.requests[0][1] < 900


@pytest.mark.parametrize("status", [400, 415])
def test_a_collector_without_gzip_gets_it_plain_from_then_on(journal: Journal, clock: ManualClock, status: int) -> None:
    collector = Collector(refuses=status)
    sink = heartbeat(collector, journal, clock)
    sink.tick(clock.mono())
    clock.advance(400)
    sink.tick(clock.mono())
    assert [packed for packed, _ in collector.requests] == [True, False, False]
