"""OpenTelemetry's OTLP/HTTP in JSON, for /v1/logs and /v1/metrics (facts field.md 3c; OTLP 1.10, semconv 1.44).

JSON as OTLP wants it: lowerCamelCase, enums as integers, 64-bit integers as strings. Faults travel as log records, each
with its id (``log.record.uid``), because a repeated delivery must be recognised; states of devices travel as metrics.
Pure: all times come from the caller, in nanoseconds of Unix time.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocols.center import _documents as documents
from protocols.errors import LocalProtocolError, RemoteProtocolError

LOGS_PATH, METRICS_PATH = "/v1/logs", "/v1/metrics"
CONTENT_TYPE = "application/json"
SCOPE = "posagent"
RETRY_STATUS = frozenset((429, 502, 503, 504))
"""the only statuses after which a request may be sent again; never after 400, never after a partial success"""

SEVERITY = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
"""severityNumber: DEBUG, INFO, WARN, ERROR, FATAL"""
CUMULATIVE = 2
HW_STATES = ("ok", "degraded", "failed", "unknown", "needs_cleaning", "predicted_failure")
"""hw.state; ``unknown`` is ours, because leaving it out would look like the last known state"""
STATISTIC = "posagent.device.statistic"
"""one counter of one device; the attribute ``upos.statistic`` is its name in UnifiedPOS"""
LIFE_LEFT = "posagent.device.life_left"
"""share of the rated life that a part has before it, 0 to 1; the attribute ``posagent.part`` names it"""
HW_TYPES = {"printer": "printer", "reader": "card_reader"}
"""hw.type has no value for these two; custom values are allowed"""
NEXT_DUE = "posagent.heartbeat.next_due"
EVENT = "posagent.event."
"""prefix of id, seq, kind and subject of a journalled event"""
HEAD_SEQ, HEAD_HASH = "posagent.journal.head_seq", "posagent.journal.head_hash"
MAX_ANSWER_BYTES = 64 * 1024
MAX_MESSAGE = 1024
MAX_DEPTH = 16
_INT64 = range(-(1 << 63), 1 << 63)

Attributes = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One event of the journal. ``id`` makes a repeat harmless, ``seq`` tells its place in the order.

    ``time_ns``: when it happened; ``observed_ns``: when it was recorded.
    """

    id: str
    seq: int
    kind: str
    subject: str
    severity: str
    time_ns: int
    observed_ns: int
    body: object = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The state of one device now: ``id`` unique on this host, ``kind`` printer or reader, ``state`` of HW_STATES."""

    id: str
    kind: str
    state: str
    attributes: Attributes = field(default_factory=dict)
    """more of hw.*, such as hw.vendor, hw.model, hw.serial_number, hw.firmware_version"""
    also: Sequence[str] = ()
    """further states of HW_STATES that hold beside it: a device that works may need cleaning"""
    statistics: Mapping[str, int] = field(default_factory=dict)
    """UnifiedPOS name to a count that never falls while the device is the same"""
    life_left: Mapping[str, float] = field(default_factory=dict)
    """part to the share of its rated life that is left"""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that is what it is now; ``unit`` in UCUM, such as s, By, 1."""

    name: str
    unit: str
    value: int | float
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the intake took. ``rejected`` records are lost to it; sending them again is not allowed."""

    rejected: int
    message: str


def resource(
    *, host_id: str, service_version: str, more: Attributes | None = None, namespace: str = "posagent"
) -> dict[str, object]:
    """Resource attributes of one agent: who reports. ``service.instance.id`` is the host's id at the centre."""
    return {
        "service.name": "posagent",
        "service.namespace": namespace,
        "service.version": service_version,
        "service.instance.id": host_id,
        "host.id": host_id,
        **(more or {}),
    }


def journal_head(seq: int, digest: str) -> dict[str, object]:
    """Attributes that tell the head of the journal's hash chain, to go with every report (as resource attributes)."""
    return {HEAD_SEQ: seq, HEAD_HASH: digest}


def logs(resource_attributes: Attributes, records: Iterable[LogRecord], *, version: str) -> dict[str, Any]:
    """The body of a POST to /v1/logs, in the order given. Raises LocalProtocolError for what JSON cannot carry."""
    scope = {"scope": {"name": SCOPE, "version": version}, "logRecords": [_log_record(r) for r in records]}
    return {"resourceLogs": [{"resource": {"attributes": _attributes(resource_attributes)}, "scopeLogs": [scope]}]}


def metrics(
    resource_attributes: Attributes,
    devices: Sequence[DeviceState],
    gauges: Sequence[Gauge],
    *,
    time_ns: int,
    start_ns: int,
    version: str,
) -> dict[str, Any]:
    """The body of a POST to /v1/metrics: hw.status and statistics of each device, then the gauges.

    ``start_ns`` is the agent's start.
    Raises LocalProtocolError for an unknown hw.state or for what JSON cannot carry.
    """
    found = [_hw_status(devices, time_ns, start_ns)] if devices else []
    if any(device.statistics for device in devices):
        found.append(_statistics(devices, time_ns))
    lives = [
        Gauge(LIFE_LEFT, "1", left, {**_identity(d), "posagent.part": part})
        for d in devices
        for part, left in d.life_left.items()
    ]
    found.extend(_gauge(g, time_ns) for g in [*lives, *gauges])
    scope = {"scope": {"name": SCOPE, "version": version}, "metrics": found}
    return {"resourceMetrics": [{"resource": {"attributes": _attributes(resource_attributes)}, "scopeMetrics": [scope]}]}


