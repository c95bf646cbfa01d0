"""Documents as the contract has them, for the views and for the schemas."""

from typing import Any


def fault(fault_id: str, severity: str = "error", **more: Any) -> dict[str, Any]:
    return {
        "id": fault_id,
        "severity": severity,
        "since": "2026-11-23T10:00:05.123Z",
        "incident": "7f3a",
        "evidence": {"paper": "end", "cover": "closed"},
        "times": 1,
        "quality": "known",
        **more,
    }


def reading(value: str, quality: str = "known") -> dict[str, Any]:
    return {"value": value, "quality": quality, "since": "2026-11-23T09:00:00.000Z"}


COMPONENTS = {"till-app": {"version": "1.1", "previous": "1.0", "state": "committed"}}

PRINTER: dict[str, Any] = {
    "state": "failed",
    "mode": "owned",
    "identity": {"maker": "EPSON", "model": "TM-T88VI", "serial": "J4TF000001", "firmware": "30.05"},
    "readings": {
        "online": reading("no"),
        "cover": reading("closed"),
        "paper": reading("end"),
        "cutter": reading("ok"),
        "auto_recoverable": reading("no"),
        "drawer": reading("high"),
    },
    "statistics": {"ReceiptCoverOpenCount": 2},
    "faults": [fault("printer.paper_end")],
}
READER: dict[str, Any] = {
    "state": "unknown",
    "mode": "passive",
    "identity": {},
    "readings": {"card": reading("absent", "stale")},
    "statistics": {},
    "faults": [],
    "held_by": ["paysrv (412)\x1b[2J"],
}


def till(answer: str, reasons: list[str], name: str = "pos-1", **devices: Any) -> dict[str, Any]:
    return {
        "id": name,
        "can_take_money": answer,
        "reasons": reasons,
        "checked": ["printer", "reader"],
        "devices": {"printer": PRINTER, "reader": READER} | devices,
    }


def status(*tills: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "host": {
            "id": "pos-1",
            "components": COMPONENTS,
            "center": {"reachable": True, "last_report": "2026-11-23T10:00:06.000Z", "backlog": 3},
            "faults": [],
        },
        "terminals": list(tills),
    }


STATUS = status(till("no", ["printer.paper_end"]))

SELFTEST: dict[str, Any] = {
    "schema": 1,
    "result": "fault",
    "level": "external",
    "terminals": [
        {
            "id": "pos-1",
            "checks": [
                {
                    "id": name,
                    "device": name.partition(".")[0],
                    "outcome": outcome,
                    "fault": found,
                    "text": text,
                    "took_s": took_s,
                }
                for name, outcome, found, text, took_s in (
                    ("printer.line", "pass", None, "selftest.line_ok", 0.412),
                    ("printer.state", "fail", "printer.cutter_jam", "fault.printer.cutter_jam", 0.412),
                    ("printer.slip", "unknown", None, "selftest.print_unknown", 3.2),
                    ("reader.line", "skip", None, "selftest.passive", 0.0),
                )
            ],
        }
    ],
}

UPDATE: dict[str, Any] = {
    "schema": 1,
    "components": COMPONENTS,
    "deployment": {
        "component": "till-app",
        "version": "1.2",
        "state": "waiting",
        "waiting_for": "proof of idle",
        "bytes_missing": 1234567,
        "code": None,
        "reason": None,
    },
    "behind": {
        "till-app": {"quality": "known", "versions": 2, "days": 12, "newest": "1.3", "as_of": "2026-11-23T10:00:00Z"},
    },
}


def _record(seq: int, kind: str, severity: str, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "seq": seq,
        "id": f"00000000-0000-4000-8000-{seq:012}",
        "boot": "b",
        "wall": "2026-11-23T10:00:05.123Z",
        "mono": 1.5,
        "kind": kind,
        "severity": severity,
        "subject": subject,
        "body": body,
        "hash": "0" * 64,
        "prev": "1" * 64,
    }


_VERDICT = {"can_take_money": "no", "reasons": ["printer.paper_end", "link.unplugged"]}
_BACK = {"component": "till-app", "version": "1.2", "reason": "the release's own check failed: exit 1"}
RECORDS = [
    _record(1, "agent.started", "info", "host", {}),
    _record(2, "device.identified", "info", "pos-1/printer", {"maker": "EPSON", "model": "TM-T88VI", "swapped": False}),
    _record(3, "fault.raised", "error", "pos-1/printer", {"id": "printer.paper_end"}),
    _record(4, "verdict.changed", "info", "pos-1", _VERDICT),
    _record(5, "device.state", "info", "pos-1/printer", {"before": "ok", "after": "failed"}),
    _record(6, "fault.cleared", "info", "pos-1/printer", {"id": "printer.paper_end"}),
    _record(7, "card.moved", "info", "pos-1/reader", {"what": "inserted"}),
    _record(8, "update.rolled_back", "warning", "host", _BACK),
    _record(9, "update.committed", "info", "host", {"component": "till-app", "version": "1.1", "reason": ""}),
]

VERDICT: dict[str, Any] = {
    "schema": 1,
    "ok": True,
    "chain": "c",
    "records": 812,
    "first": 1,
    "head": {"seq": 812, "hash": "ab" * 32},
    "problems": [],
    "signature": "valid",
    "pruned_to": 0,
    "proven_to": 812,
}
