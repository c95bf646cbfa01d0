"""The whole agent at one of the two servers: a host with its daemon, and releases by the service centre's own tool."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from simulator.center.server import Center
from tests.peers import hawkbit_server
from tests.peers.hawkbit_server import GATEWAY_TOKEN, Peer
from tests.peers.hawkbit_till import Till
from tests.system.harness import Host, host_table, wait_for
from tests.system.releases import COMPONENT, HEALTHY, Releases, configure

REPORT_S = 20.0
_majors = itertools.count(1)


@dataclass(frozen=True)
class Both:
    """What an agent is given: hawkBit at the server under test, releases and telemetry at a simulated centre."""

    peer: Peer
    other: Center
    user: str = hawkbit_server.USER
    password: str = hawkbit_server.PASSWORD
    gateway_token: str = GATEWAY_TOKEN

    @property
    def ddi(self) -> str:
        return self.peer.ddi

    @property
    def management(self) -> str:
        return self.peer.management

    @property
    def otlp(self) -> str:
        return self.other.otlp

    @property
    def metadata(self) -> str:
        return self.other.metadata

    @property
    def targets(self) -> str:
        return self.other.targets


@dataclass(frozen=True)
class Shop:
    """A host with its daemon, and the till that the server knows it as."""

    host: Host
    till: Till
    releases: Releases
    major: int = field(default_factory=lambda: next(_majors))
    """of this test's versions: the server keeps what other tests gave it, and a version is given once"""

    def version(self, minor: int) -> str:
        return f"{self.major}.{minor}"

    def release(self, minor: int, health: str = HEALTHY) -> str:
        """`posrelease add` and `publish`; the version."""
        self.releases.release(self.version(minor), health)
        return self.version(minor)

    def start(self, more: str = "", probation_s: float = 0.5) -> None:
        """The daemon, with a configuration of its own."""
        configure(self.host, self.releases.center, self.releases, probation_s=probation_s, more=more)
        text = (self.host.etc / "agent.toml").read_text("utf-8")
        self.host.configure(text.replace(host_table(), host_table(self.till.name)))
        self.host.start()

    def push(self, version: str, *more: str) -> dict[str, Any]:
        """`posrelease push`; what it says of this till."""
        center = self.releases.center
        who = ("--management", center.management, "--user", center.user, "--password", center.password)
        what = ("--component", COMPONENT, "--version", version, "--terminal", self.till.name)
        found: dict[str, Any] = self.releases.tool("push", *who, *what, *more).document["assigned"][0]
        return found

    def poll(self) -> None:
        assert self.host.command("update", "check").code == 0

    def deploy(self, version: str, ends: str) -> int:
        """Push, poll, wait until the server knows the end."""
        number = int(self.push(version)["action"])
        self.poll()
        self.ended(number, ends)
        return number

    def settle_all_but(self, number: int) -> None:
        """The operator gives up every open action but this one, and makes this one wanted again."""
        url = f"{self.till.record}/actions"
        for action in self.till.peer.rest("GET", f"{url}?limit=50").json["content"]:
            if action["id"] != number and action["status"] != "finished" and self.till.action(action["id"])[1]:
                self.till.cancel(action["id"])
                assert self.till.peer.rest("DELETE", f"{url}/{action['id']}?force=true").status == 204
        if self.till.action(number)[0] == "canceling":
            assert self.till.feedback(number, "closed", "failure", "not now", part="cancelAction") == 200

    def stick(self, version: str) -> None:
        """A person installs it from a file; whether a daemon runs is the test's business."""
        bundle = self.host.root.with_name(f"{COMPONENT}-{version}.bundle")
        self.releases.tool("bundle", "--component", COMPONENT, "--version", version, "--out", bundle)
        done = self.host.command("update", "install", str(bundle))
        assert done.code == 0, done.out + done.err

    def ended(self, number: int, ends: str) -> None:
        wait_for(
            lambda: self.till.action(number) == (ends, False),
            REPORT_S,
            lambda: f"{self.till.rows(number)}\n{self.host.log_text()[-3000:]}",
        )

    def state(self, word: str) -> None:
        """Wait until the daemon says so of the component."""
        wait_for(
            lambda: self.host.ask("update.status")["components"].get(COMPONENT, {}).get("state") == word,
            REPORT_S,
            lambda: [record["body"] for record in self.host.journal("update.")][-2:],
        )

    def attributes(self) -> dict[str, str]:
        """What the server was told of the till, once it was."""
        url = f"{self.till.record}/attributes"
        wait_for(lambda: self.till.peer.rest("GET", url).status == 200, REPORT_S)
        found: dict[str, str] = self.till.peer.rest("GET", url).json
        return found

    def runs(self) -> str:
        return (self.host.state / "releases" / COMPONENT / "current" / "VERSION").read_text()
