"""What the state on disk says about updates while nobody runs the engine."""

from datetime import datetime
from pathlib import Path
from typing import Any

from firmware.behind import behind
from firmware.flow import MEANING
from firmware.state import Past, StateFile
from firmware.telling import component_standing


def status_from_disk(path: Path, now: datetime | None = None, trust_home: Path | None = None) -> dict[str, Any]:
    """``components`` and ``deployment`` as the engine's ``status`` gives them, ``behind`` (firmware.behind) and ``last``.

    ``trust_home`` is where floor and trusted metadata lie, beside ``path`` unless told. ``now`` is aware; None where the
    clock cannot be right. Raises StateError, InstallFailed.
    """
    state = StateFile(path)
    state.look()
    components = {name: component_standing(name, seen, None) for name, seen in sorted(state.components.items())}
    told = {name: one.document() for name, one in behind(trust_home or path.parent, state.components, now).items()}
    progress = state.progress
    last = {name: getattr(state.history[-1], name) for name in Past.__dataclass_fields__} if state.history else None
    found: dict[str, Any] = {"components": components, "deployment": None, "behind": told, "last": last}
    if progress is None:
        return found
    wanted = progress.deployment
    return {
        **found,
        "deployment": {
            "id": wanted.id,
            "action_id": wanted.action_id,
            "component": wanted.component,
            "version": wanted.version,
            "state": MEANING[progress.state].word,
            "step": progress.state.value,
            "rollback": wanted.back,
            "stick": bool(wanted.bundle),
            "download_only": wanted.download_only,
            "waiting_for": "posagent run",
            "bytes_missing": 0,
            "code": progress.code or None,
            "reason": progress.reason or None,
        },
    }
