"""What must never fall: versions of the trusted metadata, and the release counter of every component.

python-tuf keeps its memory in files that it never syncs: after a power cut they can be empty, and then an older signed
repository is accepted (reproduced with 7.0.1; facts/updates.md 3.2-4). The floor is our own memory, in two checksummed
synced copies, and has the last word.

Root and release counters never fall. The floors of timestamp, snapshot and targets start anew only when a newer root
takes a key of timestamp or snapshot away: that is how a repository recovers from an attacker who signed huge version
numbers with stolen keys (fast-forward; TUF specification 1.0.34 section 5.3.11).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.errors import ReleaseRefused, StateError
from firmware.files import TwinFile

FLOOR_FORMAT = 1
ONLINE_ROLES = ("timestamp", "snapshot", "targets")


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of verified metadata. ``online_keys`` are the key ids of timestamp and snapshot in that root."""

    root: int
    timestamp: int
    snapshot: int
    targets: int
    online_keys: frozenset[str]


class Floor:
    """The stored floor. A file that was never stored is a floor of zero; call ``found`` once before trusting that.

    Raises StateError when both copies are damaged or may not be read (then nothing may be installed), InstallFailed for
    a disk that cannot store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = TwinFile(path, 0o644)
        data = self._file.load()
        self._stored = data is not None
        self._versions, self._keys, self._counters = _read(path, data or {})
        if self._stored:
            self._file.settle()
            self._file.heal()

    def found(self) -> None:
        """Store the floor for the first time, durably, before any metadata is fetched: a later absence is damage."""
        if not self._stored:
            self._store(self._versions, self._keys, self._counters)

    @property
    def stored(self) -> bool:
        """Whether there is a floor on disk."""
        return self._stored

    @property
    def versions(self) -> Mapping[str, int]:
        """Role → lowest version that is accepted."""
        return dict(self._versions)

    def counter(self, component: str) -> int:
        """Lowest release counter of ``component`` that is accepted; 0 when none was ever committed."""
        return self._counters.get(component, 0)

    @property
    def counters(self) -> Mapping[str, int]:
        """Component → its release counter's floor."""
        return dict(self._counters)

    def check(self, seen: Versions) -> None:
        """Raise ReleaseRefused (rollback) if any version lies below the floor."""
        for role, lowest in self._floors_for(seen).items():
            version = getattr(seen, role)
            if version < lowest:
                raise ReleaseRefused(
                    f"the repository's {role} is version {version}, but {lowest} has been seen already: an older "
                    "repository is being replayed, nothing is installed",
                    code="rollback",
                )

    def raise_to(self, seen: Versions) -> None:
        """Check, then store ``seen`` as the new floor; durable on return, and no write when nothing changed."""
        self.check(seen)
        versions = {role: getattr(seen, role) for role in ("root", *ONLINE_ROLES)}
        if not self._stored or versions != self._versions or seen.online_keys != self._keys:
            self._store(versions, seen.online_keys, self._counters)

    def check_counter(self, component: str, counter: int) -> None:
        """Raise ReleaseRefused (downgrade) for a release that came before one that was committed here."""
        if counter < self.counter(component):
            raise ReleaseRefused(
                f"{component}: release counter {counter} lies below {self.counter(component)}, which ran here already: "
                "older releases come back only through `update rollback`",
                code="downgrade",
            )

    def raise_counter(self, component: str, counter: int) -> None:
        """Store that ``counter`` was committed; a lower one changes nothing. Durable on return."""
        if counter > self.counter(component):
            self._store(self._versions, self._keys, {**self._counters, component: counter})

    def starts_anew(self, root: int, online_keys: frozenset[str]) -> bool:
        """Whether verified root version ``root`` takes a key of timestamp or snapshot away: their floors start anew.

        A key that is only added starts nothing: what the old ones signed would still count, and could be replayed.
        """
        return root > self._versions["root"] and not self._keys <= online_keys

    def _floors_for(self, seen: Versions) -> Mapping[str, int]:
        """The floors that hold for ``seen``: all, or root alone after its keys for the online roles were rotated."""
        anew = self.starts_anew(seen.root, seen.online_keys)
        return {"root": self._versions["root"]} if anew else self._versions

    def _store(self, versions: Mapping[str, int], keys: frozenset[str], counters: Mapping[str, int]) -> None:
        self._file.store(
            {
                "format": FLOOR_FORMAT,
                "versions": dict(versions),
                "online_keys": sorted(keys),
                "counters": dict(counters),
            }
        )
        # Memory follows the disk, never the other way round.
        self._versions, self._keys, self._counters, self._stored = dict(versions), keys, dict(counters), True


def _read(path: Path, data: Mapping[str, Any]) -> tuple[dict[str, int], frozenset[str], dict[str, int]]:
    """Types are checked although the checksum held: a wrong type here must not turn into a floor of nothing."""
    versions, counters, keys = data.get("versions", {}), data.get("counters", {}), data.get("online_keys", [])
    if data and data.get("format") != FLOOR_FORMAT:
        raise StateError(f"{path} has a format that this version does not know", code="state_too_new")
    if not (isinstance(versions, dict) and isinstance(counters, dict) and isinstance(keys, list)):
        raise StateError(f"{path} does not hold a floor")
    if not all(type(number) is int for number in (*versions.values(), *counters.values())):
        raise StateError(f"{path} does not hold a floor")
    return {role: versions.get(role, 0) for role in ("root", *ONLINE_ROLES)}, frozenset(map(str, keys)), counters
