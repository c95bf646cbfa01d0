"""The Management API: the sequence of facts/updates.md, its documents, and what it refuses."""

import pytest

REST = "/rest/v1"
T = 1_700_000_000_000
MADE = {"createdBy": "admin", "createdAt": T, "lastModifiedBy": "admin", "lastModifiedAt": T}


def test_target_document(world):
    href = f"{world.center.management}/targets/pos-1"
    assert world.rest("GET", f"{REST}/targets/pos-1").json == {
        **MADE,
        "name": "pos-1",
        "controllerId": "pos-1",
        "updateStatus": "unknown",
        "securityToken": "secret",
        "requestAttributes": True,
        "_links": {
            "self": {"href": href},
            "assignedDS": {"href": f"{href}/assignedDS"},
            "installedDS": {"href": f"{href}/installedDS"},
            "attributes": {"href": f"{href}/attributes"},
            "actions": {"href": f"{href}/actions?offset=0&limit=50&sort=id%3ADESC"},
            "metadata": {"href": f"{href}/metadata"},
        },
    }


def test_release_documents(world):
    base = world.center.management
    sm = {"name": "pos-agent", "version": "1.2.0", "type": "application"}
    module = {
        **MADE,
        **sm,
        "id": 1,
        "typeName": "Application",
        "encrypted": False,
        "locked": False,
        "deleted": False,
        "complete": True,
        "_links": {"self": {"href": f"{base}/softwaremodules/1"}},
    }
    answer = world.rest("POST", f"{REST}/softwaremodules", [sm])
    assert (answer.status, answer.json) == (201, [module])
    answer = world.upload(1, "a.bin", b"hello world")
    href = f"{base}/softwaremodules/1/artifacts/1"
    artifact = {
        **MADE,
        "id": 1,
        "hashes": {
            "sha1": "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed",
            "md5": "5eb63bbbe01eeed093cb22bb8f5acdc3",
            "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
        },
        "providedFilename": "a.bin",
        "size": 11,
        "_links": {"self": {"href": href}},
    }
    links = {"self": {"href": href}, "download": {"href": f"{href}/download"}}
    assert (answer.status, answer.json) == (201, artifact | {"_links": links})
    assert world.rest("GET", f"{REST}/softwaremodules/1/artifacts").json == [artifact], "a list is shorter"
    assert world.rest("GET", f"{REST}/softwaremodules/1/artifacts/1").json == answer.json
    assert world.rest("GET", f"{REST}/softwaremodules/1/artifacts/1/download").body == b"hello world"
    ds = {"name": "pos", "version": "1.2.0", "type": "app", "modules": [{"id": 1}]}
    answer = world.rest("POST", f"{REST}/distributionsets", [ds])
    assert (answer.status, answer.json) == (
        201,
        [
            {
                **MADE,
                "name": "pos",
                "version": "1.2.0",
                "type": "app",
                "id": 1,
                "typeName": "App(s) only",
                "locked": False,
                "deleted": False,
                "valid": True,
                "requiredMigrationStep": False,
                "complete": True,
                "modules": [module],
                "_links": {"self": {"href": f"{base}/distributionsets/1"}},
            }
        ],
    )
    alone = world.rest("GET", f"{REST}/distributionsets/1").json
    assert set(alone["_links"]) == {"self", "modules", "metadata", "type"}


def test_assignment_document(world):
    ds = world.release("1")
    path = f"{REST}/distributionsets/{ds}/assignedTargets"
    href = f"{world.center.management}/targets/pos-1/actions/1"
    wanted = [{"id": "pos-1", "type": "soft"}, {"id": "nobody"}]
    made = {"id": 1, "_links": {"self": {"href": href}}}
    first = {"alreadyAssigned": 0, "assignedActions": [made], "assigned": 1, "total": 1}
    assert world.rest("POST", path, wanted).json == first
    again = {"alreadyAssigned": 1, "assignedActions": [], "assigned": 0, "total": 1}
    assert world.rest("POST", path, wanted).json == again
    assert world.rest("GET", path).json["content"][0]["controllerId"] == "pos-1"


