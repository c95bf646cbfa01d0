"""python-tuf's Updater with our network, our time and our floor in it: what ``firmware.trust`` is built on.

tuf reads the system's clock when its Updater is made and has its own way to the network; both are replaced here.
"""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Snapshot  # type: ignore[attr-defined]  # old re-export
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig  # type: ignore[attr-defined]  # old re-export

from firmware.bundle import validity
from firmware.errors import HttpStatusError, ReleaseRefused, TransportError, one_line
from firmware.floor import Floor, Versions
from firmware.transport import Body, Transport

SIGNED_AT = "x-posagent-signed-at"
BUNDLE = "x-posagent-bundle"
COMPONENTS = "x-posagent-components"
_EVER = datetime(1, 1, 1, tzinfo=UTC)
_LIMITS = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=32,
    root_max_length=512_000,
    timestamp_max_length=16_384,
    snapshot_max_length=2_000_000,
    targets_max_length=5_000_000,
)


class Fetcher(FetcherInterface):
    """Metadata over our Transport. Remembers the last error and the last role, which tuf's exceptions do not carry."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._body: Body | None = None
        self.unsettled = True
        self.failure: TransportError | None = None
        self.role = "root"

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.role, self.failure, self.unsettled = _role_of(url), None, True
        with self._mapped():
            # tuf bounds each role more tightly; this bound is for the day it would forget to.
            self._body = self._transport.stream(url, max_bytes=_LIMITS.targets_max_length + 1)
        return self._chunks(self._body)

    def close(self) -> None:
        """Drop a body that tuf has left in the middle, as it does when one is too long."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _chunks(self, body: Body) -> Iterator[bytes]:
        # tuf wraps errors of _fetch itself, but not those that arise while it iterates.
        with self._mapped():
            yield from body

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except HttpStatusError as error:
            self.failure = error
            raise tuf_errors.DownloadHTTPError(str(error), error.status) from error
        except TransportError as error:
            self.failure = error
            raise tuf_errors.DownloadError(str(error)) from error


def _role_of(url: str) -> str:
    """``…/7.snapshot.json`` → ``snapshot``."""
    stem = url.rpartition("/")[2].removesuffix(".json")
    number, dot, role = stem.partition(".")
    return one_line(role if dot and number.isdigit() else stem, 60)


class ClockedUpdater(Updater):
    """tuf's Updater with our time: tuf reads the system's clock when it is made and offers no way to hand one in.

    The constructor checks no expiry (the shipped root may be old; section 5.2): setting it afterwards is early enough.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        fetcher: Fetcher,
        root_bytes: bytes,
        floor: Floor,
        judged_at: Callable[[int, frozenset[str]], datetime],
        *,
        offline: bool,
    ) -> None:
        super().__init__(str(folder), url, fetcher=fetcher, config=_LIMITS, bootstrap=root_bytes)
        self._folder, self._floor, self._offline = folder, floor, offline
        self._judged_at = judged_at
        self._now = _EVER

    def require_validity(self) -> None:
        """Offline: the targets role's own validity for bundles stands in place of that of timestamp and snapshot.

        Those must have counted when it was signed; root and every targets role must count now. Raises ReleaseRefused.
        Only after refresh(): the time that things are judged by is known when the root is.
        """
        if not self._offline:
            return
        trusted = self._trusted_set
        signed_at, until = validity(trusted.targets.unrecognized_fields.get(BUNDLE))
        if self._now >= until:
            raise ReleaseRefused(f"this bundle counted until {until:%Y-%m-%d}: ask for a newer one", code="bundle_expired")
        for signed in trusted:
            moment = signed_at if signed.type in ("timestamp", "snapshot") else self._now
            if signed.is_expired(moment):
                raise ReleaseRefused(f"the bundle's {signed.type} has expired: ask for a newer one", code="expired")

    def _load_root(self) -> None:
        """Section 5.3.11, which tuf does only half: with a rotated key go the timestamp and snapshot trusted so far.

        tuf drops what the new keys do not verify; a timestamp under a kept key would still hold huge versions up.
        Nothing has been judged by its expiry before this ends (5.3.10), so only here the time is chosen: a root that takes
        a stolen key away also takes away the time that was signed with it.
        """
        super()._load_root()
        root, keys = self._trusted_set.root, self._online_keys()
        self._now = self._judged_at(root.version, keys)
        # Offline nothing has expired for tuf, and require_validity then says what has.
        self._trusted_set.reference_time = _EVER if self._offline else self._now
        if self._floor.starts_anew(root.version, keys):
            for role in ("timestamp", "snapshot"):
                (self._folder / f"{role}.json").unlink(missing_ok=True)

    def _load_timestamp(self) -> None:
        """A clock may be somewhat behind what it is told here, but nothing counts for longer because of that.

        So from here on things are judged by the later of both; a moment far ahead outlives the other roles' validity.
        """
        super()._load_timestamp()
        signed_at = self.signed_at()
        if signed_at is None or signed_at <= self._now:
            return
        self._now = signed_at
        if not self._offline:
            self._trusted_set.reference_time = signed_at
            if self._trusted_set.root.is_expired(signed_at):
                raise tuf_errors.ExpiredMetadataError("the root had expired when the timestamp was signed")

    def versions(self) -> Versions:
        """Versions of the verified set; after refresh() only."""
        trusted = self._trusted_set
        return Versions(
            trusted.root.version,
            trusted.timestamp.version,
            trusted.snapshot.version,
            trusted.targets.version,
            self._online_keys(),
        )

    def _online_keys(self) -> frozenset[str]:
        roles = self._trusted_set.root.roles
        return frozenset((*roles["timestamp"].keyids, *roles["snapshot"].keyids))

    def vendor_folder(self, component: str) -> str:
        """``printer/acme/`` where the targets role says that this vendor alone provides ``component``, else empty."""
        delegations = self._trusted_set.targets.delegations
        for role in ((delegations.roles or {}) if delegations else {}).values():
            claimed = role.unrecognized_fields.get(COMPONENTS)
            if isinstance(claimed, list) and component in claimed and role.paths:
                return str(role.paths[0]).removesuffix("*")
        return ""

    def listed(self) -> list[dict[str, object]]:
        """What the targets role itself says of each of its files."""
        return [record.custom or {} for record in self._trusted_set.targets.targets.values()]

    def signed_at(self) -> datetime | None:
        """The timestamp role's own field for its signing time; None where it tells none that can be read."""
        value = self._trusted_set.timestamp.unrecognized_fields.get(SIGNED_AT)
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            return moment.astimezone(UTC) if moment and moment.tzinfo else None
        except (ValueError, OverflowError):
            return None

    def is_mixed(self) -> bool:
        """Whether the snapshot that was fetched is not the one that the timestamp names.

        What is at hand may also be the one trusted before, kept because a newer one went back behind it: that is no mixture.
        """
        try:
            at_hand, named = self._trusted_set.snapshot, self._trusted_set.timestamp.snapshot_meta.version
            return at_hand.version != named and at_hand != self._remembered()
        except KeyError:
            return False

    def _remembered(self) -> Snapshot | None:
        """The snapshot of the last refresh that went well."""
        try:
            return Metadata[Snapshot].from_bytes(self._load_local_metadata("snapshot")).signed
        except (OSError, tuf_errors.RepositoryError):
            return None

    def prefixed(self) -> bool:
        """Whether target files carry their hash before their name."""
        return bool(self._trusted_set.root.consistent_snapshot)
