"""The folder of a repository: where things lie, one writer at a time, and the keys that are at hand."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firmware.errors import UsageError
from firmware.files import disk_failure, read_bounded
from firmware.release.choices import DEFAULT_PERIODS, Periods
from firmware.release.keys import KeyRing

METADATA_MAX_BYTES = 5_000_000


class Shelf:
    """What a repository is before anything in it is understood."""

    def __init__(self, folder: Path, keyring: KeyRing | None = None, periods: Periods = DEFAULT_PERIODS) -> None:
        self.folder = folder
        self.metadata, self.targets, self.staging = folder / "metadata", folder / "targets", folder / "staged"
        self.keys = keyring
        self.periods = periods

    @property
    def ring(self) -> KeyRing:
        """The keys that are here. Raises UsageError (keys_missing) where none were named."""
        if self.keys is None:
            raise UsageError("signing needs the keys: name their folder", code="keys_missing")
        return self.keys

    @property
    def holders(self) -> Mapping[str, str] | None:
        """Key id → name of its holder for the keys that are here; None where no folder was named."""
        return self.keys.holders if self.keys else None

    def staged_path(self, role: str) -> Path:
        """Where a staged document lies."""
        return self.staging / f"{role}.json"

    def read(self, path: Path) -> bytes:
        """Read a small file of this repository. Raises UsageError (repo_damaged)."""
        try:
            return read_bounded(path, METADATA_MAX_BYTES)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", code="repo_damaged") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one process that writes here. Raises UsageError (busy)."""
        try:
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_failure(error, self.folder) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise UsageError(f"another posrelease works in {self.folder}: wait for it", code="busy") from error
        finally:
            os.close(descriptor)


def customs_of(content: Any) -> dict[str, Mapping[str, Any]]:
    """Target name → what is said of it, of a targets role."""
    return {name: record.custom or {} for name, record in content.targets.items()}


def folder_of(delegation: Any) -> str:
    """Where the targets of a vendor's role lie, as ``printer/acme/``; empty for the targets role itself."""
    return str(delegation.paths[0]).removesuffix("*") if delegation else ""


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
