"""One soak from the first push to the verdict."""

import contextlib
import json
import random
import shutil
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.soak.judge import journal, judge
from tests.soak.story import Story
from tests.soak.troubles import Troubles
from tests.soak.watch import tree
from tests.soak.world import Box, Centre, Shop, Till, build_clock, open_box, unmount_disk
from tests.system.harness import wait_for, well

CALM_S = 180.0
"""After the last trouble: the longest back-off of a report, and a minute for the host's checks to look again."""
MOST = ("good", "broken", "forged", "other till", "stick", "silent", "set", "cancelled")
REST = ("changed", "downgrade", "soft, then forced", "broken set", "hold", "rollback", "good", "good")


def say(line: str) -> None:
    """A line of the soak's own record."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Soak:
    """Two hosts, one with two tills. ``run`` gives everything that was wrong."""

    def __init__(self, folder: Path, dice: random.Random, seconds: float, updates: int, *, disk: bool) -> None:
        self._folder, self._dice, self._seconds, self._updates, self._disk = folder, dice, seconds, updates, disk
        self._begun = 0.0
        self._took = 0.0
        self._stuck: list[str] = []
        self._stories: list[Story] = []
        self._troubles: Troubles | None = None
        self._boxes: list[Box] = []

    def run(self) -> list[str]:
        with ExitStack() as running:
            centre = Centre(self._folder / "centre")
            running.callback(centre.stop)
            evil = Centre(self._folder / "evil")
            running.callback(evil.stop)
            self._open(centre, evil, running)
            self._begun = time.monotonic()
            for box in self._boxes:
                box.start()
                running.callback(self._stop, box)
            for box in self._boxes:
                wait_for(lambda box=box: self._well(box), 60, lambda box=box: box.host.log_text()[-3000:])  # type: ignore[misc]
            self._tell()
            self._took = time.monotonic() - self._begun
            assert self._troubles is not None
            wrong = [*self._stuck, *self._troubles.failures, *self._calm()]
            self._dice.choice(self._boxes[0].tills).set("printer.cover", "open")
            self._dice.choice(self._boxes[1].tills).set("printer.paper", "near_end")
            time.sleep(8)
            wrong += judge(centre, self._stories)
            if wrong:
                self._keep_evidence(centre)
            return wrong

    def _open(self, centre: Centre, evil: Centre, running: ExitStack) -> None:
        library = build_clock(self._folder)
        shop, forger = Shop(centre, centre.folder), Shop(evil, evil.folder)
        # The forger's releases are pushed through the true centre: hawkBit says when, and somebody broke into it.
        forger.center = centre.ready
        shop.init()
        forger.init()
        for place, (name, count) in enumerate((("gw-1", 2), ("pos-2", 1))):
            names = [f"{name}-{letter}" for letter in "ab"[:count]]
            tills = [Till(self._folder / till, till, self._dice.randrange(999)) for till in names]
            for till in tills:
                running.callback(till.stop)
            box = open_box(self._folder, name, shop, tills, library, self._disk, self._dice.randrange(1 << 30))
            box.pause_s = lambda dice=random.Random(self._dice.random()): dice.uniform(0.1, 3.0)  # type: ignore[misc]
            running.callback(box.ddi.close)
            running.callback(box.repo.close)
            self._boxes.append(box)
            sticks = self._folder / f"{name}-stick"
            sticks.mkdir()
            dice = random.Random(self._dice.random())
            self._stories.append(Story(box, centre, shop, forger, evil.ready.url, dice, place + 1, sticks))
        pace = (1.0, max(3.0, min(20.0, self._seconds / 50)))
        self._troubles = Troubles(centre, self._boxes, random.Random(self._dice.random()), pace)

    def _tell(self) -> None:
        """Both hosts' stories side by side, spread over the time, with trouble all the while."""
        assert self._troubles is not None
        self._troubles.epoch = self._begun
        self._troubles.start()
        work = zip(self._stories, self._plan(), strict=True)
        tellers = [threading.Thread(target=self._story, args=both, daemon=True) for both in work]
        for teller in tellers:
            teller.start()
        for teller in tellers:
            teller.join()
        while time.monotonic() < self._begun + self._seconds and not self._stuck:
            time.sleep(1)
        self._troubles.stop()

    def _plan(self) -> list[list[str]]:
        """Each host begins with a good one; the rest is shared out and shuffled, every kind before any comes again."""
        rest = [kind for n in range(self._updates) for kind in (MOST + REST)[n % len(MOST + REST) :][:1]]
        plans: list[list[str]] = [["good"], ["good"]]
        for n, kind in enumerate(rest[: self._updates - 2]):
            plans[n % 2].append(kind)
        for plan in plans:
            later = plan[1:]
            self._dice.shuffle(later)
            # going back by hand needs a predecessor, and so does a downgrade: never right at the beginning
            later.sort(key=lambda kind: kind in ("rollback", "downgrade"))
            plan[1:] = later
        return plans

    def _story(self, story: Story, kinds: list[str]) -> None:
        every_s = self._seconds / len(kinds)
        for place, kind in enumerate(kinds):
            while time.monotonic() < self._begun + place * every_s and not self._stuck:
                time.sleep(0.5)
            if self._stuck:
                return
            begun = time.monotonic()
            try:
                story.tell(kind)
            except Exception as error:
                self._stuck.append(f"{story.box.name}: {kind}: {error!r}\n{story.box.host.log_text()[-3000:]}")
                return
            told = story.told[-1]
            say(
                f"{time.monotonic() - self._begun:7.1f} {story.box.name} {kind}: {told.outcome} {told.code} "
                f"{told.pairs} in {time.monotonic() - begun:.0f} s"
            )

    @staticmethod
    def _well(box: Box) -> bool:
        with contextlib.suppress(Exception):
            return well(*(till.name for till in box.tills))(box.host.ask("status"))
        return False

    def _calm(self) -> list[str]:
        """Nothing is wrong any more: everything must come to rest by itself."""
        wrong = []
        for box in self._boxes:

            def settled(box: Box = box) -> bool:
                with contextlib.suppress(Exception):
                    found = box.host.ask("status")
                    center = found["host"]["center"]
                    return (
                        self._well(box) and not found["host"]["faults"] and center["backlog"] == 0 and bool(center["reachable"])
                    )
                return False

            try:
                wait_for(settled, CALM_S)
            except AssertionError:
                wrong.append(f"{box.name} does not come to rest: {box.host.ask('status')['host']}\n{box.host.log_text()[-2000:]}")
        return wrong

    def _stop(self, box: Box) -> None:
        code, took = box.stop()
        if code != 0 or took > 5.0:
            say(f"{box.name}: SIGTERM gave {code} after {took:.1f} s")

    def _keep_evidence(self, centre: Centre) -> None:
        """What would be gone with the processes and the mounts."""
        (self._folder / "actions.json").write_text(json.dumps(centre.actions(), indent=1))
        for box in self._boxes:
            (self._folder / f"{box.name}.journal.json").write_text(json.dumps(journal(box), indent=1))
            shutil.copytree(box.host.state, self._folder / f"{box.name}.state", symlinks=True)

    def unmount(self) -> None:
        """After the run, and after what was wrong has been looked at."""
        for box in self._boxes:
            if box.disk:
                unmount_disk(box.host.root / "var")

    def figures(self) -> dict[str, Any]:
        """What was done, and what came of it."""
        assert self._troubles is not None
        told = [one for story in self._stories for one in story.told]
        return {
            "seconds": round(self._took),
            "deployments": len(told),
            "kinds": dict(Counter(one.kind for one in told)),
            "outcomes": dict(Counter(one.outcome for one in told)),
            "troubles": dict(self._troubles.counts),
            "skipped": self._troubles.skipped,
            "wires_harmed": sum(box.ddi.harmed + box.repo.harmed for box in self._boxes),
            "hosts": {
                box.name: {
                    "starts": box.starts,
                    "own_ends": dict(Counter(box.ends)),
                    "most": vars(box.watch.most) if hasattr(box.watch.most, "__dict__") else str(box.watch.most),
                    "looks": box.watch.looks,
                    "state": tree(box.host.state),
                }
                for box in self._boxes
            },
        }
