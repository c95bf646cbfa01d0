"""What is said about the state of a line, once per change."""

from collections.abc import Callable

from agent.observations import LinkChanged, LinkState, Observation


class LinkTeller:
    """The present state; a speed that was found is told anew each time, with its evidence."""

    def __init__(self, tell: Callable[[Observation], None]) -> None:
        self._tell = tell
        self._state: LinkState | None = None

    def up(self, configured: int, baud: int) -> None:
        """The device answers at ``baud``."""
        if baud == configured:
            self.tell(LinkState.UP, {"baud": str(baud)})
        else:
            self.tell(LinkState.BAUD_MISMATCH, {"configured_baud": str(configured), "found_baud": str(baud)})

    def tell(self, state: LinkState, detail: dict[str, str], heard: int = 0) -> None:
        """``heard`` bytes that made no sense make a silent line a garbled one."""
        if state is LinkState.SILENT and heard:
            state = LinkState.GARBLED
        if self._state is not state or state in (LinkState.UP, LinkState.BAUD_MISMATCH):
            self._state = state
            self._tell(LinkChanged(state, detail))
