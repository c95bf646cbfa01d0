"""hawkBit's documents against literal text: what is read, what is refused, what we write."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from protocols.center import ddi
from protocols.errors import LocalProtocolError, RemoteProtocolError
from tests.unit.protocols.feeding import name, vectors

PARSERS: dict[str, Callable[[bytes], Any]] = {
    "poll": ddi.parse_poll,
    "deployment": ddi.parse_deployment,
    "cancel": ddi.parse_cancel,
}
BUILDERS: dict[str, Callable[..., dict[str, Any]]] = {"feedback": ddi.feedback, "config_data": ddi.config_data}
IN = vectors("ddi", "in")


def plain(value: Any) -> Any:
    """As JSON would show it: tuples as lists."""
    return json.loads(json.dumps(dataclasses.asdict(value)))


@pytest.mark.parametrize("vector", IN, ids=name)
def test_documents_are_read(vector: dict[str, Any]) -> None:
    assert plain(PARSERS[vector["parser"]](vector["text"].encode())) == vector["expected"]


@pytest.mark.parametrize("vector", vectors("ddi", "out"), ids=name)
def test_bodies_are_written(vector: dict[str, Any]) -> None:
    assert BUILDERS[vector["builder"]](**vector["arguments"]) == json.loads(vector["text"])


@pytest.mark.parametrize("vector", IN, ids=name)
def test_every_cut_is_refused(vector: dict[str, Any]) -> None:
    whole = vector["text"].encode()
    for length in range(len(whole)):
        with pytest.raises(RemoteProtocolError):
            PARSERS[vector["parser"]](whole[:length])


HOSTILE = [
    b"",
    b"<html><body>Bad Gateway</body></html>",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe{}",
    b'{"id":NaN}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"id":' + b"9" * 5000 + b"}",
    b"{" + b" " * (2 << 20) + b"}",
]


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_document(parser: Callable[[bytes], Any], body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parser(body)
    assert len(str(caught.value)) < 200


def altered(parser: str, *path: str | int, to: Any) -> bytes:
    document = json.loads(next(v for v in IN if v["parser"] == parser)["text"])
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return json.dumps(document).encode()


LINK = ("_links", "deploymentBase", "href")
ARTIFACT = ("deployment", "chunks", 0, "artifacts", 0)
BAD = [
    ("poll", ("config",), []),
    ("poll", ("config", "polling"), "x"),
    ("poll", ("config", "polling", "sleep"), 30),
    ("poll", ("config", "polling", "sleep"), "00:00:60"),
    ("poll", ("config", "polling", "sleep"), "0:00:30"),
    ("poll", ("config", "polling", "sleep"), "00:05:00~10%"),
    ("poll", ("config", "polling", "sleep"), "٠٠:٠٥:٠٠"),
    ("poll", ("_links",), 1),
    ("poll", ("_links", "deploymentBase"), "x"),
    ("poll", LINK, None),
    ("poll", LINK, ""),
    ("poll", LINK, "file:///etc/passwd/8"),
    ("poll", LINK, "//host/8"),
    ("poll", LINK, "https:///8"),
    ("poll", LINK, "https://[::1/8"),
    ("poll", LINK, "https://host:99999/8"),
    ("poll", LINK, "https://host/"),
    ("poll", LINK, "https://host/a b"),
    ("poll", LINK, "https://host/8\r\nX-Evil: 1"),
    ("poll", LINK, "https://host/..%2f8"),
    ("poll", LINK, "https://host/.."),
    ("poll", LINK, "https://höst/8"),
    ("poll", LINK, "https://host/" + "8" * 65),
    ("poll", LINK, "https://host/" + "8" * 3000),
    ("deployment", ("id",), None),
    ("deployment", ("id",), True),
    ("deployment", ("id",), -1),
    ("deployment", ("id",), "../8"),
    ("deployment", ("deployment",), None),
    ("deployment", ("deployment", "download"), "soft"),
    ("deployment", ("deployment", "update"), ["forced"]),
    ("deployment", ("deployment", "chunks"), {}),
    ("deployment", ("deployment", "chunks"), [1]),
    ("deployment", ("deployment", "chunks"), [{}] * 65),
    ("deployment", ("deployment", "chunks", 0, "name"), "\ud800"),
    ("deployment", ("deployment", "chunks", 0, "version"), "1" * 257),
    ("deployment", ("deployment", "chunks", 0, "metadata"), [{"key": "", "value": "x"}]),
    ("deployment", (*ARTIFACT, "size"), -1),
    ("deployment", (*ARTIFACT, "size"), 1.5),
    ("deployment", (*ARTIFACT, "size"), True),
    ("deployment", (*ARTIFACT, "size"), 1 << 50),
    ("deployment", (*ARTIFACT, "filename"), ""),
    ("deployment", (*ARTIFACT, "_links", "download", "href"), "ftp://host/a"),
    ("cancel", ("cancelAction",), "11"),
    ("cancel", ("cancelAction", "stopId"), ""),
]


@pytest.mark.parametrize(("parser", "path", "to"), BAD)
def test_one_wrong_member(parser: str, path: tuple[str | int, ...], to: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        PARSERS[parser](altered(parser, *path, to=to))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:30", 30.0), ("01:02:03", 3723.0), ("00:00:00", 1.0), ("99:59:59", 86399.0), ("24:00:00", 86399.0)],
)
def test_sleep_is_kept_within_bounds(text: str, seconds: float) -> None:
    assert ddi.parse_sleep(text) == seconds


def test_a_poll_without_a_sleep_waits_as_hawkbit_s_default() -> None:
    assert ddi.parse_poll(b"{}").sleep_s == 300.0


def test_numbers_are_taken_as_ids() -> None:
    assert ddi.parse_cancel(b'{"id":11,"cancelAction":{"stopId":11}}') == ddi.Cancel("11", "11")


def test_forced_is_about_the_update() -> None:
    assert not ddi.parse_deployment(altered("deployment", "deployment", "update", to="skip")).forced
    assert ddi.parse_deployment(altered("deployment", "deployment", "update", to="forced")).forced


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"exceptionClass":"x","errorCode":"hawkbit.server.error.quota.tooManyEntries"}', ddi.QUOTA_ERROR),
        (b"{}", None),
        (b"<html>", None),
        (b'{"errorCode":7}', None),
    ],
)
def test_error_codes(body: bytes, code: str | None) -> None:
    assert ddi.error_code(body) == code


@pytest.mark.parametrize(("execution", "finished"), [("canceled", "none"), ("", "none"), ("closed", "ok")])
def test_words_that_would_hang_an_action_are_never_sent(execution: str, finished: str) -> None:
    with pytest.raises(LocalProtocolError):
        ddi.feedback(execution, finished)


def test_feedback_details_are_bounded_and_the_last_ones_kept() -> None:
    details = ddi.feedback("proceeding", details=[f"{i} {'x' * 600}" for i in range(60)])["status"]["details"]
    assert len(details) == 50
    assert details[-1].startswith("59 ")
    assert {len(d) for d in details} == {512}


def test_feedback_details_are_one_line_each() -> None:
    assert ddi.feedback("closed", "failure", ["a\nb\x00c 缺纸"])["status"]["details"] == ["a b c 缺纸"]


def test_attributes_are_cut_to_what_hawkbit_takes() -> None:
    data = ddi.config_data({"k" * 200: "v" * 200})["data"]
    assert data == {"k" * 128: "v" * 128}


@pytest.mark.parametrize(
    ("attributes", "mode"),
    [
        ({"": "x"}, "merge"),
        ({"a": None}, "replace"),
        ({"a": "x"}, "add"),
        ({"~": "1", "`": "2"}, "merge"),
        ({str(i): "x" for i in range(101)}, "merge"),
    ],
)
def test_attributes_that_cannot_be_sent(attributes: dict[str, str | None], mode: str) -> None:
    with pytest.raises(LocalProtocolError):
        ddi.config_data(attributes, mode)