def test_action_documents(world):
    action = world.assign(world.release("1"), "soft")
    href = f"{world.center.management}/targets/pos-1/actions/{action}"
    short = {
        **MADE,
        "id": action,
        "type": "update",
        "active": True,
        "status": "running",
        "forceType": "soft",
        "weight": 1000,
        "_links": {"self": {"href": href}},
    }
    listed = {"content": [short], "total": 1, "size": 1}
    assert world.rest("GET", f"{REST}/targets/pos-1/actions").json == listed
    assert world.rest("GET", f"{REST}/actions").json == listed
    full = world.rest("GET", f"{REST}/actions/{action}").json
    assert full["_links"]["distributionset"]["name"] == "pos:1"
    assert full["_links"]["target"] == {"href": f"{world.center.management}/targets/pos-1", "name": "pos-1"}
    world.rest("DELETE", f"{REST}/targets/pos-1/actions/{action}")
    found = world.rest("GET", f"{REST}/targets/pos-1/actions/{action}").json
    assert (found["type"], found["status"], found["active"]) == ("cancel", "canceling", True)
    rows = world.rest("GET", f"{REST}/targets/pos-1/actions/{action}/status").json
    row = {"type": "canceling", "messages": ["Update Server: manual cancelation requested"], "timestamp": T}
    assert rows["content"][0] == {**row, "id": 2, "reportedAt": T}


def test_cancel_then_force(world):
    action = world.assign(world.release("1"))
    path = f"{REST}/targets/pos-1/actions/{action}"
    steps = [("?force=true", 405), ("", 204), ("", 405), ("?force=true", 204), ("?force=true", 405), ("", 405)]
    assert [world.rest("DELETE", path + query).status for query, _ in steps] == [status for _, status in steps]
    assert world.state(action) == ("canceled", "canceled", False, "in_sync")
    world.rest("POST", f"{REST}/targets", [{"controllerId": "pos-2"}])
    assert world.rest("DELETE", f"{REST}/targets/pos-2/actions/{action}").status == 404
    assert world.rest("DELETE", f"{REST}/targets/pos-1/actions/77").status == 404


def test_a_new_assignment_cancels_the_older_one(world):
    first = world.assign(world.release("1"))
    second = world.assign(world.release("2"))
    states = {a["id"]: a["status"] for a in world.rest("GET", f"{REST}/targets/pos-1/actions").json["content"]}
    assert states == {first: "canceling", second: "running"}
    world.feedback(first, "closed", "success", "cancelAction")
    assert world.rest("GET", f"{REST}/targets/pos-1/assignedDS").json["version"] == "2"


def test_assignment_through_the_target_and_offline(world):
    one, two = world.release("1"), world.release("2")
    path = f"{REST}/targets/pos-1/assignedDS"
    assert world.rest("POST", f"{path}?offline=true", {"id": one}).json["assigned"] == 1
    assert world.rest("GET", f"{REST}/targets/pos-1/installedDS").json["id"] == one
    assert world.state(1) == ("finished", "finished", False, "in_sync")
    assert world.rest("POST", path, {"id": two, "type": "forced"}).json["assigned"] == 1
    assert world.rest("POST", path, {"id": 99}).status == 404
    assert world.rest("POST", f"{REST}/targets/nobody/assignedDS", {"id": two}).status == 404
    assert world.rest("GET", path).json["id"] == two


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("targets", [{"controllerId": "pos-1"}]),
        ("targets", [{"controllerId": "new"}, {"controllerId": "new"}]),
        ("softwaremodules", [{"name": "pos-agent", "version": "1", "type": "application"}]),
        ("distributionsets", [{"name": "pos", "version": "1", "type": "app", "modules": []}]),
    ],
)
def test_duplicates(world, path, body):
    world.release("1")
    answer = world.rest("POST", f"{REST}/{path}", body)
    assert (answer.status, answer.json) == (
        409,
        {
            "exceptionClass": "org.eclipse.hawkbit.repository.exception.EntityAlreadyExistsException",
            "errorCode": "hawkbit.server.error.repo.entityAlreadyExists",
            "message": "The given entity already exists in database",
        },
    )
    assert world.rest("GET", f"{REST}/targets/new").status == 404


def test_a_second_file_of_the_same_name(world):
    world.release("1")
    assert world.upload(1, "a.bin", b"other").status == 409


@pytest.mark.parametrize(("path", "kind"), [("softwaremodules", "application"), ("distributionsets", "app")])
def test_all_of_a_list_is_made_or_none(world, path, kind):
    wanted = [{"name": "n", "version": version, "type": kind} for version in ("1", "2", "1")]
    assert world.rest("POST", f"{REST}/{path}", wanted).status == 409
    assert world.rest("GET", f"{REST}/{path}").json["total"] == 0
    assert world.rest("POST", f"{REST}/{path}", wanted[:2]).status == 201
    assert world.rest("GET", f"{REST}/{path}?q=version==2").json["total"] == 1


