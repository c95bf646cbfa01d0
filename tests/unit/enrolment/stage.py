"""What the tests of enrolment share: a centre with TLS, a host's folder, and cryptography without a process of its own."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.enrolment import worker
from agent.enrolment.crypto import Accepted
from agent.enrolment.errors import EnrolmentRefused
from agent.enrolment.request import read
from agent.enrolment.state import Standing
from agent.enrolment.steps import Enrolling
from firmware.errors import ReleaseRefused
from protocols.errors import RemoteProtocolError

HOST = "pos-1"
TILL = ("merchant-47", "shop-17", "pos-1")


class InProcess:
    """`agent.enrolment.crypto.Crypto` with the worker's own functions."""

    def __init__(self, store: str = "file") -> None:
        self._store = store

    def request(self, key: Path, host: str, like: Path | None) -> bytes:
        job = {"key": str(key), "host": host, "like": like and str(like), "store": self._store}
        return base64.b64decode(self._told(worker.request, job)["csr"])

    def anchor(self, url: str, fingerprint: str) -> str:
        return str(self._told(worker.anchor, {"url": url, "fingerprint": fingerprint})["pem"])

    def accept(self, key: Path, host: str, now: datetime, *, served: bytes, answer: bytes, pinned: Path | None) -> Accepted:
        packed = {name: base64.b64encode(der).decode() for name, der in (("served", served), ("answer", answer))}
        job = {"key": str(key), "host": host, "now": now.isoformat(), "pinned": pinned and str(pinned), "store": self._store}
        found = self._told(worker.accept, job | packed)
        return Accepted(found["chain"], found["anchors"], found["facts"])

    def forget(self, key: Path) -> None:
        self._told(worker.forget, {"key": str(key), "store": self._store})

    def _told(self, verb: Callable[[dict[str, Any]], dict[str, Any]], job: dict[str, Any]) -> dict[str, Any]:
        try:
            return verb(job)
        except ReleaseRefused as error:
            raise EnrolmentRefused(str(error), code=error.code) from None
        except RemoteProtocolError as error:  # as the worker's own main does
            raise EnrolmentRefused(str(error), code="bad_answer") from None


@dataclass
class Stage:
    """A host's folder, the file with its token, and the centre."""

    folder: Path
    center: Any
    clock: Clock = field(default_factory=Clock)
    wrong: str = ""
    marks: tuple[str, ...] = ("mark-a", "mark-b")

    @property
    def file(self) -> Path:
        return self.folder / "enroll.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def enrolling(self, host: str = HOST) -> Enrolling:
        return Enrolling(
            self.state,
            host,
            InProcess(),
            self.clock,
            clock_wrong=lambda: self.wrong,
            marks=lambda _salt: self.marks,
            jitter=lambda value, _share: value,
        )

    def token(self, host: str = HOST, **options: Any) -> str:
        token: str = self.center.est.issue(host, [TILL], **options)
        return token

    def write(self, token: str, **values: str) -> None:
        given = {"url": self.center.url, "token": token, "ca": str(self.center.authority.file)} | values
        self.file.write_text("".join(f'{key} = "{value}"\n' for key, value in given.items() if value))

    def enroll(self, **values: str) -> Standing:
        self.write(values.pop("token", "") or self.token(), **values)
        request = read(self.file)
        assert request is not None
        return self.enrolling().enroll(request)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.state.iterdir())
