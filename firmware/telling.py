"""What the engine tells of a deployment: the record of a step, and where it stands. Pure."""

from collections.abc import Mapping
from typing import Any

from firmware.flow import BACK_TEXT, FINAL, MEANING, State
from firmware.interfaces import UpdateRecord
from firmware.state import Component, Progress, way_back


def record_of(progress: Progress) -> UpdateRecord:
    """The record of the state that the deployment is in."""
    wanted, meaning, canceled = progress.deployment, MEANING[progress.state], progress.state is State.CANCELED
    text = BACK_TEXT.get(progress.state, meaning.text) if wanted.back else meaning.text
    return UpdateRecord(
        key=f"{wanted.id}/{progress.state}",
        deployment_id=wanted.id,
        action_id=wanted.action_id,
        component=wanted.component,
        version=wanted.version,
        items=wanted.items,
        state=progress.state.value,
        word=meaning.word,
        execution=meaning.execution or "",
        finished=meaning.finished or "",
        final=progress.state in FINAL,
        code=progress.code,
        reason=progress.reason or text,
        answers_cancel=canceled,
        back=wanted.back,
        stick=bool(wanted.bundle),
    )


def component_standing(name: str, seen: Component, progress: Progress | None) -> dict[str, Any]:
    """One entry of ``components`` (architecture.md, contract). ``ready``, where there is one: what was brought ahead of time."""
    told = {"version": seen.version, "previous": way_back(name, seen, progress), "state": seen.state}
    return {**told, "ready": seen.ready} if seen.ready else told


def standing(progress: Progress, arrived: Mapping[str, int], waiting_for: str) -> dict[str, Any]:
    """``deployment`` of ``update status --json``. ``arrived``: component → bytes that lie here."""
    wanted = progress.deployment
    needed = {name: facts.get("archive", {}) for name, facts in progress.facts.items() if not facts.get("brought")}
    lengths = {name: int(archive.get("length", 0)) for name, archive in needed.items()}
    missing = sum(max(0, length - arrived.get(name, 0)) for name, length in lengths.items())
    fetching = progress.state in (State.VERIFYING, State.FETCHING)
    return {
        "id": wanted.id,
        "action_id": wanted.action_id,
        "component": wanted.component,
        "version": wanted.version,
        "state": MEANING[progress.state].word,
        "step": progress.state.value,
        "rollback": wanted.back,
        "stick": bool(wanted.bundle),
        "download_only": wanted.download_only,
        "waiting_for": waiting_for or None,
        "bytes_missing": missing if fetching else 0,
        "bytes_total": sum(lengths.values()),
        "code": progress.code or None,
        "reason": progress.reason or None,
    }
