"""What hawkBit wishes of an action, beyond the names: how urgent, in which window, for download alone.

On the wire there are two words, ``download`` and ``update``. ``update: skip`` has two meanings: outside of the centre's own
maintenance window nothing may be installed *now*, and a download-only action has nothing installed at all. They are told apart
by the window: while it is shut nobody knows which of both it is, so such an action waits for the window whole.
"""

from collections.abc import Callable
from typing import Final

from firmware.interfaces import GateAnswer
from firmware.state import Deployment, Wanted
from protocols.center import ddi

SKIP = "skip"
OUTSIDE = "the centre's maintenance window"


def of_action(deployment: ddi.Deployment) -> Deployment:
    """The deployment that the action asks for."""
    action = deployment.action_id
    return Deployment(
        f"hawkbit-{action}",
        action,
        tuple(Wanted(chunk.name, chunk.version) for chunk in deployment.chunks),
        forced=deployment.forced,
        download_only=deployment.update == SKIP,
        window=deployment.window_open is not None,
    )


POLLS: Final = 3
"""So many polls may be missed until a window that was open counts as shut: its end is not told ahead."""
SPARE_S: Final = 60.0


class CenterWindow:
    """hawkBit's maintenance window, as it was told last. Fails closed: what was not heard since the start is shut, and what
    was heard so long ago that it may have ended meanwhile. ``now`` is monotonic."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._open_for, self._known_until = now, "", 0.0

    def polled(self, sleep_s: float) -> None:
        """The centre has answered: what it said of its window holds for the next polls."""
        self._known_until = self._now() + POLLS * sleep_s + SPARE_S

    def heard(self, deployment: ddi.Deployment) -> bool:
        """Take in what the centre says of an action; False: nothing of it can be done now, and its link changes when it can."""
        self._open_for = deployment.action_id if deployment.window_open else ""
        return deployment.window_open is not False and deployment.download != SKIP

    def before(self, gate: Callable[[Deployment], GateAnswer]) -> Callable[[Deployment], GateAnswer]:
        """``gate`` for what has no such window, or whose window is open."""

        def answer(wanted: Deployment) -> GateAnswer:
            shut = wanted.window and (wanted.action_id != self._open_for or self._now() >= self._known_until)
            return GateAnswer(open=False, waiting_for=OUTSIDE) if shut else gate(wanted)

        return answer
