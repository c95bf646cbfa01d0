"""The till's side of Eclipse hawkBit's DDI v1: asks when to update, and reports truthfully what became of it.

hawkBit says when; what may run is decided by signed metadata elsewhere. Feedback is read from the journal, so that it
is durable and in order. Whether a report arrived is not known where the process was killed, or the answer lost, before
the cursor moved: then hawkBit's own history of the action is asked, so that it hears everything once. ``timestamp`` is left
out: one report from the future would blind the server to every later one (facts updates.md section 2).

What runs may change without an action: from a stick, or by hand. While an action is open hawkBit takes no word of that. So
at the start, after such an install, and whenever an action has ended, its belief is held against what runs as soon as no
action is open, and put right.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

from agent.clock import jittered
from agent.journal import Journal, Record
from agent.sinks.base import Sink
from firmware.errors import HttpStatusError
from firmware.transport import Transport
from protocols.center import ddi
from protocols.errors import LocalProtocolError

REFUSED = "report.refused"
ANSWERED_BY_RECORD = frozenset({"accepted", "too_late"})
"""What `Handler.on_cancel` may answer where a record with ``answers_cancel`` will carry the answer."""
FINISHED = "finished"
SOON_S = 1.0
"""The next poll, where something has to be delivered before this one can be obeyed."""
_GONE = frozenset({404, 405, 410})
_REFUSALS = frozenset({400, 409, 413, 415, 422, 423})

_log = logging.getLogger(__name__)


class Handler(Protocol):
    """Who carries out what hawkBit asks for. Called on the sink's thread; must return soon."""

    def on_deployment(self, deployment: ddi.Deployment) -> bool:
        """Take it; False: not now, offer it again at the next poll."""

    def on_cancel(self, action_id: str) -> str:
        """Stop it: one of "accepted", "too_late" (a record will answer), "finished", "unknown" (nothing runs)."""

    def installed(self) -> Sequence[tuple[str, str]] | None:
        """(component, version) of what the last committed deployment brought and still runs; None: one is under way."""


@dataclass(frozen=True, slots=True)
class PollState:
    """What the last good poll said; kept while later ones fail."""

    sleep_s: float
    action_id: str | None
    canceling: str | None


