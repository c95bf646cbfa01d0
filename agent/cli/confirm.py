"""``posagent update confirm-time``: shows what the clock says and what was signed last, and asks whether it is right."""

import sys
from typing import Any, TextIO

from agent.cli.context import Context
from agent.cli.follow import Ask
from agent.cli.interview import YES
from agent.cli.screen import emit
from agent.cli.views.marks import last_line
from agent.clock import from_rfc3339
from agent.errors import AgentError, UsageError
from agent.text import Text


def confirm_time(context: Context, ask: Ask, *, yes: bool, source: TextIO | None = None, screen: TextIO | None = None) -> int:
    """0 confirmed; 1 it lies before the last signed time, or the person said no; 2 nobody can be asked.

    The question goes to ``screen`` (stderr), so that stdout stays one document; the answer comes from ``source`` (stdin).
    """
    source, screen = source or sys.stdin, screen or sys.stderr
    facts = ask("update.time")
    if not yes:
        _ask_person(facts, context.text, source, screen)
    found = ask("update.confirm_time", seen=facts["shows"])
    document = {**ask("update.status"), "clock": found}
    context.answer(document, lambda: "\n".join(_said(found, context)))
    return 0


def _ask_person(facts: dict[str, Any], text: Text, source: TextIO, screen: TextIO) -> None:
    if not source.isatty():
        raise UsageError("nobody can be asked here", code="nobody_to_ask", remedy="posagent update confirm-time --yes")
    signed = text.t("clock.signed", time=_local(facts["signed"])) if facts["signed"] else text.t("clock.never_signed")
    for line in (text.t("clock.shows", time=_local(facts["shows"])), signed, text.t("clock.ask")):
        emit(screen, line)
    if source.readline().strip().lower() not in YES:
        refused = AgentError("the time was not confirmed", code="not_confirmed", remedy="set the clock right first")
        refused.exit_code = 1
        raise refused


def _said(found: dict[str, Any], context: Context) -> list[str]:
    text = context.text
    if found["wrong"]:
        return last_line("unknown", text.t("clock.still_wrong"), context.style, str(found["wrong"]))
    meaning = text.t("clock.holds") if found["was_wrong"] else text.t("clock.no_doubt")
    return last_line("ok", text.t("clock.confirmed", time=_local(found["shows"])), context.style, meaning)


def _local(moment: str) -> str:
    """In the till's own time zone, as on the wall of the shop."""
    return f"{from_rfc3339(moment).astimezone():%Y-%m-%d %H:%M:%S %z}"
