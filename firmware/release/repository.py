"""A TUF repository in a folder that any web server can serve at any moment.

``metadata/`` holds ``N.root.json``, ``N.targets.json``, ``N.VENDOR.json``, ``N.snapshot.json`` and ``timestamp.json``;
``targets/`` holds ``SHA256.name``. What changes root, targets or a vendor's role is staged first, in
``staged/ROLE.json`` that no client sees, and gathers signatures there; ``publish`` takes it when it has enough, writes
what the new timestamp will name and replaces ``timestamp.json`` last, so that a client meets the old repository or the
new one. TUF specification 1.0.34 sections 3 and 6. Root and targets have several holders and a threshold, snapshot and
timestamp one key each; vendors' roles are delegated by targets.

The only module of posrelease that imports tuf: the others work on the objects that it hands out.
"""

import contextlib
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (  # type: ignore[attr-defined]  # its public names, re-exported the old way
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from firmware.behind import ADDED
from firmware.errors import UsageError, one_line
from firmware.files import make_folder, write_durably
from firmware.manifest import Manifest, Target, parse
from firmware.release import adding, keys
from firmware.release.adding import Added, Entry
from firmware.release.choices import DEFAULT_OPTIONS, DEFAULT_PERIODS, Options, Periods
from firmware.release.shelf import Shelf, customs_of, folder_of, time_text
from firmware.release.standing import Standing, require_complete, require_signable

SIGNED_AT = "x-posagent-signed-at"
BUNDLE = "x-posagent-bundle"
COMPONENTS = "x-posagent-components"
TOP_ROLES = ("root", "targets", "snapshot", "timestamp")

Document = Metadata[Any]


class Repository(Shelf):
    """One repository folder. What signs takes ``now`` (aware UTC), so that old repositories can be made on purpose.

    Raises UsageError for what cannot be done (wrong order, missing keys, a version that exists), InstallFailed for
    the disk. One process writes at a time; a second one is refused (busy).
    """

    @classmethod
    def create(
        cls,
        repo: Path,
        keys_folder: Path,
        threshold: int = 1,
        holders: int = 1,
        passphrase: str | None = None,
        *,
        now: datetime,
        periods: Periods = DEFAULT_PERIODS,
    ) -> Self:
        """Make keys and a first, empty, published repository.

        Raises UsageError: bad_threshold, repo_exists, keys_exist. ``passphrase`` None leaves the keys in clear.
        """
        if not 1 <= threshold <= holders <= 16:
            raise UsageError(f"a threshold of {threshold} of {holders} holders cannot be", code="bad_threshold")
        if any(repo.glob("metadata/*")):
            raise UsageError(f"{repo} holds a repository already", code="repo_exists")
        made = cls(repo, None, periods)
        for folder in (made.metadata, made.targets, made.staging):
            make_folder(folder, 0o755)
        # Keys come after what can fail more easily: a second try would find them there and stop.
        made.keys = keys.create(keys_folder, keys.key_names(holders), passphrase)
        with made.locked():
            made._write_root(threshold, holders, now)
            made.stage("targets", Targets(), now)
            made._publish(now, staged=True)
        return made

    @classmethod
    def open(
        cls,
        repo: Path,
        keys_folder: Path | None = None,
        passphrase: str | None = None,
        periods: Periods = DEFAULT_PERIODS,
    ) -> Self:
        """Use a repository that is there; with ``keys_folder`` it can sign."""
        opened = cls(repo, keys.load(keys_folder, passphrase) if keys_folder else None, periods)
        opened.root()
        return opened

    @property
    def root_bytes(self) -> bytes:
        """The first root: what terminals are delivered with."""
        return self.read(self.metadata / "1.root.json")

    def publish(self, now: datetime) -> dict[str, int]:
        """Sign snapshot and timestamp anew and make what is staged visible; returns the version of each role."""
        with self.locked():
            return self._publish(now, staged=True)

    def refresh(self, now: datetime) -> dict[str, int]:
        """Sign snapshot and timestamp anew over what is published already: needs the online keys alone."""
        with self.locked():
            return self._publish(now, staged=False)

    def add_release(
        self,
        component: str,
        version: str,
        path: Path,
        *,
        options: Options = DEFAULT_OPTIONS,
        now: datetime,
        role: str = "targets",
    ) -> Added:
        """Pack the file or folder ``path`` and stage it as a release in ``role``, signed by the keys that are here."""
        folder = self._folder_of(component, role)
        with self.locked():
            content = self.upcoming(role)
            place = adding.Place(self.targets, self.staging, folder)
            ready = adding.prepare(place, component, version, path, options, customs_of(content))
            for entry in ready.entries:
                list_target(content, (*entry[:3], {**entry[3], ADDED: time_text(now)}))
            standing = self.stage(role, content, now)
        return Added(ready.manifest, ready.warnings, tuple(standing))

    def manifest(self, component: str, version: str) -> Manifest:
        """The manifest of a published release. Raises UsageError (unknown_release) where there is none."""
        return parse(self.manifest_bytes(component, version))

    def manifest_bytes(self, component: str, version: str) -> bytes:
        """Its bytes, as signed."""
        role = self.role_of(component)
        name = folder_of(self.delegations().get(role)) + adding.names(component, version)[0]
        record = self.published(role).signed.targets.get(name)
        if record is None:
            raise UsageError(f"{component} {version} is not published: `add` and `publish` first", code="unknown_release")
        return self.read(self.targets / Target(name, record.length, "", prefix=record.hashes["sha256"]).path)

    def role_of(self, component: str) -> str:
        """The role that signs ``component``: a vendor's where targets says so, else targets."""
        for name, delegation in self.delegations().items():
            if component in delegation.unrecognized_fields.get(COMPONENTS, ()):
                return name
        return "targets"

    def _folder_of(self, component: str, role: str) -> str:
        right = self.role_of(component)
        if right != role:
            raise UsageError(f"{one_line(component, 60)} is signed by the role {right}, not by {role}", code="wrong_role")
        return folder_of(self.delegations().get(role))

    # What there is

    def root(self) -> Document:
        """The newest published root. Raises UsageError (no_repo)."""
        numbers = [path.name.partition(".")[0] for path in self.metadata.glob("*.root.json")]
        newest = max((int(number) for number in numbers if number.isdigit()), default=0)
        if not newest:
            raise UsageError(f"{self.folder} is no repository: make one with `posrelease init`", code="no_repo")
        return self.load(self.metadata / f"{newest}.root.json", Root)

    def published(self, role: str) -> Document:
        """The document of ``role`` that clients see. Raises UsageError (unknown_role) where there is none."""
        if role == "root":
            return self.root()
        timestamp = self.load(self.metadata / "timestamp.json", Timestamp)
        if role == "timestamp":
            return timestamp
        snapshot = self.load(self.metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json", Snapshot)
        if role == "snapshot":
            return snapshot
        entry = snapshot.signed.meta.get(f"{role}.json")
        if entry is None:
            raise UsageError(f"there is no published role {one_line(role, 60)}", code="unknown_role")
        return self.load(self.metadata / f"{entry.version}.{role}.json", Targets)

    def staged(self, role: str) -> Document | None:
        """The document of ``role`` that waits for ``publish``, if there is a newer one than the published."""
        path = self.staged_path(role)
        if not path.exists():
            return None
        document = self.load(path, Root if role == "root" else Targets)
        return document if document.signed.version > self._published_version(role) else None

    def staged_roles(self) -> list[str]:
        """Roles with something that waits, root and targets first."""
        names = {path.stem for path in self.staging.glob("*.json")} - set(TOP_ROLES)
        return [role for role in ("root", "targets", *sorted(names)) if self.staged(role) is not None]

    def upcoming(self, role: str) -> Any:
        """A copy of the role's content, staged or published or still empty, for the next change of it."""
        staged = self.staged(role)
        if staged is None and self.is_unsigned(role):
            return Targets()
        return deepcopy((staged or self.published(role)).signed)

    def is_unsigned(self, role: str) -> bool:
        """Whether ``role`` has published nothing yet, as a vendor that was only just delegated to."""
        return self._published_version(role) == 0

    def delegations(self) -> dict[str, Any]:
        """Vendor's role → its delegation, as staged or published."""
        delegations = self.upcoming("targets").delegations
        return dict(delegations.roles or {}) if delegations else {}

    # How it changes

    def stage(self, role: str, signed: Any, now: datetime) -> list[Standing]:
        """Store the next version of ``role`` with the signatures of the keys that are here; tells what is missing.

        Raises UsageError: keys_missing or wrong_role when none of the keys that are here may sign it.
        """
        signed.version = self._published_version(role) + 1
        signed.expires = _moment(now) + (self.periods.root if role == "root" else self.periods.targets)
        if role == "targets":
            until = _moment(now) + self.periods.bundle
            signed.unrecognized_fields[BUNDLE] = {"signed_at": time_text(now), "until": time_text(until)}
        document = Metadata(signed)
        self.sign(role, document)
        write_durably(self.staged_path(role), document.to_bytes(), mode=0o644)
        return self.standing(role, document)

    def sign(self, role: str, document: Document, delegators: list[Any] | None = None) -> int:
        """Add the signatures of all keys that are here and may sign ``role``; returns how many. Raises UsageError."""
        above = self.delegators(role, document) if delegators is None else delegators
        keyids = dict.fromkeys(keyid for one in above for keyid in one.get_delegated_role(role).keyids)
        signers = require_signable(role, keyids, self.ring)
        for signer in signers:
            document.sign(signer, append=True)
        return len(signers)

    def standing(self, role: str, document: Document) -> list[Standing]:
        """How far the signatures of ``document`` are: one Standing, for a new root one by the old keys too."""
        return standing_of(role, document, self.delegators(role, document))

    def delegators(self, role: str, document: Document) -> list[Any]:
        """Whose keys decide about ``role``: root before and after for root, root for targets, targets for vendors."""
        if role == "root":
            return [self.root().signed, document.signed]
        if role in TOP_ROLES:
            return [self.upcoming("root")]
        return [self.upcoming("targets")]

    def _published_version(self, role: str) -> int:
        if role != "root" and not (self.metadata / "timestamp.json").exists():
            return 0
        try:
            return int(self.published(role).signed.version)
        except UsageError as error:
            if error.code == "unknown_role":
                return 0
            raise

    def _write_root(self, threshold: int, holders: int, now: datetime) -> None:
        root = Root(version=1, expires=_moment(now) + self.periods.root, consistent_snapshot=True)
        for role in TOP_ROLES:
            several = role in ("root", "targets")
            names = [f"{role}-{number}" for number in range(1, holders + 1)] if several else [role]
            root.roles[role] = Role([], threshold if several else 1)
            for name in names:
                root.add_key(self.ring.by_holder(name).public_key, role)
        document = Metadata(root)
        self.sign("root", document, [root])
        write_durably(self.metadata / "1.root.json", document.to_bytes(), mode=0o644)

    def _publish(self, now: datetime, *, staged: bool) -> dict[str, int]:
        root = (self._complete("root", now) if staged else None) or self.root()
        _not_expired("root", root, now)
        parts = self._targets_roles(root.signed, now, staged=staged)
        snapshot = Snapshot(
            version=self._published_version("snapshot") + 1,
            expires=_moment(now) + self.periods.snapshot,
            meta={f"{name}.json": MetaFile.from_data(part.signed.version, part.to_bytes(), ["sha256"]) for name, part in parts},
        )
        snapshot_raw = self._sign_online(snapshot, root.signed)
        timestamp = Timestamp(
            version=self._published_version("timestamp") + 1,
            expires=_moment(now) + self.periods.timestamp,
            snapshot_meta=MetaFile.from_data(snapshot.version, snapshot_raw, ["sha256"]),
            unrecognized_fields={SIGNED_AT: time_text(now)},
        )
        timestamp_raw = self._sign_online(timestamp, root.signed)
        # The order is the promise: a client that reads in between finds everything its timestamp names.
        for name, part in parts:
            self._write(f"{part.signed.version}.{name}.json", part.to_bytes())
        self._write(f"{snapshot.version}.snapshot.json", snapshot_raw)
        self._write(f"{root.signed.version}.root.json", root.to_bytes())
        write_durably(self.metadata / "timestamp.json", timestamp_raw, mode=0o644)
        with contextlib.suppress(OSError):
            for name in ("root", *(name for name, _ in parts)) if staged else ():
                self.staged_path(name).unlink(missing_ok=True)
        versions = {"root": root.signed.version, "targets": parts[0][1].signed.version}
        return {**versions, "snapshot": snapshot.version, "timestamp": timestamp.version}

    def _write(self, name: str, raw: bytes) -> None:
        """A numbered file never changes once clients may have seen it."""
        path = self.metadata / name
        if not path.exists() or self.read(path) != raw:
            write_durably(path, raw, mode=0o644)

    def _targets_roles(self, root: Any, now: datetime, *, staged: bool) -> list[tuple[str, Document]]:
        """The targets role and all vendors' roles to be published, each held against the one above it."""
        targets = (self._complete("targets", now) if staged else None) or self.published("targets")
        require_complete("targets", standing_of("targets", targets, [root]))
        _not_expired("targets", targets, now)
        parts = [("targets", targets)]
        roles = (targets.signed.delegations.roles or {}) if targets.signed.delegations else {}
        for name in roles:
            part = self._complete(name, now) if staged else None
            try:
                part = part or self.published(name)
            except UsageError as error:
                if error.code != "unknown_role":
                    raise
                continue  # a vendor that has not signed anything yet
            require_complete(name, standing_of(name, part, [targets.signed]))
            parts.append((name, part))
        return parts

    def _complete(self, role: str, now: datetime) -> Document | None:
        """The staged document of ``role``, held against its threshold and its expiry; None where none is staged."""
        document = self.staged(role)
        if document is not None:
            require_complete(role, self.standing(role, document))
            _not_expired(role, document, now)
        return document

    def _sign_online(self, signed: Any, root: Any) -> bytes:
        document = Metadata(signed)
        self.sign(signed.type, document, [root])
        role = root.roles[signed.type]
        if len(document.signatures) < role.threshold:
            raise UsageError(
                f"the {signed.type} role needs {role.threshold} of {len(role.keyids)} keys, but "
                f"{len(document.signatures)} are here",
                code="keys_missing",
            )
        return bytes(document.to_bytes())

    def load(self, path: Path, kind: type[Any]) -> Document:
        """Read a document of this repository. Raises UsageError (repo_damaged)."""
        return parse_document(self.read(path), str(path), kind)


def parse_document(raw: bytes, shown: str, kind: type[Any] | None = None) -> Document:
    """Read signed metadata; verifies nothing. Raises UsageError (repo_damaged)."""
    try:
        document: Document = Metadata.from_bytes(raw)
    except RepositoryError as error:
        raise UsageError(f"{shown} is damaged: {one_line(error, 100)}", code="repo_damaged") from error
    if not isinstance(document.signed, kind or (Root, Targets)):
        raise UsageError(f"{shown} is not what its name says", code="repo_damaged")
    return document


def standing_of(role: str, document: Document, delegators: list[Any]) -> list[Standing]:
    """What each of ``delegators`` makes of the signatures of ``document``."""
    results = [one.get_verification_result(role, document.signed_bytes, document.signatures) for one in delegators]
    return [Standing(role, result.threshold, tuple(result.signed), tuple(result.unsigned)) for result in results]


def list_target(content: Any, entry: Entry) -> None:
    """Put a target file into a targets role."""
    name, length, sha256, custom = entry
    content.targets[name] = TargetFile(length, {"sha256": sha256}, name, {"custom": dict(custom)})


def add_delegation(targets: Any, name: str, path: str, threshold: int, public_keys: list[Any], components: list[str]) -> None:
    """Let ``name`` sign ``path``, and tills look for ``components`` there; replaces an earlier delegation of that name."""
    targets.delegations = targets.delegations or Delegations({}, roles={})
    extra = {COMPONENTS: sorted(components)}
    role = DelegatedRole(name, [], threshold, terminating=True, paths=[path], unrecognized_fields=extra)
    targets.delegations.roles[name] = role
    for key in public_keys:
        targets.add_key(key, name)


def _not_expired(role: str, document: Document, now: datetime) -> None:
    if document.signed.is_expired(now):
        expired = time_text(document.signed.expires)
        raise UsageError(f"the {role} role expired at {expired}: its holders must sign again", code="role_expired")


def _moment(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(microsecond=0)
