"""The document of ``posagent discover --json``: each port with its words in one language, swept for card data."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.discover.sign import Sign, result_of
from agent.discover.signs import shape
from agent.discover.survey import Surveyed
from agent.redact import redact
from agent.text import Text


def document(ports: Sequence[Surveyed], machine: Sequence[Sign], lang: str, till: str) -> dict[str, Any]:
    """``till`` is the id that a snippet proposes for a new till."""
    text = Text(lang)
    levels = [sign.level for port in ports for sign in port.signs] + [sign.level for sign in machine]
    return {
        "schema": 1,
        "result": result_of(levels),
        "ports": [_port(port, text, till) for port in ports],
        "findings": [_finding(sign, text) for sign in machine],
    }


def _port(port: Surveyed, text: Text, till: str) -> dict[str, Any]:
    device = _device(port)
    return {
        "path": port.place.path,
        "names": list(port.place.names),
        "driver": port.place.driver,
        "state": port.state,
        "configured": port.owner.subject if port.owner is not None else port.daemon.get("subject"),
        "holders": [{"pid": holder.pid, "name": redact(holder.name)} for holder in port.place.holders],
        "device": device,
        "settings": _settings(port),
        "findings": [_finding(sign, text) for sign in port.signs],
        "snippet": _snippet(port, device, till),
    }


def _device(port: Surveyed) -> dict[str, Any] | None:
    if port.daemon:
        identity = {name: redact(str(value)) for name, value in port.daemon.get("identity", {}).items()}
        kind, protocol = str(port.daemon["kind"]), str(port.daemon["protocol"])
        up = port.daemon.get("link") in ("up", "baud_mismatch")
        known = port.daemon.get("profile", {}).get("name")
        return _described(kind, protocol, identity, known) if up else None
    if port.found is None or port.found.protocol is None or port.found.heard is None:
        return None
    identity = {name: redact(value) for name, value in port.found.heard.identity.items()}
    spoken, profile = port.found.protocol, None
    if spoken.abilities:
        from protocols.profiles import choose

        profile = choose(port.found.heard.identity, protocol=spoken.name).name
    return _described(spoken.kind, spoken.name, identity, profile)


def _described(kind: str, protocol: str, identity: Mapping[str, str], profile: str | None) -> dict[str, Any]:
    device = {"kind": kind, "protocol": protocol, "identity": dict(identity)}
    return device | {"profile": profile} if profile else device


def _settings(port: Surveyed) -> dict[str, Any] | None:
    if port.found is not None and port.found.heard is not None and port.found.protocol is not None:
        line = port.found.heard.settings
        return {"baud": line.baud, "format": shape(line)}
    if port.daemon.get("baud") and port.daemon.get("link") in ("up", "baud_mismatch"):
        return {"baud": port.daemon["baud"], "format": port.daemon["format"]}
    return None


def _finding(sign: Sign, text: Text) -> dict[str, Any]:
    values = {name: redact(value) for name, value in sign.values.items()}
    return {
        "code": sign.code,
        "level": sign.level.value,
        "fault": sign.fault or None,
        "text": _sentence(sign, values, text),
        "remedy": _remedy(sign, values, text),
        "evidence": values,
    }


def _sentence(sign: Sign, values: Mapping[str, str], text: Text) -> str:
    if sign.code == "daemon_fault":
        from agent.health import catalogue

        return catalogue.text(sign.fault, text.lang).title
    return text.t(f"discover.{sign.code}", **values)


def _remedy(sign: Sign, values: Mapping[str, str], text: Text) -> str:
    if sign.code == "daemon_fault":
        from agent.health import catalogue

        return catalogue.text(sign.fault, text.lang).remedy
    key = f"discover.{sign.code}.remedy"
    return text.t(key, **values) if text.has(key) else ""


def _snippet(port: Surveyed, device: Mapping[str, Any] | None, till: str) -> str | None:
    """What to write into agent.toml; None where no device is known, or one that posagent cannot speak to as it is set."""
    settings = _settings(port)
    if device is None or settings is None or settings["format"][:2] != "8N":
        return None
    best = next((name for name in (*port.place.names, port.place.path) if "/by-id/" in name), None)
    path = best or next(iter(port.place.names), port.place.path)
    till = port.owner.subject.partition("/")[0] if port.owner is not None else till
    mode = "owned" if device["kind"] == "printer" else "passive"
    lines = ["[[terminal]]", f"id = {_quoted(till)}", f"[terminal.{device['kind']}]"]
    lines += [f"port = {_quoted(path)}", f"protocol = {_quoted(device['protocol'])}", f"baud = {settings['baud']}"]
    return "\n".join([*lines, f"mode = {_quoted(mode)}", ""])


def _quoted(word: str) -> str:
    """A TOML basic string: JSON's escapes are among those it knows (TOML 1.0, String)."""
    return json.dumps(word, ensure_ascii=False)
