"""The service centre's deployments: actions and what feedback, cancellation and assignment do to them.

The tables stand in ``rules``; this is the one place that applies them.
"""

import time
from collections.abc import Callable, Mapping

from simulator.center import refusals, rules
from simulator.center.inventory import Inventory
from simulator.center.model import Action, DistributionSet, Module, Row, Target
from simulator.center.rules import Effect, Rule
from simulator.center.web import Json


class Store(Inventory):
    """Everything that the device management half of the centre knows.

    ``wall`` gives unix seconds, ``mono`` monotonic seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, mono: Callable[[], float] = time.monotonic) -> None:
        super().__init__(wall, mono)
        self.actions: dict[int, Action] = {}
        self.confirmation_flow = False

    def action(self, action_id: int, target: Target | None = None) -> Action:
        """The action; 404 if unknown or another target's."""
        action = self.actions.get(action_id)
        if action is None:
            raise refusals.not_found("Action", action_id)
        if target is not None and action.target is not target:
            raise refusals.foreign_action(action_id, target.controller_id)
        return action

    def of_target(self, target: Target) -> list[Action]:
        """A target's actions, oldest first."""
        with self.lock:
            return [action for action in self.actions.values() if action.target is target]

    def current(self, target: Target) -> Action | None:
        """The active action that the device is told of: highest weight, then oldest."""
        active = [action for action in self.of_target(target) if action.active]
        return min(active, key=lambda action: (-action.weight, action.id), default=None)

    def installed_action(self, target: Target) -> Action | None:
        """The newest finished action of the set that is installed."""
        done = [a for a in self.of_target(target) if a.ds is target.installed and a.status == "finished"]
        return done[-1] if done else None

    def serving(self, target: Target, module: Module) -> Action | None:
        """The active action that lets the target download this module's files."""
        running = (action for action in self.of_target(target) if action.active and not action.cancelling)
        return next((action for action in running if module.id in action.ds.modules), None)

    def assign(self, ds: DistributionSet, target: Target, kind: str = "forced", **fields: Json) -> Action | None:
        """A new action, older ones being cancelled; None if the set is assigned already.

        Raises:
            CenterError: 400 for an incomplete set, 429 beyond 2000 actions of the target.
        """
        confirm = bool(fields.pop("confirm", True))
        with self.lock:
            self._lock_set(ds)
            if target.assigned is ds:
                return None
            for older in self.of_target(target):
                if older.active and older.status != "canceling" and not older.ds.migration_step:
                    older.change(status="canceling")
                    self._row(older, "canceling", [rules.SERVER + "cancel obsolete action due to new update"])
            action = self._new_action(ds, target, kind, fields)
            if self.confirmation_flow and confirm and target.auto_confirm is None:
                action.status = "wait_for_confirmation"
            self._row(action, action.status, ["Assignment initiated by user 'admin'"])
            target.assigned = ds
            target.status = "pending"
            return action

    def assign_offline(self, ds: DistributionSet, target: Target) -> Action | None:
        """Records an install that happened without the centre; None if assigned already or an update is pending."""
        with self.lock:
            self._lock_set(ds)
            if target.assigned is ds or target.status == "pending":
                return None
            action = self._new_action(ds, target, "forced", {})
            action.status, action.active = "finished", False
            text = ["Assignment initiated by user 'admin'", rules.SERVER + "Action reported as offline deployment"]
            self._row(action, "finished", text)
            target.assigned = target.installed = ds
            target.installed_ms = self.now_ms()
            target.status = "in_sync"
            return action

    def _lock_set(self, ds: DistributionSet) -> None:
        if not ds.complete:
            raise refusals.incomplete()
        ds.locked = True
        for module in ds.modules.values():
            module.locked = True

    def _new_action(self, ds: DistributionSet, target: Target, kind: str, fields: Mapping[str, Json]) -> Action:
        if len(self.of_target(target)) >= rules.MAX_ACTIONS:
            raise refusals.quota("Action", "Target", target.controller_id, rules.MAX_ACTIONS)
        action = Action(next(self.ids["action"]), target, ds, kind, self.stamp(), **fields)
        self.actions[action.id] = action
        return action

    def cancel(self, action: Action, *, force: bool) -> None:
        """Asks the device to stop, or (force, only while cancelling) closes the action without it; 405 otherwise."""
        with self.lock:
            if force:
                if not (action.active and action.cancelling):
                    raise refusals.not_force_quitable(action.id)
                self._row(action, "canceled", [rules.SERVER + "A force quit has been performed."])
                self._close_cancelled(action)
                return
            if action.cancelling:
                raise refusals.not_cancelable("Actions in canceling or canceled state cannot be canceled")
            if not action.active:
                raise refusals.not_cancelable(f"{action.id} is not active and cannot be canceled")
            action.change(status="canceling")
            self._row(action, "canceling", [rules.SERVER + "manual cancelation requested"])

    def retrieved(self, action: Action, text: str) -> None:
        """The device fetched the deployment or the cancellation: one row, however often it asks."""
        with self.lock:
            if action.rows and action.rows[-1].type == "retrieved":
                return
            self._row(action, "retrieved", [rules.SERVER + text])
            if not action.cancelling:
                action.change(status="retrieved")

    def inform(self, action: Action, status: str, text: str) -> None:
        """A row of the server's own, held to the quota."""
        with self.lock:
            self._row_quota(action, status)
            self._row(action, status, [rules.SERVER + text])

    def confirm(self, action: Action, *, confirmed: bool, code: int | None, details: list[str]) -> int:
        """Answer to a question for confirmation: the HTTP status (200, 404 not waiting, 410 closed)."""
        with self.lock:
            if not action.active:
                return 410
            if not action.waiting:
                return 404
            said = "confirmed action. Therefore, it will be set to the running state to proceed with the deployment."
            denied = "rejected action. Action will stay in confirmation pending state."
            rule = Rule("running" if confirmed else "wait_for_confirmation", Effect.NONE)
            self._apply(action, rule, [*details, f"{rules.SERVER}Target {said if confirmed else denied}"], code, None)
            action.change(status=rule.status)
            return 200

    def feedback(self, action: Action, rule: Rule, details: list[str], code: int | None, timestamp_ms: int | None) -> None:
        """Feedback on a deployment (an active action)."""
        messages = [*details, *self._code_text(code)]
        if not messages and rule.if_silent:
            messages = [f"{rules.SERVER}{rule.if_silent}."]
        with self.lock:
            self._apply(action, rule, messages, code, timestamp_ms)

    def cancel_feedback(self, action: Action, rule: Rule, details: list[str], code: int | None, timestamp_ms: int | None) -> None:
        """Feedback on a cancellation; 405 unless the action is being cancelled."""
        with self.lock:
            if not action.cancelling:
                raise refusals.not_cancelable("The action is not in canceling state.")
            own = rule.always or (rule.if_silent and f"{rule.if_silent}.")
            messages = [*([rules.SERVER + own] if own else []), *details, *self._code_text(code)]
            if rule.effect is Effect.CANCEL:
                messages.append(rules.SERVER + "Cancellation completion is finished successfully.")
                self._close_cancelled(action)
            elif rule.effect is Effect.RESUME:
                action.change(status="running")
            else:
                self._row_quota(action, rule.status)
                self._message_quota(messages)
            self._row(action, rule.status, messages, code, timestamp_ms)

    @staticmethod
    def _code_text(code: int | None) -> list[str]:
        return [] if code is None else [f"Device reported status code: {code}"]

    def _apply(self, action: Action, rule: Rule, messages: list[str], code: int | None, stamp_ms: int | None) -> None:
        self._row_quota(action, rule.status)
        self._message_quota(messages)
        stamp_ms = self.now_ms() if stamp_ms is None else stamp_ms
        if rule.effect is Effect.FAIL:
            action.change(active=False, status="error")
            action.target.status = "error"
            action.target.assigned = None
        elif rule.effect is Effect.FINISH:
            self._finish(action, stamp_ms)
        elif rule.effect is Effect.DOWNLOADED and action.type == "downloadonly":
            action.change(active=False, status="downloaded")
            action.target.status = "in_sync"
            action.target.attributes_wanted = True
        self._row(action, rule.status, messages, code, stamp_ms)
        action.change(last_code=code)

    @staticmethod
    def _finish(action: Action, stamp_ms: int) -> None:
        target = action.target
        action.change(active=False, status="finished")
        target.attributes_wanted = True
        # A report dated at or before the last installation closes the action, but installs nothing.
        if target.installed_ms is None or target.installed_ms < stamp_ms:
            target.installed = action.ds
            target.installed_ms = stamp_ms
            if action.type == "downloadonly":
                target.assigned = action.ds
            if target.assigned is target.installed:
                target.status = "in_sync"

    def _close_cancelled(self, action: Action) -> None:
        action.change(active=False, status="canceled")
        target = action.target
        others = [other for other in self.of_target(target) if other.active]
        target.assigned = others[0].ds if others else target.installed
        if not others:
            target.status = "in_sync"

    @staticmethod
    def _row_quota(action: Action, status: str) -> None:
        if status not in rules.FINAL_ROWS and len(action.rows) + 1 > rules.MAX_ROWS:
            raise refusals.quota("ActionStatus", "Action", action.id, rules.MAX_ROWS)

    @staticmethod
    def _message_quota(messages: list[str]) -> None:
        count = sum(max(1, -(-len(text) // rules.MAX_MESSAGE)) for text in messages)
        if count > rules.MAX_MESSAGES:
            raise refusals.quota("Message", "ActionStatus", "null", rules.MAX_MESSAGES, count)

    def _row(self, action: Action, kind: str, messages: list[str], code: int | None = None, stamp_ms: int | None = None) -> None:
        width = rules.MAX_MESSAGE
        cut = [text[at : at + width] for text in messages for at in range(0, max(len(text), 1), width)]
        when = self.now_ms() if stamp_ms is None else stamp_ms
        action.rows.append(Row(next(self.ids["row"]), kind, when, cut, code, self.stamp()))
