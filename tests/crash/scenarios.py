"""What is struck: who asks for what, from which state folder, and how it ends when nobody disturbs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.crash.itself import DEAD, FIRST, OWN, WORSE

APP, PRICES = "till-app", "prices"
HANDLERS = {APP: "app_slots", PRICES: "single_file", OWN: "agent_self"}
NEXT = {APP: "2.0", PRICES: "3", OWN: "3.0"}
"""The update that must still work after everything."""


@dataclass(frozen=True)
class Scenario:
    """One thing that is asked of a till. ``old`` and ``new``: component → version, before and as asked for.

    ``by``: ``engine`` a deployment; ``stick`` one from a bundle; ``install``, ``hold``, ``release`` the command of that
    name with no daemon; ``centre`` hawkBit, which has to learn of it; ``itself`` posagent, over as many lives of the daemon as
    it takes; ``enrol`` the daemon's first start beside a file with a token, ``enrol-typed`` the command, ``renew`` the daemon
    when a certificate is due. ``early``: the blow falls before the repository has another root and other keys, what follows it
    falls after.
    """

    name: str
    template: str
    old: Mapping[str, str | None]
    new: Mapping[str, str]
    ends: str
    by: str = "engine"
    back: bool = False
    early: bool = False
    download_only: bool = False

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(self.new)

    @property
    def deployment(self) -> str:
        """Its id; of an install by a person only the beginning is known."""
        return {"install": "stick-", "centre": "hawkbit-1"}.get(self.by, self.name)

    @property
    def enrols(self) -> bool:
        """Whether a certificate is asked for, and no version."""
        return self.by in ("enrol", "enrol-typed", "renew")

    @property
    def asks(self) -> bool:
        """Whether a version is asked for at all."""
        return self.by not in ("hold", "release")

    def deployments(self, bundle: str) -> list[dict[str, Any]]:
        items = [[name, version] for name, version in self.new.items()]
        return [
            {
                "id": self.name,
                "items": items,
                "back": self.back,
                "bundle": bundle if self.by == "stick" else "",
                "download_only": self.download_only,
            }
        ]

    def after(self) -> list[dict[str, Any]]:
        return [
            {
                "id": "after",
                "items": [[name, NEXT[name]] for name in self.new],
                "back": False,
                "bundle": "",
                "download_only": False,
            }
        ]


_ONE, _PAIR, _ITSELF = {APP: "1.0"}, {APP: "1.0", PRICES: "1"}, {OWN: FIRST}
SCENARIOS = (
    Scenario("install", "empty", {APP: None}, {APP: "1.0"}, "committed"),
    Scenario("upgrade", "one", _ONE, {APP: "1.1"}, "committed"),
    Scenario("rollback", "one", _ONE, {APP: "1.2"}, "rolled_back"),
    Scenario("floor", "one", _ONE, {APP: "9.9"}, "refused"),
    Scenario("recall", "two", {APP: "1.1"}, {APP: "1.0"}, "committed", back=True),
    Scenario("rotation", "one", _ONE, {APP: "1.1"}, "committed", early=True),
    Scenario("download-only", "one", _ONE, {APP: "1.1"}, "downloaded", download_only=True),
    Scenario("ahead", "ahead", _ONE, {APP: "1.1"}, "committed"),
    Scenario("set", "pair", _PAIR, {APP: "1.1", PRICES: "2"}, "committed"),
    Scenario("set-back", "pair", _PAIR, {APP: "1.2", PRICES: "2"}, "rolled_back"),
    Scenario("parameters", "prices", {PRICES: "1"}, {PRICES: "2"}, "committed"),
    Scenario("invalid", "prices", {PRICES: "1"}, {PRICES: "1.9"}, "refused"),
    Scenario("stick", "one", _ONE, {APP: "1.1"}, "committed", by="stick"),
    Scenario("receipt", "one", _ONE, {APP: "1.1"}, "committed", by="install"),
    Scenario("hold", "one", _ONE, _ONE, "held", by="hold"),
    Scenario("release", "held", _ONE, _ONE, "released", by="release"),
    Scenario("feedback", "one", _ONE, {APP: "1.1"}, "committed", by="centre"),
    Scenario("feedback-back", "one", _ONE, {APP: "1.2"}, "rolled_back", by="centre"),
    Scenario("feedback-ahead", "one", _ONE, {APP: "1.1"}, "downloaded", by="centre", download_only=True),
    Scenario("itself", "itself", _ITSELF, {OWN: "2.0"}, "committed", by="itself"),
    Scenario("itself-worse", "itself", _ITSELF, {OWN: WORSE}, "rolled_back", by="itself"),
    Scenario("itself-dead", "itself", _ITSELF, {OWN: DEAD}, "rolled_back", by="itself"),
    Scenario("enrol", "empty", {}, {}, "enrolled", by="enrol"),
    Scenario("enrol-once", "empty", {}, {}, "enrolled", by="enrol"),
    Scenario("enrol-next", "empty", {}, {}, "enrolled", by="enrol"),
    Scenario("enrol-typed", "empty", {}, {}, "enrolled", by="enrol-typed"),
    Scenario("renew", "enrolled", {}, {}, "enrolled", by="renew"),
)
"""ahead: what is asked for lies here already, by a download-only deployment. floor: the version asked for is in no release.
invalid: a file of the set cannot be parsed. enrol-once: at a centre that never gives an answer twice. enrol-next:
once there is a certificate, the next token is written over the used one before anything is started again. From ``empty``,
``one``, ``two``, ``pair`` and ``prices`` on the repository has moved on: four newer roots, other keys for every role."""


def scenario(name: str) -> Scenario:
    return next(one for one in SCENARIOS if one.name == name)
