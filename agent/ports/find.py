"""Where is the configured line now? A re-plugged adapter may come back under another name.

Stable names (``/dev/serial/by-id``, ``by-path``, a link of the site's own) follow by themselves. For a bare ``/dev/ttyUSB0`` the
stable names that it had while it was there are remembered, and looked up when it is gone.
"""

import os
from pathlib import Path

STABLE = ("/dev/serial/by-id", "/dev/serial/by-path")


class PortFinder:
    """Remembers the stable names of the lines that it found. One per daemon."""

    def __init__(self, folders: tuple[str, ...] = STABLE) -> None:
        self._folders = folders
        self._aliases: dict[str, list[str]] = {}

    def __call__(self, path: str) -> str:
        """The path to open now: ``path`` itself while it exists, else where its device went; ``path`` if nobody knows."""
        if "://" in path:
            return path
        if os.path.exists(path):
            self._aliases[path] = self._names_of(os.path.realpath(path))
            return path
        for alias in self._aliases.get(path, ()):
            if os.path.exists(alias):
                return alias
        return path

    def _names_of(self, device: str) -> list[str]:
        names = []
        for folder in self._folders:
            try:
                entries = sorted(Path(folder).iterdir())
            except OSError:
                continue
            names += [str(e) for e in entries if os.path.realpath(e) == device]
        return names
