"""Reports to an OpenTelemetry collector: every record as a log, in order, and a heartbeat from which silence is known.

OTLP/HTTP in JSON (facts field.md 3c; OTLP 1.10). What the intake refuses for good (400, partial success) is never sent
again: that it was refused is itself recorded. Every batch carries the head of the journal's chain, so that a history
rewritten later does not match what the centre was told.
"""

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agent.clock import Clock, jittered, unix_nanos
from agent.journal import Journal, Record
from agent.sinks.base import Sink
from firmware.errors import HttpStatusError
from firmware.transport import Transport
from protocols.center import otlp
from protocols.errors import LocalProtocolError

REFUSED = "report.refused"
HEARTBEAT_S = 300.0
LATENESS = 1.5
"""The next heartbeat is promised within this many intervals: jitter and one retry fit into it."""
_FINAL = frozenset({400, 413, 422})

GZIP_FROM = 1024
"""Bytes from which a heartbeat is compressed: it shrinks to a fifth, and a quiet day is made of heartbeats."""
GZIP_WBITS = 31
CANNOT_GZIP = frozenset({400, 415, 500, 501})


class OtlpSink(Sink):
    """``url`` is the collector's base. ``devices`` gives the state of each device now, for the heartbeat."""

    name = "otlp"
    knows_copies = True  # by each record's id

    def __init__(
        self,
        url: str,
        transport: Transport,
        journal: Journal,
        clock: Clock,
        *,
        host_id: str,
        version: str,
        devices: Callable[[], Sequence[otlp.DeviceState]],
        heartbeat_s: float = HEARTBEAT_S,
        more: Mapping[str, object] | None = None,
        jitter: Callable[[float], float] = jittered,
    ) -> None:
        super().__init__()
        self._url = url.rstrip("/")
        self._transport = transport
        self._journal = journal
        self._clock = clock
        self._version = version
        self._resource = otlp.resource(host_id=host_id, service_version=version, more=more)
        self._devices = devices
        self._heartbeat_s = heartbeat_s
        self._jitter = jitter
        self._due = -math.inf
        self._gzip = True
        self._start_ns = unix_nanos(clock.rfc3339())

    def deliver(self, records: Sequence[Record]) -> Iterator[int]:
        """One request for all of them; where the intake refuses it, halves, until the one record is found."""
        try:
            answer = self._post(otlp.LOGS_PATH, self._logs(records))
        except HttpStatusError as error:
            if error.status not in _FINAL:
                raise
            self.contacts += 1
            if len(records) > 1:
                half = len(records) // 2
                yield from self.deliver(records[:half])
                yield from self.deliver(records[half:])
                return
            self._refused(records, str(error), 1)
        else:
            if answer.rejected:
                self._refused(records, answer.message, answer.rejected)
        yield records[-1].seq

    def tick(self, now: float) -> float:
        """The heartbeat, when it is due."""
        if now >= self._due:
            try:
                self._post(otlp.METRICS_PATH, self._metrics(), small=True)
            except HttpStatusError as error:
                if error.status not in _FINAL:
                    raise
                self.contacts += 1  # its metrics are not wanted; a later one says what this one would have said
            self._due = now + self._jitter(self._heartbeat_s)
        return self._due - now

    def poked(self) -> None:
        """A heartbeat now."""
        self._due = -math.inf

    def close(self) -> None:
        """Give the connection back."""
        self._transport.close()

    def _post(self, path: str, body: Mapping[str, Any], *, small: bool = False) -> otlp.Answer:
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": otlp.CONTENT_TYPE, "Accept": otlp.CONTENT_TYPE}
        raw = self._post_small(path, data, headers) if small and self._gzip and len(data) >= GZIP_FROM else None
        if raw is None:
            raw = self._transport.post_bytes(self._url + path, data, headers)
        # an answer that is no OTLP (the page of a captive portal) raises, and counts as not delivered
        answer = otlp.parse_answer(raw)
        self.contacts += 1
        return answer

    def _post_small(self, path: str, data: bytes, headers: Mapping[str, str]) -> bytes | None:
        """Compressed (OTLP 1.10, OTLP/HTTP request); None from a receiver that cannot: it is not tried again."""
        packer = zlib.compressobj(wbits=GZIP_WBITS)
        packed = packer.compress(data) + packer.flush()
        try:
            return self._transport.post_bytes(self._url + path, packed, {**headers, "Content-Encoding": "gzip"})
        except HttpStatusError as error:
            if error.status not in CANNOT_GZIP:
                raise
            self._gzip = False
            return None

    def _logs(self, records: Sequence[Record]) -> Mapping[str, Any]:
        head = self._journal.head()
        told = {**otlp.journal_head(head.seq, head.hash), "posagent.journal.chain": self._journal.chain()}
        entries = [_entry(record, {} if record is not records[-1] else told) for record in records]
        return otlp.logs(self._resource, entries, version=self._version)

    def _metrics(self) -> Mapping[str, Any]:
        head = self._journal.head()
        now_ns = unix_nanos(self._clock.rfc3339())
        gauges = [
            otlp.next_due(now_ns // 1_000_000_000 + math.ceil(self._heartbeat_s * LATENESS)),
            otlp.Gauge(otlp.HEAD_SEQ, "{record}", head.seq, otlp.journal_head(head.seq, head.hash)),
            otlp.Gauge("posagent.journal.backlog", "{record}", self._journal.backlog(self.name)),
            otlp.Gauge("posagent.journal.dropped", "{record}", self._journal.state().dropped),
        ]
        return otlp.metrics(
            self._resource,
            self._devices(),
            gauges,
            time_ns=now_ns,
            start_ns=min(self._start_ns, now_ns),
            version=self._version,
        )

    def _refused(self, records: Sequence[Record], reason: str, count: int) -> None:
        if all(record.kind == REFUSED for record in records):
            return  # a record about a refused record about a refused record would never end
        body = {"sink": self.name, "first": records[0].seq, "last": records[-1].seq, "count": count, "reason": reason}
        self._journal.append(REFUSED, "warning", "host", body)


def _entry(record: Record, told: Mapping[str, object]) -> otlp.LogRecord:
    moment = unix_nanos(record.wall)
    return otlp.LogRecord(
        id=record.id,
        seq=record.seq,
        kind=record.kind,
        subject=record.subject,
        severity=record.severity if record.severity in otlp.SEVERITY else "info",
        time_ns=moment,
        observed_ns=moment,
        body=_body(record),
        attributes={
            "posagent.event.boot": record.boot,
            "posagent.event.mono": record.mono,
            "posagent.event.hash": record.hash,
            **told,
        },
    )


def _body(record: Record) -> object:
    """The body as it is; as JSON text where OTLP cannot carry it (an integer beyond 64 bits, very deep nesting)."""
    try:
        otlp.logs({}, [otlp.LogRecord("", 0, "", "", "info", 0, 0, record.body)], version="")
    except LocalProtocolError:
        return json.dumps(record.body)
    return record.body
