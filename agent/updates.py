"""The thread on which the deployment's table runs, and what it records.

The engine decides; here are its surroundings: the journal for its steps, a queue for what the centre or a person asks, and a
wait that ends when there is something to do.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agent.errors import JournalError, JournalTimeout
from agent.journal import Journal, Receipt, Record
from agent.redact import redact
from firmware.engine import Cancel, Engine, UpdateRecord
from firmware.errors import FirmwareError, InstallFailed
from firmware.flow import MEANING, State
from firmware.state import Component, Deployment, Past, Wanted

log = logging.getLogger(__name__)

RECORD_LIMIT_S = 30.0
LOOK_BACK = 400
"""Records that are read at once when steps are searched after a restart that were recorded already."""
LOOKS_MAX = 100
FORGOTTEN = "update.forgotten"
"""Kind of the record that says: what was known of updates has been taken away."""
BEGINNING = f"update.{State.RECEIVED}"

SEVERITY = {"refused": "warning", "failed": "error", "rolled_back": "error"}


def refused_body(action_id: str, wanted: Sequence[tuple[str, str]], code: str, why: str) -> dict[str, Any]:
    """The record of an action that is refused before any deployment begins; ``wanted``: (component, version) each."""
    meaning = MEANING[State.REFUSED]
    return {
        "key": f"refused-{action_id}",
        "action_id": action_id,
        "component": "+".join(name for name, _ in wanted),
        "version": "+".join(version for _, version in wanted),
        "state": State.REFUSED.value,
        "execution": meaning.execution,
        "finished": meaning.finished,
        "final": True,
        "code": code,
        "reason": why,
        "answers_cancel": False,
    }


class Recorder:
    """Engine steps into the journal, each once and durable before the engine goes on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._keys: set[str] | None = None
        self._waiting: dict[str, Receipt] = {}

    def record(self, step: UpdateRecord) -> None:
        """Durable on return. Raises InstallFailed where the journal cannot keep it now."""
        body: dict[str, Any] = {
            "key": step.key,
            "deployment": step.deployment_id,
            "action_id": step.action_id,
            "component": step.component,
            "version": step.version,
            "items": [{"component": i.component, "version": i.version} for i in step.items],
            "state": step.state,
            "execution": step.execution,
            "finished": step.finished,
            "final": step.final,
            "code": step.code,
            "reason": step.reason,
            "answers_cancel": step.answers_cancel,
            "rollback": step.back,
            "stick": step.stick,
        }
        # A record that is not durable yet is still queued: asked again, it is waited for and not written twice.
        receipt = self._waiting.get(step.key)
        if receipt is None:
            receipt = self._journal.append(f"update.{step.state}", SEVERITY.get(step.state, "info"), "host", body)
        self._waiting = {step.key: receipt}
        try:
            receipt.wait(RECORD_LIMIT_S)
        except JournalTimeout as error:
            raise InstallFailed(str(error), code="journal") from None
        except JournalError as error:
            self._waiting.clear()
            raise InstallFailed(str(error), code="journal") from None
        self._waiting.clear()
        why = f" ({step.code})" if step.code else ""
        level = logging.WARNING if step.state in SEVERITY else logging.INFO
        log.log(level, "%s %s, %s%s: %s", step.component, step.version, step.state, why, step.reason)
        if self._keys is not None:
            self._keys.add(step.key)

    def recorded(self, key: str) -> bool:
        """Whether this step is in the journal already, from before a restart. Raises InstallFailed while it cannot be read."""
        if self._keys is None:
            self._keys = self._look_back()
        return key in self._keys

    def remembered(self) -> tuple[bool, Deployment | None]:
        """Whether the journal knows of deployments, and the newest one where it has no end. For a till without any state:
        then that it has forgotten is recorded here. What cannot be read is not known."""
        steps: dict[str, list[Mapping[str, Any]]] = {}
        with contextlib.suppress(JournalError, InstallFailed):
            for record in self._newest_first():
                if record.kind.startswith("update.") and record.body.get("deployment"):
                    steps.setdefault(str(record.body["deployment"]), []).append(record.body)
                if len(steps) > 1:
                    break
        if not steps:
            return False, None
        name, told = next(iter(steps.items()))
        what = {word: told[0][word] for word in ("component", "version")}
        self._journal.append(FORGOTTEN, "warning", "host", what)
        if any(body.get("final") for body in told):
            return True, None
        items = tuple(Wanted(str(one["component"]), str(one["version"])) for one in told[0]["items"])
        return True, Deployment(name, str(told[0]["action_id"]), items, back=bool(told[0].get("rollback")))

    def _newest_first(self) -> Iterator[Record]:
        end = self._journal.head().seq
        for _ in range(LOOKS_MAX):
            begin = max(0, end - LOOK_BACK)
            yield from reversed(self._journal.read(begin, end - begin))
            if begin == 0:
                return
            end = begin

    def _look_back(self) -> set[str]:
        """The keys back to where the newest deployment began: it may have waited for days, with a thousand faults meanwhile."""
        if not self._journal.chain():  # started on a full disk: no record that can be read is not no record
            raise InstallFailed("the journal cannot be opened yet", code="journal")
        keys: set[str] = set()
        end = self._journal.head().seq
        for _ in range(LOOKS_MAX):
            begin = max(0, end - LOOK_BACK)
            found = [r for r in self._journal.read(begin, end - begin) if r.kind.startswith("update.")]
            keys |= {str(r.body.get("key")) for r in found}
            if begin == 0 or any(r.kind == BEGINNING for r in found):
                break
            end = begin
        return keys


