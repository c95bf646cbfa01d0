"""``/sim/…``: what tests and the demo ask of the simulator itself; loopback and the user's password only.

* ``GET /sim/records[?after=N]`` what the intake got; ``GET /sim/actions`` deployments with times of receipt.
* ``GET /sim/behaviour`` the failures in force; ``POST /sim/behaviour`` with any of ``clear`` (true), ``failures``
  (list of `behaviour.Failure`), ``down_s`` (refuse connections for so many seconds, at most 600) and ``polling``
  (``HH:MM:SS``, below hawkBit's 30 s too; null ends it).
"""

import ipaddress
import re
from collections.abc import Callable

from simulator.center.behaviour import MAX_SECONDS, Behaviour
from simulator.center.intake import Intake
from simulator.center.model import Action
from simulator.center.settings import Settings, is_user
from simulator.center.store import Store
from simulator.center.web import Json, Reply, Request, Router, bad_body, json_reply

_KEYS = frozenset({"clear", "failures", "down_s", "polling"})


class Sim:
    """Answers under ``/sim``; ``go_down(seconds)`` makes the server refuse connections for a while."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        intake: Intake,
        behaviour: Behaviour,
        go_down: Callable[[float], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._intake = intake
        self._behaviour = behaviour
        self._go_down = go_down
        self._router = Router(
            [
                ("GET", "/sim/records", self._records),
                ("GET", "/sim/actions", self._actions),
                ("GET", "/sim/behaviour", self._listed),
                ("POST", "/sim/behaviour", self._behave),
            ]
        )

    def handle(self, request: Request) -> Reply | None:
        """The answer; None for another path."""
        if not request.path.startswith("/sim/"):
            return None
        if not ipaddress.ip_address(request.client).is_loopback:
            return Reply(403)
        if not is_user(request):
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="possim"'})
        return self._router.dispatch(request, request.path)

    def _records(self, request: Request) -> Reply:
        return json_reply(self._intake.records(request.number("after", 0)))

    def _actions(self, _: Request) -> Reply:
        with self._store.lock:
            actions = [_action(action) for action in self._store.actions.values()]
            polls = [{"controller_id": cid, "wall": wall, "mono": mono} for cid, wall, mono in self._settings.polls]
        return json_reply({"actions": actions, "polls": polls})

    def _listed(self, _: Request) -> Reply:
        return json_reply({"failures": self._behaviour.listed(), "polling": self._settings.urgent_sleep})

    def _behave(self, request: Request) -> Reply:
        document = request.json()
        if not isinstance(document, dict) or not set(document) <= _KEYS:
            raise bad_body()
        down_s = document.get("down_s", 0)
        if isinstance(down_s, bool) or not isinstance(down_s, int | float) or not 0 <= down_s <= MAX_SECONDS:
            raise bad_body()
        polling = document.get("polling", self._settings.urgent_sleep)
        if polling is not None and not (isinstance(polling, str) and re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d", polling)):
            raise bad_body()
        if document.get("clear") is True:
            self._behaviour.clear()
        self._behaviour.load(document.get("failures", []))
        self._settings.urgent_sleep = polling
        if down_s:
            self._go_down(float(down_s))
        return self._listed(request)


def _action(action: Action) -> dict[str, Json]:
    rows = [
        {
            "type": row.type,
            "messages": row.messages,
            "code": row.code,
            "timestamp": row.timestamp_ms,
            "received": {"wall": row.received[0], "mono": row.received[1]},
        }
        for row in action.rows
    ]
    return {
        "id": action.id,
        "target": action.target.controller_id,
        "distribution_set": {"name": action.ds.name, "version": action.ds.version},
        "type": action.type,
        "status": action.status,
        "active": action.active,
        "created": {"wall": action.created[0], "mono": action.created[1]},
        "rows": rows,
    }
