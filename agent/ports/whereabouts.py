"""Where the configured line is now: under another name since it was plugged in again, or behind a server that is down. Pure."""

from agent.observations import LineFinding

RENAMED, SERVER = "link.renamed", "link.server_down"


class Whereabouts:
    """One line's. ``configured`` is the path or URL of the configuration."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._told: set[str] = set()

    def opened(self, path: str) -> list[LineFinding]:
        """The line was opened under ``path``."""
        renamed = path != self._configured
        return self._now(RENAMED, {"configured": self._configured, "now": path} if renamed else None) + self._now(SERVER, None)

    def lost(self, why: str) -> list[LineFinding]:
        """It cannot be opened, or went away. A URL may carry a password: only its kind is told."""
        scheme, mark, _ = self._configured.partition("://")
        return self._now(SERVER, {"kind": scheme, "why": why} if mark else None)

    def _now(self, fault: str, evidence: dict[str, str] | None) -> list[LineFinding]:
        if evidence is not None and fault not in self._told:
            self._told.add(fault)
            return [LineFinding(fault, True, evidence)]
        if evidence is None and fault in self._told:
            self._told.discard(fault)
            return [LineFinding(fault, False)]
        return []