class Updates:
    """Runs one engine. ``start`` resumes what a kill or a power cut interrupted."""

    def __init__(self, engine: Engine, interrupt: Callable[[], None], on_ended: Callable[[], None]) -> None:
        """``interrupt`` ends the step under way at once; ``on_ended`` is told when a deployment has ended."""
        self._engine = engine
        self._interrupt = interrupt
        self._on_ended = on_ended
        self._wake = threading.Condition()
        self._stopping = False
        self._poked = False
        self._waits = ""
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)
        self.broken = ""
        """why no update can run at all (damaged state); empty while they can"""
        self.broken_code = ""

    def start(self) -> None:
        """Load the state and go on where it says."""
        try:
            self._engine.resume()
        except FirmwareError as error:
            self.broken, self.broken_code = redact(str(error)), error.code
            log.warning("updates are off: %s", error)
            return
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> None:
        """End the thread; what is under way is picked up by the next start."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._interrupt()
        if self._thread.ident is not None:
            self._thread.join(limit_s)

    def request(self, deployment: Deployment) -> bool:
        """Take a deployment; False while another one is under way or when this one has already ended."""
        if self.broken:
            return False
        try:
            taken = self._engine.request(deployment)
        except FirmwareError as error:
            log.warning("deployment %s not taken: %s", deployment.id, error)
            return False
        self._poke()
        return taken

    def cancel(self, action_id: str) -> Cancel:
        """Take a deployment back."""
        answer = self._engine.cancel(action_id)
        self._poke()
        return answer

    def make_room(self) -> None:
        """Give a short disk back what was only brought ahead of time."""
        if not self.broken:
            self._engine.make_room()

    def outcome(self, deployment_id: str) -> Past | None:
        """How a deployment ended; None while it is under way."""
        return None if self.broken else self._engine.outcome(deployment_id)

    def component(self, name: str) -> Component | None:
        """What is remembered of one component; None for one that this machine does not have."""
        return None if self.broken else self._engine.component(name)

    def last(self) -> Mapping[str, str] | None:
        """How the newest deployment that has ended did so; None where there was none."""
        past = [] if self.broken else self._engine.history()
        return past[-1] if past else None

    def committed(self) -> Past | None:
        """The newest deployment that was committed, of those that are remembered."""
        past = [] if self.broken else self._engine.history()
        return next((Past(**one) for one in reversed(past) if one["state"] == State.COMMITTED), None)

    def running(self) -> dict[str, Component]:
        """What is remembered of each component."""
        names = () if self.broken else self._engine.status()["components"]
        return {name: seen for name in names if (seen := self._engine.component(name)) is not None}

    def status(self) -> Mapping[str, Any]:
        """``components`` and ``deployment`` of the contract."""
        if self.broken:
            return {"components": {}, "deployment": None, "broken": self.broken}
        return self._engine.status()

    def _poke(self) -> None:
        with self._wake:
            self._poked = True
            self._wake.notify()

    def _tell_waiting(self) -> None:
        """One line of the log for each thing that is waited for: an update that stands still must say why."""
        running = self._engine.status()["deployment"]
        waits = str(running["waiting_for"] or "") if running is not None else ""
        about = "".join(char for char in waits if not char.isdigit())  # seconds that run down are no news
        if running is not None and waits and about != self._waits:
            log.info("%s %s waits for %s", running["component"], running["version"], waits)
        self._waits = about

    def _run(self) -> None:
        try:
            self._go_on()
        except Exception as error:  # a mistake of ours: to be told, and not to be found out by updates that never come
            log.exception("updates are off")
            self.broken, self.broken_code = redact(f"updates stopped by a mistake of their own: {error!r}"), "internal"
            self._tell_ended()

    def _go_on(self) -> None:
        busy = False
        while not self._stopping:
            with self._wake:
                self._poked = False
            wait_s = self._engine.step()
            self._tell_waiting()
            was_busy, busy = busy, wait_s is not None
            if was_busy and not busy:
                self._tell_ended()
            with self._wake:
                self._wake.wait_for(lambda: self._poked or self._stopping, wait_s)

    def _tell_ended(self) -> None:
        """Whoever is told may make a mistake of its own: the next update shall come nevertheless."""
        try:
            self._on_ended()
        except Exception:
            log.exception("who waited for the end of an update was not told")
