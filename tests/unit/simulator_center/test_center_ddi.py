"""DDI v1 as facts/updates.md section 2 has it, over HTTP, with literal documents."""

import hashlib

import pytest

DDI = "/DEFAULT/controller/v1"
REST = "/rest/v1"

# execution, finished → newest row, action, active, target (after the deployment was fetched)
OPEN = ("retrieved", True, "pending")
DEPLOYMENT = [
    ("closed", "success", "finished", "finished", False, "in_sync"),
    ("closed", "none", "finished", "finished", False, "in_sync"),
    ("closed", "failure", "error", "error", False, "error"),
    *(
        (execution, finished, row, *OPEN)
        for execution, row in [
            ("download", "download"),
            ("downloaded", "downloaded"),
            ("proceeding", "running"),
            ("scheduled", "running"),
            ("resumed", "running"),
            ("rejected", "warning"),
            ("canceled", "canceled"),
        ]
        for finished in ("success", "failure", "none")
    ),
]
STUCK = ("canceling", True, "pending")
CANCEL = [
    ("closed", "success", "canceled", "canceled", False, "in_sync"),
    ("closed", "none", "canceled", "canceled", False, "in_sync"),
    ("closed", "failure", "error", "running", True, "pending"),
    ("rejected", "none", "cancel_rejected", "running", True, "pending"),
    ("canceled", "success", "warning", *STUCK),
    ("proceeding", "none", "running", *STUCK),
    ("scheduled", "none", "running", *STUCK),
    ("resumed", "none", "running", *STUCK),
    ("download", "none", "running", *STUCK),
    ("downloaded", "none", "running", *STUCK),
]


@pytest.mark.parametrize(("execution", "finished", "row", "status", "active", "target"), DEPLOYMENT)
def test_feedback_on_a_deployment(world, execution, finished, row, status, active, target):
    action = world.assign(world.release("1"))
    world.ddi("GET", f"{DDI}/pos-1/deploymentBase/{action}")
    answer = world.feedback(action, execution, finished)
    assert (answer.status, answer.body) == (200, b"")
    assert world.state(action) == (row, status, active, target)


@pytest.mark.parametrize(("execution", "finished", "row", "status", "active", "target"), CANCEL)
def test_feedback_on_a_cancellation(world, execution, finished, row, status, active, target):
    action = world.assign(world.release("1"))
    assert world.rest("DELETE", f"{REST}/targets/pos-1/actions/{action}").status == 204
    assert world.feedback(action, execution, finished, "cancelAction").status == 200
    assert world.state(action) == (row, status, active, target)


@pytest.mark.parametrize(
    ("auth", "path", "status"),
    [
        ("", "/DEFAULT/controller/v1/pos-1", 401),
        ("TargetToken secret", "/DEFAULT/controller/v1/pos-1", 200),
        ("TargetToken secret", "/DEFAULT/controller/v1/pos-1/installedBase/9", 404),
        ("TargetToken wrong", "/DEFAULT/controller/v1/pos-1", 401),
        ("TargetToken secret", "/DEFAULT/controller/v1/pos-2", 401),
        ("GatewayToken wrong", "/DEFAULT/controller/v1/pos-1", 401),
        ("GatewayToken", "/DEFAULT/controller/v1/pos-1", 401),
        ("Basic YWRtaW46YWRtaW4=", "/DEFAULT/controller/v1/pos-1", 401),
        ("TargetToken secret", "/OTHER/controller/v1/pos-1", 401),
        ("TargetToken secret", "/DEFAULT/controller/v1/pos-1/softwaremodules/1/artifacts/a.bin", 404),
        ("", "/DEFAULT/controller/v1/pos-1/softwaremodules/1/artifacts/a.bin", 401),
    ],
)
def test_who_may_ask(world, auth, path, status):
    world.ddi.auth = auth
    answer = world.ddi("GET", path)
    assert answer.status == status
    assert answer.body == b"" or status != 401


def test_every_path_wants_a_token(world):
    world.ddi.auth = ""
    paths = ["PUT configData", "PUT installedBase", "GET deploymentBase/1", "POST deploymentBase/1/feedback"]
    paths += ["GET cancelAction/1", "POST cancelAction/1/feedback", "GET confirmationBase", "GET installedBase/1"]
    for method, path in (text.split() for text in paths):
        answer = world.ddi(method, f"{DDI}/pos-1/{path}", b"{}" if method != "GET" else None)
        assert (answer.status, answer.body) == (401, b"")


