"""The OTLP/HTTP JSON intake: what it keeps, what it complains of, who is silent, what it refuses."""

import gzip
import http.client
import json
import threading

import pytest


def value(found):
    kind = {str: "stringValue", int: "intValue", float: "doubleValue"}[type(found)]
    return {kind: str(found) if isinstance(found, int) else found}


def attributes(**found):
    return [{"key": key.replace("__", "."), "value": value(item)} for key, item in found.items()]


def event(seq, event_id=None, kind="fault.raised", body=None, subject="pos-1/printer", **more):
    given = attributes(
        posagent__event__id=event_id or f"id-{seq}",
        posagent__event__seq=seq,
        posagent__event__kind=kind,
        posagent__event__subject=subject,
        **more,
    )
    text = {"stringValue": json.dumps(body)} if body is not None else {"stringValue": "words"}
    return {"timeUnixNano": "1700000000000000000", "severityText": "ERROR", "body": text, "attributes": given}


def resource(host):
    return {"attributes": attributes(host__id=host, service__instance__id=f"{host}/agent")}


def logs(*records, host="pos-1"):
    return {"resourceLogs": [{"resource": resource(host), "scopeLogs": [{"logRecords": list(records)}]}]}


def gauge(name, number, **given):
    return {"name": name, "gauge": {"dataPoints": [{"asInt": str(number), "attributes": attributes(**given)}]}}


def metrics(*found, host="pos-1"):
    return {"resourceMetrics": [{"resource": resource(host), "scopeMetrics": [{"metrics": list(found)}]}]}


def heartbeat(next_due, seq, digest, host="pos-1"):
    head = {"posagent__journal__head_seq": seq, "posagent__journal__head_hash": digest}
    return metrics(gauge("posagent.heartbeat.next_due", next_due, **head), host=host)


def send(world, kind, message):
    answer = world.ddi("POST", f"/v1/{kind}", message)
    assert (answer.status, answer.json) == (200, {"partialSuccess": {}})


def records(world, query=""):
    return world.rest("GET", f"/sim/records{query}").json


def complaints(world):
    return [item["kind"] for item in records(world)["complaints"]]


def test_events_are_kept_in_order(world):
    send(world, "logs", logs(event(1, body={"id": "printer.paper_end"}), event(2, kind="card.moved")))
    send(world, "logs", logs(event(3, kind="fault.cleared")))
    found = records(world)["logs"]
    assert [(item["seq"], item["id"], item["kind"]) for item in found] == [
        (1, "id-1", "fault.raised"),
        (2, "id-2", "card.moved"),
        (3, "id-3", "fault.cleared"),
    ]
    first = found[0]
    assert (first["host"], first["instance"], first["subject"]) == ("pos-1", "pos-1/agent", "pos-1/printer")
    assert (first["body"], first["severity"]) == ({"id": "printer.paper_end"}, "ERROR")
    assert (first["time_ns"], first["wall"], first["duplicate"]) == (1_700_000_000_000_000_000, 1_700_000_000.0, False)
    assert found[1]["body"] == "words"
    assert found[0]["mono"] <= found[2]["mono"]
    assert [item["seq"] for item in records(world, f"?after={found[1]['number']}")["logs"]] == [3]


def test_repeats_are_counted_and_are_no_complaint(world):
    for _ in range(3):
        send(world, "logs", logs(event(1), event(2)))
    found = records(world)
    assert found["duplicates"] == {"pos-1": 4}
    assert [item["duplicate"] for item in found["logs"]] == [False, False, True, True, True, True]
    assert found["complaints"] == []


def test_contradictions_in_the_order_of_events(world):
    send(world, "logs", logs(event(5), event(4), event(5, "another")))
    assert complaints(world) == ["out_of_order", "seq_reused"]
    send(world, "logs", logs(event(1), host="pos-2"))
    assert len(complaints(world)) == 2


@pytest.mark.parametrize(
    ("heads", "complaint"),
    [
        ([(1, "a"), (2, "b"), (2, "b"), (9, "c")], []),
        ([(1, "a"), (2, "b"), (1, "a")], []),
        ([(1, "a"), (1, "x")], ["head_changed"]),
        ([(1, "a"), (5, "b"), (1, "x")], ["head_changed"]),
        ([(5, "a"), (3, "b")], ["head_went_back"]),
        ([(1, "a"), (1, "x"), (1, "x")], ["head_changed", "head_changed"]),
    ],
)
def test_the_head_of_the_chain(world, heads, complaint):
    for seq, digest in heads:
        send(world, "metrics", heartbeat(1_700_000_060, seq, digest))
    assert complaints(world) == complaint
    known = dict(reversed(heads))
    assert records(world)["heads"]["pos-1"] == {"seq": max(known), "hash": known[max(known)]}


def test_a_head_told_with_a_log_record_counts_too(world):
    send(world, "metrics", heartbeat(1_700_000_060, 7, "aa"))
    head = {"posagent__journal__head_seq": 7, "posagent__journal__head_hash": "bb"}
    send(world, "logs", logs(event(7, **head)))
    assert complaints(world) == ["head_changed"]


