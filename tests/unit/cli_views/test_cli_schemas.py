"""The schemas hold the contract's documents, and notice what is missing."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agent.cli import views
from agent.discover import report as discover_report
from agent.discover.place import Place
from agent.discover.sign import Level, Sign
from agent.discover.survey import Surveyed
from agent.doctor import rounds
from agent.doctor.finding import Finding, Outcome
from agent.ports.holders import Holder
from agent.text import Text
from tests.unit.cli_views.documents import RECORDS, SELFTEST, STATUS, UPDATE

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
DOCTOR: dict[str, Any] = rounds.document(
    [Finding("lines", "pos-1/printer", Outcome.WARN, "ports_none", {"port": "/dev/ttyS0"})], "en"
)
DISCOVERED = discover_report.document(
    [
        Surveyed(
            Place("/dev/ttyUSB0", ("/dev/serial/by-id/usb-1",), "ftdi_sio", "daemon", (), ()),
            "daemon",
            daemon={"kind": "printer", "protocol": "escpos", "subject": "pos-1/printer", "identity": {}, "link": "up"}
            | {"baud": 9600, "format": "8N1"},
            signs=[Sign("half_duplex", Level.WARNING, {"times": "3"}, "link.half_duplex")],
        ),
        Surveyed(Place("/dev/ttyS1", (), "", "held", (Holder(7, "cu"),), ()), "held"),
    ],
    [Sign("prober_runs", Level.WARNING, {"name": "ModemManager", "pid": "9"})],
    "zh_CN",
    "pos-2",
)
ENROLLED: dict[str, Any] = {
    "schema": 1,
    "enrolment": {
        "state": "enrolled",
        "reason": "",
        "until": "2027-02-21T16:39:20.000000Z",
        "renew": "2027-01-24T15:34:38.215148Z",
        "merchants": ["merchant-47"],
        "sites": ["shop-17"],
    },
}
READY = {"ready": True, "gateway_token": "t", "user": "admin", "password": "admin"} | dict.fromkeys(
    ("url", "ddi", "management", "otlp", "metadata", "targets"), "http://127.0.0.1:8080"
)
DOCUMENTS: dict[str, dict[str, Any]] = {
    "status": views.enrich(STATUS, "zh_CN"),
    "selftest": views.enrich_selftest(SELFTEST, "en"),
    "update_status": UPDATE,
    "doctor": DOCTOR,
    "discover": DISCOVERED,
    "enroll": ENROLLED,
    "error": views.failure_document("no_daemon", "no daemon", "", Text("en")),
    "journal_record": {"schema": 1, "records": RECORDS},
    "center": READY,
    "bundle": {"schema": 1, "file": "/tmp/x", "bytes": 9, "entries": [{"name": "status.json", "bytes": 1, "missing": ""}]},
    "journal_export": {"schema": 1, "chain": "c", "file": "/tmp/x", "records": 0},
}
FREE = {"components", "behind", "readings", "devices", "identity", "statistics", "evidence", "body"}  # keys here are names
OPTIONAL = {"times", "quality", "held_by"}


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def required_keys(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            in_fault = key in OPTIONAL and "faults" in path
            if not (path and path[-1] in FREE) and not in_fault and key != "held_by":
                yield (*path, key)
            yield from required_keys(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from required_keys(inner, (*path, index))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_fits_and_every_missing_key_is_noticed(name: str) -> None:
    check, document = validator(name), DOCUMENTS[name]
    assert list(check.iter_errors(document)) == []
    paths = list(required_keys(document))
    assert len(paths) >= 4
    for path in paths:
        lacking = copy.deepcopy(document)
        place: Any = lacking
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        assert not check.is_valid(lacking), path


@pytest.mark.parametrize("name", sorted(path.stem for path in SCHEMAS.glob("*.json")))
def test_every_schema_has_a_document_here(name: str) -> None:
    assert name in DOCUMENTS


def test_words_outside_the_contract_are_noticed() -> None:
    odd = copy.deepcopy(DOCUMENTS["status"])
    odd["terminals"][0]["can_take_money"] = "maybe"
    odd["terminals"][0]["reasons"] = ["paper_end"]
    odd["host"]["components"]["till-app"]["state"] = "failed"
    odd["terminals"][0]["devices"]["printer"]["readings"]["paper"]["quality"] = "old"
    assert len(list(validator("status").iter_errors(odd))) == 4


def test_a_configuration_error_fits_too() -> None:
    schema = validator("error")
    mistake = {"line": 1, "key": "host", "code": "missing", "what": "a", "why": "b", "remedy": "c"}
    body = {"code": "config", "message": "m", "remedy": "r", "mistakes": [mistake]}
    assert schema.is_valid({"schema": 1, "error": body})
    assert not schema.is_valid({"schema": 1, "error": body | {"mistakes": [{}]}})
