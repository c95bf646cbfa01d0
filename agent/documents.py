"""The JSON documents of the contract, from the owner's state. Built in the owner's thread; texts are added by the command."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.health.conditions import conditions
from agent.health.faults import Fault
from agent.owner import Owner, fault_body
from agent.ports.holders import holders
from agent.ports.kernelcounts import kernel_counts
from agent.till import Till, WatchedDevice

Doc = dict[str, Any]
SCHEMA = 1


def status_document(
    owner: Owner,
    host_id: str,
    center: Mapping[str, Any],
    components: Mapping[str, Any],
    enrolment: Mapping[str, Any] | None = None,
) -> Doc:
    """``posagent status --json``; ``enrolment`` stands there where one is asked for, or was."""
    more = {} if enrolment is None else {"enrolment": dict(enrolment)}
    return {
        "schema": SCHEMA,
        "host": {
            "id": host_id,
            "components": dict(components),
            "center": dict(center),
            **more,
            "faults": [_fault(f"{host_id}", f) for f in owner.host.faults()],
        },
        "terminals": [_till(owner, till) for till in owner.tills],
    }


def _till(owner: Owner, till: Till) -> Doc:
    verdict = till.judge(owner.host_need)
    return {
        "id": till.id,
        "can_take_money": verdict.answer,
        "reasons": list(verdict.reasons),
        "checked": list(verdict.checked),
        "devices": {kind: _device(owner, f"{till.id}/{kind}", device) for kind, device in till.devices.items()},
    }


def _device(owner: Owner, subject: str, device: WatchedDevice) -> Doc:
    health = device.health
    faults = owner.grouping.incidents(subject, health.faults(), owner.host.faults)
    document: Doc = {
        "state": health.state().value,
        "mode": device.config.mode,
        "protocol": device.config.protocol,
        "port": _shown_port(device.config.port),
        "link": health.link.value,
        "identity": dict(health.identity),
        "readings": {
            name: {"value": r.value, "quality": r.quality.value, "since": r.since} for name, r in health.all_readings().items()
        },
        "statistics": health.counts.all(owner.moment().mono),
        "counted_by_device": health.counts.told_by_device(),
        "faults": [_fault(subject, f) for f in faults],
    }
    if health.profile is not None:
        document["profile"] = {"name": health.profile.name, "title": health.profile.title, "can": dict(health.abilities)}
    document["conditions"] = list(conditions(health))
    if parts := health.wear_parts():
        from agent.health.wear import document as wear_document  # loaded already, by the device that counts

        document["wear"] = wear_document(parts, owner.moment().wall)
    if device.config.mode == "passive":
        document["held_by"] = [str(h) for h in holders(device.config.port)]
        if (counts := kernel_counts(device.config.port)) is not None:
            document["line_errors"] = counts
    return document


def _shown_port(port: str) -> str:
    scheme, mark, rest = port.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if mark else port


def _fault(subject: str, fault: Fault) -> Doc:
    body = fault_body(subject, fault)
    return {
        "id": body["id"],
        "severity": body["severity"],
        "since": body["since"],
        "incident": body["incident"],
        "times": body["times"],
        "quality": "stale" if fault.stale else "known",
        "evidence": body["evidence"],
    }


def update_document(found: Mapping[str, Any]) -> Doc:
    """``posagent update status --json``, of what `agent.updating.Updating.report` gives.

    ``hold`` stands there while updates are held, ``notice`` while the merchant is warned of one that starts soon, ``last`` where
    a deployment has ended.
    """
    document: Doc = {"schema": SCHEMA, "components": dict(found["components"]), "deployment": found["deployment"]}
    document["behind"] = dict(found.get("behind") or {})
    return document | {name: found[name] for name in ("hold", "notice", "last") if found.get(name)}


def selftest_document(level: str, terminals: Sequence[Mapping[str, Any]]) -> Doc:
    """``posagent selftest --json``: a fault beats an unknown, an unknown beats all that passed."""
    outcomes = {check["outcome"] for terminal in terminals for check in terminal["checks"]}
    result = "fault" if "fail" in outcomes else "unknown" if "unknown" in outcomes or not outcomes else "ok"
    return {"schema": SCHEMA, "result": result, "level": level, "terminals": [dict(t) for t in terminals]}