def test_what_was_assigned_is_locked(world):
    ds = world.release("1")
    world.assign(ds)
    assert world.upload(1, "b.bin", b"x").status == 423
    assert world.rest("DELETE", f"{REST}/softwaremodules/1/artifacts/1").status == 423
    answer = world.rest("POST", f"{REST}/distributionsets/{ds}/assignedSM", [{"id": 1}])
    assert (answer.status, answer.json["errorCode"]) == (423, "hawkbit.server.error.locked")
    assert world.rest("GET", f"{REST}/softwaremodules/1").json["locked"] is True
    assert world.rest("GET", f"{REST}/distributionsets/{ds}").json["locked"] is True


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "targets", [{"name": "x"}], 400, "repo.constraintViolation"),
        ("POST", "targets", [{"controllerId": 7}], 400, "rest.body.notReadable"),
        ("POST", "targets", [{"controllerId": "x" * 257}], 400, "repo.constraintViolation"),
        ("POST", "targets", {"controllerId": "x"}, 400, "rest.body.notReadable"),
        ("POST", "targets", b"{", 415, None),
        ("POST", "softwaremodules", [{"name": "a", "version": "1", "type": "rom"}], 404, "repo.entityNotFound"),
        ("POST", "distributionsets", [{"name": "a", "version": "1", "type": "app", "modules": [{"id": 9}]}], 404, None),
        ("POST", "distributionsets", [{"name": "a", "version": "1", "type": "os", "modules": [{"id": 1}]}], 400, None),
        ("POST", "distributionsets/2/assignedTargets", [{"id": "pos-1"}], 400, "distributionset.incomplete"),
        ("POST", "distributionsets/9/assignedTargets", [{"id": "pos-1"}], 404, "repo.entityNotFound"),
        ("POST", "distributionsets/1/assignedTargets", [{"id": "pos-1", "type": "hard"}], 400, None),
        ("POST", "distributionsets/1/assignedTargets", [{"id": "pos-1", "weight": 1001}], 400, None),
        ("GET", "targets?q=name=", None, 400, "rest.param.rsqlParamSyntax"),
        ("GET", "targets?q=colour==red", None, 400, "rest.param.rsqlInvalidField"),
        ("GET", "targets?sort=colour:ASC", None, 400, "rest.param.invalidField"),
        ("GET", "targets?limit=x", None, 400, "rest.body.notReadable"),
        ("GET", "system/configs/nothing", None, 400, "configKeyInvalid"),
        ("PUT", "system/configs/pollingTime", {"value": "00:00:29"}, 400, "configValueInvalid"),
        ("PUT", "system/configs/pollingTime", {"value": 60}, 400, "configValueInvalid"),
        ("GET", "nothing", None, 404, None),
        ("PATCH", "targets", None, 405, None),
        ("GET", "targets/nobody", None, 404, "repo.entityNotFound"),
    ],
)
def test_refusals(world, method, path, body, status, code):
    world.release("1")
    world.rest("POST", f"{REST}/distributionsets", [{"name": "empty", "version": "1", "type": "app"}])
    answer = world.rest(method, f"{REST}/{path}", body)
    assert answer.status == status
    if code:
        assert answer.json["errorCode"] == f"hawkbit.server.error.{code}"
    assert world.rest("GET", f"{REST}/actions").json["total"] == 0


@pytest.mark.parametrize("auth", ["", "Basic YWRtaW46d3Jvbmc=", "GatewayToken admin", "Basic"])
def test_only_the_user(world, auth):
    world.rest.auth = auth
    for method, path in [("GET", "targets"), ("POST", "targets"), ("GET", "nothing")]:
        answer = world.rest(method, f"{REST}/{path}")
        assert (answer.status, answer.body) == (401, b"")
        assert answer.headers["www-authenticate"] == 'Basic realm="hawkBit"'


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["pos-1", "t0", "t1", "t2"]),
        ("?limit=2", ["pos-1", "t0"]),
        ("?offset=3&limit=2", ["t2"]),
        ("?sort=controllerId:DESC&limit=1", ["t2"]),
        ("?q=name==t1", ["t1"]),
        ("?q=name==t*;controllerId!=t1", ["t0", "t2"]),
        ("?q=name==%22t2%22%20and%20name==t*", ["t2"]),
        ("?q=name==nobody", []),
    ],
)
def test_pages(world, query, names):
    world.rest("POST", f"{REST}/targets", [{"controllerId": f"t{i}"} for i in range(3)])
    page = world.rest("GET", f"{REST}/targets{query}").json
    assert [item["controllerId"] for item in page["content"]] == names
    assert page["size"] == len(names)
    assert page["total"] == (4 if "q=" not in query else len(names))


