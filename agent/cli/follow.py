"""Waiting for the end of an update, and showing a person where it is: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.cli.context import Context
from agent.cli.screen import emit, pad, style_for, width
from agent.cli.views.reasons import named, size, step_word, waiting_for
from agent.errors import NotAvailable

FOLLOW_S = 1200.0
"""A probation lasts ten minutes at most, and a health check half a minute a try."""
POLL_S = 0.2
AWAY_S = 90.0
"""So long may the daemon be away between two answers: an update of posagent itself starts it anew, after a pause at worst."""
AWAY = ("no_daemon", "no_answer")
BAR = 24
_ORDER = ("received", "verifying", "fetching", "staging", "waiting", "checking_before", "switching", "probation", "committing")

Doc = dict[str, Any]
Ask = Callable[..., Doc]


def follow(context: Context, deployment: str, ask: Ask) -> Mapping[str, Any]:
    """``{"state", "code", "reason", …}`` of a deployment's end. Raises NotAvailable (timeout) while there is none."""
    limit, shown = time.monotonic() + FOLLOW_S, _Shown(context)
    heard = time.monotonic()
    try:
        while time.monotonic() < limit:
            try:
                found = ask("update.outcome", deployment=deployment)
            except NotAvailable as error:
                if error.code not in AWAY or time.monotonic() - heard > AWAY_S:
                    raise
                time.sleep(POLL_S)
                continue
            heard = time.monotonic()
            if found["ended"] is not None:
                return dict(found["ended"])
            shown.show(found["status"]["deployment"] or {})
            time.sleep(POLL_S)
    finally:
        shown.end()
    raise NotAvailable("the update is still under way", code="timeout", remedy="posagent update status tells how it ends")


class _Shown:
    """What stands on stderr. Nothing with ``--json``."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bar = sys.stderr.isatty()
        self._columns = style_for(sys.stderr, {}).width - 1
        self._last = ""

    def show(self, running: Mapping[str, Any]) -> None:
        step = str(running.get("step") or "")
        if self._context.as_json or not step:
            return
        text = self._context.text
        said = f"{named(running)}{text.t('punctuation.colon')}{step_word(running, text)}"
        if running.get("waiting_for"):
            said += " · " + text.t("update.waiting_for", what=waiting_for(running["waiting_for"], text))
        if self._bar and running.get("bytes_missing"):
            said += " · " + text.t("update.missing", size=size(running["bytes_missing"]))
        if self._bar:
            done = round(BAR * share(running))
            said = f"[{'█' * done}{'·' * (BAR - done)}] {said}"
            while width(said) > self._columns:
                said = said[:-1]
            sys.stderr.write(f"\r{pad(said, self._columns)}")
            sys.stderr.flush()
        elif said != self._last:
            emit(sys.stderr, said)
        self._last = said

    def end(self) -> None:
        """Leave the screen clean for the answer."""
        if self._bar and self._last:
            sys.stderr.write("\r" + " " * self._columns + "\r")
            sys.stderr.flush()


def share(running: Mapping[str, Any]) -> float:
    """How far an update is, 0 to 1: by its steps, and within the download by bytes. A way back goes backwards."""
    step = running.get("step")
    if step not in _ORDER:
        return 0.0
    total, missing = running.get("bytes_total") or 0, running.get("bytes_missing") or 0
    within = 1 - missing / total if step == "fetching" and total else 0.0
    return (_ORDER.index(step) + within) / len(_ORDER)
