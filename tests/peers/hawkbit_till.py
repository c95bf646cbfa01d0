"""A device and the operator's side of it, through the same documents that the agent reads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from protocols.center import ddi
from tests.peers.hawkbit_server import DDI, REST, Answer, Client, Peer

_numbers = itertools.count(1)


@dataclass
class Till:
    """One controller of its own at `peer`; `ddi` speaks with the gateway token unless told otherwise."""

    peer: Peer
    ddi: Client
    name: str = field(default_factory=lambda: f"till-{next(_numbers)}")

    # -- the device

    @property
    def base(self) -> str:
        return f"{DDI}/{self.name}"

    def poll(self) -> ddi.Poll:
        """As the agent reads it; no answer may offer two things at once."""
        answer = self.ddi("GET", self.base)
        assert answer.status == 200, answer
        poll = ddi.parse_poll(answer.body)
        assert sum(link is not None for link in (poll.deployment, poll.confirmation, poll.cancel)) <= 1, answer
        return poll

    def get(self, link: ddi.Link) -> Answer:
        """Follow a link as it was given."""
        return self.ddi("GET", link.href.removeprefix(self.peer.url))

    def deployment(self) -> ddi.Deployment:
        """What the poll offers, fetched."""
        link = self.poll().deployment
        assert link is not None
        return ddi.parse_deployment(self.get(link).body)

    def feedback(self, action: int, execution: str, finished: str = "none", *details: str, part: str = "deploymentBase") -> int:
        """Send a report in the agent's own words; the status of the answer."""
        body = ddi.feedback(execution, finished, details)
        return self.ddi("POST", f"{self.base}/{part}/{action}/feedback", body).status

    # -- the operator

    @property
    def record(self) -> str:
        return f"{REST}/targets/{self.name}"

    def target(self) -> Any:
        return self.peer.rest("GET", self.record).json

    def carries(self, which: str) -> str | None:
        """Version of the `installedDS` or the `assignedDS`."""
        answer = self.peer.rest("GET", f"{self.record}/{which}")
        return str(answer.json["version"]) if answer.status == 200 else None

    def release(self, version: str) -> int:
        """A module in a set of its own; the set's id."""
        wanted = {"name": f"app-{self.name}", "version": version}
        modules = self.peer.rest("POST", f"{REST}/softwaremodules", [{**wanted, "type": "application"}])
        assert modules.status == 201, modules
        sets = [{**wanted, "type": "app", "modules": [{"id": modules.json[0]["id"]}]}]
        made = self.peer.rest("POST", f"{REST}/distributionsets", sets)
        assert made.status == 201, made
        return int(made.json[0]["id"])

    def assign(self, version: str, kind: str = "forced") -> int:
        """A new release, assigned; the number of the action."""
        wanted = [{"id": self.name, "type": kind}]
        answer = self.peer.rest("POST", f"{REST}/distributionsets/{self.release(version)}/assignedTargets", wanted)
        assert answer.status == 200, answer
        return int(answer.json["assignedActions"][0]["id"])

    def cancel(self, action: int) -> int:
        return self.peer.rest("DELETE", f"{self.record}/actions/{action}").status

    def action(self, number: int) -> tuple[str, bool]:
        """Status, and whether it is still open."""
        found = self.peer.rest("GET", f"{self.record}/actions/{number}").json
        return found["status"], found["active"]

    def rows(self, number: int) -> list[tuple[str, str]]:
        """Type and text of an action's history, oldest first."""
        answer = self.peer.rest("GET", f"{self.record}/actions/{number}/status?limit=100&sort=id%3AASC")
        return [(row["type"], " ".join(map(str, row["messages"]))) for row in answer.json["content"]]
