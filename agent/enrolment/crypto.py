"""The daemon's half of the worker: what can be asked of it, and what its errors become."""

import base64
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.enrolment.errors import EnrolmentRefused
from firmware.child import Child, Patience
from firmware.errors import ReleaseRefused

COMMAND = (sys.executable, "-P", "-m", "agent.enrolment.worker")
PATIENCE = Patience(total_s=90.0, silent_s=90.0, network=False)
NETWORK_PATIENCE = Patience(total_s=60.0, silent_s=60.0, network=True)


@dataclass(frozen=True, slots=True)
class Accepted:
    """``chain`` and ``anchors`` are PEM (None: the system's authorities stay); ``facts`` as the worker read them."""

    chain: str
    anchors: str | None
    facts: dict[str, Any]


class Crypto:
    """Keys and certificates, each question in a process of its own. ``store`` names the key store.

    Every method blocks for a process, and raises EnrolmentRefused, TransportError or InstallFailed.
    """

    def __init__(self, store: str = "file", child: Child | None = None) -> None:
        self._store, self._child = store, child or Child(COMMAND)

    def stop(self) -> None:
        """End the process under way; none starts any more."""
        self._child.stop()

    def request(self, key: Path, host: str, like: Path | None) -> bytes:
        """PKCS#10 with the key at ``key``, which is made and durable on return. ``like``: the certificate to be renewed."""
        job = {"key": str(key), "host": host, "like": None if like is None else str(like)}
        return base64.b64decode(self._ask("request", job, PATIENCE)["csr"])

    def anchor(self, url: str, fingerprint: str) -> str:
        """PEM of the centre's CA that has the fingerprint."""
        return str(self._ask("anchor", {"url": url, "fingerprint": fingerprint}, NETWORK_PATIENCE)["pem"])

    def accept(self, key: Path, host: str, now: datetime, *, served: bytes, answer: bytes, pinned: Path | None) -> Accepted:
        """Prove an answer (PKCS#7) by what the centre serves (PKCS#7)."""
        job = {
            "key": str(key),
            "host": host,
            "now": now.isoformat(),
            "served": base64.b64encode(served).decode("ascii"),
            "answer": base64.b64encode(answer).decode("ascii"),
            "pinned": None if pinned is None else str(pinned),
        }
        found = self._ask("accept", job, PATIENCE)
        return Accepted(found["chain"], found["anchors"], found["facts"])

    def forget(self, key: Path) -> None:
        """The key that the file names goes from its token."""
        self._ask("forget", {"key": str(key)}, PATIENCE)

    def _ask(self, verb: str, job: dict[str, Any], patience: Patience) -> dict[str, Any]:
        try:
            return self._child.run(verb, {**job, "store": self._store}, patience, lambda _done, _of: None)
        except ReleaseRefused as error:
            raise EnrolmentRefused(str(error), code=error.code) from None
