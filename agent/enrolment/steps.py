"""One enrolment or renewal, step after step. Every step may be done twice, and is stored before it is done.

A key is durable before a request with it leaves; a certificate is durable before the state names it; the token is erased
after the state says that it was used. So a power cut leaves something that the next start goes on with or names.
"""

import contextlib
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from agent.clock import Clock, from_rfc3339, jittered, to_rfc3339
from agent.enrolment.binding import binding_from
from agent.enrolment.center import CenterDoor, Files
from agent.enrolment.crypto import Accepted
from agent.enrolment.errors import EnrolmentRefused, NotYet
from agent.enrolment.request import Request, erase, holds_another
from agent.enrolment.state import Certificate, Standing, StandingFile, State
from agent.errors import AgentError
from firmware.errors import FirmwareError, InstallFailed
from firmware.files import fsync_dir, make_folder, names_token_key, require_space, write_durably

log = logging.getLogger(__name__)

RENEW_AT = 2 / 3
"""Of a certificate's life; give or take a share, so that a thousand tills do not ask in the same hour."""
RENEW_JITTER = 0.05
SPACE_BYTES = 1 << 20
"""An enrolment begins only with room for all of its files: the token works once."""
ANCHORS = "anchors.pem"
_NUMBERED = re.compile(r"\.?(?:key|certificate|anchors)-(\d+)\.pem(?:\.cnf|\.tmp)?")
_STRAY = re.compile(r"\.(?:anchors\.pem|enrolment\.json\.[12])\.tmp")


def files_of(folder: Path, number: int) -> Files:
    """Certificate and key of that number."""
    return str(folder / f"certificate-{number}.pem"), str(folder / f"key-{number}.pem")


class Cryptography(Protocol):
    """What is asked of `agent.enrolment.crypto.Crypto`."""

    def request(self, key: Path, host: str, like: Path | None) -> bytes:
        """PKCS#10."""

    def anchor(self, url: str, fingerprint: str) -> str:
        """PEM of a CA."""

    def accept(self, key: Path, host: str, now: datetime, *, served: bytes, answer: bytes, pinned: Path | None) -> Accepted:
        """Prove an answer."""

    def forget(self, key: Path) -> None:
        """Take a key out of its token."""