def test_silent_hosts(world):
    now = int(world.clock.now)
    send(world, "metrics", heartbeat(now + 60, 1, "a"))
    send(world, "metrics", heartbeat(now + 120, 1, "a", host="pos-2"))
    send(world, "logs", logs(event(1), host="pos-3"))
    assert records(world)["silent"] == []
    world.clock.now += 61
    assert records(world)["silent"] == ["pos-1"]
    world.clock.now += 60
    assert records(world)["silent"] == ["pos-1", "pos-2"]
    send(world, "metrics", heartbeat(now + 600, 2, "b"))
    assert records(world)["silent"] == ["pos-2"]
    assert records(world)["hosts"]["pos-1"]["heartbeats"] == 2


def test_open_faults_go_by_incident(world):
    send(world, "logs", logs(event(1, body={"id": "printer.paper_end", "incident": "i1"}), event(2, body={"id": "x"})))
    send(world, "logs", logs(event(3, kind="fault.cleared", body={"id": "printer.paper_end", "incident": "i1"})))
    assert records(world)["hosts"]["pos-1"]["open_faults"] == ["id-2"]


def test_metrics_keep_the_newest_value(world):
    send(world, "metrics", metrics(gauge("hw.status", 1, hw__state="ok"), gauge("hw.status", 0, hw__state="failed")))
    send(world, "metrics", metrics(gauge("hw.status", 0, hw__state="ok")))
    found = records(world)["metrics"]["pos-1"]
    shown = [(item["name"], item["attributes"]["hw.state"], item["value"]) for item in found]
    assert shown == [("hw.status", "ok", 0), ("hw.status", "failed", 0)]


def test_every_kind_of_value(world):
    values = {
        "s": {"stringValue": "x"},
        "b": {"boolValue": True},
        "i": {"intValue": "9007199254740993"},
        "d": {"doubleValue": 0.5},
        "l": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "y"}]}},
        "m": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        "n": {},
    }
    record = {"attributes": [{"key": key, "value": item} for key, item in values.items()]}
    send(world, "logs", logs(record))
    assert records(world)["logs"][0]["attributes"] == {
        "s": "x",
        "b": True,
        "i": 9007199254740993,
        "d": 0.5,
        "l": [1, "y"],
        "m": {"k": "v"},
        "n": None,
    }


def test_gzip(world):
    packed = gzip.compress(json.dumps(logs(event(1))).encode())
    sent = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    assert world.ddi("POST", "/v1/logs", packed, **sent).status == 200
    assert world.ddi("POST", "/v1/logs", packed[:-4], **sent).status == 400
    assert world.ddi("POST", "/v1/logs", b"plain", **sent).status == 400
    bomb = gzip.compress(b" " * (5 << 20))
    assert world.ddi("POST", "/v1/logs", bomb, **sent).status == 400
    assert len(records(world)["logs"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"resourceLogs":{}}',
        b'{"resourceLogs":[1]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{"attributes":"x"}]}]}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_refused_for_good_and_as_a_whole(world, body):
    answer = world.ddi("POST", "/v1/logs", body, Content_Type="application/json")
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert records(world)["logs"] == []


def test_only_json_and_post(world):
    assert world.ddi("POST", "/v1/logs", b"\x0a", Content_Type="application/x-protobuf").status == 415
    assert world.ddi("GET", "/v1/metrics").status == 405
    assert world.ddi("POST", "/v1/traces", {}).status == 404


def test_what_lacks_everything_is_still_kept(world):
    send(world, "logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]})
    send(world, "metrics", metrics({"name": "odd", "sum": {"dataPoints": [{"asDouble": "1e999"}]}}, {"histogram": {}}))
    found = records(world)
    assert (found["logs"][0]["host"], found["logs"][0]["id"], found["logs"][0]["seq"]) == ("unknown", "", None)
    assert found["metrics"]["pos-1"][0]["value"] is None


def test_a_record_may_name_its_event_the_standard_way(world):
    send(world, "logs", logs({"eventName": "agent.started"}))
    assert records(world)["logs"][0]["kind"] == "agent.started"


def test_many_hosts_at_once(world):
    def report(host):
        line = http.client.HTTPConnection("127.0.0.1", world.center.port, timeout=30)
        for seq in range(1, 26):
            body = json.dumps(logs(event(seq, f"{host}-{seq}"), host=host))
            line.request("POST", "/v1/logs", body, {"Content-Type": "application/json"})
            statuses.append((answer := line.getresponse()).status)
            answer.read()
        line.close()

    statuses = []
    threads = [threading.Thread(target=report, args=(f"pos-{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 200
    found = records(world)
    assert (found["complaints"], set(found["duplicates"].values())) == ([], {0})
    numbers = [item["number"] for item in found["logs"]]
    assert (len(numbers), numbers) == (200, sorted(numbers))
    for host in range(8):
        assert [item["seq"] for item in found["logs"] if item["host"] == f"pos-{host}"] == list(range(1, 26))
