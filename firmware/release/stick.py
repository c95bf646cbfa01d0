"""What goes into a bundle for a USB stick, and the sets of releases that belong together."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from firmware.bundle import validity, write_bundle
from firmware.errors import ReleaseRefused, UsageError
from firmware.manifest import Target
from firmware.release import adding
from firmware.release.choices import require_no_card
from firmware.release.repository import BUNDLE, Repository, list_target
from firmware.release.shelf import customs_of
from firmware.release.standing import Standing
from firmware.sets import SetManifest, newest_of, parse_set, set_target_name


def bundle(repo: Repository, component: str, version: str, out: Path, now: datetime) -> tuple[int, datetime]:
    """Write a published release and all metadata that a till needs for it to ``out``; returns length and validity's end.

    Needs no key: how long it counts was signed with the targets role. Raises UsageError: unknown_release,
    bundle_expired, role_expired.
    """
    manifest = repo.manifest(component, version)
    targets = repo.published("targets").signed
    try:
        _, until = validity(targets.unrecognized_fields.get(BUNDLE))
    except ReleaseRefused as error:
        raise UsageError("the targets role has no validity for bundles", code="bundle_expired") from error
    if now >= until:
        raise UsageError(f"bundles of these releases counted until {until:%Y-%m-%d}", code="bundle_expired")
    role = repo.role_of(component)
    roles = list(dict.fromkeys(("targets", role)))
    for name in ("root", *roles):
        if repo.published(name).signed.is_expired(now):
            raise UsageError(f"the {name} role has expired: its holders must sign again", code="role_expired")
    snapshot, timestamp = repo.published("snapshot").signed, repo.published("timestamp").signed
    names = [f"{number}.root.json" for number in range(1, repo.root().signed.version + 1)]
    names += ["timestamp.json", f"{timestamp.snapshot_meta.version}.snapshot.json"]
    names += [f"{snapshot.meta[f'{name}.json'].version}.{name}.json" for name in roles]
    files = {f"metadata/{name}": repo.metadata / name for name in names}
    for name in (manifest.name, manifest.archive.name):
        digest = repo.published(role).signed.targets[name].hashes["sha256"]
        path = Target(name, 0, digest, prefix=digest).path
        files[f"targets/{path}"] = repo.targets / path
    return write_bundle(out, component, version, files), until


def add_set(repo: Repository, name: str, version: str, members: Sequence[tuple[str, str]], now: datetime) -> list[Standing]:
    """Stage a signed set of releases that are there, published or staged, in the order of their installation.

    Raises UsageError: bad_name, bad_manifest, version_exists, unknown_release.
    """
    made = SetManifest(name, version, tuple(members))
    for text in (name, version):
        require_no_card(text)
    try:
        target = set_target_name(name, version)
        parse_set(made.encode())
    except ReleaseRefused as error:
        raise UsageError(str(error), code=error.code) from error
    with repo.locked():
        targets = repo.upcoming("targets")
        listed = customs_of(targets)
        if target in listed:
            raise UsageError(f"the set {name} {version} exists already: a version is never changed", code="version_exists")
        for component, wanted in members:
            role = repo.role_of(component)
            if not _has(customs_of(repo.upcoming(role)).values(), component, wanted):
                raise UsageError(f"{component} {wanted} is not in the repository: `add` it first", code="unknown_release")
        raw = made.encode()
        digest = adding.store(adding.Place(repo.targets, repo.staging, ""), target, raw)
        counter = 1 + max((custom.get("release_counter", 0) for custom in listed.values() if "set" in custom), default=0)
        custom = {"set": name, "version": version, "release_counter": counter, "members": [list(pair) for pair in members]}
        list_target(targets, (target, len(raw), digest, custom))
        return repo.stage("targets", targets, now)


def signed_set(repo: Repository, members: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Name and version of the published set of exactly these releases, if there is one."""
    return newest_of(members, customs_of(repo.published("targets").signed).values())


def _has(customs: Iterable[Mapping[str, Any]], component: str, version: str) -> bool:
    return any((one.get("component"), one.get("version")) == (component, version) for one in customs)
