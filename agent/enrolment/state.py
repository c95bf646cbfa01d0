"""What is stored of an enrolment: one small file in two checksummed copies, written before what it says is done."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from agent.clock import from_rfc3339
from agent.enrolment.binding import Binding, binding_from
from firmware.errors import StateError
from firmware.files import TwinFile

FORMAT = 1
MAX_SPENT = 8
"""Used tokens that are still to be erased and are known by their marks; of more, the oldest is erased no more."""


class State(Enum):
    """See the table in docs/decisions/0014-enrolment-over-est.md."""

    NONE = "none"
    ASKING = "asking"
    ENROLLED = "enrolled"
    RENEWING = "renewing"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate in use. ``number`` is its key's; times are RFC 3339; ``marks`` are the machine's at the enrolment.

    ``url`` is where it is renewed, ``pinned`` whether its own anchors are trusted there in place of the system's.
    """

    number: int
    url: str
    pinned: bool
    serial: str
    sha256: str
    begins: str
    ends: str
    renew: str
    binding: Binding
    marks: tuple[str, ...] = ()

    def ended(self, now: datetime) -> bool:
        """Whether it has expired at ``now`` (a clock that can be believed)."""
        return now >= from_rfc3339(self.ends)

    def due(self, now: datetime) -> bool:
        """Whether it is time to renew it."""
        return now >= from_rfc3339(self.renew)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the enrolment stands.

    ``url`` is whom we asked last, ``number`` the key's that is under way (0: none), ``erase`` names files that still hold
    the token, ``spent`` are the marks of the tokens that were used and may lie there, ``salt`` makes these marks and the
    machine's worthless to others, ``told`` is the SHA-256 of the last certificate that the journal holds.
    """

    state: State = State.NONE
    url: str = ""
    number: int = 0
    certificate: Certificate | None = None
    erase: tuple[str, ...] = ()
    salt: str = ""
    told: str = ""
    spent: tuple[str, ...] = ()

    def mark(self, token: str) -> str:
        """What is stored in place of a used token, to tell it from the next one."""
        return hashlib.sha256(f"{self.salt} {token}".encode()).hexdigest()

    def used(self, token: str) -> bool:
        """Whether that token has done its work. What was stored before there were marks says yes to every token."""
        return not self.spent or self.mark(token) in self.spent

    @property
    def untold(self) -> bool:
        """Whether the journal may not know the certificate in use yet."""
        return self.certificate is not None and self.certificate.sha256 != self.told

    def asking(self, url: str) -> "Standing":
        """Before anything is sent. The key under way stays: with it the centre may have answered already."""
        number = self.number or (self.certificate.number + 1 if self.certificate else 1)
        salt = self.salt or secrets.token_hex(16)
        return replace(self, state=State.ASKING, url=url, number=number, salt=salt)

    def renewing(self) -> "Standing":
        """Before the next key is made."""
        number = self.number or (self.certificate.number + 1 if self.certificate else 1)
        return replace(self, state=State.RENEWING, number=number)

    def enrolled(self, certificate: Certificate, erase: tuple[str, ...] = (), token: str = "") -> "Standing":
        """The certificate lies on the disk; ``token``, where one was used, lies in one of ``erase``."""
        marked = token and erase and (self.spent or not self.erase)  # of what was there before there were marks any may be used
        spent = (*self.spent, self.mark(token))[-MAX_SPENT:] if marked else self.spent
        return replace(self, state=State.ENROLLED, number=0, certificate=certificate, erase=erase, spent=spent)

    def erased(self, left: tuple[str, ...]) -> "Standing":
        """Only ``left`` may still hold a used token."""
        return replace(self, erase=left, spent=self.spent if left else ())

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        seen = self.certificate
        return {
            "format": FORMAT,
            "state": self.state.value,
            "url": self.url,
            "number": self.number,
            "erase": list(self.erase),
            "salt": self.salt,
            "told": self.told,
            "spent": list(self.spent),
            "certificate": None
            if seen is None
            else {
                "number": seen.number,
                "url": seen.url,
                "pinned": seen.pinned,
                "serial": seen.serial,
                "sha256": seen.sha256,
                "begins": seen.begins,
                "ends": seen.ends,
                "renew": seen.renew,
                "binding": seen.binding.to_json(),
                "marks": list(seen.marks),
            },
        }


class StandingFile:
    """``path``.1 and .2. Loading raises StateError where no copy can be read; storing raises InstallFailed (disk)."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, TwinFile(path)

    def load(self) -> Standing:
        """The newest whole copy; NONE where nothing was ever stored."""
        found = self.peek()
        self._file.heal()
        return found

    def peek(self) -> Standing:
        """As ``load``, and nothing is healed: for whoever only looks."""
        data = self._file.load()
        try:
            return Standing() if data is None else _standing(data)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"{self._path} does not hold an enrolment") from error

    def store(self, standing: Standing) -> None:
        """Durable on return."""
        self._file.store(standing.to_json())


def _standing(data: Mapping[str, Any]) -> Standing:
    return Standing(
        state=State(data["state"]),
        url=str(data["url"]),
        number=int(data["number"]),
        certificate=None if data["certificate"] is None else _certificate(data["certificate"]),
        erase=tuple(map(str, data["erase"])),
        salt=str(data["salt"]),
        told=str(data.get("told", "")),
        spent=tuple(map(str, data.get("spent", ()))),
    )


def _certificate(data: Mapping[str, Any]) -> Certificate:
    for key in ("begins", "ends", "renew"):
        from_rfc3339(data[key])
    return Certificate(
        number=int(data["number"]),
        url=str(data["url"]),
        pinned=data["pinned"] is True,
        serial=str(data["serial"]),
        sha256=str(data["sha256"]),
        begins=str(data["begins"]),
        ends=str(data["ends"]),
        renew=str(data["renew"]),
        binding=binding_from(data["binding"]),
        marks=tuple(map(str, data["marks"])),
    )
