"""State rules of hawkBit 1.0.x as tables: what a device's feedback does to its action.

Source: facts/updates.md section 2, and the server's own DdiRootController, JpaControllerManagement
and JpaActionManagement (release 1.0.4).
"""

from enum import Enum
from typing import NamedTuple

SERVER = "Update Server: "
"""Prefix of the messages that the server itself writes into an action's history."""


class Effect(Enum):
    """What a status row does to the action and its target."""

    NONE = "information only"
    FAIL = "action closed, target error, assigned set cleared"
    FINISH = "action closed, installed set put, target in sync, attributes requested"
    DOWNLOADED = "closes a download-only action, otherwise information"
    CANCEL = "action closed as cancelled, target back to what is installed"
    RESUME = "cancellation refused: the action runs again"


class Rule(NamedTuple):
    """One row of a table: the stored status, its effect and the messages added."""

    status: str
    effect: Effect
    if_silent: str = ""
    always: str = ""


EXECUTIONS = (
    "closed",
    "proceeding",
    "canceled",
    "scheduled",
    "rejected",
    "resumed",
    "downloaded",
    "download",
)
RESULTS = ("success", "failure", "none")

_FINISH = Rule("finished", Effect.FINISH, "Target reported CLOSED with OK!")
DEPLOYMENT: dict[tuple[str, str], Rule] = {
    ("closed", "success"): _FINISH,
    ("closed", "none"): _FINISH,
    ("closed", "failure"): Rule("error", Effect.FAIL, "Target reported CLOSED with ERROR!"),
}
_DEPLOYMENT_ANY: dict[str, Rule] = {
    "canceled": Rule("canceled", Effect.NONE, "Target confirmed cancellation."),
    "rejected": Rule("warning", Effect.NONE, "Target REJECTED update"),
    "download": Rule("download", Effect.NONE, "Target confirmed download start"),
    "downloaded": Rule("downloaded", Effect.DOWNLOADED, "Target confirmed download finished"),
    "proceeding": Rule("running", Effect.NONE, "Target reported PROCEEDING"),
    "scheduled": Rule("running", Effect.NONE, "Target reported SCHEDULED"),
    "resumed": Rule("running", Effect.NONE, "Target reported RESUMED"),
}
DEPLOYMENT |= {(execution, result): rule for execution, rule in _DEPLOYMENT_ANY.items() for result in RESULTS}

_CANCELLED = Rule("canceled", Effect.CANCEL, "Cancellation confirmed")
CANCEL: dict[tuple[str, str], Rule] = {
    ("closed", "success"): _CANCELLED,
    ("closed", "none"): _CANCELLED,
    ("closed", "failure"): Rule("error", Effect.RESUME, "Target was not able to complete cancellation"),
}
_CANCEL_ANY: dict[str, Rule] = {
    "rejected": Rule("cancel_rejected", Effect.RESUME, always="Target rejected the cancellation request."),
    "canceled": Rule("warning", Effect.NONE, always="Target reported cancel for a cancel which is not supported by the server."),
} | {execution: Rule("running", Effect.NONE) for execution in EXECUTIONS[1:] if execution not in ("rejected", "canceled")}
CANCEL |= {(execution, result): rule for execution, rule in _CANCEL_ANY.items() for result in RESULTS}

FINAL_ROWS = frozenset({"finished", "error"})
"""Rows that the quota of rows never refuses."""

HANDLING: dict[str, tuple[str, str]] = {
    "soft": ("attempt", "attempt"),
    "forced": ("forced", "forced"),
    "downloadonly": ("forced", "skip"),
}
"""Action type → (download, update) on the wire; ``timeforced`` is soft until its time, forced from then."""

PARTS = {"application": "bApp", "runtime": "jvm"}
"""Module types with another name on the wire."""

SET_TYPES: dict[str, tuple[str, frozenset[str], frozenset[str]]] = {
    "app": ("App(s) only", frozenset({"application"}), frozenset({"application"})),
    "os": ("OS only", frozenset({"os"}), frozenset({"os"})),
    "os_app": ("OS with app(s)", frozenset({"os"}), frozenset({"os", "application"})),
}
"""Type of a distribution set → (its name, mandatory module types, allowed module types)."""

MODULE_TYPES = {"application": "Application", "os": "OS"}
"""In the order of hawkBit's own numbers, from 1; so are the set types."""

MAX_ROWS = 1000
MAX_MESSAGES = 50
MAX_MESSAGE = 512
MAX_ACTIONS = 2000
MAX_ATTRIBUTES = 100
MAX_ATTRIBUTE = 128
MAX_CONTROLLER_ID = 256
MAX_FILENAME = 256
MAX_HISTORY = 100
MAX_ARTIFACT = 64 << 20
MAX_STORAGE = 512 << 20
DEFAULT_WEIGHT = 1000

QUOTA_CODE = "hawkbit.server.error.quota.tooManyEntries"
