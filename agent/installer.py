"""``python -m agent.installer``: one job for the daemon, as the identity that may change releases (docs/decisions/0015).

systemd hands over the connection as stdin and stdout. What is done is firmware.installing's; here it is decided with which
settings: those of a configuration that belongs to root. ``--root DIR`` moves everything, as for every program of ours.
"""

import argparse
import logging
import os
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent import __version__
from agent.clock import Clock
from agent.config.load import load
from agent.errors import AgentError
from agent.paths import Paths
from agent.redact import CardDataFilter
from agent.updatesettings import settings_of
from firmware.errors import InstallFailed
from firmware.installing import Installer, serve
from firmware.worker import leave

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Do the job of the connection on stdin; the exit code."""
    parser = argparse.ArgumentParser(prog="posagent-installer", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"))
    paths = Paths(parser.parse_args(argv).root.absolute())
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(CardDataFilter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(levelname)s %(name)s: %(message)s")
    os.umask(0o022)
    with socket.socket(fileno=os.dup(0)) as link:
        return serve(link, lambda progress: _installer(paths, progress))


def _installer(paths: Paths, progress: Callable[[int, int], None]) -> Installer:
    """Raises InstallFailed (bad_config, unsafe_owner)."""
    require_owner(paths.config, paths.config.parent)
    try:
        settings = settings_of(load(paths.config), paths)
    except AgentError as error:
        raise InstallFailed(f"the installer cannot use {paths.config}: {error}", code="bad_config") from None
    require_owner(settings.trusted_root)
    return Installer(settings, Clock().rfc3339, __version__, progress)


def require_owner(*files: Path) -> None:
    """Raise InstallFailed (unsafe_owner) for one that anybody but root, or but us ourselves, could have written."""
    for path in files:
        try:
            seen = path.stat()
        except OSError as error:
            raise InstallFailed(f"{path} cannot be read: {error.strerror}", code="bad_config") from error
        if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            why = f"{path} must belong to root, and nobody else may write it: it says what is installed, and whom to trust"
            raise InstallFailed(why, code="unsafe_owner")


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
