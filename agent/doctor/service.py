"""The daemon: does it run, does it answer, may I ask it, does the system start it?"""

import shutil
import subprocess
from collections.abc import Iterator

from agent.control import ask_owner
from agent.doctor.finding import Finding, Outcome
from agent.doctor.machine import Machine
from agent.errors import AgentError
from agent.paths import Paths

TOPIC = "service"
UNIT = "posagent.service"
ANSWER_S = 8.0
SYSTEMCTL_S = 5.0
_CODES = {
    "no_daemon": (Outcome.WARN, "daemon_none"),
    "no_answer": (Outcome.FAIL, "daemon_stuck"),
    "no_permission": (Outcome.WARN, "daemon_forbidden"),
}


def look(paths: Paths, machine: Machine) -> Iterator[Finding]:
    """The control socket, then systemd's unit."""
    yield _daemon(paths)
    if (machine.root / "run/systemd/system").is_dir():
        yield _unit()


def _daemon(paths: Paths) -> Finding:
    subject = "posagent"
    try:
        document = ask_owner(paths.socket, {"do": "status"}, ANSWER_S)
    except AgentError as error:
        outcome, code = _CODES.get(error.code, (Outcome.FAIL, "daemon_refuses"))
        return Finding(TOPIC, subject, outcome, code, {"why": str(error), "path": str(paths.socket)})
    return Finding(TOPIC, subject, Outcome.PASS, "daemon_answers", {"tills": str(len(document["terminals"]))})


def _unit() -> Finding:
    program = shutil.which("systemctl")
    if program is None:
        return Finding(TOPIC, UNIT, Outcome.SKIP, "unit_unseen")
    words = [program, "show", UNIT, "--property=LoadState,ActiveState,UnitFileState,NRestarts,Result"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return Finding(TOPIC, UNIT, Outcome.UNKNOWN, "unit_unseen")
    return judge_unit(dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line))


def judge_unit(seen: dict[str, str]) -> Finding:
    """What ``systemctl show`` said of the unit."""
    if not seen:
        return Finding(TOPIC, UNIT, Outcome.UNKNOWN, "unit_unseen")
    if seen.get("LoadState") != "loaded":
        return Finding(TOPIC, UNIT, Outcome.WARN, "unit_missing")
    restarts = seen.get("NRestarts", "0")
    values = {"state": seen.get("ActiveState", "?"), "restarts": restarts, "result": seen.get("Result", "?")}
    if values["state"] == "failed":
        return Finding(TOPIC, UNIT, Outcome.FAIL, "unit_failed", values)
    if seen.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        return Finding(TOPIC, UNIT, Outcome.WARN, "unit_disabled", values)
    if restarts.isdigit() and int(restarts) > 0:
        return Finding(TOPIC, UNIT, Outcome.WARN, "unit_restarts", values)
    return Finding(TOPIC, UNIT, Outcome.PASS, "unit_good", values)
