"""The server itself: bounds, failures on demand, static files, the page, start and stop, ``possim center``."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simulator.center.server import Center

DDI = "/DEFAULT/controller/v1"
REST = "/rest/v1"


def raw(center, data, limit=1 << 16):
    """What the server answers to bytes on a connection of its own, until it closes."""
    with socket.create_connection(("127.0.0.1", center.port), timeout=10) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        found = b""
        while piece := line.recv(limit):
            found += piece
    return found


# Static files


@pytest.fixture
def repository(world, tmp_path):
    metadata, targets = tmp_path / "repository/metadata", tmp_path / "repository/targets/printer/acme"
    metadata.mkdir(parents=True)
    targets.mkdir(parents=True)
    (metadata / "1.root.json").write_bytes(b'{"signed":{}}')
    (targets / "fw-1.bin").write_bytes(b"0123456789")
    (tmp_path / "repository/secret").write_text("no")
    (tmp_path / "secret").write_text("no")
    (metadata / "link").symlink_to(tmp_path / "secret")
    return world


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/repository/metadata/1.root.json", 200, b'{"signed":{}}'),
        ("/repository/targets/printer/acme/fw-1.bin", 200, b"0123456789"),
        ("/repository/targets/printer/acme/fw%2D1.bin", 200, b"0123456789"),
        ("/repository/metadata/2.root.json", 404, b""),
        ("/repository/metadata/", 404, b""),
        ("/repository/metadata", 404, b""),
        ("/repository/targets/printer", 404, b""),
        ("/repository/secret", 404, b""),
        ("/repository/metadata/../secret", 404, b""),
        ("/repository/metadata/..%2fsecret", 404, b""),
        ("/repository/metadata/%2e%2e/secret", 404, b""),
        ("/repository/metadata//1.root.json", 404, b""),
        ("/repository/metadata/%00", 404, b""),
        ("/repository/metadata/" + "x" * 300, 404, b""),
        ("/repository/metadata/link", 404, b""),
        ("/repository/../secret", 404, b""),
    ],
)
def test_files(repository, path, status, body):
    answer = repository.ddi("GET", path)
    assert (answer.status, answer.body) == (status, body)


def test_the_folder_may_appear_later(world, tmp_path):
    assert world.ddi("GET", "/repository/metadata/timestamp.json").status == 404
    (tmp_path / "repository/metadata").mkdir(parents=True)
    (tmp_path / "repository/metadata/timestamp.json").write_bytes(b"{}")
    assert world.ddi("GET", "/repository/metadata/timestamp.json").body == b"{}"


@pytest.mark.parametrize(
    ("asked", "status", "body", "span"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_file(repository, asked, status, body, span):
    path = "/repository/targets/printer/acme/fw-1.bin"
    answer = repository.ddi("GET", path, Range=asked)
    assert (answer.status, answer.body, answer.headers.get("content-range")) == (status, body, span)
    whole = repository.ddi("GET", path)
    etag = whole.headers["etag"]
    assert repository.ddi("GET", path, Range="bytes=2-4", If_Range=etag).body == b"234"
    assert repository.ddi("GET", path, Range="bytes=2-4", If_Range='"x"').body == b"0123456789"
    assert repository.ddi("GET", path, If_None_Match=etag).status == 304
    head = repository.ddi("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")
    assert repository.ddi("PUT", path, b"x").status == 405


def test_a_large_file_in_pieces(repository, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "repository/targets/big").write_bytes(data)
    assert repository.ddi("GET", "/repository/targets/big").body == data


# Bounds and bad requests


def test_one_connection_serves_many_requests(world):
    for _ in range(3):
        world.ddi("GET", f"{DDI}/pos-1")
        world.ddi("GET", f"{DDI}/pos-1/deploymentBase/7")
        world.ddi("POST", "/v1/logs", {})
    sock = world.ddi.connection.sock
    assert sock is not None
    world.ddi("GET", "/nowhere")
    assert world.ddi.connection.sock is sock


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"POST /v1/logs HTTP/1.1\r\nContent-Length: {(4 << 20) + 1}\r\n\r\n", 413),
        (f"POST {REST}/softwaremodules/1/artifacts HTTP/1.1\r\nContent-Length: {65 << 20}\r\n\r\n", 413),
        ("POST /v1/logs HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST /v1/logs HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        ("POST /v1/logs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("POST /v1/logs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n500000\r\n", 413),
        ("GET /rest/v1/targets?" + "&".join(["a=1"] * 101) + " HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/x\r\n\r\n", 400),
        ("GARBAGE\r\n\r\n", 400),
        ("BREW / HTTP/1.1\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\n" + "a: b\r\n" * 200 + "\r\n", 431),
    ],
)
def test_bounds(world, head, status):
    found = raw(world.center, head.encode())
    assert found.split(b" ")[1] == str(status).encode()
    assert b"Traceback" not in found


def test_a_chunked_body(world):
    body = b'2\r\n{"\r\n11;ext=1\r\nresourceLogs":[]}\r\n0\r\n\r\n'
    head = b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 200 " in raw(world.center, head + body)[:20]


def test_a_client_that_asks_before_it_sends(world):
    head = b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    with socket.create_connection(("127.0.0.1", world.center.port), timeout=10) as line:
        line.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"{}")
        assert line.recv(12) == b"HTTP/1.1 200"


def test_a_body_that_ends_early_leaves_no_noise(world, capfd):
    raw(world.center, b"POST /v1/logs HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort")
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200
    assert capfd.readouterr() == ("", "")


def test_our_own_mistake_is_500_without_details(world, monkeypatch, caplog):
    def broken(*_args):
        raise RuntimeError("inner words")

    monkeypatch.setattr(world.center.store, "poll", broken)
    answer = world.ddi("GET", f"{DDI}/pos-1")
    assert (answer.status, answer.body) == (500, b"")
    assert "inner words" in caplog.text


# Failures on demand


def behave(world, **wanted):
    answer = world.rest("POST", "/sim/behaviour", wanted)
    assert answer.status == 200
    return answer.json


@pytest.mark.parametrize("status", [401, 404, 409, 410, 429, 500, 503])
def test_a_status_on_chosen_paths(world, status):
    behave(world, failures=[{"mode": "status", "status": status, "path": f"{DDI}/*", "retry_after": 7, "times": 1}])
    assert world.ddi("POST", "/v1/logs", {}).status == 200
    answer = world.ddi("GET", f"{DDI}/pos-1")
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (status, b"", "7")
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200
    assert world.rest("GET", "/sim/behaviour").json["failures"][0]["hits"] == 1


def test_a_quota_looks_like_one(world):
    code = "hawkbit.server.error.quota.tooManyEntries"
    world.center.behaviour.add("status", status=429, error_code=code)
    assert world.ddi("GET", f"{DDI}/pos-1").json["errorCode"] == code
    world.center.behaviour.clear()
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200


def test_a_web_page_instead_of_json(world):
    behave(world, failures=[{"mode": "html", "method": "GET"}])
    answer = world.ddi("GET", f"{DDI}/pos-1")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert answer.body.startswith(b"<!DOCTYPE html>")
    assert world.ddi("PUT", f"{DDI}/pos-1/configData", {"data": {}}).status == 200


def test_half_a_json(world):
    whole = world.ddi("GET", f"{DDI}/pos-1").body
    behave(world, failures=[{"mode": "half"}])
    answer = world.ddi("GET", f"{DDI}/pos-1")
    assert answer.body == whole[: len(whole) // 2]
    assert answer.status == 200


def test_a_connection_cut_in_the_answer_after_the_work_was_done(world):
    behave(world, failures=[{"mode": "cut", "path": f"{REST}/targets", "times": 1}])
    with pytest.raises(http.client.IncompleteRead):
        world.rest("POST", f"{REST}/targets", [{"controllerId": "pos-7"}])
    world.rest.connection.close()
    assert world.rest("GET", f"{REST}/targets/pos-7").status == 200


def test_never_answering_ends(world):
    behave(world, failures=[{"mode": "hang", "seconds": 0.05, "times": 1}])
    with pytest.raises(http.client.RemoteDisconnected):
        world.ddi("GET", f"{DDI}/pos-1")
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200


def test_a_slow_answer_is_whole(repository):
    behave(repository, failures=[{"mode": "slow", "seconds": 0.05}])
    assert repository.ddi("GET", "/repository/targets/printer/acme/fw-1.bin").body == b"0123456789"


def test_refusing_connections_and_coming_back(world):
    port = world.center.port
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200
    world.center.down()
    world.center.down()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with pytest.raises(OSError):
        world.ddi("GET", f"{DDI}/pos-1")
    world.ddi.connection.close()
    world.rest.connection.close()
    world.center.up()
    world.center.up()
    assert world.center.port == port
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200


def test_down_for_a_while_by_request(world):
    behave(world, down_s=0.2)
    refused = False
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            answer = world.rest("GET", "/sim/behaviour")
        except (OSError, http.client.HTTPException):
            refused = True
            world.rest.connection.close()
            time.sleep(0.02)
        else:
            if refused:
                break
            time.sleep(0.01)
    assert refused
    assert answer.status == 200


def test_polling_below_hawkbits_thirty_seconds(world):
    assert behave(world, polling="00:00:01")["polling"] == "00:00:01"
    assert world.ddi("GET", f"{DDI}/pos-1").json["config"]["polling"]["sleep"] == "00:00:01"
    behave(world, polling=None)
    assert world.ddi("GET", f"{DDI}/pos-1").json["config"]["polling"]["sleep"] == "00:05:00"


@pytest.mark.parametrize(
    "wanted",
    [
        [],
        {"unknown": 1},
        {"down_s": -1},
        {"down_s": 601},
        {"down_s": True},
        {"polling": "1s"},
        {"failures": [{"mode": "explode"}]},
        {"failures": [{"path": "*"}]},
        {"failures": [{"mode": "status", "status": 42}]},
        {"failures": [{"mode": "hang", "seconds": 601}]},
        {"failures": [{"mode": "hang", "hits": 1}]},
        {"failures": [{"mode": "hang", "path": 5}]},
        {"failures": [{"mode": "status", "times": "x"}]},
        {"failures": "hang"},
    ],
)
def test_behaviour_out_of_form(world, wanted):
    assert world.rest("POST", "/sim/behaviour", wanted).status == 400
    assert world.ddi("GET", f"{DDI}/pos-1").status == 200


def test_the_simulators_own_paths_want_the_password(world):
    for path in ("records", "actions", "behaviour", "nothing"):
        assert world.ddi("GET", f"/sim/{path}").status == 401
    assert world.ddi("POST", "/sim/behaviour", {"clear": True}).status == 401


def test_actions_with_times_of_receipt(world):
    before = time.monotonic()
    action = world.assign(world.release("1"))
    world.ddi("GET", f"{DDI}/pos-1")
    world.feedback(action, "closed", "success", details=["done"])
    found = world.rest("GET", "/sim/actions").json
    deployed = found["actions"][0]
    assert (deployed["target"], deployed["status"]) == ("pos-1", "finished")
    assert deployed["distribution_set"] == {"name": "pos", "version": "1"}
    assert [row["type"] for row in deployed["rows"]] == ["running", "finished"]
    assert before <= deployed["created"]["mono"] <= deployed["rows"][1]["received"]["mono"] <= time.monotonic()
    assert deployed["rows"][1]["received"]["wall"] == 1_700_000_000.0
    assert found["polls"][0]["controller_id"] == "pos-1"


# The page


def fault(body, kind="fault.raised"):
    keys = {"posagent.event.id": kind, "posagent.event.kind": kind, "posagent.event.subject": "<pos-1>/printer"}
    given = [{"key": key, "value": {"stringValue": text}} for key, text in keys.items()]
    record = {"attributes": given, "body": {"stringValue": json.dumps(body)}}
    host = {"attributes": [{"key": "host.id", "value": {"stringValue": "pos-1"}}]}
    return {"resourceLogs": [{"resource": host, "scopeLogs": [{"logRecords": [record]}]}]}


def test_the_page(world):
    action = world.assign(world.release("<b>1</b>"))
    world.feedback(action, "closed", "success", details=["<script>alert(1)</script>"])
    world.ddi("POST", "/v1/logs", fault({"id": "printer.paper_end<", "incident": "i"}))
    answer = world.ddi("GET", "/")
    text = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in text
    assert "pos &lt;b&gt;1&lt;/b&gt;" in text
    assert "printer.paper_end&lt;" in text
    assert "&lt;pos-1&gt;/printer" in text
    assert '<span class="s bad">fault</span>' in text
    assert '<span class="s ok">finished</span>' in text
    world.ddi("POST", "/v1/logs", fault({"incident": "i"}, "fault.cleared"))
    assert '<span class="s ok">well</span>' in world.ddi("GET", "/").body.decode()


def test_the_page_in_chinese(center, world):
    for answer in (world.ddi("GET", "/?lang=zh"), world.ddi("GET", "/", Accept_Language="zh-CN,zh;q=0.9")):
        assert "<h1>服务中心</h1>" in answer.body.decode()
        assert '<html lang="zh">' in answer.body.decode()
    assert "<h1>Service centre</h1>" in world.ddi("GET", "/?lang=fr").body.decode()


def test_the_page_of_an_empty_centre(center):
    found = raw(center, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b"No till has called yet." in found


# Start and stop


def test_stop_ends_idle_and_busy_connections_and_all_threads(tmp_path):
    before = set(threading.enumerate())
    center = Center(tmp_path).start()
    center.behaviour.add("hang", "/v1/*", seconds=300)
    lines = [socket.create_connection(("127.0.0.1", center.port), timeout=10) for _ in range(3)]
    lines[0].sendall(b"POST /v1/logs HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    lines[1].sendall(b"POST /v1/logs HTTP/1.1\r\nContent-Le")
    lines[2].sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert lines[2].recv(12) == b"HTTP/1.1 200"
    started = time.monotonic()
    center.stop()
    center.stop()
    assert time.monotonic() - started < 1.0
    assert set(threading.enumerate()) <= before
    for line in lines:
        line.close()


def test_start_again_on_the_same_port(tmp_path):
    center = Center(tmp_path).start()
    port = center.port
    center.stop()
    with center:
        assert center.port == port
        assert raw(center, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_port_that_is_taken(center, tmp_path):
    with pytest.raises(OSError):
        Center(tmp_path, center.port).start()


CLI = """
import sys, pathlib
from simulator.center.server import serve
sys.exit(serve(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_possim_center(tmp_path, center):
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-W", "error", "-c", CLI, str(tmp_path)]
    taken = subprocess.run([*command, str(center.port)], cwd=root, capture_output=True, text=True, timeout=60)
    assert (taken.returncode, taken.stdout) == (3, "")
    assert taken.stderr.count("\n") == 1
    with subprocess.Popen([*command, "0"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        ready = json.loads(run.stdout.readline())
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (0, "", "")
    url = ready["url"]
    token = ready.pop("gateway_token")
    assert len(token) == 32
    assert ready == {
        "ready": True,
        "url": url,
        "ddi": f"{url}/DEFAULT/controller/v1",
        "management": f"{url}/rest/v1",
        "otlp": url,
        "metadata": f"{url}/repository/metadata",
        "targets": f"{url}/repository/targets",
        "user": "admin",
        "password": "admin",
    }
