"""Whom to believe: the TUF client workflow (specification 1.0.34 section 5) through python-tuf, and our floor on top.

What python-tuf leaves to its user is done here: it always starts from the installed root's bytes (with its own cached
root, six of 111 kill points leave a state that nothing mends), it gets its time from us, its files and their folder are
synced before anything is built on them, strays of killed runs are removed, and no version falls below the floor. Every
failure leaves as ReleaseRefused with a stable code and one plain line, or as TransportError.

With ``firmware.updater`` and ``firmware.release.repository`` the only importer of tuf; the daemon itself never imports it.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tuf.api import exceptions as tuf_errors
from tuf.api.serialization import DeserializationError

from firmware.errors import FirmwareError, ReleaseRefused, StateError, TransportError, one_line
from firmware.files import disk_failure, fsync_dir, fsync_file, make_folder
from firmware.floor import Floor, Versions
from firmware.lastgood import LastGoodTime
from firmware.manifest import MANIFEST_MAX_BYTES, Manifest, Target, check_target_name, parse, target_name
from firmware.sets import SetManifest, newest_of, parse_set, set_target_name
from firmware.transport import Transport
from firmware.updater import ClockedUpdater, Fetcher

STRONG = ("sha256", "sha512")
"""Hash algorithms that a target may be listed with; posrelease writes the first, other repositories the second as well."""


class Trust:
    """One look at the repository, at one moment ``now`` (aware).

    ``last_good`` is the last time that was signed, as far as it is remembered: where the clock shows less, things expire by
    that, and each refresh tells it what the centre has signed. Whether the clock can be right is the caller's to judge,
    after the refresh: it may bring a root under which another time counts.

    ``state_dir`` holds tuf's files (``root.json``, ``timestamp.json``, …), made if missing; one process at a time.
    ``floor`` outlives it. ``targets_url`` is needed for ``manifest`` and ``set`` alone; ``mirrors`` of it
    are asked before it. ``offline``: the repository comes
    from a bundle (``firmware.bundle``), whose validity stands in place of the timestamp's freshness; all else is the same.
    Codes of ReleaseRefused: bundle_expired, bad_root, bad_signature, rollback, expired, bad_hash, mix_and_match, endless_data,
    malformed, unknown_target, weak_hash, bad_name, downgrade, bad_manifest; of StateError: floor_missing.
    """

    def __init__(
        self,
        state_dir: Path,
        root_bytes: bytes,
        metadata_url: str,
        transport: Transport,
        floor: Floor,
        now: datetime,
        *,
        last_good: LastGoodTime | None = None,
        targets_url: str | None = None,
        mirrors: Sequence[str] = (),
        offline: bool = False,
    ) -> None:
        self._now, self._last_good = now.astimezone(UTC), last_good
        self._sources = (*mirrors, targets_url) if targets_url is not None else ()
        self._folder, self._floor, self._transport = state_dir, floor, transport
        self._fetcher = Fetcher(transport)
        self._fresh = False
        make_folder(state_dir)
        if not floor.stored and (state_dir / "timestamp.json").exists():
            raise StateError(
                "the floor of trusted versions is gone although metadata was trusted before: put it back, or remove "
                f"{state_dir} by hand as root",
                code="floor_missing",
            )
        floor.found()
        self._remove_strays()
        with self._explained("bad_root"):
            self._updater = ClockedUpdater(
                state_dir, metadata_url, self._fetcher, root_bytes, floor, self._judged_at, offline=offline
            )

    def refresh(self) -> Versions:
        """Fetch and verify root, timestamp, snapshot, targets; sync them; check and raise the floor. Once is enough."""
        if not self._fresh:
            try:
                with self._explained():
                    self._updater.refresh()
                self._updater.require_validity()
                self._floor.check(self._updater.versions())
            finally:
                self._settle()
            versions = self._updater.versions()
            self._floor.raise_to(versions)
            if self._last_good is not None:
                self._last_good.believe(self.signed_at, versions.root, versions.online_keys)
            self._fresh = True
        return self._updater.versions()

    def _judged_at(self, root: int, online_keys: frozenset[str]) -> datetime:
        return self._now if self._last_good is None else self._last_good.at_least(self._now, root, online_keys)

    @property
    def signed_at(self) -> datetime | None:
        """When the centre signed the timestamp, by its own clock; None where it does not say. After refresh()."""
        return self._updater.signed_at()

    def target(self, name: str) -> Target:
        """What the repository says of a target file. Refreshes first, if that has not been done.

        Raises ReleaseRefused: bad_name before anything is fetched, unknown_target, weak_hash.
        """
        return self.lookup(check_target_name(name))

    def lookup(self, name: str) -> Target:
        """As ``target``, for a name of any form: whoever uses the answer must not build a local path from that name."""
        self.refresh()
        try:
            with self._explained():
                found = self._updater.get_targetinfo(name)
            self._updater.require_validity()
        finally:
            self._settle()
        if found is None:
            raise ReleaseRefused(
                f"{one_line(name, 100)} is not in the signed repository: it may not be installed", code="unknown_target"
            )
        algorithm = next((known for known in STRONG if known in found.hashes), None)
        if algorithm is None:
            raise ReleaseRefused(f"{one_line(name, 100)} is listed without a SHA-256 or SHA-512", code="weak_hash")
        prefix = next(iter(found.hashes.values())) if self._updater.prefixed() else ""
        custom = found.custom
        kept = custom if isinstance(custom, dict) else {}
        return Target(name, found.length, found.hashes[algorithm], kept, prefix, algorithm)

    def manifest(self, component: str, version: str) -> Manifest:
        """Fetch, verify and read the manifest of a release, and hold it against the archive that the repository lists.

        Raises ReleaseRefused also for ``downgrade``: its release counter lies below the floor.
        """
        name = target_name(component, version, "json")
        self.refresh()
        target = self.target(self._updater.vendor_folder(component) + name)
        manifest = parse(self._small_file(target))
        if (manifest.component, manifest.version, manifest.name) != (component, version, target.name):
            raise ReleaseRefused(
                f"the manifest of {component} {version} speaks of {manifest.component} {manifest.version}",
                code="mix_and_match",
            )
        archive = self.target(manifest.archive.name)
        if (archive.length, archive.sha256) != (manifest.archive.length, manifest.archive.sha256):
            raise ReleaseRefused(
                f"{manifest.archive.name} is not the file that its manifest was signed for", code="mix_and_match"
            )
        self._floor.check_counter(component, manifest.release_counter)
        return manifest

    def set(self, name: str, version: str) -> SetManifest:
        """The signed set ``sets/<name>-<version>.json``: which releases belong together, in which order."""
        target = self.target(set_target_name(name, version))
        found = parse_set(self._small_file(target))
        if (found.name, found.version) != (name, version):
            raise ReleaseRefused(f"the set {name} {version} speaks of {found.name} {found.version}", code="mix_and_match")
        return found

    def set_of(self, members: Iterable[tuple[str, str]]) -> SetManifest | None:
        """The newest signed set of exactly these (component, version) pairs, or None: hawkBit tells neither its name nor
        its order."""
        self.refresh()
        with self._explained():
            found = newest_of(members, self._updater.listed())
        return self.set(*found) if found else None

    def archive(self, manifest: Manifest) -> Target:
        """The target that holds the release's bytes."""
        return self.target(manifest.archive.name)

    def _small_file(self, target: Target) -> bytes:
        if not self._sources:
            raise ReleaseRefused("no address of targets is configured: set [update] targets", code="no_targets_url")
        if target.length > MANIFEST_MAX_BYTES:
            raise ReleaseRefused(f"{target.name} is {target.length} bytes long: too long for a manifest", code="bad_manifest")
        for mirror in self._sources[:-1]:
            # Whatever is wrong with a mirror, the next one may be right.
            with contextlib.suppress(ReleaseRefused, TransportError):
                return self._small_file_from(mirror, target)
        return self._small_file_from(self._sources[-1], target)

    def _small_file_from(self, source: str, target: Target) -> bytes:
        try:
            raw = self._transport.get_bytes(f"{source.rstrip('/')}/{target.path}", target.length)
        except TransportError as error:
            raise self._transport_failure(error) from error
        if len(raw) != target.length or hashlib.new(target.algorithm, raw).hexdigest() != target.sha256:
            raise ReleaseRefused(f"{target.name} has other bytes than were signed: it is not used", code="bad_hash")
        return raw

    def _remove_strays(self) -> None:
        """Each kill can leave one ``tmp*`` file of tuf's; a thousand kills must not fill the disk."""
        try:
            for stray in self._folder.glob("tmp*"):
                if stray.is_file() or stray.is_symlink():
                    stray.unlink()
        except OSError as error:
            raise disk_failure(error, self._folder) from error

    def _settle(self) -> None:
        """Sync what tuf wrote since the last time, files before names: only then may anything be built on it."""
        if not self._fetcher.unsettled:
            return
        history = self._folder / "root_history"
        try:
            for path in (*self._folder.glob("*.json"), *history.glob("*.json")):
                fsync_file(path)
            for folder in (history, self._folder):
                if folder.is_dir():
                    fsync_dir(folder)
            self._fetcher.unsettled = False
        except OSError as error:
            raise disk_failure(error, self._folder) from error

    @contextlib.contextmanager
    def _explained(self, code: str | None = None) -> Iterator[None]:
        """Turn whatever tuf raises into ours; ``code`` replaces the one that its kind would give."""
        try:
            yield
        except tuf_errors.DownloadLengthMismatchError as error:
            raise ReleaseRefused(
                f"the repository's {self._fetcher.role} is larger than allowed: given up", code="endless_data"
            ) from error
        except tuf_errors.DownloadError as error:
            raise self._transport_failure(self._fetcher.failure or error) from error
        except tuf_errors.RepositoryError as error:
            raise self._refusal(error, code) from error
        except OSError as error:
            raise disk_failure(error, self._folder) from error
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RuntimeError) as error:
            # Hostile metadata that tuf stumbles over: refused as unreadable, never passed on as a crash of ours.
            raise self._refused("malformed", error) from error
        finally:
            self._fetcher.close()

    def _transport_failure(self, error: Exception) -> FirmwareError:
        if not isinstance(error, TransportError):
            return TransportError(f"the repository cannot be reached: {one_line(error, 120)}")
        # More bytes than were signed is not a matter of the line.
        return ReleaseRefused(str(error), code="endless_data") if error.code == "endless_data" else error

    def _refusal(self, error: tuf_errors.RepositoryError, code: str | None) -> ReleaseRefused:
        if code is None:
            code = next((name for kind, name in _CODES if isinstance(error, kind)), "mix_and_match")
        if code == "rollback":
            top = self._fetcher.role in ("root", "timestamp", "snapshot")
            code = code if top and not self._updater.is_mixed() else "mix_and_match"
        return self._refused(code, error)

    def _refused(self, code: str, error: Exception) -> ReleaseRefused:
        line = _LINES[code].format(role=self._fetcher.role)
        return ReleaseRefused(f"{line} ({one_line(error, 120)})", code=code)


_CODES: tuple[tuple[type[Exception], str], ...] = (
    (tuf_errors.UnsignedMetadataError, "bad_signature"),
    (tuf_errors.BadVersionNumberError, "rollback"),
    (tuf_errors.ExpiredMetadataError, "expired"),
    (tuf_errors.LengthOrHashMismatchError, "bad_hash"),
    (DeserializationError, "malformed"),
)
_LINES: dict[str, str] = {
    "bad_root": "the installed trusted root is not usable: install the right root.json by hand as root",
    "bad_signature": "the repository's {role} is not signed by enough trusted keys: nothing is installed",
    "rollback": "the repository's {role} is older than what was trusted before: nothing is installed",
    "expired": "the repository's signatures have expired ({role}): publish anew, or set this clock right",
    "bad_hash": "the repository's {role} has other bytes than were signed: nothing is installed",
    "mix_and_match": "the repository's parts do not belong together ({role}): nothing is installed",
    "malformed": "the repository's {role} cannot be read: nothing is installed",
}
