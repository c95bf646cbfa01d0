"""OTLP/HTTP JSON against literal text."""

import dataclasses
import json
from typing import Any

import pytest

from protocols.center import otlp
from protocols.errors import LocalProtocolError, RemoteProtocolError
from tests.unit.protocols.feeding import name, vectors


def build(vector: dict[str, Any]) -> dict[str, Any]:
    given = dict(vector["arguments"])
    attributes = given.pop("resource_attributes")
    if vector["builder"] == "logs":
        return otlp.logs(attributes, [otlp.LogRecord(**r) for r in given["records"]], version=given["version"])
    devices = [otlp.DeviceState(**d) for d in given.pop("devices")]
    gauges = [otlp.Gauge(**g) for g in given.pop("gauges")]
    return otlp.metrics(attributes, devices, gauges, **given)


@pytest.mark.parametrize("vector", vectors("otlp", "out"), ids=name)
def test_requests_are_written(vector: dict[str, Any]) -> None:
    assert json.dumps(build(vector), separators=(",", ":")) == vector["text"]


@pytest.mark.parametrize("vector", vectors("otlp", "in"), ids=name)
def test_answers_are_read(vector: dict[str, Any]) -> None:
    assert dataclasses.asdict(otlp.parse_answer(vector["text"].encode())) == vector["expected"]


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_answer_is_a_success(body: bytes) -> None:
    assert otlp.parse_answer(body) == otlp.Answer(0, "")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"partialSuccess":[]}',
        b'{"partialSuccess":{"rejectedLogRecords":"-1"}}',
        b'{"partialSuccess":{"rejectedLogRecords":-1}}',
        b'{"partialSuccess":{"rejectedLogRecords":true}}',
        b'{"partialSuccess":{"rejectedLogRecords":"99999999999999999999"}}',
        b'{"partialSuccess":{"rejectedLogRecords":1.5}}',
        b'{"partialSuccess":{"errorMessage":7}}',
        b"[" * 100_000,
        b" " * 70_000 + b"{}",
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        otlp.parse_answer(body)


def test_a_long_message_is_cut() -> None:
    body = json.dumps({"partialSuccess": {"errorMessage": "x" * 5000}}).encode()
    assert len(otlp.parse_answer(body).message) == 1024


def body_of(value: object) -> Any:
    record = otlp.LogRecord("i", 1, "k", "host", "info", 0, 0, body=value)
    return otlp.logs({}, [record], version="1")["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, {"boolValue": True}),
        (-(2**63), {"intValue": "-9223372036854775808"}),
        (float("nan"), {"doubleValue": "NaN"}),
        (float("inf"), {"doubleValue": "Infinity"}),
        (float("-inf"), {"doubleValue": "-Infinity"}),
        (b"\x1a\x32", {"bytesValue": "GjI="}),
        ("\udc80x", {"stringValue": "?x"}),
        ((1,), {"arrayValue": {"values": [{"intValue": "1"}]}}),
        ([], {"arrayValue": {"values": []}}),
    ],
)
def test_values(value: object, written: dict[str, Any]) -> None:
    assert body_of(value) == written


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [2**63, object(), {1, 2}, nested(50), {"x": object()}])
def test_values_that_cannot_be_reported_are_our_own_fault(value: object) -> None:
    with pytest.raises(LocalProtocolError):
        body_of(value)


def test_a_record_cannot_forge_its_identity_through_attributes() -> None:
    record = otlp.LogRecord("real", 1, "k", "host", "info", 0, 0, attributes={"posagent.event.id": "forged"})
    written = otlp.logs({}, [record], version="1")["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"]
    assert [a["value"] for a in written if a["key"] == "posagent.event.id"] == [{"stringValue": "real"}]


@pytest.mark.parametrize(
    "record",
    [
        otlp.LogRecord("i", 1, "k", "host", "loud", 0, 0),
        otlp.LogRecord("i", 1, "k", "host", "info", -1, 0),
        otlp.LogRecord("i", 1, "k", "host", "info", 0, 1 << 64),
    ],
)
def test_records_that_cannot_be_reported(record: otlp.LogRecord) -> None:
    with pytest.raises(LocalProtocolError):
        otlp.logs({}, [record], version="1")


def test_states_that_do_not_exist() -> None:
    with pytest.raises(LocalProtocolError):
        otlp.metrics({}, [otlp.DeviceState("d", "printer", "fine")], [], time_ns=1, start_ns=0, version="1")


def test_no_devices_no_status() -> None:
    written = otlp.metrics({}, [], [otlp.next_due(1544712720)], time_ns=1, start_ns=0, version="1")
    found = written["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert [m["name"] for m in found] == ["posagent.heartbeat.next_due"]


def test_who_reports() -> None:
    found = otlp.resource(host_id="pos-1", service_version="1.0", more=otlp.journal_head(9, "ab"))
    assert found == {
        "service.name": "posagent",
        "service.namespace": "posagent",
        "service.version": "1.0",
        "service.instance.id": "pos-1",
        "host.id": "pos-1",
        "posagent.journal.head_seq": 9,
        "posagent.journal.head_hash": "ab",
    }
