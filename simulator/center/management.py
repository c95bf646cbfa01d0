"""The part of hawkBit's Management API that releases need (``/rest/v1``); its documents stand in ``documents``."""

from collections.abc import Callable, Iterable

from simulator.center import documents, refusals
from simulator.center.bodies import ids, object_, objects, optional, options, page, text
from simulator.center.model import Action, DistributionSet, Target
from simulator.center.settings import Settings, is_user
from simulator.center.software import REST, Software
from simulator.center.store import Store
from simulator.center.web import (
    Json,
    Reply,
    Request,
    Router,
    conditional,
    hal_kind,
    json_reply,
    whole,
)

BASE = REST


class Management:
    """Answers the operator's requests out of the store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._router = Router(
            [
                *Software(store).routes(),
                ("GET", "/targets", self._targets),
                ("POST", "/targets", self._create_targets),
                ("GET", "/targets/{cid}", self._target),
                ("PUT", "/targets/{cid}", self._update_target),
                ("DELETE", "/targets/{cid}", self._delete_target),
                ("GET", "/targets/{cid}/attributes", self._attributes),
                ("GET", "/targets/{cid}/assignedDS", self._assigned),
                ("POST", "/targets/{cid}/assignedDS", self._assign_to_target),
                ("GET", "/targets/{cid}/installedDS", self._installed),
                ("GET", "/targets/{cid}/actions", self._target_actions),
                ("GET", "/targets/{cid}/actions/{action}", self._target_action),
                ("PUT", "/targets/{cid}/actions/{action}", self._force_action),
                ("DELETE", "/targets/{cid}/actions/{action}", self._cancel_action),
                ("GET", "/targets/{cid}/actions/{action}/status", self._status),
                ("GET", "/actions", self._actions),
                ("GET", "/actions/{action}", self._action),
                ("POST", "/distributionsets/{ds}/assignedTargets", self._assign_targets),
                ("GET", "/distributionsets/{ds}/assignedTargets", self._assigned_targets),
                ("GET", "/system/configs", self._configs),
                ("GET", "/system/configs/{key}", self._config),
                ("PUT", "/system/configs/{key}", self._put_config),
                ("DELETE", "/system/configs/{key}", self._delete_config),
            ]
        )

    def handle(self, request: Request) -> Reply | None:
        """The answer; None if the path is outside ``/rest/v1``."""
        if not request.path.startswith(BASE + "/"):
            return None
        if not is_user(request):
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="hawkBit"'})
        with self._store.lock:
            reply = self._router.dispatch(request, request.path.removeprefix(BASE))
            return conditional(request, reply) if reply else Reply(404)

    # Targets

    def _targets(self, request: Request) -> Reply:
        return page(request, self._store.targets.values(), self._target_document(request), "controllerId")

    def _target_document(self, request: Request) -> Callable[[Target], dict[str, Json]]:
        return lambda target: documents.target(target, request.base + BASE)

    def _create_targets(self, request: Request) -> Reply:
        wanted = objects(request.json())
        names = [text(item, "controllerId") for item in wanted]
        if len(set(names)) < len(names) or any(name in self._store.targets for name in names):
            raise refusals.conflict()
        made = [
            self._store.create_target(
                name,
                name=optional(item, "name"),
                token=optional(item, "securityToken"),
                description=optional(item, "description"),
                address=optional(item, "address"),
            )
            for name, item in zip(names, wanted, strict=True)
        ]
        document = self._target_document(request)
        return json_reply([document(target) for target in made], 201, hal_kind(request))

    def _target(self, request: Request, cid: str) -> Reply:
        document = self._target_document(request)(self._store.target(cid))
        return json_reply(document, kind=hal_kind(request))

    def _update_target(self, request: Request, cid: str) -> Reply:
        target, body = self._store.target(cid), object_(request.json())
        if body.get("requestAttributes") is False:
            return Reply(400)
        target.name = optional(body, "name") or target.name
        target.description = optional(body, "description") or target.description
        target.token = optional(body, "securityToken") or target.token
        target.attributes_wanted = target.attributes_wanted or body.get("requestAttributes") is True
        return self._target(request, cid)

    def _delete_target(self, _: Request, cid: str) -> Reply:
        target = self._store.target(cid)
        for action in self._store.of_target(target):
            del self._store.actions[action.id]
        del self._store.targets[cid]
        return Reply(204)

    def _attributes(self, request: Request, cid: str) -> Reply:
        attributes = self._store.target(cid).attributes
        return json_reply(attributes, kind=hal_kind(request)) if attributes else Reply(204)

    def _assigned(self, request: Request, cid: str) -> Reply:
        return self._set_or_nothing(request, self._store.target(cid).assigned)

    def _installed(self, request: Request, cid: str) -> Reply:
        return self._set_or_nothing(request, self._store.target(cid).installed)

    def _set_or_nothing(self, request: Request, ds: DistributionSet | None) -> Reply:
        if ds is None:
            return Reply(204)
        return json_reply(documents.distribution_set(ds, request.base + BASE, full=True), kind=hal_kind(request))

    # Actions

    def _target_actions(self, request: Request, cid: str) -> Reply:
        found = self._store.of_target(self._store.target(cid))
        return self._page_of_actions(request, found)

    def _actions(self, request: Request) -> Reply:
        return self._page_of_actions(request, self._store.actions.values())

    @staticmethod
    def _page_of_actions(request: Request, found: Iterable[Action]) -> Reply:
        return page(request, found, lambda action: documents.action(action, request.base + BASE), "id", newest=True)

    def _of_target(self, cid: str, action: str) -> Action | None:
        """None (404 without a body) for another target's action."""
        found = self._store.action(whole(action))
        return found if found.target.controller_id == cid else None

    def _target_action(self, request: Request, cid: str, action: str) -> Reply:
        found = self._of_target(cid, action)
        if found is None:
            return Reply(404)
        return json_reply(documents.action(found, request.base + BASE, full=True), kind=hal_kind(request))

    def _action(self, request: Request, action: str) -> Reply:
        found = self._store.action(whole(action))
        return self._target_action(request, found.target.controller_id, action)

    def _force_action(self, request: Request, cid: str, action: str) -> Reply:
        found, body = self._of_target(cid, action), object_(request.json())
        if found is None:
            return Reply(404)
        if body.get("forceType") != "forced":
            raise refusals.invalid("Resource supports only switch to FORCED.")
        if found.type != "timeforced":
            found.change(type="forced")
        return self._target_action(request, cid, action)

    def _cancel_action(self, request: Request, cid: str, action: str) -> Reply:
        found = self._of_target(cid, action)
        if found is None:
            return Reply(404)
        self._store.cancel(found, force=request.first("force").lower() == "true")
        return Reply(204)

    def _status(self, request: Request, cid: str, action: str) -> Reply:
        self._store.target(cid)
        found = self._of_target(cid, action)
        if found is None:
            return Reply(404)
        return page(request, found.rows, documents.row, "id", newest=True)

    # Assignment

    def _assigned_targets(self, request: Request, ds: str) -> Reply:
        wanted = self._store.distribution_set(whole(ds))
        found = [target for target in self._store.targets.values() if target.assigned is wanted]
        return page(request, found, self._target_document(request), "controllerId")

    def _assign_targets(self, request: Request, ds: str) -> Reply:
        found = self._store.distribution_set(whole(ds))
        wanted = [(item, self._store.targets.get(text(item, "id"))) for item in objects(request.json())]
        return self._assign(request, [(found, target, item) for item, target in wanted if target is not None])

    def _assign_to_target(self, request: Request, cid: str) -> Reply:
        target, body = self._store.target(cid), request.json()
        wanted = objects([body] if isinstance(body, dict) else body)
        pairs = [(self._store.distribution_set(ids([item])[0]), target, item) for item in wanted]
        return self._assign(request, pairs)

    def _assign(self, request: Request, wanted: list[tuple[DistributionSet, Target, dict[str, Json]]]) -> Reply:
        offline = request.first("offline").lower() == "true"
        checked = [(ds, target, {} if offline else options(item)) for ds, target, item in wanted]
        made = [
            self._store.assign_offline(ds, target) if offline else self._store.assign(ds, target, **options)
            for ds, target, options in checked
        ]
        actions = [action for action in made if action is not None]
        return json_reply(
            {
                "alreadyAssigned": len(made) - len(actions),
                "assignedActions": [documents.action_id(action, request.base + BASE) for action in actions],
                "assigned": len(actions),
                "total": len(made),
            },
            kind=hal_kind(request),
        )

    # The tenant's configuration

    def _configs(self, request: Request) -> Reply:
        listed = {key: self._config_document(request, key) for key in self._settings.keys()}  # noqa: SIM118
        return json_reply(listed, kind=hal_kind(request))

    def _config(self, request: Request, key: str) -> Reply:
        return json_reply(self._config_document(request, key), kind=hal_kind(request))

    def _config_document(self, request: Request, key: str) -> dict[str, Json]:
        value, original = self._settings.get(key)
        links = {"self": {"href": f"{request.base}{BASE}/system/configs/{key}"}}
        return {"value": value, "global": original, "_links": links}

    def _put_config(self, request: Request, key: str) -> Reply:
        self._settings.put(key, object_(request.json()).get("value"))
        return self._applied()

    def _delete_config(self, _: Request, key: str) -> Reply:
        self._settings.delete(key)
        return self._applied()

    def _applied(self) -> Reply:
        self._store.confirmation_flow = bool(self._settings.get("user.confirmation.flow.enabled")[0])
        return Reply(204)
