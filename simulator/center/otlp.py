"""Reading OTLP/HTTP JSON (opentelemetry-proto 1.x, JSON form): lowerCamelCase, 64-bit whole numbers as text."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from simulator.center.web import CenterError, Json, Request

MAX_BODY = 4 << 20
_DEPTH = 8


class OtlpError(ValueError):
    """The body is not what a collector accepts; a client must not send it again."""


class LogRecord(NamedTuple):
    """One log record with everything above it folded in; ``body`` decoded, time in unix nanoseconds."""

    resource: dict[str, Json]
    attributes: dict[str, Json]
    body: Json
    severity: str
    time_ns: int
    name: str


class Point(NamedTuple):
    """One data point of a gauge or a sum."""

    resource: dict[str, Json]
    attributes: dict[str, Json]
    metric: str
    value: float | None
    time_ns: int


def document(request: Request) -> dict[str, Json]:
    """The request's JSON object, gzip undone (at most 4 MiB unpacked)."""
    body = request.body
    if request.headers.get("content-encoding", "").strip().lower() == "gzip":
        body = _unzip(body)
    try:
        found = request.loads(body)
    except CenterError as error:
        raise OtlpError("body is not JSON") from error
    if not isinstance(found, dict):
        raise OtlpError("body is not a JSON object")
    return found


def _unzip(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise OtlpError("body is not gzip") from error
    if len(text) > MAX_BODY or not unpacker.eof:
        raise OtlpError("body too large or cut short")
    return text


def logs(message: dict[str, Json]) -> Iterator[LogRecord]:
    """Every log record, in the order of the message."""
    for resource, scope in _scopes(message, "resourceLogs", "scopeLogs"):
        for record in _objects(scope.get("logRecords")):
            time_ns = _number(record.get("timeUnixNano")) or _number(record.get("observedTimeUnixNano")) or 0
            severity = str(record.get("severityText") or record.get("severityNumber") or "")
            attributes = _attributes(record.get("attributes"))
            name = str(record.get("eventName") or "")
            yield LogRecord(resource, attributes, _value(record.get("body")), severity, int(time_ns), name)


def points(message: dict[str, Json]) -> Iterator[Point]:
    """Every data point of every gauge and sum, in the order of the message."""
    for resource, scope in _scopes(message, "resourceMetrics", "scopeMetrics"):
        for metric in _objects(scope.get("metrics")):
            for shape in ("gauge", "sum"):
                data = metric.get(shape)
                for point in _objects(data.get("dataPoints") if isinstance(data, dict) else None):
                    value = _number(point.get("asInt", point.get("asDouble")))
                    time_ns = int(_number(point.get("timeUnixNano")) or 0)
                    attributes = _attributes(point.get("attributes"))
                    yield Point(resource, attributes, str(metric.get("name", "")), value, time_ns)


def _scopes(message: dict[str, Json], outer: str, inner: str) -> Iterator[tuple[dict[str, Json], dict[str, Json]]]:
    for entry in _objects(message.get(outer)):
        resource = entry.get("resource")
        attributes = _attributes(resource.get("attributes") if isinstance(resource, dict) else None)
        for scope in _objects(entry.get(inner)):
            yield attributes, scope


def _objects(found: Json) -> list[dict[str, Json]]:
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise OtlpError("a list of objects was expected")
    return found


def _attributes(found: Json) -> dict[str, Json]:
    return {str(item.get("key", "")): _value(item.get("value")) for item in _objects(found)}


def _value(found: Json, depth: int = 0) -> Json:
    """An AnyValue as plain data; deeper than 8 levels is left out."""
    if not isinstance(found, dict) or depth > _DEPTH:
        return None
    for key in ("stringValue", "boolValue", "bytesValue"):
        if key in found:
            return found[key]
    if "intValue" in found:
        number = _number(found["intValue"])
        return None if number is None else int(number)
    if "doubleValue" in found:
        return _number(found["doubleValue"])
    if isinstance(found.get("arrayValue"), dict):
        return [_value(item, depth + 1) for item in _objects(found["arrayValue"].get("values"))]
    if isinstance(found.get("kvlistValue"), dict):
        pairs = _objects(found["kvlistValue"].get("values"))
        return {str(pair.get("key", "")): _value(pair.get("value"), depth + 1) for pair in pairs}
    return None


def _number(found: Json) -> float | None:
    """A number, or one written as text; None for anything else, infinities included."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        number = int(found) if isinstance(found, str) and found.lstrip("-").isdigit() else float(found)
    except (ValueError, OverflowError):
        return None
    if isinstance(found, int):
        return found
    return number if abs(number) < float("inf") else None
