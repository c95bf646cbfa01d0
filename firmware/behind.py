"""How far behind this till is, from the signed metadata that it verified last: no network, no tuf, nothing written.

``trust/`` holds what a worker verified. What cannot be read there, or is older than the floor says was verified, is told as
unknown; what has expired since, or was only read beside a clock that cannot be right, as stale. A release counts when its
counter is higher than that of the one that runs and nobody has taken it back. Whether it is for this very till stands in
its manifest alone, so the number is what the centre has published, not what it will push here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from firmware.errors import FirmwareError
from firmware.files import TwinFile, read_bounded
from firmware.lastgood import LastGoodTime
from firmware.state import Component

ROLE_MAX_BYTES: Final = 5_000_000
"""As much as trust takes of a targets role."""
SIGNED_AT: Final = "x-posagent-signed-at"
COMPONENTS: Final = "x-posagent-components"
ADDED: Final = "added"
"""What posrelease says of a release: when it was made (RFC 3339)."""
KNOWN, STALE, UNKNOWN = "known", "stale", "unknown"


@dataclass(frozen=True, slots=True)
class Behind:
    """``versions``: releases that are newer than what runs. ``days``: whole days since the first of them was made; None
    where nobody says when. ``newest``: the newest version of all. ``as_of``: when the centre signed this (RFC 3339)."""

    quality: str
    versions: int | None = None
    days: int | None = None
    newest: str | None = None
    as_of: str | None = None

    def document(self) -> dict[str, Any]:
        """As ``update status --json`` tells it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class _Release(NamedTuple):
    counter: int
    version: str
    added: datetime | None


def behind(state_dir: Path, running: Mapping[str, Component], now: datetime | None) -> dict[str, Behind]:
    """How far behind each component of ``running`` is. ``now`` is aware; None where the clock cannot be right. Never raises."""
    try:
        return _behind(state_dir, running, now)
    except (FirmwareError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {name: Behind(UNKNOWN) for name in running}  # torn, foreign or unreadable: it tells nothing


def _behind(state_dir: Path, running: Mapping[str, Component], now: datetime | None) -> dict[str, Behind]:
    trust = state_dir / "trust"
    timestamp, targets = _signed(trust, "timestamp"), _signed(trust, "targets")
    floor = (TwinFile(state_dir / "floor.json").load() or {})["versions"]
    whole = timestamp["version"] >= floor["timestamp"] and targets["version"] >= floor["targets"]
    last_good = LastGoodTime(state_dir / "time.json")
    fresh = now is not None and last_good.at_least(now) < min(_moment(timestamp["expires"]), _moment(targets["expires"]))
    signed_at = timestamp.get(SIGNED_AT)
    as_of = signed_at if isinstance(signed_at, str) else None
    if not whole:
        return {name: Behind(UNKNOWN) for name in running}
    found = {}
    for name, seen in running.items():
        releases = _releases(trust, targets, name)
        quality = KNOWN if fresh and releases is not None else STALE
        if releases is None:  # a vendor's list that was never asked for
            found[name] = Behind(UNKNOWN, as_of=as_of)
        else:
            found[name] = _judge(seen, releases, quality, as_of, now)
    return found


def _judge(seen: Component, releases: list[_Release], quality: str, as_of: str | None, now: datetime | None) -> Behind:
    good = sorted(one for one in releases if one.version not in seen.revoked)
    newest = good[-1].version if good else None
    if seen.version is None:
        return Behind(quality, None, None, newest, as_of)
    listed = next((one.counter for one in releases if one.version == seen.version), seen.release_counter)
    newer = [one for one in good if one.counter > listed]
    if not newer:
        return Behind(quality, 0, 0, newest, as_of)
    since = newer[0].added
    days = max(0, (now - since).days) if now is not None and since is not None else None
    return Behind(quality, len(newer), days, newest, as_of)


def _releases(trust: Path, targets: Mapping[str, Any], component: str) -> list[_Release] | None:
    """What the one role that may speak for ``component`` lists; None where a vendor's is not here."""
    for role in (targets.get("delegations") or {}).get("roles") or ():
        if component in (role.get(COMPONENTS) or ()):
            try:
                vendor = _signed(trust, quote(str(role["name"]), safe=""))
            except FileNotFoundError:
                return None
            paths = [str(path) for path in role["paths"]]
            return list(_listed(vendor, component, paths))
    return list(_listed(targets, component, ["*"]))


def _listed(role: Mapping[str, Any], component: str, paths: list[str]) -> Iterator[_Release]:
    for name, record in role["targets"].items():
        custom = record.get("custom") or {}
        told = custom.get("component") == component and name.endswith(".json")
        if told and any(fnmatchcase(name, path) for path in paths):
            added = custom.get(ADDED)
            yield _Release(int(custom["release_counter"]), str(custom["version"]), _moment(added) if added else None)


def _signed(trust: Path, role: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(read_bounded(trust / f"{role}.json", ROLE_MAX_BYTES))["signed"]
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
