"""The Management API's JSON documents (hawkBit 1.0.x, ``hawkbit-mgmt-api``); absent values are left out."""

from urllib.parse import quote

from simulator.center import rules
from simulator.center.model import Action, Artifact, DistributionSet, Module, Row, Target
from simulator.center.settings import USER
from simulator.center.web import Json

Document = dict[str, Json]


def _links(**hrefs: str) -> Document:
    return {"_links": {name: {"href": href} for name, href in hrefs.items()}}


def _made(created_ms: int, by: str = USER) -> Document:
    return {"createdBy": by, "createdAt": created_ms, "lastModifiedBy": by, "lastModifiedAt": created_ms}


def _without_none(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


def target(item: Target, base: str) -> Document:
    """A target, with its security token."""
    href = f"{base}/targets/{quote(item.controller_id, safe='')}"
    return _without_none(
        {
            **_made(item.created_ms, item.made_by),
            "name": item.name,
            "description": item.description,
            "controllerId": item.controller_id,
            "updateStatus": item.status,
            "lastControllerRequestAt": item.polled_ms,
            "installedAt": item.installed_ms,
            "address": item.address,
            "ipAddress": item.address and item.address.removeprefix("http://"),
            "securityToken": item.token,
            "requestAttributes": item.attributes_wanted,
        }
    ) | _links(
        self=href,
        assignedDS=f"{href}/assignedDS",
        installedDS=f"{href}/installedDS",
        attributes=f"{href}/attributes",
        actions=f"{href}/actions?offset=0&limit=50&sort=id%3ADESC",
        metadata=f"{href}/metadata",
    )


def module(item: Module, base: str, *, full: bool = False) -> Document:
    """A software module; ``full`` as it is given alone."""
    href = f"{base}/softwaremodules/{item.id}"
    kinds = {name: f"{base}/softwaremoduletypes/{n}" for n, name in enumerate(rules.MODULE_TYPES, 1)}
    more = {"artifacts": f"{href}/artifacts", "metadata": f"{href}/metadata", "type": kinds[item.type]} if full else {}
    return _without_none(
        {
            **_made(item.created_ms),
            "name": item.name,
            "description": item.description,
            "id": item.id,
            "version": item.version,
            "type": item.type,
            "typeName": rules.MODULE_TYPES[item.type],
            "vendor": item.vendor,
            "encrypted": False,
            "locked": item.locked,
            "deleted": False,
            "complete": True,
        }
    ) | _links(self=href, **more)


def artifact(item: Artifact, of: Module, base: str, *, full: bool = False) -> Document:
    """A module's file; ``full`` with its download, as it is given alone."""
    href = f"{base}/softwaremodules/{of.id}/artifacts/{item.id}"
    return {
        **_made(item.created_ms),
        "id": item.id,
        "hashes": {"sha1": item.sha1, "md5": item.md5, "sha256": item.sha256},
        "providedFilename": item.filename,
        "size": len(item.data),
    } | _links(self=href, **({"download": f"{href}/download"} if full else {}))


def distribution_set(item: DistributionSet, base: str, *, full: bool = False) -> Document:
    """A distribution set with its modules; ``full`` with all its links, as it is given alone."""
    href = f"{base}/distributionsets/{item.id}"
    kinds = {name: f"{base}/distributionsettypes/{n}" for n, name in enumerate(rules.SET_TYPES, 1)}
    modules = f"{href}/assignedSM?offset=0&limit=50"
    more = {"modules": modules, "metadata": f"{href}/metadata", "type": kinds[item.type]} if full else {}
    return _without_none(
        {
            **_made(item.created_ms),
            "name": item.name,
            "description": item.description,
            "id": item.id,
            "version": item.version,
            "type": item.type,
            "typeName": rules.SET_TYPES[item.type][0],
            "locked": item.locked,
            "deleted": False,
            "valid": True,
            "requiredMigrationStep": item.migration_step,
            "modules": [module(each, base) for each in item.modules.values()],
            "complete": item.complete,
        }
    ) | _links(self=href, **more)


def _action_href(item: Action, base: str) -> str:
    return f"{base}/targets/{quote(item.target.controller_id, safe='')}/actions/{item.id}"


def action_id(item: Action, base: str) -> Document:
    """What an assignment answers for each action that it made."""
    return {"id": item.id} | _links(self=_action_href(item, base))


def action(item: Action, base: str, *, full: bool = False) -> Document:
    """An action; ``full`` with its links, as it is given alone."""
    href = _action_href(item, base)
    document = _without_none(
        {
            **_made(int(item.created[0] * 1000)),
            "id": item.id,
            "type": "cancel" if item.cancelling else "update",
            "active": item.active,
            "status": item.status,
            "forceTime": item.force_ms if item.type == "timeforced" else None,
            "forceType": item.type,
            "weight": item.weight,
            "lastStatusCode": item.last_code,
        }
    ) | _links(self=href)
    if full:
        cancelled = {"canceledaction": {"href": href}} if item.cancelling else {}
        owner = href.rpartition("/actions/")[0]
        ds = {"href": f"{base}/distributionsets/{item.ds.id}", "name": f"{item.ds.name}:{item.ds.version}"}
        status = {"href": f"{href}/status?offset=0&limit=50&sort=id%3ADESC"}
        more = {"target": {"href": owner, "name": item.target.name}, "distributionset": ds, "status": status}
        document["_links"] |= cancelled | more
    return document


def row(item: Row) -> Document:
    """One entry of an action's history; ``reportedAt`` is the server's clock, ``timestamp`` the device's.

    Without a text hawkBit writes a null among the messages.
    """
    return _without_none(
        {
            "id": item.id,
            "type": item.type,
            "messages": item.messages or [None],
            "reportedAt": int(item.received[0] * 1000),
            "timestamp": item.timestamp_ms,
            "code": item.code,
        }
    )
