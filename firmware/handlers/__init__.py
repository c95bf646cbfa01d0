"""One file per kind of component, found by its name: ``firmware/handlers/<name>.py`` with a function ``open_handler``.

A handler owns ``releases/<component>/`` of one component and knows what it means that a version runs. It decides
nothing: whether to switch, to go back or to remove is ``engine``'s, so a new handler is a file of some fifty lines.
"""

import pkgutil
import re
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol

from firmware.errors import InstallFailed, ReleaseRefused, one_line

COMPONENT: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,62}[a-z0-9]|[a-z0-9]")
"""A component's name: it becomes a folder, and a part of the names of targets."""
RESERVED: Final = frozenset({"current", "previous", "sets", "metadata", "targets", "staged"})
"""No component is called so: names of pointers and folders, of a till and of a repository."""
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*")


class Handler(Protocol):
    """What every kind of component can do. All of it may be asked twice; the second time changes nothing.

    Disk errors become InstallFailed.
    """

    @property
    def links(self) -> Mapping[str, str]:
        """What ``check`` has made: path of a link below the release to its target. An archive holds none."""
        ...

    def release(self, version: str) -> Path:
        """Where that version lies or will lie; it is put there whole (see unpack)."""
        ...

    def check(self, folder: Path, validate: Sequence[str]) -> None:
        """Look into a release that lies unpacked in ``folder`` and has no name yet; ``validate`` is the site's command.

        Raises ReleaseRefused (it may never run), InstallFailed (that could not be found out). Called in a worker.
        """
        ...

    def current(self) -> str | None:
        """The version that runs (None: none yet)."""
        ...

    def switch(self, version: str | None) -> None:
        """Let that version run, or none. Durable on return; a power cut leaves the old one or the new."""
        ...

    def prune(self, keep: Collection[str]) -> None:
        """Remove every version but ``keep`` and the one that runs, and what killed installs have left."""
        ...


def names() -> list[str]:
    """The handlers there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def open_handler(name: str, folder: Path) -> Handler:
    """The handler ``name`` for the component whose releases lie in ``folder``. Raises InstallFailed (no_handler)."""
    if name not in names():
        raise InstallFailed(f"no handler {one_line(name, 40)!r}; there are {', '.join(names())}", code="no_handler")
    handler: Handler = import_module(f"{__name__}.{name}").open_handler(folder)
    return handler


def safe_name(name: str) -> str:
    """Return ``name`` if it can be a folder of ours: one plain segment. Raises ReleaseRefused (bad_name).

    The manifest has stricter rules of its own; these hold where a name becomes a path, whoever checked it before.
    """
    if len(name) > 128 or not _SEGMENT.fullmatch(name) or name in RESERVED:
        raise ReleaseRefused(f"the name {one_line(name, 80)!r} is not allowed", code="bad_name")
    return name
