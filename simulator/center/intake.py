"""What the hosts report: an OTLP/HTTP JSON collector that also watches the order and the hash chain of the events.

Each log record is one journal event with its id; a heartbeat tells the head of the journal's chain and when the
next one is due. Bounds: the last 50,000 events, 10,000 complaints, 4096 hosts; older ones are dropped.
"""

import itertools
import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from simulator.center import otlp
from simulator.center.web import CenterError, Json, Reply, Request, json_reply

EVENTS, COMPLAINTS, HOSTS, REMEMBERED = 50_000, 10_000, 4096, 50_000
_EVENT = "posagent.event."
_HEAD_SEQ, _HEAD_HASH = "posagent.journal.head_seq", "posagent.journal.head_hash"
_NEXT_DUE = "posagent.heartbeat.next_due"


@dataclass(frozen=True)
class Event:
    """One log record as it came; ``wall`` unix seconds and ``mono`` monotonic seconds of its receipt."""

    number: int
    host: str
    instance: str
    id: str
    seq: int | None
    kind: str
    subject: str
    severity: str
    body: Json
    attributes: dict[str, Json]
    time_ns: int
    wall: float
    mono: float
    duplicate: bool


@dataclass(frozen=True)
class Complaint:
    """A report that contradicts an earlier one.

    ``kind``: head_changed, head_went_back, seq_reused or out_of_order.
    """

    host: str
    kind: str
    text: str
    wall: float


@dataclass
class Host:
    """What is remembered of one host."""

    reported: tuple[float, float]
    heartbeats: int = 0
    duplicates: int = 0
    next_due: float | None = None
    head: tuple[int, str] | None = None
    last_seq: int | None = None
    heads: OrderedDict[int, str] = field(default_factory=OrderedDict)
    seqs: OrderedDict[int, str] = field(default_factory=OrderedDict)
    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    metrics: OrderedDict[str, dict[str, Json]] = field(default_factory=OrderedDict)
    faults: OrderedDict[str, Event] = field(default_factory=OrderedDict)


K = TypeVar("K")
V = TypeVar("V")


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)


