"""Management API: software modules with their files, and distribution sets."""

import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from simulator.center import documents, refusals, rules
from simulator.center.bodies import ids, objects, optional, page, text
from simulator.center.model import DistributionSet, Module
from simulator.center.store import Store
from simulator.center.web import (
    CenterError,
    Json,
    Reply,
    Request,
    bytes_reply,
    hal_kind,
    json_reply,
    multipart_file,
    whole,
)

REST = "/rest/v1"
T = TypeVar("T")


class Software:
    """What ``/softwaremodules`` and ``/distributionsets`` answer; the caller holds the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        """Method, path and handler of each."""
        return [
            ("GET", "/softwaremodules", self._modules),
            ("POST", "/softwaremodules", self._create_modules),
            ("GET", "/softwaremodules/{module}", self._module),
            ("GET", "/softwaremodules/{module}/artifacts", self._artifacts),
            ("POST", "/softwaremodules/{module}/artifacts", self._upload),
            ("GET", "/softwaremodules/{module}/artifacts/{artifact}", self._artifact),
            ("DELETE", "/softwaremodules/{module}/artifacts/{artifact}", self._delete_artifact),
            ("GET", "/softwaremodules/{module}/artifacts/{artifact}/download", self._download),
            ("GET", "/softwaremodules/{module}/metadata", self._metadata),
            ("POST", "/softwaremodules/{module}/metadata", self._create_metadata),
            ("GET", "/distributionsets", self._sets),
            ("POST", "/distributionsets", self._create_sets),
            ("GET", "/distributionsets/{ds}", self._set),
            ("GET", "/distributionsets/{ds}/assignedSM", self._set_modules),
            ("POST", "/distributionsets/{ds}/assignedSM", self._add_modules),
        ]

    # Software modules

    def _modules(self, request: Request) -> Reply:
        return page(request, self._store.modules.values(), lambda module: documents.module(module, request.base + REST), "id")

    def _new_module(self, item: dict[str, Json]) -> Module:
        return self._store.create_module(
            text(item, "name"),
            text(item, "version"),
            text(item, "type"),
            description=optional(item, "description"),
            vendor=optional(item, "vendor"),
        )

    def _new_set(self, item: dict[str, Json]) -> DistributionSet:
        return self._store.create_set(
            text(item, "name"),
            text(item, "version"),
            optional(item, "type") or "os_app",
            ids(item.get("modules") or []),
            migration_step=item.get("requiredMigrationStep") is True,
        )

    def _create_modules(self, request: Request) -> Reply:
        made = _all_or_none(objects(request.json()), self._new_module, self._store.modules)
        listed = [documents.module(module, request.base + REST) for module in made]
        return json_reply(listed, 201, hal_kind(request))

    def _module(self, request: Request, module: str) -> Reply:
        found = self._store.module(whole(module))
        return json_reply(documents.module(found, request.base + REST, full=True), kind=hal_kind(request))

    def _artifacts(self, request: Request, module: str) -> Reply:
        found = self._store.module(whole(module))
        listed = [documents.artifact(item, found, request.base + REST) for item in found.artifacts.values()]
        return json_reply(listed, kind=hal_kind(request))

    def _upload(self, request: Request, module: str) -> Reply:
        given, data = multipart_file(request, "file")
        found = self._store.module(whole(module))
        filename = request.first("filename") or given
        if not data:
            return Reply(400)
        if not filename or re.search(r"<[A-Za-z/!?][^>]*>", filename):  # markup is all that hawkBit refuses, climbing names pass
            raise refusals.invalid("create.artifactUpload.filename Invalid characters in string.")
        if len(filename) > rules.MAX_FILENAME:
            raise refusals.invalid(f"filename size must be between 1 and {rules.MAX_FILENAME}.")
        if len(data) > rules.MAX_ARTIFACT:
            code = "hawkbit.server.error.quota.fileSizeExceeded"
            raise CenterError(429, code, "File exceeds size quota.")
        sums = {name: request.first(f"{name}sum") for name in ("md5", "sha1", "sha256")}
        artifact = self._store.add_artifact(found, filename, data, sums)
        return json_reply(documents.artifact(artifact, found, request.base + REST, full=True), 201, hal_kind(request))

    def _artifact(self, request: Request, module: str, artifact: str) -> Reply:
        found = self._store.module(whole(module))
        item = found.artifacts.get(whole(artifact))
        if item is None:
            raise refusals.not_found("Artifact", artifact)
        return json_reply(documents.artifact(item, found, request.base + REST, full=True), kind=hal_kind(request))

    def _delete_artifact(self, _: Request, module: str, artifact: str) -> Reply:
        self._store.remove_artifact(self._store.module(whole(module)), whole(artifact))
        return Reply(204)

    def _download(self, request: Request, module: str, artifact: str) -> Reply:
        item = self._store.module(whole(module)).artifacts.get(whole(artifact))
        if item is None:
            raise refusals.not_found("Artifact", artifact)
        reply = bytes_reply(request, item.data, f'"{item.sha1}"', item.created_ms / 1000)
        reply.headers["Content-Disposition"] = f"attachment;filename={quote(item.filename)}"
        return reply

    def _metadata(self, request: Request, module: str) -> Reply:
        found = self._store.module(whole(module)).metadata
        listed = [{"key": key, "value": value, "targetVisible": seen} for key, (value, seen) in found.items()]
        return json_reply({"content": listed, "total": len(listed), "size": len(listed)}, kind=hal_kind(request))

    def _create_metadata(self, request: Request, module: str) -> Reply:
        found, wanted = self._store.module(whole(module)), objects(request.json())
        found.metadata |= {text(item, "key"): (text(item, "value"), item.get("targetVisible") is True) for item in wanted}
        return Reply(201)

    # Distribution sets and their assignment

    def _sets(self, request: Request) -> Reply:
        return page(request, self._store.sets.values(), lambda ds: documents.distribution_set(ds, request.base + REST), "id")

    def _create_sets(self, request: Request) -> Reply:
        made = _all_or_none(objects(request.json()), self._new_set, self._store.sets)
        listed = [documents.distribution_set(ds, request.base + REST) for ds in made]
        return json_reply(listed, 201, hal_kind(request))

    def _set(self, request: Request, ds: str) -> Reply:
        found = self._store.distribution_set(whole(ds))
        return json_reply(documents.distribution_set(found, request.base + REST, full=True), kind=hal_kind(request))

    def _set_modules(self, request: Request, ds: str) -> Reply:
        found = self._store.distribution_set(whole(ds)).modules.values()
        return page(request, found, lambda module: documents.module(module, request.base + REST), "id")

    def _add_modules(self, request: Request, ds: str) -> Reply:
        self._store.add_modules(self._store.distribution_set(whole(ds)), ids(request.json()))
        return Reply(204)


def _all_or_none(wanted: list[dict[str, Json]], make: Callable[[dict[str, Json]], T], kept: dict[int, T]) -> list[T]:
    """Makes each of a request's entities, or, if one is refused, none."""
    before = set(kept)
    try:
        return [make(item) for item in wanted]
    except CenterError:
        for key in set(kept) - before:
            del kept[key]
        raise
