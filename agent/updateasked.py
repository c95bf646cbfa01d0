"""What a person asks of updates, over the socket or with no daemon: words of the protocol to calls of ``Updating``."""

from collections.abc import Mapping
from typing import Any

from agent.clock import from_rfc3339
from agent.errors import AgentError, UsageError
from agent.updating import Updating
from firmware.errors import FirmwareError


def answer_update(updating: Updating, words: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a person asks over the socket. Raises AgentError (UsageError for words that this version does not know)."""
    try:
        match words:
            case "update.rollback":
                return {"deployment": updating.rollback(str(request.get("component", "")))}
            case "update.install":
                path, component, version = (str(request.get(word, "")) for word in ("path", "component", "version"))
                return {"deployment": updating.install(path, component, version, request.get("descriptor"))}
            case "update.receipt":
                return {"receipt": updating.receipt(str(request.get("deployment", "")))}
            case "update.outcome":
                return dict(updating.outcome(str(request.get("deployment", ""))))
            case "update.time":
                return dict(updating.time())
            case "update.confirm_time":
                return dict(updating.confirm_time(from_rfc3339(str(request.get("seen", "")))))
            case "update.hold":
                return dict(updating.hold(str(request.get("until", ""))))
            case "update.release":
                return {"released": updating.release()}
    except FirmwareError as error:
        raise AgentError(str(error), code=error.code) from None
    raise UsageError(f"the daemon does not know {words!r}", remedy="use a posagent of the same version")
