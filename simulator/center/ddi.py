"""hawkBit's Direct Device Integration API v1, the device's side of the service centre.

Paths, bodies and statuses: facts/updates.md section 2, "Paths" 1 to 16; where it says nothing, release 1.0.4 decides.
"""

import hmac
import re
import zlib
from urllib.parse import quote

from simulator.center import refusals, rules
from simulator.center.model import Action, Artifact, Module, Target
from simulator.center.rules import Rule
from simulator.center.settings import Settings
from simulator.center.store import Store
from simulator.center.web import (
    CenterError,
    Json,
    Reply,
    Request,
    Router,
    bad_body,
    bytes_reply,
    conditional,
    hal_kind,
    json_reply,
    whole,
)

TENANT = "DEFAULT"
BASE = re.compile(r"/([^/]+)/controller/v1(/.*)")
_FALLBACK_REMARK = "Initiated using the Device Direct Integration API without providing a remark."


class Ddi:
    """Answers a device's requests out of the store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._router = Router(
            [
                ("GET", "/{cid}", self._poll),
                ("PUT", "/{cid}/configData", self._config_data),
                ("GET", "/{cid}/deploymentBase/{action}", self._deployment),
                ("POST", "/{cid}/deploymentBase/{action}/feedback", self._deployment_feedback),
                ("GET", "/{cid}/cancelAction/{action}", self._cancel),
                ("POST", "/{cid}/cancelAction/{action}/feedback", self._cancel_feedback),
                ("GET", "/{cid}/installedBase/{action}", self._installed),
                ("PUT", "/{cid}/installedBase", self._put_installed),
                ("GET", "/{cid}/confirmationBase", self._confirmation_base),
                ("POST", "/{cid}/confirmationBase/activateAutoConfirm", self._activate),
                ("POST", "/{cid}/confirmationBase/deactivateAutoConfirm", self._deactivate),
                ("GET", "/{cid}/confirmationBase/{action}", self._confirmation),
                ("POST", "/{cid}/confirmationBase/{action}/feedback", self._confirmation_feedback),
                ("GET", "/{cid}/softwaremodules/{module}/artifacts", self._artifacts),
                ("GET", "/{cid}/softwaremodules/{module}/artifacts/{name}.MD5SUM", self._md5),
                ("GET", "/{cid}/softwaremodules/{module}/artifacts/{name}", self._download),
            ]
        )

    def handle(self, request: Request) -> Reply | None:
        """The answer; None if the path is no DDI path at all."""
        match = BASE.fullmatch(request.path)
        if not match:
            return None
        with self._store.lock:
            if match[1] != TENANT or not self._authentic(request, match[2]):
                return Reply(401)
            reply = self._router.dispatch(request, match[2])
            if reply is None:
                return Reply(404)
            # the server's ETag filter leaves its download paths out; a file brings one of its own
            return reply if "/softwaremodules/" in match[2] else conditional(request, reply)

    def _authentic(self, request: Request, path: str) -> bool:
        if request.certified:
            return True  # as behind hawkBit's reverse proxy: the certificate was looked at before (`est`)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode()
        if scheme == "GatewayToken" and self._settings.enabled("gatewaytoken"):
            key = self._settings.gateway_key.encode()
            return bool(key) and hmac.compare_digest(given, key)
        if scheme == "TargetToken" and self._settings.enabled("targettoken"):
            target = self._store.targets.get(path.strip("/").partition("/")[0])
            return target is not None and hmac.compare_digest(given, target.token.encode())
        return False

    def _base(self, request: Request, cid: str) -> str:
        return f"{request.base}/{TENANT}/controller/v1/{quote(cid, safe='')}"

    def _action_of(self, cid: str, action: str) -> Action:
        return self._store.action(whole(action), self._store.target(cid))

    # Polling and attributes

    def _poll(self, request: Request, cid: str) -> Reply:
        target = self._store.poll(cid, request.client)
        self._settings.note_poll(cid, self._store.stamp())
        base = self._base(request, cid)
        links: dict[str, Json] = {}
        if current := self._store.current(target):
            links |= _link(*self._current_link(base, current))
        installed = self._store.installed_action(target)
        if installed and not installed.active:
            links |= _link("installedBase", f"{base}/installedBase/{installed.id}")
        if target.attributes_wanted:
            links |= _link("configData", f"{base}/configData")
        document: dict[str, Json] = {"config": {"polling": {"sleep": self._settings.sleep()}}}
        if links:
            document["_links"] = links
        return json_reply(document, kind=hal_kind(request))

    def _current_link(self, base: str, action: Action) -> tuple[str, str]:
        if action.waiting:
            return "confirmationBase", f"{base}/confirmationBase/{action.id}?c={self._mark(action)}"
        if action.cancelling:
            return "cancelAction", f"{base}/cancelAction/{action.id}"
        return "deploymentBase", f"{base}/deploymentBase/{action.id}?c={self._mark(action)}"

    def _mark(self, action: Action) -> int:
        """A number (signed, 32 bit) that changes with the action: the client reads again when its link changes."""
        text = f"{action.id}/{action.revision}/{action.type}/{action.forced(self._store.now_ms())}"
        value = zlib.crc32(text.encode())
        return value - (1 << 32) if value >> 31 else value

    def _config_data(self, request: Request, cid: str) -> Reply:
        document = request.json()
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, dict) or not all(value is None or isinstance(value, str) for value in data.values()):
            raise bad_body()
        mode = document.get("mode") or "merge"
        if mode not in ("merge", "replace", "remove"):
            raise bad_body()
        self._store.put_attributes(self._store.target(cid), mode, data)
        return Reply(200)

    # Deployment, cancellation and their feedback

    def _deployment(self, request: Request, cid: str, action: str) -> Reply:
        found = self._action_of(cid, action)
        if found.cancelling or found.waiting:
            return Reply(404)
        document = self._document(request, found, "deployment")
        self._store.retrieved(found, "Target retrieved update action and should start now the download.")
        return json_reply(document, kind=hal_kind(request))

    def _installed(self, request: Request, cid: str, action: str) -> Reply:
        found = self._action_of(cid, action)
        if found.active or found.cancelling:
            return Reply(404)
        return json_reply(self._document(request, found, "deployment"), kind=hal_kind(request))

    def _document(self, request: Request, action: Action, word: str) -> dict[str, Json]:
        download, update = action.handling(self._store.now_ms())
        chunks = [self._chunk(request, action.target, module) for module in action.ds.modules.values()]
        body = {"download": download, "update": update, "chunks": chunks}
        document: dict[str, Json] = {"id": str(action.id), word: body}
        wanted = request.number("actionHistory", 0)
        count = rules.MAX_HISTORY if wanted < 0 else min(wanted, rules.MAX_HISTORY)
        rows = sorted(action.rows, key=lambda row: row.timestamp_ms, reverse=True)
        texts = [text for row in rows for text in row.messages if not text.startswith(rules.SERVER)][:count]
        if texts:
            document["actionHistory"] = {"status": action.status.upper(), "messages": texts}
        return document

    def _chunk(self, request: Request, target: Target, module: Module) -> dict[str, Json]:
        files = [self._artifact(request, target, module, artifact) for artifact in module.artifacts.values()]
        part = rules.PARTS.get(module.type, module.type)
        chunk: dict[str, Json] = {"part": part, "version": module.version, "name": module.name, "artifacts": files}
        shown = [{"key": key, "value": value} for key, (value, visible) in module.metadata.items() if visible]
        return chunk | ({"metadata": shown} if shown else {})

    def _artifact(self, request: Request, target: Target, module: Module, artifact: Artifact) -> dict[str, Json]:
        base = self._base(request, target.controller_id)
        href = f"{base}/softwaremodules/{module.id}/artifacts/{quote(artifact.filename, safe='')}"
        return {
            "filename": artifact.filename,
            "hashes": {"sha1": artifact.sha1, "md5": artifact.md5, "sha256": artifact.sha256},
            "size": len(artifact.data),
            # Over plain http hawkBit names its links so; "download" and "md5sum" are its https links.
            "_links": _link("download-http", href) | _link("md5sum-http", f"{href}.MD5SUM"),
        }

    def _deployment_feedback(self, request: Request, cid: str, action: str) -> Reply:
        rule, details, code, timestamp = _feedback(request.json(), rules.DEPLOYMENT)
        found = self._action_of(cid, action)
        if found.waiting:
            return Reply(404)
        if not found.active:
            return Reply(410)
        self._store.feedback(found, rule, details, code, timestamp)
        return Reply(200)

    def _cancel(self, request: Request, cid: str, action: str) -> Reply:
        found = self._action_of(cid, action)
        if not found.cancelling:
            return Reply(404)
        self._store.retrieved(found, "Target retrieved cancel action and should start now the cancellation.")
        document = {"id": str(found.id), "cancelAction": {"stopId": str(found.id)}}
        return json_reply(document, kind=hal_kind(request))

    def _cancel_feedback(self, request: Request, cid: str, action: str) -> Reply:
        rule, details, code, timestamp = _feedback(request.json(), rules.CANCEL)
        self._store.cancel_feedback(self._action_of(cid, action), rule, details, code, timestamp)
        return Reply(200)

    def _put_installed(self, request: Request, cid: str) -> Reply:
        document = request.json()
        name, version = (document.get("name"), document.get("version")) if isinstance(document, dict) else ("", "")
        if not (isinstance(name, str) and name and isinstance(version, str) and version):
            raise bad_body()
        ds = next((s for s in self._store.sets.values() if (s.name, s.version) == (name, version)), None)
        if ds is None:
            raise refusals.not_found("DistributionSet", f"{name}={version}", {name: version})
        return Reply(201 if self._store.assign_offline(ds, self._store.target(cid)) else 200)

    # Confirmation

    def _confirmation_base(self, request: Request, cid: str) -> Reply:
        target = self._store.poll(cid, request.client)
        base = self._base(request, cid)
        word = "deactivateAutoConfirm" if target.auto_confirm else "activateAutoConfirm"
        links = _link(word, f"{base}/confirmationBase/{word}")
        current = self._store.current(target)
        if current and current.waiting:
            links |= _link(*self._current_link(base, current))
        state = {"active": True, **target.auto_confirm} if target.auto_confirm else {"active": False}
        return json_reply({"autoConfirm": state, "_links": links}, kind=hal_kind(request))

    def _confirmation(self, request: Request, cid: str, action: str) -> Reply:
        found = self._action_of(cid, action)
        if not found.waiting:
            return Reply(404)
        return json_reply(self._document(request, found, "confirmation"), kind=hal_kind(request))

    def _confirmation_feedback(self, request: Request, cid: str, action: str) -> Reply:
        document = request.json()
        word = document.get("confirmation") if isinstance(document, dict) else None
        if word not in ("confirmed", "denied"):
            raise bad_body()
        code, details = _code_and_details(document)
        found = self._action_of(cid, action)
        return Reply(self._store.confirm(found, confirmed=word == "confirmed", code=code, details=details))

    def _activate(self, request: Request, cid: str) -> Reply:
        document = request.json() if request.body else {"remark": _FALLBACK_REMARK}
        target = self._store.target(cid)
        if not isinstance(document, dict):
            raise bad_body()
        if target.auto_confirm:
            code = "hawkbit.server.error.repo.autoConfAlreadyActive"
            raise CenterError(409, code, "Auto confirmation is already active")
        state = {key: document[key] for key in ("initiator", "remark") if isinstance(document.get(key), str)}
        target.auto_confirm = state | {"activatedAt": self._store.now_ms()}
        return Reply(200)

    def _deactivate(self, _: Request, cid: str) -> Reply:
        self._store.target(cid).auto_confirm = None
        return Reply(200)

    # Files

    def _artifacts(self, request: Request, cid: str, module: str) -> Reply:
        target, found = self._store.target(cid), self._store.module(whole(module))
        installed = self._store.installed_action(target)
        if not self._store.serving(target, found) and not (installed and found.id in installed.ds.modules):
            raise refusals.not_assigned(found.id, cid)
        listed = [self._artifact(request, target, found, artifact) for artifact in found.artifacts.values()]
        return json_reply(listed, kind=hal_kind(request))

    def _served(self, cid: str, module: str, name: str) -> tuple[Artifact, Action] | None:
        target, found = self._store.target(cid), self._store.module(whole(module))
        artifact = found.file(name)
        if artifact is None:
            return None
        action = self._store.serving(target, found)
        if action is None:
            raise refusals.not_assigned(found.id, cid)
        return artifact, action

    def _md5(self, request: Request, cid: str, module: str, name: str) -> Reply:
        served = self._served(cid, module, name)
        if not served:
            return Reply(404)
        self._store.inform(served[1], "download", f"Target downloads {request.path}")
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        headers["Content-Disposition"] = f"attachment;filename={quote(name)}.MD5SUM"
        return Reply(200, f"{served[0].md5}  {name}".encode(), headers)

    def _download(self, request: Request, cid: str, module: str, name: str) -> Reply:
        served = self._served(cid, module, name)
        if not served:
            return Reply(404)
        artifact, action = served
        wanted = request.headers.get("if-match")
        if wanted is not None and wanted != "*" and f'"{artifact.sha1}"' not in wanted and wanted != artifact.sha1:
            return Reply(412)
        if "range" not in request.headers:  # a range leaves no row: many would use up the quota
            self._store.inform(action, "download", f"Target downloads {request.path}")
        reply = bytes_reply(request, artifact.data, f'"{artifact.sha1}"', artifact.created_ms / 1000)
        reply.headers["Content-Disposition"] = f"attachment;filename={quote(name)}"
        return reply


def _link(name: str, href: str) -> dict[str, Json]:
    return {name: {"href": href}}


def _feedback(document: Json, table: dict[tuple[str, str], Rule]) -> tuple[Rule, list[str], int | None, int | None]:
    """Rule, details, code and timestamp (unix ms) of a feedback document; 400 if it is none."""
    status = document.get("status") if isinstance(document, dict) else None
    result = status.get("result") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(result, dict):
        raise bad_body()
    words = (status.get("execution"), result.get("finished"))
    if not all(isinstance(word, str) for word in words) or words not in table:
        raise bad_body()
    timestamp = document.get("timestamp")
    if timestamp is not None and (isinstance(timestamp, bool) or not isinstance(timestamp, int)):
        raise bad_body()
    code, details = _code_and_details(status)
    return table[words], details, code, timestamp


def _code_and_details(document: dict[str, Json]) -> tuple[int | None, list[str]]:
    code, details = document.get("code"), document.get("details")
    if code is not None and (isinstance(code, bool) or not isinstance(code, int)):
        raise bad_body()
    if details is None:
        details = []
    if not isinstance(details, list) or not all(isinstance(text, str) for text in details):
        raise bad_body()
    return code, details
