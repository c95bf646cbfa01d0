"""The daemon's part: comes in when there is a token, renews in time, and says who may be reported for.

It has a thread only while there is something to do. What is asked here by the sinks (`identity`, `stopped`) answers at once.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.clock import Clock, from_rfc3339
from agent.config.model import Config
from agent.config.model import Enrolment as Settings
from agent.enrolment.binding import evidence
from agent.enrolment.center import Files
from agent.enrolment.crypto import Crypto
from agent.enrolment.errors import NotYet
from agent.enrolment.machine import another, marks
from agent.enrolment.request import Request, find
from agent.enrolment.state import Certificate, Standing, StandingFile, State
from agent.enrolment.steps import Enrolling, files_of
from agent.errors import AgentError, CenterError
from agent.journal import Receipt
from agent.paths import Paths
from agent.redact import redact
from firmware.errors import FirmwareError, TransportError

log = logging.getLogger(__name__)

IDENTITY, ENROLMENT = "host.identity", "host.enrolment"
FOLDER = "enrolment"
EVERY_S = 600.0
"""Between two looks whether it is time to renew."""
LOOK_S = 20.0
"""Between two looks for a token or at the clock, while there is none, or it is wrong."""
FIRST_S, LONGEST_S = 5.0, 3600.0
"""Wait after a failure: the first one, doubling to the last one."""
RECORD_LIMIT_S = 30.0
"""Wait for the journal to make the record of an enrolment durable."""
KNOWN = 50
"""Records of enrolments among which that of a certificate is looked for."""
LATE = 0.5
"""Share of the time between renewal and end that a failing renewal may take before it is a fault."""

Evidence = Mapping[str, str]
Record = Callable[[str, str, Mapping[str, Any]], object]
Tell = Callable[[Mapping[str, Evidence | None]], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why it does not go on: a stable code and one line."""

    code: str
    reason: str


