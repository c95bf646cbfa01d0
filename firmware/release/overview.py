"""What `posrelease show` tells: what expires when, what each key may sign, and what waits for whom."""

from datetime import datetime
from typing import Any

from firmware.release.repository import BUNDLE, COMPONENTS, SIGNED_AT, TOP_ROLES, Repository
from firmware.release.shelf import customs_of, time_text


def show(repo: Repository, now: datetime) -> dict[str, Any]:
    """Roles, vendors, keys, staged changes and every release, published or staged, as plain values."""
    root = repo.root().signed
    roles = {role: _role(repo, repo.published(role).signed, root.roles[role], now) for role in TOP_ROLES}
    vendors = {}
    for name, delegation in repo.delegations().items():
        document = repo.staged(name) or (None if repo.is_unsigned(name) else repo.published(name))
        told = _role(repo, document.signed if document else None, delegation, now)
        vendors[name] = {**told, "paths": list(delegation.paths), "components": list(_components(delegation))}
    published = repo.published("targets").signed
    return {
        "roles": roles,
        "vendors": vendors,
        "keys": _keys(root, repo),
        "staged": _staged(repo),
        "components": _releases(repo),
        "sets": sorted(name for name in repo.upcoming("targets").targets if name.startswith("sets/")),
        "signed_at": repo.published("timestamp").signed.unrecognized_fields.get(SIGNED_AT),
        "bundle": published.unrecognized_fields.get(BUNDLE),
    }


def _role(repo: Repository, signed: Any, role: Any, now: datetime) -> dict[str, Any]:
    return {
        "version": signed.version if signed else None,
        "expires": time_text(signed.expires) if signed else None,
        "expired": signed.is_expired(now) if signed else False,
        "threshold": role.threshold,
        "keys": [_key(repo, keyid) for keyid in role.keyids],
    }


def _key(repo: Repository, keyid: str) -> dict[str, Any]:
    return {"keyid": keyid} if repo.holders is None else {"keyid": keyid, "present": repo.holders.get(keyid)}


def _keys(root: Any, repo: Repository) -> dict[str, Any]:
    """Key id → the roles that it may sign now and will once what is staged is published, and its file where it is here."""
    now = {**root.roles, **repo.delegations()}
    then = {**repo.upcoming("root").roles, **repo.delegations()}
    holders = repo.holders or {}
    keyids = sorted({keyid for role in (*now.values(), *then.values()) for keyid in role.keyids} | set(holders))
    return {
        keyid: {
            "may_sign": [name for name, role in now.items() if keyid in role.keyids],
            "will_sign": [name for name, role in then.items() if keyid in role.keyids],
            "file": holders.get(keyid),
        }
        for keyid in keyids
    }


def _components(delegation: Any) -> list[str]:
    return list(delegation.unrecognized_fields.get(COMPONENTS, ()))


def _staged(repo: Repository) -> dict[str, Any]:
    waiting = {}
    for role in repo.staged_roles():
        document = repo.staged(role)
        if document is not None:
            standing = [one.document() for one in repo.standing(role, document)]
            waiting[role] = {"version": document.signed.version, "signatures": standing}
    return waiting


def _releases(repo: Repository) -> dict[str, list[dict[str, Any]]]:
    """Component → its releases in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for role in ("targets", *repo.delegations()):
        if role != "targets" and repo.staged(role) is None and repo.is_unsigned(role):
            continue
        seen = () if repo.is_unsigned(role) else customs_of(repo.published(role).signed)
        for name, custom in customs_of(repo.upcoming(role)).items():
            if name.endswith(".json") and "component" in custom:
                told = {"version": custom.get("version", ""), "release_counter": custom.get("release_counter", 0)}
                found.setdefault(custom["component"], []).append({**told, "published": name in seen})
    return {component: sorted(found[component], key=lambda one: one["release_counter"]) for component in sorted(found)}
