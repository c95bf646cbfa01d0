"""What every scene has at hand: the programs, the centre's desk, the stopwatch, the stage; and how to ask and to wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator import control
from simulator.demo.cast import Cast
from simulator.demo.desk import Desk, NoAnswerError, Report
from simulator.demo.releases import COMPONENT, Releases
from simulator.demo.stage import Stage
from simulator.demo.stopwatch import Figure, Stopwatch
from simulator.demo.words import Words

HOST = "shop-17"
TILLS = ("pos-1", "pos-2")
SEEN_S = 15.0
"""How long a change may take to reach the centre before the scene has failed: far more than it takes."""
BEAT_S = 1.8
HURRY_S = 30.0
"""With less time than this left nobody is given time to read."""


class SceneError(RuntimeError):
    """What was seen is not what should have happened; the text is one line."""


@dataclass
class World:
    """One run."""

    folder: Path
    cast: Cast
    stopwatch: Stopwatch
    stage: Stage
    words: Words
    releases: Releases
    figures: list[Figure] = field(default_factory=list)
    desk: Desk = field(default_factory=lambda: Desk({}))
    scene: str = ""

    @property
    def root(self) -> Path:
        """The agent's root folder."""
        return self.folder / "root"

    def begin(self, key: str) -> None:
        """A scene begins."""
        self.scene = self.words(key)
        self.stage.scene(self.scene)

    def say(self, mark: str, key: str, **values: object) -> None:
        """A line that stays."""
        self.stage.line(mark, self.words(key, **values))

    def wait_for(self, what: str) -> None:
        """Tell on the moving line what is being waited for."""
        self.stage.waiting(self.words("wait", what=what))

    def beat(self) -> None:
        """Time to read, where somebody reads."""
        self.stage.waiting("")
        if self.stage.moving and self.stopwatch.left() > HURRY_S:
            self.stopwatch.pause(BEAT_S)

    def figure(self, key: str, *times: float, **values: object) -> None:
        """A row for the table: seconds in the journal, seconds until the centre had it."""
        self.figures.append(Figure(self.words(f"figure.{key}", **values), tuple(self.words.time(t) for t in times)))

    # To do and to ask

    def set(self, till: str, key: str, value: str) -> float:
        """`possim set`; gives the moment just before."""
        before = self.stopwatch.now()
        control.call(self.folder / till, {"set": [key, value]})
        return before

    def agent(self, *argv: str) -> Any:
        """A command of posagent, as JSON; a fault that it finds is no failure of ours."""
        return self.cast.json("posagent", *argv, "--root", self.root, "--lang", self.words.lang, good=(0, 1, 3))

    def status(self) -> Mapping[str, Any]:
        """`posagent status`."""
        return dict(self.agent("status"))

    def runs(self) -> str:
        """The version of the till application that runs, read where the till would start it from."""
        current = self.root / "var/lib/posagent/releases" / COMPONENT / "current/VERSION"
        return current.read_text("utf-8").strip() if current.exists() else "-"

    # To wait

    def report(
        self,
        what: str,
        match: Callable[[Report], bool],
        limit_s: float = SEEN_S,
        tell: Callable[[], None] = lambda: None,
    ) -> Report:
        """The first report at the centre that fits; ``tell`` is called at each look."""

        def look() -> Report | None:
            self.cast.check()
            tell()
            try:
                self.desk.refresh()
            except NoAnswerError:
                return None
            return next((report for report in self.desk.reports if match(report)), None)

        return self.stopwatch.until(look, what, limit_s)

    def fault(self, kind: str, till: str, fault_id: str, since: float) -> Report:
        """``fault.raised`` or ``fault.cleared`` of a till after ``since``, as the centre got it."""
        what = f"{till} {fault_id} ({kind})"
        self.wait_for(what)
        return self.report(
            what,
            lambda r: (
                r.kind == kind and r.subject.startswith(f"{till}/") and r.body.get("id") == fault_id and r.journal_at >= since
            ),
        )

    def verdict(self, till: str, answer: str, since: float) -> Report:
        """``verdict.changed`` of a till after ``since``."""
        what = f"{till}: can_take_money {answer}"
        self.wait_for(what)
        return self.report(
            what,
            lambda r: (
                r.kind == "verdict.changed"
                and r.subject == till
                and r.body.get("can_take_money") == answer
                and r.journal_at >= since
            ),
        )


def known_fault(status: Mapping[str, Any], till: str, fault_id: str) -> Mapping[str, Any] | None:
    """A fault in a status document, with title and remedy in the reader's language."""
    for terminal in status["terminals"]:
        if terminal["id"] == till:
            faults = [fault for device in terminal["devices"].values() for fault in device["faults"]]
            return next((fault for fault in faults if fault["id"] == fault_id), None)
    return None


def can_take_money(status: Mapping[str, Any], till: str) -> str:
    """yes, no or unknown."""
    return next((str(t["can_take_money"]) for t in status["terminals"] if t["id"] == till), "unknown")