class Enrolment:
    """One host's. ``tell`` takes faults with their evidence, ``record`` a kind, a severity and a body for the journal.

    ``clock_wrong`` says why the clock cannot be right, ``recorded`` whether the journal holds the certificate of that SHA-256.
    """

    def __init__(
        self,
        config: Config,
        paths: Paths,
        clock: Clock,
        *,
        clock_wrong: Callable[[], str],
        tell: Tell,
        record: Record,
        recorded: Callable[[str], bool] = lambda _sha256: False,
    ) -> None:
        self._settings = config.enrolment or Settings(required=False)
        self._wanted = config.enrolment is not None
        self._host, self._tills = config.host.id, [till.id for till in config.terminals]
        self._etc, self._clock, self._clock_wrong = paths.config.parent, clock, clock_wrong
        self._tell, self._record, self._recorded = tell, record, recorded
        self._crypto = Crypto(self._settings.key)
        self._steps = Enrolling(paths.state / FOLDER, self._host, self._crypto, clock, clock_wrong=clock_wrong, marks=self._marks)
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.on_enrolled: Callable[[], None] = lambda: None
        """told when there is a new certificate: who waits for one may go on"""
        self._failures = 0
        self._trouble: Trouble | None = None
        self._mismatch: Evidence | None = None
        self._standing = Standing()
        self._unfinished = False
        """whether the last life ended between an enrolment and its last steps: looked at once"""
        self._load()

    # -- what the sinks ask ------------------------------------------------------------------------------------------

    def identity(self) -> Files | None:
        """Certificate and key for TLS, as files; None while there is none, or while it is not ours to use."""
        seen = self._standing.certificate
        return None if seen is None or self._mismatch is not None else self._steps.files(seen.number)

    def stopped(self) -> str:
        """Why nothing may be sent to the centre, in one line; empty while it may."""
        if self._mismatch is not None:
            return "the certificate belongs to another machine or till: nothing is sent under its name"
        if self._settings.required and self._standing.certificate is None:
            return "this host is not enrolled yet"
        return ""

    def status(self) -> dict[str, Any] | None:
        """For the status document; None where nobody asked for an enrolment."""
        seen = self._standing.certificate
        if not self._wanted and seen is None and self._standing.state is State.NONE:
            return None
        document: dict[str, Any] = {"state": self._word(seen), "reason": self._trouble.code if self._trouble else ""}
        if seen is not None:
            bound = seen.binding
            # Names that a centre has chosen: whoever made a card number one of them shall not see it on a screen.
            merchants, sites = (list(map(redact, names)) for names in (bound.merchants(), bound.sites()))
            document |= {"until": seen.ends, "renew": seen.renew, "merchants": merchants, "sites": sites}
        if self._standing.erase:
            document["token_left"] = list(self._standing.erase)
        return document

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Judge who we are, tell, and begin what is to be done."""
        with contextlib.suppress(FirmwareError):
            self._unfinished = self._standing.untold or self._steps.untidy()
        self._report()
        self.soon()

    def stop(self) -> None:
        """End; a process under way is killed, and the next start goes on."""
        self._stopping = True
        self._wake.set()
        self._crypto.stop()
        if self._thread is not None:
            self._thread.join(1.0)

    def chores(self) -> list[tuple[float, Callable[[], object]]]:
        """What is to be done periodically: (every so many seconds, what); one may come in by a command later."""
        return [(EVERY_S, self.soon)]

    def soon(self) -> None:
        """Do what is due, on a thread that ends with it."""
        if self._stopping or not self._due() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="enrolment", daemon=True)
        self._thread.start()

    def enroll(self, request: Request) -> dict[str, Any]:
        """Come in now, as a person asks: what the status says then. Raises AgentError; CenterError where the network failed."""
        try:
            with self._turn:
                self._attempt(lambda: self._steps.enroll(request))
        except TransportError as error:
            raise CenterError(str(error), code=error.code) from None
        except FirmwareError as error:
            raise AgentError(str(error), code=error.code) from None
        finally:
            self._report()
            self._wake.set()
        return self.status() or {}

    def enroll_by_file(self) -> dict[str, Any]:
        """As ``enroll``, with the token that lies in ``enroll.toml`` or on a stick. NotYet (no_request) where there is none."""
        request = find(self._etc, self._host, self._settings.sticks)
        if request is None:
            raise NotYet("no token was found", code="no_request")
        return self.enroll(request)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping and self._due():
            wait_s = LOOK_S
            with self._turn:
                try:
                    self._step()
                    self._failures = 0
                except (AgentError, FirmwareError) as error:
                    wait_s = self._patience(error)
                except Exception as error:  # a mistake of ours must not end the daemon's only way to its centre
                    log.exception("enrolment")
                    wait_s = self._patience(error)
            self._report()
            if self._due():
                self._wake.wait(wait_s)
                self._wake.clear()

    def _step(self) -> None:
        if self._unfinished:
            self._unfinished = False
            self._standing = self._steps.tidy()
            if self._standing.certificate is not None:
                self._tell_journal(self._standing.certificate, again=bool(self._standing.told))
        if self._standing.erase:
            self._standing = self._steps.tidy()
            if self._standing.erase and not self._needs_certificate() and not self._renewal_due():
                raise NotYet("a used token cannot be erased", code="token_left", retry_after_s=LONGEST_S)
        if self._needs_certificate() or self._mismatch is not None:
            request = find(self._etc, self._host, self._settings.sticks)
            if request is None:
                raise NotYet("no token was found", code="no_request")
            self._attempt(lambda: self._steps.enroll(request))
        elif self._renewal_due():
            self._attempt(self._steps.renew)

    def _attempt(self, work: Callable[[], Standing]) -> None:
        """Do it, take its result and its trouble, and record both where they are news."""
        before = self._standing.certificate
        try:
            self._standing = work()
        except (AgentError, FirmwareError) as error:
            self._note(error)
            with contextlib.suppress(FirmwareError):
                self._standing = self._steps.standing()
            raise
        self._trouble = None
        seen = self._standing.certificate
        if seen is not None and seen != before:
            self._mismatch = self._judged(seen)
            again = before is not None and (before.binding, before.url) == (seen.binding, seen.url)
            self._tell_journal(seen, again=again)
            log.info("enrolled at %s until %s", seen.url, seen.ends)
            self.on_enrolled()

    def _tell_journal(self, seen: Certificate, *, again: bool) -> None:
        """Once for each certificate, also where the power fails between the two notes."""
        if not self._standing.untold:
            return
        if not self._recorded(seen.sha256):
            # By its hash it is known again: a serial number may look like a card's and be masked.
            body = {"serial": seen.serial, "sha256": seen.sha256, "until": seen.ends, "renewal": again, **seen.binding.to_json()}
            receipt = self._record("enrolment.done", "info", body)
            try:
                if isinstance(receipt, Receipt):
                    receipt.wait(RECORD_LIMIT_S)
            except AgentError as error:
                log.warning("the enrolment is not recorded yet: %s", error)  # the next start looks again
                return
        with contextlib.suppress(FirmwareError):
            self._standing = self._steps.told(seen.sha256)

    def _note(self, error: AgentError | FirmwareError) -> None:
        reason = redact(str(error))[:200]
        known = self._trouble is not None and self._trouble.code == error.code
        self._trouble = Trouble(error.code, reason)
        if not known and error.code not in ("no_request", "stopped"):
            log.warning("enrolment: %s", reason)
            self._record("enrolment.failed", "warning", {"code": error.code, "reason": reason})

    def _patience(self, error: Exception) -> float:
        if isinstance(error, AgentError | FirmwareError):
            self._note(error)
        if isinstance(error, NotYet) and error.retry_after_s is None:
            return LOOK_S
        wait_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        wish = min(LONGEST_S, (error.retry_after_s if isinstance(error, NotYet | TransportError) else None) or 0.0)
        return wish if isinstance(error, NotYet) else max(wait_s, wish)

    def _due(self) -> bool:
        unfinished = self._unfinished or self._standing.erase
        return bool(unfinished or self._needs_certificate() or self._renewal_due() or self._mismatch is not None)

    def _needs_certificate(self) -> bool:
        return self._wanted and self._standing.certificate is None

    def _renewal_due(self) -> bool:
        seen = self._standing.certificate
        return seen is not None and self._mismatch is None and seen.due(self._clock.wall()) and not self._clock_wrong()

    def _load(self) -> None:
        try:
            self._standing = self._steps.standing()
        except FirmwareError as error:
            # Nothing may be assumed: no certificate is shown, and a person enrols anew.
            self._trouble = Trouble(error.code, str(error))
        if self._standing.certificate is not None:
            self._mismatch = self._judged(self._standing.certificate)

    def _marks(self, salt: str) -> tuple[str, ...]:
        return marks(salt, self._settings.marks)

    def _judged(self, seen: Certificate) -> Evidence | None:
        """Whether machine and configuration are those of the certificate."""
        if another(seen.marks, self._marks(self._standing.salt)):
            return {"why": "other_machine", "certificate": seen.binding.host, "serial": seen.serial}
        strangers = seen.binding.strangers(self._host, self._tills)
        return evidence(seen.binding, strangers) if strangers else None

    def _word(self, seen: Certificate | None) -> str:
        """The one word of the status document."""
        if self._mismatch is not None:
            return "mismatch"
        if seen is None:
            return "asking" if self._standing.state is State.ASKING else "none"
        if not self._clock_wrong() and seen.ended(self._clock.wall()):
            return "expired"
        return "renewing" if self._standing.state is State.RENEWING else "enrolled"

    def _report(self) -> None:
        if self._wanted or self._standing.certificate is not None or self._trouble is not None:
            self._tell({IDENTITY: self._mismatch, ENROLMENT: self._missing()})

    def _missing(self) -> Evidence | None:
        """The fault's evidence: no certificate though one is required, or one that is not renewed."""
        seen, trouble = self._standing.certificate, self._trouble
        if seen is None:
            if not self._settings.required:
                return None
            return {"why": trouble.code if trouble else "no_request", "detail": trouble.reason if trouble else ""}
        if self._clock_wrong():
            return None
        now = self._clock.wall()
        if seen.ended(now):
            return {"why": "certificate_expired", "detail": f"{seen.ends} {trouble.reason if trouble else ''}".strip()}
        if trouble is not None and now >= _late(seen):
            return {"why": trouble.code, "detail": trouble.reason}
        return None


def journal_knows(journal: Path, sha256: str) -> bool:
    """Whether one of the newest records of enrolments there is of that certificate; False where it cannot be read."""
    from agent.journal.peek import newest  # after a power cut alone

    try:
        found = newest(journal, KNOWN, "enrolment")
    except AgentError:
        return False
    return any(record.kind == "enrolment.done" and record.body.get("sha256") == sha256 for record in found)


def _late(seen: Certificate) -> datetime:
    due, ends = from_rfc3339(seen.renew), from_rfc3339(seen.ends)
    return due + (ends - due) * LATE


def stored_identity(paths: Paths) -> Files | None:
    """Certificate and key of a host whose daemon does not run; None where there is none. For a look that changes nothing."""
    folder = paths.state / FOLDER
    try:
        seen = StandingFile(folder / "enrolment.json").peek().certificate
    except FirmwareError:
        return None
    return None if seen is None else files_of(folder, seen.number)