def test_a_token_kind_that_is_switched_off(world):
    path = f"{REST}/system/configs/authentication.gatewaytoken.enabled"
    assert world.rest("PUT", path, {"value": False}).status == 204
    assert world.ddi("GET", f"{DDI}/pos-1").status == 401


def test_first_poll_registers_and_tells_to_send_attributes(world):
    answer = world.ddi("GET", f"{DDI}/pos-9")
    assert answer.json == {
        "config": {"polling": {"sleep": "00:05:00"}},
        "_links": {"configData": {"href": f"{world.center.ddi}/pos-9/configData"}},
    }
    assert answer.headers["content-type"] == "application/hal+json;charset=UTF-8"
    assert world.rest("GET", f"{REST}/targets/pos-9").json["updateStatus"] == "registered"
    again = world.ddi("GET", f"{DDI}/pos-9", If_None_Match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_config_data_link_comes_and_goes(world):
    assert set(world.links()) == {"configData"}
    assert world.ddi("PUT", f"{DDI}/pos-1/configData", {"data": {"serial": "7"}}).status == 200
    assert world.links() == {}
    action = world.assign(world.release("1"))
    world.feedback(action, "closed", "success")
    assert set(world.links()) == {"configData", "installedBase"}


def test_links_are_what_the_client_called_the_host(world):
    answer = world.ddi("GET", f"{DDI}/pos-1", Host="centre.example:81")
    assert answer.json["_links"]["configData"]["href"].startswith("http://centre.example:81/DEFAULT/controller/v1/")


@pytest.mark.parametrize(
    ("body", "status", "after"),
    [
        ({"data": {"b": "2"}}, 200, {"a": "1", "b": "2"}),
        ({"mode": "merge", "data": {"a": None}}, 200, {}),
        ({"mode": "replace", "data": {"b": "2"}}, 200, {"b": "2"}),
        ({"mode": "remove", "data": {"a": ""}}, 200, {}),
        ({"mode": "drop", "data": {}}, 400, {"a": "1"}),
        ({"data": {"a": "x~y"}}, 400, {"a": "1"}),
        ({"data": {"a": "`"}}, 400, {"a": "1"}),
        ({"data": {"a": "纸"}}, 400, {"a": "1"}),
        ({"data": {"k" * 129: ""}}, 400, {"a": "1"}),
        ({"data": {"a": "v" * 128}}, 200, {"a": "v" * 128}),
        ({"data": {f"k{i}": "v" for i in range(100)}}, 429, {"a": "1"}),
        ({"data": []}, 400, {"a": "1"}),
        ([], 400, {"a": "1"}),
    ],
)
def test_attributes(world, body, status, after):
    world.ddi("PUT", f"{DDI}/pos-1/configData", {"data": {"a": "1"}})
    assert world.ddi("PUT", f"{DDI}/pos-1/configData", body).status == status
    found = world.rest("GET", f"{REST}/targets/pos-1/attributes")
    assert (found.json if found.status == 200 else {}) == after
    assert world.ddi("PUT", f"{DDI}/nobody/configData", {"data": {}}).status == 404


def test_deployment_document(world):
    data = b"hello world"
    ds = world.release("1.2.0", data)
    metadata = [{"key": "k", "value": "v", "targetVisible": True}, {"key": "hidden", "value": "x"}]
    assert world.rest("POST", f"{REST}/softwaremodules/1/metadata", metadata).status == 201
    action = world.assign(ds)
    href = f"{world.center.ddi}/pos-1/softwaremodules/1/artifacts/a.bin"
    assert world.ddi("GET", f"{DDI}/pos-1/deploymentBase/{action}").json == {
        "id": "1",
        "deployment": {
            "download": "forced",
            "update": "forced",
            "chunks": [
                {
                    "part": "bApp",
                    "version": "1.2.0",
                    "name": "pos-agent",
                    "artifacts": [
                        {
                            "filename": "a.bin",
                            "hashes": {
                                "sha1": "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed",
                                "md5": "5eb63bbbe01eeed093cb22bb8f5acdc3",
                                "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
                            },
                            "size": 11,
                            "_links": {"download-http": {"href": href}, "md5sum-http": {"href": f"{href}.MD5SUM"}},
                        }
                    ],
                    "metadata": [{"key": "k", "value": "v"}],
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [("soft", ("attempt", "attempt")), ("forced", ("forced", "forced")), ("downloadonly", ("forced", "skip"))],
)
def test_handling_words(world, kind, words):
    action = world.assign(world.release("1"), kind)
    found = world.ddi("GET", f"{DDI}/pos-1/deploymentBase/{action}").json["deployment"]
    assert (found["download"], found["update"]) == words


def test_the_link_changes_when_soft_becomes_forced(world):
    action = world.assign(world.release("1"), "soft")
    before = world.links()["deploymentBase"]
    assert before == world.links()["deploymentBase"]
    path = f"{REST}/targets/pos-1/actions/{action}"
    assert world.rest("PUT", path, {"forceType": "forced"}).json["forceType"] == "forced"
    assert world.links()["deploymentBase"] != before
    assert world.rest("PUT", path, {"forceType": "soft"}).status == 400


def test_a_time_for_force(world):
    action = world.assign(world.release("1"), "timeforced", forcetime=int(world.clock.now * 1000) + 60_000)
    path = f"{DDI}/pos-1/deploymentBase/{action}"
    before = (world.ddi("GET", path).json["deployment"]["update"], world.links()["deploymentBase"])
    world.clock.now += 61
    assert world.ddi("GET", path).json["deployment"]["update"] == "forced"
    assert before[0] == "attempt"
    assert world.links()["deploymentBase"] != before[1]


def test_at_most_one_of_the_three_links(world):
    first = world.assign(world.release("1"))
    assert set(world.links()) == {"deploymentBase", "configData"}
    second = world.assign(world.release("2"))
    links = world.links()
    assert links["cancelAction"] == f"/pos-1/cancelAction/{first}"
    assert not {"deploymentBase", "confirmationBase"} & set(links)
    cancel = world.ddi("GET", f"{DDI}/pos-1/cancelAction/{first}")
    assert cancel.json == {"id": str(first), "cancelAction": {"stopId": str(first)}}
    world.feedback(first, "closed", "success", "cancelAction")
    assert world.links()["deploymentBase"].startswith(f"/pos-1/deploymentBase/{second}?c=")


def test_the_heaviest_active_action_goes_first(world):
    world.assign(world.release("1"), weight=10)
    heavy = world.assign(world.release("2"), weight=500)
    assert world.links()["deploymentBase"].startswith(f"/pos-1/deploymentBase/{heavy}?c=")


def test_what_cannot_be_fetched(world):
    action = world.assign(world.release("1"))
    world.ddi("GET", f"{DDI}/pos-2")
    assert world.ddi("GET", f"{DDI}/pos-2/deploymentBase/{action}").status == 404
    assert world.ddi("GET", f"{DDI}/pos-1/deploymentBase/99").json == {
        "exceptionClass": "org.eclipse.hawkbit.repository.exception.EntityNotFoundException",
        "errorCode": "hawkbit.server.error.repo.entityNotFound",
        "message": "Action with given identifier {99} does not exist.",
        "info": {"type": "Action", "entityId": 99},
    }
    assert world.ddi("GET", f"{DDI}/pos-1/cancelAction/{action}").status == 404
    assert world.ddi("GET", f"{DDI}/pos-1/installedBase/{action}").status == 404
    assert world.ddi("GET", f"{DDI}/pos-1/deploymentBase/x").status == 400
    world.rest("DELETE", f"{REST}/targets/pos-1/actions/{action}")
    assert world.ddi("GET", f"{DDI}/pos-1/deploymentBase/{action}").status == 404


def test_installed_base_after_success(world):
    action = world.assign(world.release("1"))
    world.feedback(action, "closed", "success")
    assert world.links()["installedBase"] == f"/pos-1/installedBase/{action}"
    assert world.ddi("GET", f"{DDI}/pos-1/installedBase/{action}").json["id"] == str(action)


def test_fetching_is_noted_once(world):
    action = world.assign(world.release("1"))
    for _ in range(3):
        world.ddi("GET", f"{DDI}/pos-1/deploymentBase/{action}")
    rows = world.rest("GET", f"{REST}/targets/pos-1/actions/{action}/status").json["content"]
    assert [row["type"] for row in rows] == ["retrieved", "running"]
    text = "Update Server: Target retrieved update action and should start now the download."
    assert rows[0]["messages"] == [text]


def test_action_history_leaves_out_the_servers_own_words(world):
    action = world.assign(world.release("1"))
    world.clock.now += 1
    world.feedback(action, "proceeding", details=["fetching"])
    path = f"{DDI}/pos-1/deploymentBase/{action}"
    assert "actionHistory" not in world.ddi("GET", path).json
    found = world.ddi("GET", f"{path}?actionHistory=-1").json["actionHistory"]
    assert found == {"status": "RETRIEVED", "messages": ["fetching", "Assignment initiated by user 'admin'"]}
    assert world.ddi("GET", f"{path}?actionHistory=1").json["actionHistory"]["messages"] == ["fetching"]


def test_closed_actions_are_gone(world):
    action = world.assign(world.release("1"))
    world.feedback(action, "closed", "success")
    assert world.feedback(action, "closed", "success").status == 410
    assert world.feedback(action, "proceeding").status == 410
    assert world.feedback(99, "proceeding").status == 404
    refused = world.feedback(action, "closed", "success", "cancelAction")
    assert (refused.status, refused.json["errorCode"]) == (405, "hawkbit.server.error.action.notCancelable")


def test_success_wins_the_race_against_cancellation(world):
    action = world.assign(world.release("1"))
    world.rest("DELETE", f"{REST}/targets/pos-1/actions/{action}")
    assert world.feedback(action, "closed", "success").status == 200
    assert world.state(action) == ("finished", "finished", False, "in_sync")
    assert world.ddi("GET", f"{DDI}/pos-1/cancelAction/{action}").status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"status":{}}',
        b'{"status":{"execution":"closed"}}',
        b'{"status":{"execution":"done","result":{"finished":"none"}}}',
        b'{"status":{"execution":"closed","result":{"finished":"yes"}}}',
        b'{"status":{"execution":"closed","result":{"finished":"none"},"details":"x"}}',
        b'{"status":{"execution":"closed","result":{"finished":"none"},"code":"x"}}',
        b'{"timestamp":"now","status":{"execution":"closed","result":{"finished":"none"}}}',
        b'{"timestamp":NaN,"status":{"execution":"closed","result":{"finished":"none"}}}',
        b"[" * 100_000,
    ],
)
def test_feedback_out_of_form(world, body):
    action = world.assign(world.release("1"))
    path = f"{DDI}/pos-1/deploymentBase/{action}/feedback"
    answer = world.ddi("POST", path, body, Content_Type="application/json")
    assert (answer.status, answer.json["errorCode"]) == (400, "hawkbit.server.error.rest.body.notReadable")
    assert world.state(action)[1:3] == ("running", True)
    assert world.ddi("POST", path, body, Content_Type="text/plain").status == 415


def test_feedback_texts(world):
    action = world.assign(world.release("1"))
    world.feedback(action, "proceeding", code=7, details=["x" * 1025])
    world.feedback(action, "rejected")
    rows = world.rest("GET", f"{REST}/targets/pos-1/actions/{action}/status").json["content"]
    assert rows[1]["messages"] == ["x" * 512, "x" * 512, "x", "Device reported status code: 7"]
    assert rows[1]["code"] == 7
    assert rows[0]["messages"] == ["Update Server: Target REJECTED update."]


def test_quota_of_rows_refuses_all_but_final_ones(world):
    action = world.assign(world.release("1"))
    found = world.center.store.actions[action]
    found.rows.extend(found.rows * 998)
    assert world.feedback(action, "proceeding").status == 200
    answer = world.feedback(action, "proceeding")
    assert (answer.status, answer.json["errorCode"]) == (429, "hawkbit.server.error.quota.tooManyEntries")
    assert answer.json["message"] == (
        "Quota exceeded: Cannot assign 1 more ActionStatus entities to Action '1'. The maximum is 1000."
    )
    assert world.feedback(action, "closed", "failure").status == 200
    assert world.state(action)[1] == "error"


def test_quota_of_messages(world):
    action = world.assign(world.release("1"))
    assert world.feedback(action, "proceeding", details=["m"] * 50).status == 200
    assert world.feedback(action, "closed", "success", details=["m"] * 51).status == 429
    assert world.state(action)[2] is True


def test_a_report_dated_before_the_last_install_installs_nothing(world):
    now = int(world.clock.now * 1000)
    first = world.assign(world.release("1"))
    world.feedback(first, "closed", "success", timestamp=now)
    second = world.assign(world.release("2"))
    assert world.feedback(second, "closed", "success", timestamp=now - 1).status == 200
    assert world.state(second) == ("finished", "finished", False, "pending")
    assert world.rest("GET", f"{REST}/targets/pos-1/installedDS").json["version"] == "1"


def test_download_only(world):
    action = world.assign(world.release("1"), "downloadonly")
    world.feedback(action, "downloaded")
    assert world.state(action) == ("downloaded", "downloaded", False, "in_sync")
    assert "configData" in world.links()


def test_after_a_failure_the_device_puts_right_what_is_installed(world):
    one, two = world.release("1"), world.release("2")
    world.feedback(world.assign(one), "closed", "success")
    world.clock.now += 5
    action = world.assign(two)
    path, old = f"{DDI}/pos-1/installedBase", {"name": "pos", "version": "1"}
    assert world.ddi("PUT", path, old).status == 200  # an update is pending: nothing is recorded
    world.feedback(action, "closed", "failure", details=["rolled back"])
    assert world.rest("GET", f"{REST}/targets/pos-1/assignedDS").status == 204
    assert world.ddi("PUT", path, old).status == 201
    assert world.ddi("PUT", path, old).status == 200
    assert world.ddi("PUT", path, {"name": "pos", "version": "9"}).status == 404
    assert world.ddi("PUT", path, {"name": "pos"}).status == 400
    assert world.rest("GET", f"{REST}/targets/pos-1").json["updateStatus"] == "in_sync"
    assert world.rest("GET", f"{REST}/targets/pos-1/installedDS").json["version"] == "1"


# Files


def fetch(world, **headers):
    return world.ddi("GET", f"{DDI}/pos-1/softwaremodules/1/artifacts/a.bin", **headers)


SHA1 = '"' + hashlib.sha1(b"0123456789").hexdigest() + '"'
OLD, NEW = "Tue, 14 Nov 2000 00:00:00 GMT", "Tue, 14 Nov 2045 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "status", "body", "span"),
    [
        ({}, 200, b"0123456789", None),
        ({"Range": "bytes=0-3"}, 206, b"0123", "bytes 0-3/10"),
        ({"Range": "bytes=7-"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=8-100"}, 206, b"89", "bytes 8-9/10"),
        ({"Range": "bytes=-2"}, 206, b"89", "bytes 8-9/10"),
        ({"Range": "bytes=10-"}, 416, b"", "bytes */10"),
        ({"Range": "bytes=5-2"}, 416, b"", "bytes */10"),
        ({"Range": "bytes=-"}, 416, b"", "bytes */10"),
        ({"Range": "lines=1-2"}, 416, b"", "bytes */10"),
        ({"Range": "bytes=0-4,3-6"}, 416, b"", "bytes */10"),
        ({"Range": "bytes=0-3", "If_Range": SHA1}, 206, b"0123", "bytes 0-3/10"),
        ({"Range": "bytes=0-3", "If_Range": '"other"'}, 200, b"0123456789", None),
        ({"Range": "bytes=0-3", "If_Range": OLD}, 200, b"0123456789", None),
        ({"Range": "bytes=0-3", "If_Range": NEW}, 206, b"0123", "bytes 0-3/10"),
        ({"If_Match": '"other"'}, 412, b"", None),
        ({"If_Match": SHA1}, 200, b"0123456789", None),
    ],
)
def test_download(world, headers, status, body, span):
    world.assign(world.release("1", b"0123456789"))
    answer = fetch(world, **headers)
    assert (answer.status, answer.body, answer.headers.get("content-range")) == (status, body, span)
    if status in (200, 206):
        assert answer.headers["etag"] == SHA1
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_several_ranges(world):
    world.assign(world.release("1", b"0123456789"))
    answer = fetch(world, Range="bytes=0-1,8-9")
    kind = "multipart/byteranges; boundary=THIS_STRING_SEPARATES_MULTIPART"
    assert (answer.status, answer.headers["content-type"]) == (206, kind)
    line = b"--THIS_STRING_SEPARATES_MULTIPART"
    head = line + b"\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes "
    assert answer.body == head + b"0-1/10\r\n\r\n01\r\n" + head + b"8-9/10\r\n\r\n89\r\n" + line + b"--"


def test_only_a_whole_download_leaves_a_row(world):
    action = world.assign(world.release("1"))
    fetch(world, Range="bytes=0-3")
    assert world.state(action)[0] == "running"
    fetch(world)
    assert world.state(action)[0] == "download"


def test_files_of_active_actions_only(world):
    action = world.assign(world.release("1", b"0123456789"))
    listing = f"{DDI}/pos-1/softwaremodules/1/artifacts"
    md5 = world.ddi("GET", f"{listing}/a.bin.MD5SUM")
    assert (md5.body, md5.headers["content-type"]) == (b"781e5e245d69b566979b86e28d23f2c7  a.bin", "text/plain;charset=UTF-8")
    assert "etag" not in md5.headers
    assert [item["filename"] for item in world.ddi("GET", listing).json] == ["a.bin"]
    assert world.ddi("GET", f"{listing}/other.bin").status == 404
    world.feedback(action, "closed", "success")
    assert fetch(world).status == 404
    assert world.ddi("GET", listing).status == 200
    world.ddi("GET", f"{DDI}/pos-2")
    assert world.ddi("GET", f"{DDI}/pos-2/softwaremodules/1/artifacts").status == 404


# Confirmation


@pytest.fixture
def asking(world):
    path = f"{REST}/system/configs/user.confirmation.flow.enabled"
    assert world.rest("PUT", path, {"value": True}).status == 204
    return world


def test_confirmation_comes_before_deployment(asking):
    action = asking.assign(asking.release("1"))
    base = f"{DDI}/pos-1/confirmationBase"
    assert asking.links()["confirmationBase"].startswith(f"/pos-1/confirmationBase/{action}?c=")
    assert asking.ddi("GET", f"{DDI}/pos-1/deploymentBase/{action}").status == 404
    assert asking.feedback(action, "proceeding").status == 404
    found = asking.ddi("GET", f"{base}/{action}").json
    assert (found["id"], found["confirmation"]["update"]) == (str(action), "forced")
    assert asking.ddi("POST", f"{base}/{action}/feedback", {"confirmation": "maybe"}).status == 400
    assert asking.ddi("POST", f"{base}/{action}/feedback", {"confirmation": "denied"}).status == 200
    assert "confirmationBase" in asking.links()
    assert asking.ddi("POST", f"{base}/{action}/feedback", {"confirmation": "confirmed"}).status == 200
    assert "deploymentBase" in asking.links()
    assert asking.ddi("GET", f"{base}/{action}").status == 404
    assert asking.ddi("POST", f"{base}/{action}/feedback", {"confirmation": "confirmed"}).status == 404
    asking.feedback(action, "closed", "success")
    assert asking.ddi("POST", f"{base}/{action}/feedback", {"confirmation": "confirmed"}).status == 410


def test_automatic_confirmation(asking):
    base = f"{DDI}/pos-1/confirmationBase"
    href = f"{asking.center.ddi}/pos-1/confirmationBase"
    off = {"autoConfirm": {"active": False}, "_links": {"activateAutoConfirm": {"href": f"{href}/activateAutoConfirm"}}}
    assert asking.ddi("GET", base).json == off
    assert asking.ddi("POST", f"{base}/activateAutoConfirm", {"initiator": "till", "remark": "yes"}).status == 200
    assert asking.ddi("POST", f"{base}/activateAutoConfirm").status == 409
    state = {"active": True, "initiator": "till", "remark": "yes", "activatedAt": 1_700_000_000_000}
    assert asking.ddi("GET", base).json["autoConfirm"] == state
    asking.assign(asking.release("1"))
    assert "deploymentBase" in asking.links()
    assert asking.ddi("POST", f"{base}/deactivateAutoConfirm").status == 200
    assert asking.ddi("GET", base).json == off


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/pos-1", 405),
        ("GET", "/pos-1/configData", 405),
        ("GET", "/pos-1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/pos-1/softwaremodules/1/artifacts/%2e%2e%2fsecret", 404),
    ],
)
def test_paths_that_are_none(world, method, path, status):
    assert world.ddi(method, DDI + path).status == status


def test_media_types(world):
    plain = world.ddi("GET", f"{DDI}/pos-1", Accept="application/json")
    assert plain.headers["content-type"] == "application/json;charset=UTF-8"
    assert world.ddi("GET", f"{DDI}/pos-1", Accept="text/html").status == 406
