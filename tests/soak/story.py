"""The updates: what is pushed to a host, what has to become of it, and what trouble may have changed about that."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.world import OTHER, Box, Centre, Shop
from tests.system.harness import Done, run
from tests.system.releases import BROKEN, COMPONENT, HEALTHY

END_LIMIT_S = 420.0
"""An update waits for the longest back-off (doubling from 1 s) after the longest trouble, several times over."""
LOOK_S = 0.5
TRIES = 3
SEEN_S = 12.0
"""A printer's silence is found in 6 s, and has to last 3 s more to count."""
SIZE = 600_000
GHOST = "pos-ghost"
"""A till that the centre knows and that does not exist: what was pushed to it is known to the centre by name."""

FULL = ("rolled_back", "failed")
EXCUSES: dict[str, tuple[str, ...]] = {
    "disk full": FULL,
    "disk low": FULL,
    "kill a worker": ("failed",),
    "network corrupts": ("refused",),
    "clock ahead": ("refused",),
}
"""What else may become of an update while this went on. A kill, a freeze, a cut, a cable or paper excuse nothing."""


@dataclass
class Told:
    """One deployment as this side knows it. ``action`` is None for a person's own (stick, rollback)."""

    box: str
    kind: str
    pairs: list[tuple[str, str]]
    action: int | None
    expected: tuple[str, ...]
    begun: float
    ended: float = 0.0
    outcome: str = ""
    code: str = ""
    excused: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return self.outcome in self.expected or self.outcome in self.excused


class StuckError(AssertionError):
    """A deployment came to no end."""


