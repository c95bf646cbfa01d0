"""Changes of who may sign what: vendors' delegations, new keys, new thresholds, signatures that count for longer.

Each is staged like a release and counts when enough of the old and the new holders have signed it and it is published.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from firmware.errors import ReleaseRefused, UsageError, one_line
from firmware.manifest import check_target_name, target_name
from firmware.release import keys
from firmware.release.choices import require_no_card
from firmware.release.repository import TOP_ROLES, Repository, add_delegation
from firmware.release.standing import Standing

_VENDOR = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


def delegate(
    repo: Repository,
    name: str,
    components: Sequence[str],
    public_keys: Sequence[Any],
    *,
    threshold: int = 1,
    path: str | None = None,
    now: datetime,
) -> list[Standing]:
    """Let the vendor ``name`` sign ``path`` (``printer/NAME/*``) and be the one source of ``components``.

    Repeating it for a vendor replaces keys, threshold and components. Raises UsageError: bad_name, bad_threshold,
    wrong_role (a key that signs something of the centre's), component_taken.
    """
    path = vendor_path(name) if path is None else path
    if not 1 <= threshold <= len({key.keyid for key in public_keys}) <= 16:
        raise UsageError(f"a threshold of {threshold} of {len(public_keys)} keys cannot be", code="bad_threshold")
    for key in public_keys:
        _not_elsewhere(repo, key, name)
    with repo.locked():
        require_free(repo, name, components, path)
        targets = repo.upcoming("targets")
        add_delegation(targets, name, path, threshold, list(public_keys), list(components))
        return repo.stage("targets", targets, now)


def rotate(
    repo: Repository,
    role: str,
    now: datetime,
    *,
    replace: Sequence[str] = (),
    new_keys: Sequence[Any] = (),
    threshold: int | None = None,
) -> list[Standing]:
    """Take the keys ``replace`` (names of files here, or key ids) from ``role``, add ``new_keys``, stage the next root.

    With neither, root or targets is signed anew, to count for longer. A change of targets' keys signs the targets role
    again at once. Raises UsageError: unknown_role, unknown_key, bad_threshold, wrong_role.
    """
    _require_top(role)
    with repo.locked():
        if role == "targets" and not new_keys and not replace and threshold is None:
            return repo.stage("targets", repo.upcoming("targets"), now)
        root = repo.upcoming("root")
        entry = root.roles[role]
        for keyid in _keyids(repo, entry.keyids, replace):
            root.revoke_key(keyid, role)
        for key in new_keys:
            _not_elsewhere(repo, key, role)
            root.add_key(key, role)
        entry.threshold = entry.threshold if threshold is None else threshold
        if not 1 <= entry.threshold <= len(entry.keyids):
            raise UsageError(f"a threshold of {entry.threshold} of {len(entry.keyids)} keys cannot be", code="bad_threshold")
        standing = repo.stage("root", root, now)
        if role == "targets":
            standing += repo.stage("targets", repo.upcoming("targets"), now)
        return standing


def names_for_new_keys(repo: Repository, role: str, replace: Sequence[str]) -> list[str]:
    """Names for the keys that take the place of ``replace``: ``root-1`` becomes ``root-1-r2`` with root version 2."""
    _require_top(role)
    number = repo.root().signed.version + 1
    gone = _keyids(repo, repo.upcoming("root").roles[role].keyids, replace)
    plain = [re.sub(r"-r[0-9]+$", "", repo.ring.holders.get(keyid, f"{role}-{keyid[:8]}")) for keyid in gone]
    return [f"{name}-r{number}" for name in plain]


def keyids_of(repo: Repository, role: str) -> list[str]:
    """All keys of ``role`` as it will be."""
    _require_top(role)
    return list(repo.upcoming("root").roles[role].keyids)


def _require_top(role: str) -> None:
    if role not in TOP_ROLES:
        raise UsageError(f"{one_line(role, 60)} is no role of the root: `delegate` anew for a vendor", code="unknown_role")


def vendor_keys(folder: Path, name: str, threshold: int, passphrase: str | None) -> list[Any]:
    """Make a vendor's keys, ``threshold`` of them, and return their public halves."""
    ring = keys.create(folder, [f"{name}-{number}" for number in range(1, threshold + 1)], passphrase)
    return [signer.public_key for signer in ring.signers(ring.holders)]


def _keyids(repo: Repository, keyids: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Key ids for names of files here, or for beginnings of key ids."""
    found = []
    for one in wanted:
        match = [keyid for keyid in keyids if one in (keyid, repo.ring.holders.get(keyid))]
        match = match or [keyid for keyid in keyids if len(one) >= 8 and keyid.startswith(one)]
        if len(match) != 1:
            raise UsageError(f"{one_line(one, 60)} is no key of that role", code="unknown_key")
        found += match
    return found


def _not_elsewhere(repo: Repository, key: Any, role: str) -> None:
    """One key, one role: the key of an online role must never count for more."""
    root = repo.upcoming("root")
    for other, entry in {**root.roles, **repo.delegations()}.items():
        if other != role and key.keyid in entry.keyids:
            raise UsageError(f"the key {key.keyid[:8]} signs {other} already: one key, one role", code="wrong_role")


def _lists(targets: Any, component: str) -> bool:
    return any((record.custom or {}).get("component") == component for record in targets.targets.values())


def vendor_path(name: str) -> str:
    """What a vendor may sign unless somebody says otherwise."""
    return f"printer/{name}/*"


def require_free(repo: Repository, name: str, components: Sequence[str], path: str) -> None:
    """Raise UsageError: bad_name, component_taken. Asked before a vendor's keys are made: none may stay without a use."""
    _check_names(name, components, path)
    targets = repo.upcoming("targets")
    for component in components:
        if repo.role_of(component) not in ("targets", name) or _lists(targets, component):
            raise UsageError(f"{component} has another source already", code="component_taken")
    for other, delegation in repo.delegations().items():
        if other != name and path in delegation.paths:
            raise UsageError(f"{path} belongs to {other} already", code="component_taken")


def _check_names(name: str, components: Sequence[str], path: str) -> None:
    try:
        if not _VENDOR.fullmatch(name) or name in TOP_ROLES or name == "sets":
            raise UsageError(f"{one_line(name, 60)} is no name for a vendor (a-z 0-9 _ -)", code="bad_name")
        if not path.endswith("/*") or path.count("*") != 1 or path.startswith("sets/"):
            raise UsageError(f"{one_line(path, 60)} is no folder like printer/{name}/*", code="bad_name")
        check_target_name(path.removesuffix("/*"))
        for component in components:
            require_no_card(component)
            target_name(component, "1.0", "json")
    except ReleaseRefused as error:
        raise UsageError(str(error), code="bad_name") from error
    if not components:
        raise UsageError("a vendor signs at least one --component", code="bad_name")