@pytest.mark.parametrize(
    ("name", "data", "query", "status"),
    [
        ("a.bin", b"x", "?sha256sum=" + "0" * 64, 400),
        ("a.bin", b"x", "?md5sum=9dd4e461268c8034f5c8564e155c67a6", 201),
        ("a.bin", b"\r\n--XY\r\n\x00", "", 201),
        ("a.bin", b"x", "?filename=b.bin", 201),
        ("a/b", b"x", "", 201),
        ("../a", b"x", "", 201),
        ("a<i>b", b"x", "", 400),
        ("a" * 257, b"x", "", 400),
        ("", b"x", "", 400),
        ("a.bin", b"", "", 400),
    ],
)
def test_uploads(world, name, data, query, status):
    world.rest("POST", f"{REST}/softwaremodules", [{"name": "n", "version": "1", "type": "os"}])
    assert world.upload(1, name, data, query).status == status
    if status == 201:
        assert world.rest("GET", f"{REST}/softwaremodules/1/artifacts/1/download").body == data
        assert world.rest("DELETE", f"{REST}/softwaremodules/1/artifacts/1").status == 204
    assert world.rest("GET", f"{REST}/softwaremodules/1/artifacts").json == []


def test_upload_that_is_no_upload(world):
    world.release("1")
    path = f"{REST}/softwaremodules/1/artifacts"
    assert world.rest("POST", path, b"x", Content_Type="application/octet-stream").status == 415
    assert world.rest("POST", path, b"x", Content_Type="multipart/form-data; boundary=YY").status == 400


def test_settings(world):
    path = f"{REST}/system/configs/pollingTime"
    href = f"{world.center.management}/system/configs/pollingTime"
    links = {"_links": {"self": {"href": href}}}
    assert world.rest("GET", path).json == {"value": "00:05:00", "global": True, **links}
    assert world.rest("PUT", path, {"value": "00:00:30~10%"}).status == 204
    assert world.rest("GET", f"{REST}/system/configs").json["pollingTime"]["global"] is False
    assert world.ddi("GET", "/DEFAULT/controller/v1/pos-1").json["config"]["polling"]["sleep"] == "00:00:30"
    assert world.rest("DELETE", path).status == 204
    assert world.ddi("GET", "/DEFAULT/controller/v1/pos-1").json["config"]["polling"]["sleep"] == "00:05:00"


def test_target_is_changed_and_deleted(world):
    path = f"{REST}/targets/pos-1"
    assert world.rest("PUT", path, {"name": "till", "securityToken": "new"}).json["name"] == "till"
    assert world.rest("PUT", path, {"requestAttributes": False}).status == 400
    world.assign(world.release("1"))
    assert world.rest("DELETE", path).status == 204
    assert world.rest("GET", path).status == 404
    assert world.rest("GET", f"{REST}/actions").json["total"] == 0


def test_metadata(world):
    world.release("1")
    path = f"{REST}/softwaremodules/1/metadata"
    item = {"key": "k", "value": "v", "targetVisible": True}
    assert world.rest("POST", path, [item]).status == 201
    assert world.rest("GET", path).json == {"content": [item], "total": 1, "size": 1}


def test_a_file_name_is_taken_whatever_its_letters_case(world):
    world.rest("POST", f"{REST}/softwaremodules", [{"name": "n", "version": "1", "type": "os"}])
    assert world.upload(1, "a.bin", b"x").status == 201
    again = world.upload(1, "A.BIN", b"y")
    assert (again.status, again.json["message"]) == (409, "File with that name already exists in the Software Module")


def test_a_target_that_came_by_itself_says_so(world):
    world.ddi("GET", "/DEFAULT/controller/v1/pos-9")
    found = world.rest("GET", f"{REST}/targets/pos-9").json
    assert (found["createdBy"], found["ipAddress"]) == ("CONTROLLER_PLUG_AND_PLAY", "127.0.0.1")


def test_a_row_without_a_text_has_a_null(world):
    action = world.assign(world.release("1"))
    world.rest("DELETE", f"{REST}/targets/pos-1/actions/{action}")
    assert world.feedback(action, "proceeding", kind="cancelAction").status == 200
    rows = world.rest("GET", f"{REST}/targets/pos-1/actions/{action}/status?limit=1").json["content"]
    assert rows[0]["messages"] == [None]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("00:00:29", "smaller then minimum polling interval"),
        ("now", "Invalid pollingInterval: 'now', expecting"),
    ],
)
def test_a_refused_polling_time_is_explained(world, value, says):
    answer = world.rest("PUT", f"{REST}/system/configs/pollingTime", {"value": value})
    assert (answer.status, answer.json["errorCode"]) == (400, "hawkbit.server.error.configValueInvalid")
    assert says in answer.json["message"]
