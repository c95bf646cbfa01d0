"""A host's enrolment and renewal as what is struck: one centre with TLS for the whole stage, and a token for each place.

A place's token lies in ``etc/posagent/enroll.toml`` or is typed. The daemon's side is `agent.enrolment.duty`, as the supervisor
starts it. It knows its files by names relative to the place's folder, so that a folder that is rebuilt elsewhere means the same.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509

from agent.clock import Clock
from agent.config.load import load
from agent.enrolment import duty, once
from agent.enrolment.duty import Enrolment, journal_knows
from agent.enrolment.state import Standing
from agent.journal import Journal
from agent.lock import OwnerLock
from agent.paths import Paths
from firmware import files
from simulator.center.est import Token
from simulator.center.server import Center
from tests.crash.scenarios import Scenario
from tests.crash.shim import Control

if TYPE_CHECKING:
    from tests.crash.stage import Place

LOADED = (once,)
HOST, TILL = "pos-1", ("merchant-47", "shop-17", "pos-1")
DAY_S = 86400.0
FIRST_S, AHEAD_S = 10 * DAY_S, 9 * DAY_S
"""A first certificate's life, and how far the till's clock has moved on when it is renewed: past two thirds, before its end."""
REFUSED, NOTHING = 1, 3
"""Exit codes of a run: the centre says no; there is no token any more."""
PACE_S = 0.01


@dataclass
class Centre:
    """The one that all places ask."""

    center: Center
    uses: dict[str, int] = field(default_factory=dict)
    """token → operations that the traced run had done when it was used"""

    @property
    def est(self) -> Any:
        assert self.center.est is not None
        return self.center.est

    def token(self, *, repeats: bool = True) -> str:
        secret: str = self.est.issue(HOST, [TILL], certificate_s=FIRST_S, repeats=repeats)
        return secret

    def known(self, secret: str) -> Token:
        token: Token = self.est._tokens[secret]
        return token

    def watch(self, secret: str, control: Control) -> None:
        """Note when, in a run under way, that token is used."""
        honest = self.est._give

        def give(*given: Any, **how: Any) -> x509.Certificate:
            made: x509.Certificate = honest(*given, **how)
            self.uses[secret] = control.seen().operations
            self.est._give = honest
            return made

        self.est._give = give

    def as_at(self, secret: str, operation: int) -> str:
        """A token that is to the centre what that one was after so many operations of the traced run."""
        was = self.known(secret)
        other = self.token(repeats=was.repeats)
        if operation >= self.uses[secret]:
            self.known(other).key, self.known(other).certificate = was.key, was.certificate
        return other


def hurry(pace_s: float) -> None:
    """Every wait short, in this process and its forks."""
    duty.FIRST_S = duty.LOOK_S = pace_s
    duty.RECORD_LIMIT_S = 1.0


class _Ahead(Clock):
    """The wall clock of a later day."""

    def __init__(self, ahead_s: float) -> None:
        super().__init__()
        self._ahead = timedelta(seconds=ahead_s)

    def wall(self) -> datetime:
        return super().wall() + self._ahead


def enrol(job: Mapping[str, Any]) -> int:
    """The daemon's enrolment, from its start until nothing is due, or the centre has said no."""
    root, clock = Path(job["root"]), _Ahead(job["ahead_s"])
    os.chdir(root.parent)
    paths = Paths(root)
    config = load(paths.config)
    lock = OwnerLock(paths.lock)
    lock.take()
    journal = Journal(paths.journal, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    enrolment = Enrolment(
        config,
        Paths(Path(root.name)),
        clock,
        clock_wrong=str,
        tell=lambda _: None,
        record=lambda kind, severity, body: journal.append(kind, severity, "host", body),
        recorded=lambda sha256: journal_knows(paths.journal, sha256),
    )
    enrolment.start()
    try:
        return _ended(enrolment)
    finally:
        enrolment.stop()
        journal.close()
        lock.release()


def _ended(enrolment: Enrolment) -> int:
    while True:
        thread, trouble = enrolment._thread, enrolment._trouble
        if not enrolment._due() and (thread is None or not thread.is_alive()):
            return 0
        if trouble is not None and trouble.code in ("token_refused", "no_request"):
            return REFUSED if trouble.code == "token_refused" else NOTHING
        time.sleep(PACE_S)


# -- the place -----------------------------------------------------------------------------------------------------------


def set_up(place: "Place", scenario: Scenario) -> None:
    """Its configuration, and its token; of a renewal both lie there already."""
    place.token = "" if scenario.by == "renew" else place.stage.centre.token(repeats=scenario.name != "enrol-once")
    if scenario.by != "renew":
        etc = place.root / "etc" / "posagent"
        etc.mkdir(parents=True, exist_ok=True)
        serial = place.stage.folder / "serial"
        serial.write_text("machine 1")
        (etc / "agent.toml").write_text(f'[host]\nid = "{HOST}"\n[enrolment]\nmarks = ["{serial}"]\n')
    if scenario.by == "enrol":
        bring(place, place.token)


def bring(place: "Place", token: str) -> None:
    """Somebody writes the file with the token."""
    center = place.stage.centre.center
    text = f'url = "{center.url}"\ntoken = "{token}"\nca = "{center.authority.file}"\n'
    (place.root / "etc/posagent/enroll.toml").write_text(text)


def job(place: "Place", scenario: Scenario) -> dict[str, Any]:
    """What is asked for."""
    center = place.stage.centre.center
    if scenario.by == "enrol-typed":
        trust = ["--fingerprint", center.authority.fingerprint()]
        return {"do": "command", "words": ["enroll", "--url", center.url, "--token", place.token, *trust]}
    return {"do": "enrol", "ahead_s": AHEAD_S if scenario.by == "renew" else 0.0}


def cut(place: "Place", fresh: "Place", operation: int) -> None:
    """What the centre knew when the power failed in ``place``, of which ``fresh`` is the disk."""
    if not place.token:
        return
    fresh.token = place.stage.centre.as_at(place.token, operation)
    for path in (fresh.root / "etc/posagent").iterdir():
        path.write_bytes(path.read_bytes().replace(place.token.encode(), fresh.token.encode()))
    for copy in (fresh.state / duty.FOLDER).glob("enrolment.json.[12]"):
        _remember(copy, place.token, fresh.token)


def _remember(copy: Path, used: str, fresh: str) -> None:
    """The mark of the used token becomes that of its stand-in, in a copy that is whole; what is damaged stays so."""
    line = copy.read_bytes()
    try:
        said = json.loads(line)
        data, sequence = said["data"], said["sequence"]
        whole = files._encode(copy, sequence, data).strip() == line.strip()
    except (ValueError, TypeError, LookupError):
        return
    if whole and data.get("spent"):
        standing = Standing(salt=data["salt"])
        data["spent"] = [standing.mark(fresh) if mark == standing.mark(used) else mark for mark in data["spent"]]
        copy.write_bytes(files._encode(copy, sequence, data).ljust(len(line)))
