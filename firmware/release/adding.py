"""Making a release out of files: the archive, its manifest, and what the role that signs them will say."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from firmware.errors import ReleaseRefused, UsageError
from firmware.files import disk_failure, fsync_dir, make_folder, write_durably
from firmware.manifest import PLAIN, Archive, Manifest, Target, parse, target_name
from firmware.release import archive
from firmware.release.choices import Options, require_no_card
from firmware.release.standing import Standing

Entry = tuple[str, int, str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Added:
    """A release that was staged, what a till will not like in it, and how far its signatures are."""

    manifest: Manifest
    warnings: tuple[str, ...]
    standing: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where target files go, where unfinished ones may lie, and the folder inside the names (``printer/acme/``)."""

    targets: Path
    staging: Path
    folder: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Files that lie in place, and the entries (name, length, SHA-256, custom) that make them part of a role."""

    manifest: Manifest
    warnings: tuple[str, ...]
    entries: tuple[Entry, ...]


def names(component: str, version: str, form: str = archive.GZIP) -> tuple[str, str]:
    """Names of manifest and archive, without a folder. Raises UsageError (bad_name, card_data)."""
    for text in (component, version):
        require_no_card(text)
    try:
        return target_name(component, version, "json"), target_name(component, version, form.removeprefix("."))
    except ReleaseRefused as error:
        raise UsageError(str(error), code="bad_name") from error


def prepare(
    place: Place, component: str, version: str, path: Path, options: Options, listed: Mapping[str, Mapping[str, Any]]
) -> Ready:
    """Pack ``path`` and write archive and manifest into the targets folder, durably.

    ``listed`` is what the role lists already. Raises UsageError: bad_name, version_exists, bad_source, bad_manifest.
    """
    form = archive.format_of(path, options.archive)
    manifest_name, archive_name = (place.folder + name for name in names(component, version, form))
    if manifest_name in listed:
        raise UsageError(f"{component} {version} exists already: a version is never changed", code="version_exists")
    unfinished = place.staging / "archive.tmp"
    packed = archive.pack(path, unfinished, form)
    length, digest = archive.digest(unfinished)
    manifest = Manifest(
        component=component,
        version=version,
        release_counter=next_counter(listed, component),
        archive=Archive(archive_name, length, digest),
        size_unpacked=packed.size_unpacked,
        members=packed.members,
        file=path.name if form == PLAIN else "",
        **{key: getattr(options, key) for key in options.__slots__ if key != "archive"},
    )
    raw = manifest.encode()
    _check_manifest(raw)
    _move(unfinished, served(place, archive_name, digest))
    digest_of_manifest = store(place, manifest_name, raw)
    custom = {"component": component, "version": version, "release_counter": manifest.release_counter}
    entries = ((manifest_name, len(raw), digest_of_manifest, custom), (archive_name, length, digest, custom))
    return Ready(manifest, packed.warnings, entries)


def next_counter(listed: Mapping[str, Mapping[str, Any]], component: str) -> int:
    """One more than the highest release counter of ``component``."""
    counters = [custom.get("release_counter", 0) for custom in listed.values() if custom.get("component") == component]
    return 1 + max(counters, default=0)


def store(place: Place, name: str, raw: bytes) -> str:
    """Write a small target file; returns its SHA-256 in hex."""
    digest = sha256(raw).hexdigest()
    write_durably(served(place, name, digest), raw, mode=0o644)
    return digest


def served(place: Place, name: str, digest: str) -> Path:
    """Where a web server finds the target ``name``; its folder is made."""
    path = place.targets / Target(name, 0, digest, prefix=digest).path
    make_folder(path.parent, 0o755)
    return path


def _move(unfinished: Path, path: Path) -> None:
    try:
        unfinished.chmod(0o644)
        unfinished.replace(path)
        fsync_dir(path.parent)
    except OSError as error:
        raise disk_failure(error, path) from error


def _check_manifest(raw: bytes) -> None:
    """A manifest that a till would refuse is not signed."""
    try:
        parse(raw)
    except ReleaseRefused as error:
        raise UsageError(str(error), code="bad_manifest") from error
