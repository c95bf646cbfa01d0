"""The service centre as its operator sees it: what has come in, how roll-outs stand, and how to make it fail.

Asks ``/sim/…`` of the simulated centre (see `simulator.center.sim`), whose times of receipt are monotonic.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ANSWER_S = 5.0


class NoAnswerError(RuntimeError):
    """The centre does not answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """One journal record as it came in: ``journal_at`` is when the agent wrote it, ``center_at`` when it was received."""

    seq: int
    id: str
    kind: str
    subject: str
    body: Mapping[str, Any]
    journal_at: float
    center_at: float


@dataclass
class Desk:
    """``ready`` is what the centre said when it was ready; ``reports`` everything that came in until `refresh`."""

    ready: Mapping[str, Any]
    reports: list[Report] = field(default_factory=list)
    totals: Mapping[str, Any] = field(default_factory=dict)
    """duplicates, complaints and heads of the last `refresh`"""
    _after: int = 0

    def refresh(self) -> list[Report]:
        """Read what is new; gives the new reports."""
        document = self._ask("GET", f"/sim/records?after={self._after}")
        new = [_report(log) for log in document["logs"]]
        self._after = max((log["number"] for log in document["logs"]), default=self._after)
        self.reports += new
        self.totals = {name: document[name] for name in ("duplicates", "complaints", "heads")}
        return new

    def actions(self) -> dict[int, Mapping[str, Any]]:
        """Roll-outs by their number."""
        return {action["id"]: action for action in self._ask("GET", "/sim/actions")["actions"]}

    def go_down(self, seconds: float) -> None:
        """Refuse all connections for so long."""
        self._ask("POST", "/sim/behaviour", {"down_s": seconds})

    def answers(self) -> bool:
        """Whether the centre can be reached."""
        try:
            self._ask("GET", "/sim/behaviour")
        except NoAnswerError:
            return False
        return True

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        password = f"{self.ready['user']}:{self.ready['password']}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(password).decode(), "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(urlsplit(self.ready["url"]).netloc, timeout=ANSWER_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise NoAnswerError(f"{path}: {answer.status}")
            return json.loads(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswerError(f"{path}: {error}") from None
        finally:
            connection.close()


def _report(log: Mapping[str, Any]) -> Report:
    body = log["body"] if isinstance(log["body"], dict) else {}
    journal_at = float(log["attributes"].get("posagent.event.mono") or "nan")
    return Report(int(log["seq"] or 0), log["id"], log["kind"], log["subject"], body, journal_at, float(log["mono"]))