def next_due(unix_s: int) -> Gauge:
    """The heartbeat: by this Unix time the next one comes; a centre that waits longer has a silent till."""
    return Gauge(NEXT_DUE, "s", unix_s)


def parse_answer(body: bytes) -> Answer:
    """The intake's answer to either request; an empty body or object is a full success. Raises RemoteProtocolError."""
    if not body.strip():
        return Answer(0, "")
    partial = documents.obj(documents.load(body, "intake", MAX_ANSWER_BYTES), "partialSuccess", "intake")
    message = documents.optional_text(partial, "errorMessage", "intake", MAX_ANSWER_BYTES) or ""
    rejected = sum(_count(partial.get(key)) for key in ("rejectedLogRecords", "rejectedDataPoints"))
    return Answer(rejected, message[:MAX_MESSAGE])


def _count(value: object) -> int:
    """An int64 in JSON: a string by the rules, a number from servers that do not keep them."""
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _INT64 and value >= 0:
        return value
    raise RemoteProtocolError("intake: the number of rejected records is no number")


def _log_record(record: LogRecord) -> dict[str, Any]:
    if record.severity not in SEVERITY:
        raise LocalProtocolError(f"no severity {record.severity!r}; there are {', '.join(SEVERITY)}")
    own = {
        "log.record.uid": record.id,
        f"{EVENT}id": record.id,
        f"{EVENT}seq": record.seq,
        f"{EVENT}kind": record.kind,
        f"{EVENT}subject": record.subject,
    }
    out: dict[str, Any] = {
        "timeUnixNano": _time(record.time_ns),
        "observedTimeUnixNano": _time(record.observed_ns),
        "severityNumber": SEVERITY[record.severity],
        "severityText": record.severity.upper(),
        "eventName": record.kind,
        "attributes": _attributes({**record.attributes, **own}),
    }
    if record.body is not None:
        out["body"] = _any_value(record.body)
    return out


def _hw_status(devices: Iterable[DeviceState], time_ns: int, start_ns: int) -> dict[str, Any]:
    points = [_state_point(d, state, time_ns, start_ns) for d in devices for state in HW_STATES]
    return {
        "name": "hw.status",
        "unit": "1",
        "sum": {"aggregationTemporality": CUMULATIVE, "isMonotonic": False, "dataPoints": points},
    }


def _statistics(devices: Iterable[DeviceState], time_ns: int) -> dict[str, Any]:
    # No start time: a printer's own counters began in its factory, and ours outlive the agent's restarts.
    points = [
        {"attributes": _attributes({**_identity(d), "upos.statistic": name}), "timeUnixNano": _time(time_ns), "asInt": _int64(n)}
        for d in devices
        for name, n in d.statistics.items()
    ]
    data = {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": points}
    return {"name": STATISTIC, "unit": "1", "sum": data}


def _identity(device: DeviceState) -> dict[str, object]:
    return {"hw.id": device.id, "hw.type": HW_TYPES.get(device.kind, device.kind)}


def _state_point(device: DeviceState, state: str, time_ns: int, start_ns: int) -> dict[str, Any]:
    if not {device.state, *device.also} <= set(HW_STATES):
        raise LocalProtocolError(f"no hw.state {device.state!r} {device.also}; there are {', '.join(HW_STATES)}")
    own = {**_identity(device), "hw.state": state}
    return {
        "attributes": _attributes({**device.attributes, **own}),
        "startTimeUnixNano": _time(start_ns),
        "timeUnixNano": _time(time_ns),
        "asInt": "1" if state == device.state or state in device.also else "0",
    }


def _gauge(gauge: Gauge, time_ns: int) -> dict[str, Any]:
    value = {"asInt": _int64(gauge.value)} if isinstance(gauge.value, int) else {"asDouble": _double(gauge.value)}
    point = {"attributes": _attributes(gauge.attributes), "timeUnixNano": _time(time_ns), **value}
    return {"name": gauge.name, "unit": gauge.unit, "gauge": {"dataPoints": [point]}}


def _attributes(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: object, depth: int = 0) -> dict[str, Any]:
    """OTLP's AnyValue. None is the empty one."""
    if depth > MAX_DEPTH:
        raise LocalProtocolError(f"a value is nested deeper than {MAX_DEPTH}")
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": _int64(value)}
        case float():
            return {"doubleValue": _double(value)}
        case str():
            # A lone surrogate, from undecodable bytes, is no Unicode: a strict intake would refuse the whole request.
            return {"stringValue": value.encode("utf-8", "replace").decode("utf-8")}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode("ascii")}
        case Mapping():
            items = [{"key": str(k), "value": _any_value(v, depth + 1)} for k, v in value.items()]
            return {"kvlistValue": {"values": items}}
        case list() | tuple():
            return {"arrayValue": {"values": [_any_value(item, depth + 1) for item in value]}}
        case _:
            raise LocalProtocolError(f"a {type(value).__name__} cannot be reported")


def _int64(value: int) -> str:
    if value not in _INT64:
        raise LocalProtocolError("an integer beyond 64 bits cannot be reported")
    return str(int(value))


def _double(value: float) -> float | str:
    """JSON has no NaN and no infinity; the JSON form of protocol buffers writes them as text."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _time(nanoseconds: int) -> str:
    if not 0 <= nanoseconds < 1 << 64:
        raise LocalProtocolError(f"{nanoseconds} is no time in nanoseconds of Unix time")
    return str(nanoseconds)
