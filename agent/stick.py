"""What the owner does about a USB stick: keeps the file open that a command handed over, and signs what became of it.

A stick is often mounted where only the person at the till may go. So the command opens the file and hands the open
descriptor over with the path; a worker reads it through ``/proc``, which asks for the file's own permissions and not for
those of the folders above it. After a restart the path alone is left, and is tried.
"""

import contextlib
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import UsageError
from agent.journal.record import Head, canonical
from agent.signer import signature

KIND = "posagent.install.receipt"


class Sticks:
    """At most one open bundle. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path, self._deployment = "", ""
        self._descriptor: int | None = None

    def keep(self, deployment: str, path: str, descriptor: int | None) -> None:
        """Hold a copy of ``descriptor`` for that deployment, in place of what was held before."""
        held = os.dup(descriptor) if descriptor is not None else None
        with self._lock:
            self._close()
            self._deployment, self._path, self._descriptor = deployment, path, held

    def opened(self, path: str) -> str:
        """Where a worker of this process finds that bundle."""
        with self._lock:
            held = self._descriptor if path == self._path else None
        return path if held is None else through(held)

    @property
    def deployment(self) -> str:
        """The id of the deployment that it is held for."""
        with self._lock:
            return self._deployment

    def let_go(self, deployment: str) -> None:
        """Close what is held for that deployment: the stick may be taken out."""
        with self._lock:
            if deployment == self._deployment:
                self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a stick that was pulled out
                os.close(self._descriptor)
        self._descriptor, self._path, self._deployment = None, "", ""


def through(descriptor: int) -> str:
    """The path under which another process of this user can open what ``descriptor`` of ours is."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def require_readable(path: str, descriptor: int | None) -> None:
    """Raises UsageError (bundle_denied, bundle_unreadable) where this user may not read the file."""
    try:
        probe = os.open(path if descriptor is None else through(descriptor), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise UsageError(
            f"{path}: the daemon may not read it",
            code="bundle_denied",
            remedy="let everybody read it (chmod a+r), or copy it to a folder on this machine first",
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", code="bundle_unreadable") from None
    try:
        if not stat.S_ISREG(os.fstat(probe).st_mode):
            raise UsageError(f"{path} is no file", code="bundle_unreadable")
    finally:
        os.close(probe)


def receipt(facts: Mapping[str, Any], chain: str, head: Head, keys: Path) -> dict[str, Any] | None:
    """``facts`` and the journal's head, signed by the terminal's key; None where that cannot be done now.

    Signed is the canonical JSON (agent.journal.record) of all but ``public`` and ``signature``.
    """
    body = {"schema": 1, "kind": KIND, **facts, "journal": {"chain": chain, "seq": head.seq, "hash": head.hash}}
    made = signature(keys, canonical(body))
    return None if made is None else {**body, "public": made.public, "signature": made.signature}