class HawkbitSink(Sink):
    """``url`` is the tenant's base (…/DEFAULT/controller/v1); ``attributes`` are sent when hawkBit asks for them."""

    name = "hawkbit"

    def __init__(
        self,
        url: str,
        transport: Transport,
        journal: Journal,
        handler: Handler,
        *,
        controller_id: str,
        attributes: Callable[[], Mapping[str, str]],
        jitter: Callable[[float], float] = jittered,
        polled: Callable[[float], None] = lambda _sleep_s: None,
    ) -> None:
        """``polled`` is told after each poll that was obeyed in how many seconds the centre wants the next one."""
        super().__init__()
        self._polled = polled
        self._base = f"{url.rstrip('/')}/{quote(controller_id, safe='')}"
        self._transport = transport
        self._journal = journal
        self._handler = handler
        self._attributes = attributes
        self._jitter = jitter
        self._due = float("-inf")
        self._taken: str | None = None
        self._running: ddi.Deployment | None = None
        self._canceled: str | None = None
        self._unsure = True
        """whether the next report may have arrived already"""
        self._compare = True
        """whether hawkBit may believe something else than what runs"""
        self._told_by: Record | None = None
        self._soon = False
        self.last: PollState | None = None

    # -- reports

    def deliver(self, records: Sequence[Record]) -> Iterator[int]:
        """A feedback for each update step that hawkBit wants to hear of."""
        for record in records:
            if _is_feedback(record):
                self._report(record)
                yield record.seq
            elif _installed_here(record):
                self._told_by = record
                self._compare_soon()
        yield records[-1].seq

    def _report(self, record: Record) -> None:
        body = record.body
        part = "cancelAction" if body.get("answers_cancel") else "deploymentBase"
        try:
            message = ddi.feedback(str(body["execution"]), str(body.get("finished") or "none"), _details(record))
        except LocalProtocolError as error:
            self._refused(record, str(error))
            return
        if not (self._unsure and self._has_heard(record)):
            self._unsure = True  # until its answer is here
            self._post(record, part, message)
            self._unsure = False  # in order: where this one was news, so is all that follows
        self.contacts += 1
        if body.get("final"):
            self._compare_soon()

    def _post(self, record: Record, part: str, message: Mapping[str, object]) -> None:
        action = record.body["action_id"]
        try:
            self._transport.post_json(f"{self._base}/{part}/{_segment(action)}/feedback", message)
        except HttpStatusError as error:
            if error.status in _GONE:
                _log.info("hawkBit has closed action %s: %s is not reported", action, record.kind)
            elif error.quota or error.status in _REFUSALS:
                self._refused(record, str(error))
            else:
                raise

    def _has_heard(self, record: Record) -> bool:
        """Whether this very record stands in the action's history; no where hawkBit shows none, as while it is cancelled.

        Looked for among the closed actions first: reading an open one is taken down as such, and would reopen a closed one.
        """
        for part in ("installedBase", "deploymentBase"):
            url = f"{self._base}/{part}/{_segment(record.body['action_id'])}?actionHistory=-1"
            try:
                return _mark(record) in ddi.parse_history(self._transport.get_bytes(url, ddi.MAX_DEPLOYMENT_BYTES))
            except HttpStatusError as error:
                if error.status not in _GONE:
                    raise
        return False

    # -- what runs

    def _compare_soon(self) -> None:
        self._compare, self._due = True, float("-inf")

    def _set_right(self, poll: ddi.Poll) -> None:
        """Tell hawkBit what runs, where it believes something else; not while an action is open, or an update under way."""
        if poll.deployment or poll.cancel or poll.confirmation:
            return
        runs = self._handler.installed()
        if runs is None:
            return
        if len(runs) == 1 and not self._believes(poll.installed, runs[0]):
            self._put_installed(*runs[0])
        self._compare, self._told_by = False, None

    def _believes(self, link: ddi.Link | None, runs: tuple[str, str]) -> bool:
        if link is None:
            return False
        try:
            raw = self._transport.get_bytes(self._own("installedBase", link), ddi.MAX_DEPLOYMENT_BYTES)
        except HttpStatusError as error:
            if error.status not in _GONE:
                raise
            return False
        return runs in [(chunk.name, chunk.version) for chunk in ddi.parse_deployment(raw).chunks]

    def _put_installed(self, name: str, version: str) -> None:
        """Under the name that `posrelease push` gives the release."""
        try:
            self._transport.put_json(f"{self._base}/installedBase", {"name": name, "version": version})
        except HttpStatusError as error:
            if error.status not in _GONE | _REFUSALS:
                raise
            why = f"hawkBit does not take {name} {version} as installed: {error}"
            if self._told_by is not None:
                self._refused(self._told_by, why)
            else:
                _log.info("%s", why)

    def _refused(self, record: Record, reason: str) -> None:
        body = {"sink": self.name, "first": record.seq, "last": record.seq, "count": 1, "reason": reason}
        self._journal.append(REFUSED, "warning", "host", body)

    # -- polls

    def tick(self, now: float) -> float:
        """Poll when the server's ``sleep`` is over, and do what it asks for."""
        if now >= self._due:
            poll = ddi.parse_poll(self._transport.get_bytes(self._base, ddi.MAX_POLL_BYTES))
            self.contacts += 1
            self._soon = False
            self._obey(poll)
            self._polled(poll.sleep_s)
            if self._compare:
                self._set_right(poll)
            self._due = now + (SOON_S if self._soon else self._jitter(poll.sleep_s))
        return self._due - now

    def poked(self) -> None:
        """Poll now."""
        self._due = float("-inf")

    def close(self) -> None:
        """Give the connection back."""
        self._transport.close()

    def _obey(self, poll: ddi.Poll) -> None:
        self.last = PollState(
            poll.sleep_s,
            poll.deployment.action_id if poll.deployment else None,
            poll.cancel.action_id if poll.cancel else None,
        )
        if poll.config_data is not None:
            self._send_attributes()
        if poll.cancel is not None:
            self._cancel(poll.cancel)
        elif poll.deployment is not None:
            self._deploy(poll.deployment)

    def _deploy(self, link: ddi.Link) -> None:
        """Read and hand on a deployment that is new, or whose link changed: soft became forced, a window opened."""
        if link.href == self._taken:
            return
        try:
            raw = self._transport.get_bytes(self._own("deploymentBase", link), ddi.MAX_DEPLOYMENT_BYTES)
        except HttpStatusError as error:
            if error.status in _GONE:  # taken back between poll and now; the next poll says what holds
                return
            raise
        wanted = ddi.parse_deployment(raw)
        # the link also changes with the action's history, reading it included: only new content is news
        if wanted == self._running or self._handler.on_deployment(wanted):
            self._taken, self._running = link.href, wanted

    def _cancel(self, link: ddi.Link) -> None:
        """Hand on a cancellation once; answer it here where nothing runs that could answer."""
        if link.href == self._canceled:
            return
        try:
            raw = self._transport.get_bytes(self._own("cancelAction", link), ddi.MAX_POLL_BYTES)
            wanted = ddi.parse_cancel(raw)
            answered = self._handler.on_cancel(wanted.stop_id)
            if answered == FINISHED and self._journal.backlog(self.name):
                self._soon = True  # how it ended is still to be told, and that answers this too
                return
            if answered not in ANSWERED_BY_RECORD:
                answer = ddi.feedback("closed", "success", ["nothing of this action runs here"])
                self._transport.post_json(f"{self._base}/cancelAction/{_segment(wanted.action_id)}/feedback", answer)
                self._compare = self._soon = True  # now that it is closed hawkBit can be told what runs
        except HttpStatusError as error:
            if error.status not in _GONE:
                raise
        self._canceled = link.href

    def _send_attributes(self) -> None:
        given = sorted(self._attributes().items())[: ddi.MAX_ATTRIBUTES]
        try:
            body = ddi.config_data(dict(given), "replace")
        except LocalProtocolError as error:
            _log.warning("the attributes cannot be sent to hawkBit: %s", error)
            return
        self._transport.put_json(f"{self._base}/configData", body)

    def _own(self, part: str, link: ddi.Link) -> str:
        """The link under the address that we were given: behind a proxy the server does not know its own name."""
        query = urlsplit(link.href).query
        return f"{self._base}/{part}/{_segment(link.action_id)}" + (f"?{query}" if query else "")


def _segment(value: object) -> str:
    return quote(str(value), safe="")


def _is_feedback(record: Record) -> bool:
    return record.kind.startswith("update.") and bool(record.body.get("execution")) and bool(record.body.get("action_id"))


def _installed_here(record: Record) -> bool:
    """Whether an update without an action has changed what runs."""
    body = record.body
    return record.kind == "update.committed" and body.get("final") is True and not body.get("action_id")


def _mark(record: Record) -> str:
    """The line by which a report is found again."""
    return f"record: {record.seq} {record.id}"


def _details(record: Record) -> list[str]:
    body = record.body
    what = f"{body.get('component', '')} {body.get('version', '')}: {body.get('state', record.kind)}".strip()
    lines = [what, str(body.get("reason") or ""), f"code: {body['code']}" if body.get("code") else ""]
    return [line for line in (*lines, _mark(record)) if line]
