"""An enrolment with no daemon: under the owner's lock, for as long as it takes; and what a command asks of a daemon."""

from collections.abc import Mapping
from typing import Any

from agent.clock import Clock
from agent.config.model import Config
from agent.enrolment.duty import Enrolment, journal_knows
from agent.enrolment.request import made
from agent.hostwatch import clock_wrong
from agent.journal import Journal
from agent.lock import OwnerLock
from agent.paths import Paths

Wish = Mapping[str, str]
"""``url``, ``token``, ``ca`` (PEM text), ``fingerprint``; empty: what lies in a file."""


def answer_enroll(enrolment: Enrolment, wish: Wish) -> dict[str, Any]:
    """The document of ``posagent enroll``. Raises AgentError."""
    if wish.get("url") or wish.get("token"):
        words = {name: str(wish.get(name, "")) for name in ("url", "token", "ca", "fingerprint")}
        found = enrolment.enroll(made(words["url"], words["token"], ca=words["ca"], fingerprint=words["fingerprint"]))
    else:
        found = enrolment.enroll_by_file()
    return {"schema": 1, "enrolment": found}


def enroll_alone(config: Config, paths: Paths, clock: Clock, wish: Wish) -> dict[str, Any]:
    """As `answer_enroll`, as the owner. Raises NotAvailable where another process is."""
    lock = OwnerLock(paths.lock)
    lock.take()
    try:
        journal = Journal(paths.journal, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
        try:
            enrolment = Enrolment(
                config,
                paths,
                clock,
                clock_wrong=lambda: clock_wrong(paths, clock),
                tell=lambda _results: None,
                record=lambda kind, severity, body: journal.append(kind, severity, "host", body),
                recorded=lambda sha256: journal_knows(paths.journal, sha256),
            )
            return answer_enroll(enrolment, wish)
        finally:
            journal.close()
    finally:
        lock.release()