@dataclass
class Story:
    """The updates of one host, one after the other."""

    box: Box
    centre: Centre
    shop: Shop
    evil: Shop
    evil_url: str
    dice: random.Random
    major: int
    sticks: Path
    told: list[Told] = field(default_factory=list)
    pushed: int = 0
    _minor: int = 0
    _lines: int = 0

    def kinds(self) -> dict[str, Callable[[], Told]]:
        return {
            "good": self._good,
            "broken": self._broken,
            "silent": self._silent,
            "forged": self._forged,
            "changed": self._changed,
            "other till": self._other_till,
            "downgrade": self._downgrade,
            "cancelled": self._cancelled,
            "soft, then forced": self._soft_then_forced,
            "set": lambda: self._set(HEALTHY),
            "broken set": lambda: self._set(BROKEN),
            "stick": self._stick,
            "rollback": self._rollback,
            "hold": self._hold,
        }

    def tell(self, kind: str) -> None:
        """One update to its end. Raises StuckError."""
        for _ in range(TRIES):
            told = self.kinds()[kind]()
            self._excuse(told)
            self.told.append(told)
            # As at a service centre: what failed for the shop's sake is pushed once more.
            if kind == told.kind and (told.outcome in told.expected or kind == "rollback"):
                return

    def _excuse(self, told: Told) -> None:
        told.ended = time.monotonic()
        for begun, ended, kind in self.box.troubles:
            if begun < told.ended and ended > told.begun:
                told.excused += EXCUSES.get(kind, ())

    # -- kinds

    def _good(self) -> Told:
        return self._deploy("good", HEALTHY, ("committed",), size=SIZE)

    def _broken(self) -> Told:
        return self._deploy("broken", BROKEN, ("rolled_back",))

    def _other_till(self) -> Told:
        return self._deploy("other till", HEALTHY, ("refused",), "--label", "shop-99")

    def _changed(self) -> Told:
        version = self._release(HEALTHY, size=SIZE)
        self.shop.change_a_byte(version)
        return self._ended(self._pushed("changed", [(COMPONENT, version)], ("refused",)))

    def _forged(self) -> Told:
        """A server in the middle whose repository is signed by other keys."""
        version = self._version()
        self.evil.add(version, HEALTHY)
        self.box.repo.upstream = self.evil_url
        self.box.repo.hang_up()
        try:
            number = self.evil.assign(self.box.name, [(COMPONENT, version)])
            assert number is not None
            return self._ended(self._new("forged", [(COMPONENT, version)], number, ("refused",)))
        finally:
            self.box.repo.upstream = self.shop.center.url
            self.box.repo.hang_up()

    def _downgrade(self) -> Told:
        """A release that was signed before the one that runs."""
        older = self._release(HEALTHY)
        before = self._deploy("good", HEALTHY, ("committed",))
        if before.outcome != "committed":
            return before
        self._excuse(before)
        self.told.append(before)
        return self._ended(self._pushed("downgrade", [(COMPONENT, older)], ("refused",)))

    def _silent(self) -> Told:
        """A printer that answers no more while the new version proves itself."""
        version = self._release(HEALTHY)
        told = self._pushed("silent", [(COMPONENT, version)], ("rolled_back",))
        till = self.box.tills[0]
        self._until(told, lambda: self._step() == "probation" or self._final(told) is not None)
        off = time.monotonic()
        till.set("printer.power", "off")
        try:
            self._ended(told)
        finally:
            till.set("printer.power", "on")
        if time.monotonic() - off < SEEN_S:
            told.expected += ("committed",)  # it was silent too late to be seen, or for too short a time
        return told

    def _cancelled(self) -> Told:
        version = self._release(HEALTHY, size=SIZE)
        told = self._pushed("cancelled", [(COMPONENT, version)], ("canceled", "committed"))
        time.sleep(self.dice.uniform(0, 6))
        with contextlib.suppress(OSError):  # it has ended before
            self.centre.rest("DELETE", f"/rest/v1/targets/{self.box.name}/actions/{told.action}")
        return self._ended(told)

    def _soft_then_forced(self) -> Told:
        """A device that is not seen proves no idle till: soft waits, forced does not."""
        version = self._release(HEALTHY)
        till = self.box.tills[-1]
        till.set("printer.plugged", "no")
        try:
            told = self._pushed("soft, then forced", [(COMPONENT, version)], ("committed",), "soft")
            self._until(told, lambda: self._step() == "waiting" or not self._open(told))
            with contextlib.suppress(OSError):
                self.centre.rest("PUT", f"/rest/v1/targets/{self.box.name}/actions/{told.action}", {"forceType": "forced"})
            self._until(told, lambda: self._step() in ("probation", "committing") or self._final(told) is not None)
        finally:
            till.set("printer.plugged", "yes")
        return self._ended(told)

    def _set(self, health: str) -> Told:
        first, second = self._version(), self._version()
        self.shop.add(first, HEALTHY, component=OTHER)
        self.shop.add(second, health)
        kind, expected = ("set", "committed") if health == HEALTHY else ("broken set", "rolled_back")
        return self._ended(self._pushed(kind, [(OTHER, first), (COMPONENT, second)], (expected,)))

    def _hold(self) -> Told:
        self._command("update", "hold", "1h")
        try:
            version = self._release(HEALTHY)
            told = self._pushed("hold", [(COMPONENT, version)], ("committed",))
            self._until(told, lambda: self._step() == "waiting" or not self._open(told))
            time.sleep(3)
            assert self._open(told) or not self._committed(told), "installed during a hold"
        finally:
            self._command("update", "release")
        return self._ended(told)

    def _stick(self) -> Told:
        version = self._release(HEALTHY, size=SIZE)
        pair = (COMPONENT, version)
        self.shop.assign(GHOST, [pair])
        path = self.sticks / f"{version}.bundle"
        with self.shop.desk:
            self.shop.tool("bundle", "--component", COMPONENT, "--version", version, "--out", path)
        return self._by_hand("stick", pair, "update", "install", str(path))

    def _rollback(self) -> Told:
        return self._by_hand("rollback", (COMPONENT, ""), "update", "rollback", COMPONENT)

    # -- what they are made of

    def _version(self) -> str:
        self._minor += 1
        return f"{self.major}.{self._minor}"

    def _release(self, health: str, *more: object, size: int = 0) -> str:
        version = self._version()
        self.shop.add(version, health, *more, size=size)
        return version

    def _deploy(self, kind: str, health: str, expected: tuple[str, ...], *more: object, size: int = 0) -> Told:
        version = self._release(health, *more, size=size)
        return self._ended(self._pushed(kind, [(COMPONENT, version)], expected))

    def _pushed(self, kind: str, pairs: list[tuple[str, str]], expected: tuple[str, ...], how: str = "forced") -> Told:
        number = self.shop.assign(self.box.name, pairs, how)
        assert number is not None, (kind, pairs)
        return self._new(kind, pairs, number, expected)

    def _new(self, kind: str, pairs: list[tuple[str, str]], action: int | None, expected: tuple[str, ...]) -> Told:
        self.pushed += 1
        return Told(self.box.name, kind, pairs, action, expected, time.monotonic())

    def _open(self, told: Told) -> bool:
        assert told.action is not None
        return bool(self.centre.action(told.action)["active"])

    def _committed(self, told: Told) -> bool:
        assert told.action is not None
        return bool(self.centre.action(told.action)["status"] == "finished")

    def _step(self) -> str:
        done = self._ran("update", "status")
        running = done.document.get("deployment") if done.code in (0, 1) else None
        return str(running["step"]) if running else ""

    def _until(self, told: Told, fits: Callable[[], bool]) -> None:
        end = time.monotonic() + END_LIMIT_S
        while not fits():
            if time.monotonic() > end:
                action = self.centre.action(told.action) if told.action is not None else None
                raise StuckError(f"{told.box}: {told.kind} {told.pairs}: {action}")
            time.sleep(LOOK_S)

    def _ended(self, told: Told) -> Told:
        """Wait until the centre has the end, and take the outcome from the host's own record of it."""
        self._until(told, lambda: not self._open(told))
        last = self._final(told)
        if last is not None:
            told.outcome, told.code = last["body"]["state"], last["body"]["code"]
        else:
            assert told.action is not None
            told.outcome = self.centre.action(told.action)["status"]
        return told

    def _final(self, told: Told) -> dict[str, Any] | None:
        return next((r for r in self._finals() if r["body"]["action_id"] == str(told.action)), None)

    def _finals(self) -> Iterator[dict[str, Any]]:
        """Final records, newest first."""
        records = self._command("journal", "show", "--limit", "10000").document["records"]
        found = [r for r in records if r["kind"].startswith("update.") and r["body"].get("final")]
        return iter(sorted(found, key=lambda r: -r["seq"]))

    def _by_hand(self, kind: str, pair: tuple[str, str], *words: str) -> Told:
        """A person's command, given again while the till cannot take it just now; the record tells its end."""
        before = max((r["seq"] for r in self._finals()), default=0)
        told = self._new(kind, [pair], None, ("committed",))

        def done() -> bool:
            ran = self._ran(*words)
            return ran.code in (0, 1) or any(r["seq"] > before and not r["body"]["action_id"] for r in self._finals())

        self._until(told, done)

        def record() -> dict[str, Any] | None:
            return next((r for r in self._finals() if r["seq"] > before and not r["body"]["action_id"]), None)

        self._until(told, lambda: record() is not None)
        last = record()
        assert last is not None
        told.pairs = [(last["body"]["component"], last["body"]["version"])]
        told.outcome, told.code = last["body"]["state"], last["body"]["code"]
        return told

    def _ran(self, *words: str) -> Done:
        """A command that may fail for what is done to the host, but never by a mistake of its own."""
        done = run("posagent", "--root", self.box.host.root, *words, "--json")
        assert done.code in (0, 1, 2, 3), (words, done)
        return done

    def _command(self, *words: str) -> Done:
        """A command that only waits for the host to be there again."""
        end = time.monotonic() + END_LIMIT_S
        while True:
            done = self._ran(*words)
            if done.code == 0:
                return done
            if time.monotonic() > end:
                raise StuckError(f"{self.box.name}: {words}: {done}")
            time.sleep(LOOK_S)