class Intake:
    """Thread-safe; ``wall`` gives unix seconds (what ``next_due`` is compared with), ``mono`` monotonic seconds."""

    def __init__(self, wall: Callable[[], float] = time.time, mono: Callable[[], float] = time.monotonic) -> None:
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.complaints: deque[Complaint] = deque(maxlen=COMPLAINTS)
        self.hosts: OrderedDict[str, Host] = OrderedDict()
        self._wall = wall
        self._mono = mono
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)

    def handle(self, request: Request) -> Reply | None:
        """Answers POST /v1/logs and /v1/metrics; None for another path. 400 is final for the client, 415 not JSON."""
        take = {"/v1/logs": self.take_logs, "/v1/metrics": self.take_metrics}.get(request.path)
        if take is None:
            return None
        if request.method != "POST":
            return Reply(405, headers={"Allow": "POST"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return json_reply({"code": 3, "message": "only application/json is accepted"}, 415)
        try:
            take(otlp.document(request))
        except otlp.OtlpError as error:
            return json_reply({"code": 3, "message": str(error)}, 400)
        return json_reply({"partialSuccess": {}})

    def take_logs(self, message: dict[str, Json]) -> None:
        """Keeps every log record of an ExportLogsServiceRequest; all or none.

        Raises:
            OtlpError: the message has another shape.
        """
        records = list(otlp.logs(message))
        with self._lock:
            for record in records:
                self._take_record(record)

    def take_metrics(self, message: dict[str, Json]) -> None:
        """Keeps the newest value of every data point of an ExportMetricsServiceRequest; all or none.

        Raises:
            OtlpError: the message has another shape.
        """
        found = list(otlp.points(message))
        with self._lock:
            for point in found:
                self._take_point(point)

    def silent(self, now: float | None = None) -> list[str]:
        """Hosts whose next heartbeat is overdue (unix seconds; now by default)."""
        moment = self._wall() if now is None else now
        with self._lock:
            return [name for name, host in self.hosts.items() if host.next_due is not None and host.next_due < moment]

    def open_faults(self, name: str) -> list[Event]:
        """The ``fault.raised`` events of a host that no ``fault.cleared`` has answered."""
        with self._lock:
            host = self.hosts.get(name)
            return list(host.faults.values()) if host else []

    def records(self, after: int = 0) -> dict[str, Json]:
        """Everything received, as JSON; ``after`` leaves out the events up to that number."""
        with self._lock:
            hosts = {name: self._host_document(host) for name, host in self.hosts.items()}
            return {
                "logs": [asdict(event) for event in self.events if event.number > after],
                "metrics": {name: list(host.metrics.values()) for name, host in self.hosts.items()},
                "heads": {name: host["head"] for name, host in hosts.items() if host["head"]},
                "hosts": hosts,
                "duplicates": {name: host.duplicates for name, host in self.hosts.items()},
                "complaints": [asdict(complaint) for complaint in self.complaints],
                "silent": self.silent(),
            }

    def _host_document(self, host: Host) -> dict[str, Json]:
        age_s = max(0.0, self._mono() - host.reported[1])
        return {
            "last_report": {"wall": host.reported[0], "mono": host.reported[1], "age_s": age_s},
            "heartbeats": host.heartbeats,
            "next_due": host.next_due,
            "head": {"seq": host.head[0], "hash": host.head[1]} if host.head else None,
            "open_faults": [event.id for event in host.faults.values()],
        }

    # One record, one point

    def _host(self, resource: Mapping[str, Json]) -> tuple[str, Host]:
        name = str(resource.get("host.id") or resource.get("service.instance.id") or "unknown")
        if name not in self.hosts and len(self.hosts) >= HOSTS:
            self.hosts.popitem(last=False)
        host = self.hosts.setdefault(name, Host((0.0, 0.0)))
        host.reported = (self._wall(), self._mono())
        return name, host

    def _take_record(self, record: otlp.LogRecord) -> None:
        name, host = self._host(record.resource)
        given = record.attributes
        event_id = str(given.get(_EVENT + "id") or "")
        seq = _whole(given.get(_EVENT + "seq"))
        duplicate = bool(event_id) and event_id in host.ids
        event = Event(
            number=next(self._numbers),
            host=name,
            instance=str(record.resource.get("service.instance.id") or ""),
            id=event_id,
            seq=seq,
            kind=str(given.get(_EVENT + "kind") or record.name),
            subject=str(given.get(_EVENT + "subject") or ""),
            severity=record.severity,
            body=_opened(record.body),
            attributes=given,
            time_ns=record.time_ns,
            wall=host.reported[0],
            mono=host.reported[1],
            duplicate=duplicate,
        )
        self.events.append(event)
        host.duplicates += duplicate
        self._check_seq(name, host, event)
        self._check_head(name, host, record.resource | given)
        if not duplicate:
            self._track_fault(host, event)
        if event_id:
            _remember(host.ids, event_id, None)

    def _check_seq(self, name: str, host: Host, event: Event) -> None:
        if event.seq is None:
            return
        known = host.seqs.get(event.seq)
        if known is not None and known != event.id:
            self._complain(name, "seq_reused", f"event {event.seq} was {known}, now {event.id}")
        elif not event.duplicate and host.last_seq is not None and event.seq < host.last_seq:
            self._complain(name, "out_of_order", f"event {event.seq} came after {host.last_seq}")
        _remember(host.seqs, event.seq, event.id)
        host.last_seq = max(host.last_seq or event.seq, event.seq)

    @staticmethod
    def _track_fault(host: Host, event: Event) -> None:
        body = event.body if isinstance(event.body, dict) else {}
        fault = body.get("id") or event.attributes.get("posagent.fault.id") or ""
        key = str(body.get("incident") or event.attributes.get("posagent.fault.incident") or f"{event.subject} {fault}")
        if event.kind == "fault.raised":
            _remember(host.faults, key, event)
        elif event.kind == "fault.cleared":
            host.faults.pop(key, None)

    def _take_point(self, point: otlp.Point) -> None:
        name, host = self._host(point.resource)
        key = json.dumps([point.metric, sorted(point.attributes.items())], default=str)
        value = {"name": point.metric, "value": point.value, "time_ns": point.time_ns, "attributes": point.attributes}
        _remember(host.metrics, key, value)
        if point.metric == _NEXT_DUE and point.value is not None:
            host.next_due = point.value
            host.heartbeats += 1
        self._check_head(name, host, point.resource | point.attributes)

    def _check_head(self, name: str, host: Host, given: Mapping[str, Json]) -> None:
        seq, digest = _whole(given.get(_HEAD_SEQ)), given.get(_HEAD_HASH)
        if seq is None or not isinstance(digest, str):
            return
        known = host.heads.get(seq)
        if known is not None and known != digest:
            self._complain(name, "head_changed", f"head {seq} was {known}, now {digest}")
        elif known is None and host.head is not None and seq < host.head[0]:
            self._complain(name, "head_went_back", f"head {seq} came after {host.head[0]}")
        _remember(host.heads, seq, known or digest)
        if host.head is None or seq > host.head[0]:
            host.head = (seq, digest)

    def _complain(self, name: str, kind: str, text: str) -> None:
        self.complaints.append(Complaint(name, kind, text, self._wall()))


def _whole(found: Json) -> int | None:
    """A whole number, also written as text."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        return int(found)
    except (ValueError, OverflowError):
        return None


def _opened(body: Json) -> Json:
    """A body that is JSON in a text, opened; any other body as it is."""
    if not isinstance(body, str) or not body.startswith("{"):
        return body
    try:
        return Request.loads(body.encode("utf-8", "replace"))
    except CenterError:
        return body
