"""The merchant is warned before an update starts that could not wait for proof of an idle till.

posagent has no screen there. So the site names a command (``[update] notice_command``): it gets one more argument, the warning
in the till's language, and shows it as the site likes: a box on the till's screen, a slip, a bell. The update starts
``notice_s`` seconds after the command has ended. A command that fails or hangs is recorded and changes nothing of that:
it neither stops an update for ever nor lets it start early. A warning counts for NOTICE_HOLDS_S; after that a new one is given.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.text import Text
from firmware.confirm import Outcome, confirm
from firmware.state import Deployment

log = logging.getLogger(__name__)

COMMAND_LIMIT_S = 10.0
NOTICE_HOLDS_S = 900.0
KIND = "update.notice"
Record = Callable[[Mapping[str, object]], object]


def _run(argv: Sequence[str]) -> Outcome:
    """Bounded by COMMAND_LIMIT_S, a short environment, nothing of it left behind (firmware.confirm)."""
    return confirm(Path("/"), argv, timeout_s=COMMAND_LIMIT_S, site=True)


@dataclass(frozen=True, slots=True)
class _Given:
    deployment: str
    starts: float


class Notices:
    """The warning of the one deployment that is under way. Belongs to the update's thread."""

    def __init__(
        self,
        command: Sequence[str],
        notice_s: float,
        lang: str,
        now: Callable[[], float],
        record: Record,
        run: Callable[[Sequence[str]], Outcome] = _run,
    ) -> None:
        """``notice_s``: seconds from the warning to the start; none without a ``command``, since then nobody is told.

        ``now`` is monotonic; ``record`` puts a body into the journal.
        """
        self._command, self._lang = tuple(command), lang
        self.notice_s = notice_s if command else 0.0
        self._now, self._record, self._run = now, record, run
        self._given: _Given | None = None

    def starts_in_s(self) -> float | None:
        """Seconds until what was warned of may start; None where nothing was, or the time is over. Any thread may ask."""
        given = self._given
        left_s = given.starts - self._now() if given is not None else 0.0
        return left_s if left_s > 0 else None

    def left_s(self, deployment: Deployment) -> float:
        """Seconds until the update may start, 0 when it may; gives the warning where there is none that counts."""
        given = self._given
        if given is None or given.deployment != deployment.id or self._now() > given.starts + NOTICE_HOLDS_S:
            given = self._given = self._give(deployment)
        return max(0.0, given.starts - self._now())

    def _give(self, deployment: Deployment) -> _Given:
        why = ""
        if self._command:
            seconds = math.ceil(self.notice_s)
            words = Text(self._lang).t("notice.update", what=f"{deployment.component} {deployment.version}", seconds=seconds)
            done = self._run((*self._command, words))
            why = "" if done.healthy else done.reason
            if why:
                log.warning("the merchant could not be warned of an update: %s", why)
        self._record(
            {
                "deployment": deployment.id,
                "component": deployment.component,
                "version": deployment.version,
                "told": bool(self._command) and not why,
                "seconds": self.notice_s,
                "reason": why,
            }
        )
        return _Given(deployment.id, self._now() + self.notice_s)
