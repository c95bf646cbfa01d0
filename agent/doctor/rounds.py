"""The doctor's round: every topic in the order in which one stands on the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.doctor import configuration, enrolment, lines, machine_health, network, programs, rights, service
from agent.doctor.finding import Finding, result_of
from agent.doctor.machine import Machine
from agent.enrolment.duty import stored_identity
from agent.paths import Paths
from agent.ports.holders import holders
from agent.redact import redact
from agent.text import Text


def examine(paths: Paths, config_path: Path, clock: Clock, machine: Machine) -> list[Finding]:
    """All findings. Changes nothing, opens no port; bounded by some seconds for each address in the configuration."""
    config, findings = configuration.read(config_path)
    findings += programs.look(machine)
    findings += rights.look(paths, machine)
    findings += machine_health.disk(paths, clock)
    findings += machine_health.clock(paths, clock, machine)
    findings += service.look(paths, machine)
    findings += lines.look(config, machine, _owner(paths))
    if config is not None:
        findings += enrolment.look(config, paths, clock)
        findings += network.look(config, clock, machine.environ, lambda: stored_identity(paths))
    return findings


def _owner(paths: Paths) -> int | None:
    """The process that holds the lock of the state folder: the daemon, whose ports are its own."""
    return next((holder.pid for holder in holders(str(paths.lock))), None)


def document(findings: Sequence[Finding], lang: str) -> dict[str, Any]:
    """``doctor --json``: each finding with its sentence and remedy in ``lang``, swept for card data."""
    text = Text(lang)
    return {"schema": 1, "result": result_of(findings), "checks": [_check(finding, text) for finding in findings]}


def _check(finding: Finding, text: Text) -> dict[str, Any]:
    values = {name: redact(value) for name, value in finding.values.items()}
    if finding.said:
        sentence, remedy = (redact(words) for words in finding.said[text.lang])
    else:
        sentence = text.t(f"doctor.{finding.code}", **values)
        remedy = text.t(f"doctor.{finding.code}.remedy", **values) if text.has(f"doctor.{finding.code}.remedy") else ""
    return {
        "topic": finding.topic,
        "subject": redact(finding.subject),
        "outcome": finding.outcome.value,
        "code": finding.code,
        "text": sentence,
        "remedy": remedy,
        "evidence": values,
    }