class Enrolling:
    """The files and the state of one host's enrolment in ``folder``; belongs to one thread at a time.

    ``clock_wrong`` says why the clock cannot be right (empty while it can), ``marks`` the machine's marks for a salt.
    Methods raise EnrolmentRefused, NotYet, TransportError, InstallFailed (disk, worker) or StateError.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        crypto: Cryptography,
        clock: Clock,
        *,
        clock_wrong: Callable[[], str],
        marks: Callable[[str], tuple[str, ...]],
        jitter: Callable[[float, float], float] = jittered,
    ) -> None:
        self._folder, self._host, self._crypto, self._clock = folder, host, crypto, clock
        self._clock_wrong, self._marks, self._jitter = clock_wrong, marks, jitter
        self._file = StandingFile(folder / "enrolment.json")
        self._answer: tuple[int, str, bytes, bytes] | None = None
        """key's number, token, and what the centre sent for them, until it lies on the disk: a token works once"""

    def standing(self) -> Standing:
        """What is stored."""
        return self._file.load()

    def files(self, number: int) -> Files:
        """Certificate and key of that number."""
        return files_of(self._folder, number)

    def enroll(self, request: Request) -> Standing:
        """Come in with a token; the token is erased from its file on return."""
        self._require_clock()
        make_folder(self._folder)
        require_space(self._folder, SPACE_BYTES, 0)
        before = self._file.load()
        if before.state is State.ENROLLED and str(request.source) in before.erase and before.used(request.token):
            return self.tidy()  # that token has done its work; what was cut off is its erasing
        standing = before.asking(request.url)
        self._file.store(standing)
        anchors = self._given_anchors(request, standing.number)
        served, answer = self._answered(standing.number, request, anchors)
        return self._accept(standing, request.url, anchors, served, answer, request)

    def renew(self) -> Standing:
        """A new certificate for a new key, by the one in use."""
        self._require_clock()
        before = self._file.load()
        current = before.certificate
        if current is None:
            raise NotYet("there is no certificate to renew", code="no_request")
        require_space(self._folder, SPACE_BYTES, 0)
        standing = before.renewing()
        self._file.store(standing)
        like = self._path("certificate", current.number)
        csr = self._crypto.request(self._path("key", standing.number), self._host, like)
        anchors = self._path("anchors", current.number) if current.pinned else None
        with CenterDoor(current.url, anchors, files=self.files(current.number)) as door:
            served = door.authorities()
            answer = door.enroll(csr, again=True)
        return self._accept(standing, current.url, anchors, served, answer)

    def tidy(self) -> Standing:
        """Finish what an enrolment leaves: erase used tokens, remove keys that nobody needs. Harmless when there is nothing."""
        standing = self._file.load()
        left = tuple(path for path in standing.erase if not self._erased(Path(path), standing))
        if left != standing.erase:
            standing = standing.erased(left)
            self._file.store(standing)
        if standing.state is State.ENROLLED and standing.certificate is not None:
            self._prune(standing.certificate.number)
        return standing

    def told(self, sha256: str) -> Standing:
        """The journal holds that certificate."""
        standing = replace(self._file.load(), told=sha256)
        self._file.store(standing)
        return standing

    def untidy(self) -> bool:
        """Whether something lies there that ``tidy`` would take away."""
        standing = self._file.load()
        ended = standing.state is State.ENROLLED and standing.certificate is not None
        return bool(standing.erase or (ended and standing.certificate and self._leftovers(standing.certificate.number)))

    def _answered(self, number: int, request: Request, anchors: Path | None) -> tuple[bytes, bytes]:
        """What the centre serves and says to this key and token; asked for once, also where the disk then takes no note of it."""
        held = self._answer
        if held is not None and held[:2] == (number, request.token):
            return held[2:]
        csr = self._crypto.request(self._path("key", number), self._host, None)
        with CenterDoor(request.url, anchors, user=self._host, token=request.token) as door:
            served = door.authorities()
            answer = door.enroll(csr, again=False)
        self._answer = (number, request.token, served, answer)
        return served, answer

    def _require_clock(self) -> None:
        if why := self._clock_wrong():
            raise NotYet(f"the clock cannot be right: {why}", code="clock_wrong", remedy="set this machine's date and time")

    def _given_anchors(self, request: Request, number: int) -> Path | None:
        """Durable before the first proven request; None trusts the system's authorities."""
        path = self._path("anchors", number)
        text = request.ca or (self._crypto.anchor(request.url, request.fingerprint) if request.fingerprint else "")
        if not text:
            return None
        write_durably(path, text.encode("ascii", "replace"), 0o644)
        return path

    def _accept(
        self, standing: Standing, url: str, anchors: Path | None, served: bytes, answer: bytes, request: Request | None = None
    ) -> Standing:
        now = self._clock.wall()
        key = self._path("key", standing.number)
        try:
            found = self._crypto.accept(key, self._host, now, served=served, answer=answer, pinned=anchors)
        except EnrolmentRefused:
            self._answer = None  # another one may be better
            raise
        certificate = self._certificate(found.facts, standing, url, pinned=anchors is not None)
        if found.anchors is not None:
            for path in (self._path("anchors", standing.number), self._folder / ANCHORS):
                write_durably(path, found.anchors.encode("ascii"), 0o644)
        write_durably(self._path("certificate", standing.number), found.chain.encode("ascii"), 0o644)
        used = (str(request.source),) if request is not None and request.source is not None else ()
        erase_ = tuple(dict.fromkeys((*standing.erase, *used)))
        self._file.store(standing.enrolled(certificate, erase_, request.token if used and request is not None else ""))
        self._answer = None
        return self.tidy()

    def _certificate(self, facts: dict[str, Any], standing: Standing, url: str, *, pinned: bool) -> Certificate:
        begins, ends = from_rfc3339(facts["begins"]), from_rfc3339(facts["ends"])
        before = standing.certificate
        renewal = standing.state is State.RENEWING and before is not None
        return Certificate(
            number=standing.number,
            url=url,
            pinned=pinned,
            serial=str(facts["serial"]),
            sha256=str(facts["sha256"]),
            begins=str(facts["begins"]),
            ends=str(facts["ends"]),
            renew=to_rfc3339(begins + (ends - begins) * self._jitter(RENEW_AT, RENEW_JITTER)),
            binding=binding_from(facts),
            # A renewal keeps marks that have gone meanwhile: a card that is back tomorrow is still ours.
            marks=tuple(sorted({*self._marks(standing.salt), *(before.marks if renewal and before is not None else ())})),
        )

    def _erased(self, path: Path, standing: Standing) -> bool:
        try:
            if holds_another(path, standing.used):
                log.info("another token or none lies in %s now: it is left as it is", path)
                return True
            erase(path, self._clock.rfc3339()[:19] + "Z")
        except InstallFailed as error:
            log.warning("the used token still lies in %s: %s", path, error)
            return False
        return True

    def _prune(self, keep: int) -> None:
        with contextlib.suppress(OSError):
            if gone := self._leftovers(keep):
                for path in gone:
                    self._remove(path)
                fsync_dir(self._folder)

    def _remove(self, path: Path) -> None:
        """A key in a token goes first; where the token does not let it, its file stays, and the next start tries again."""
        if names_token_key(path):
            try:
                self._crypto.forget(path)
            except (AgentError, FirmwareError) as error:
                log.warning("the key %s stays in its token: %s", path.name, error)
                return
        path.unlink(missing_ok=True)

    def _leftovers(self, keep: int) -> list[Path]:
        """Keys and certificates of other numbers, and what a kill left half written."""
        with contextlib.suppress(OSError):
            found = [(path, _NUMBERED.fullmatch(path.name)) for path in self._folder.iterdir()]
            return [p for p, named in found if (named and int(named[1]) != keep) or _STRAY.fullmatch(p.name)]
        return []

    def _path(self, what: str, number: int) -> Path:
        return self._folder / f"{what}-{number}.pem"
