"""``posagent status``: what the daemon knows now."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from agent.cli import views
from agent.cli.context import Context
from agent.control import ask_owner
from agent.health.catalogue import severity_of

LIMIT_S = 10.0


def run(context: Context, arguments: Namespace) -> int:
    """0 healthy, 1 a fault, 3 unknown (or no daemon)."""
    del arguments
    document = views.enrich(ask_owner(context.paths.socket, {"do": "status"}, LIMIT_S), context.text.lang)
    context.answer(document, lambda: views.status(document, context.text, context.style))
    return exit_code(document)


def exit_code(document: Mapping[str, Any]) -> int:
    """A fault beats an unknown, as in a self-test; warnings alone are healthy, and so is what is only remembered."""
    answers = {till["can_take_money"] for till in document["terminals"]}
    devices = [d for till in document["terminals"] for d in till["devices"].values()]
    faults = [f for part in (document["host"], *devices) for f in part["faults"] if f["quality"] == "known"]
    if "no" in answers or any(_grave(f) for f in faults):
        return 1
    return 3 if "unknown" in answers else 0


def _grave(fault: Mapping[str, Any]) -> bool:
    return fault["severity"] in ("error", "critical") and not severity_of(fault["id"]).unknown
