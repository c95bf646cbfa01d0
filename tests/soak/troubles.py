"""What happens to a host while it updates. A trouble begins, lasts for seconds, and is over when its function returns."""

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.soak.world import Box, Centre

HOUR, DAY = 3600, 86_400
FILLER = "filler"


@dataclass
class Troubles:
    """Does one thing after the other to hosts chosen at random, until it is told to end. ``counts`` says what was done."""

    centre: Centre
    boxes: list[Box]
    dice: random.Random
    pace_s: tuple[float, float]
    epoch: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kinds: dict[str, Callable[[Box], None]] = {
            "kill": self._kill,
            "kill twice": self._kill_twice,
            "kill a worker": self._kill_worker,
            "freeze": self._freeze,
            "network reset": lambda box: self._network(box, "reset"),
            "network hangs": lambda box: self._network(box, "hang"),
            "network cut in the body": lambda box: self._network(box, "cut"),
            "network drips": lambda box: self._network(box, "drip"),
            "network corrupts": lambda box: self._network(box, "corrupt"),
            "clock back": lambda box: self._clock(box, (-20 * 60, -2 * HOUR, -400 * DAY)),
            "clock ahead": lambda box: self._clock(box, (20 * 60, 5 * HOUR, 30 * DAY, 4000 * DAY)),
            "disk low": lambda box: self._disk(box, 20 << 20),
            "disk full": lambda box: self._disk(box, 0),
            "unplugged": lambda box: self._device(box, self.dice.choice(("printer.plugged", "reader.plugged")), "no", "yes"),
            "paper end": lambda box: self._device(box, "printer.paper", "end", "ok"),
            "cover open": lambda box: self._device(box, "printer.cover", "open", "closed"),
            "noise": lambda box: self._device(box, "printer.noise", "0.02", "0"),
            "centre away": self._centre_away,
        }
        if any(box.clock is None for box in self.boxes):
            self._leave_out("clock", "no C compiler is here")
        if not all(box.disk for box in self.boxes):
            self._leave_out("disk", "no file system can be mounted here")

    def start(self) -> None:
        """One thread of trouble for each host, so that both may be struck at once."""
        for box in self.boxes:
            thread = threading.Thread(target=self._run, args=(box, random.Random(self.dice.random())), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """No new trouble; the ones under way come to their end."""
        self._end.set()
        for thread in self._threads:
            thread.join(120)
            if thread.is_alive():
                self.failures.append("a trouble did not end")

    def _leave_out(self, beginning: str, why: str) -> None:
        for name in [name for name in self.kinds if name.startswith(beginning)]:
            self.skipped[name] = why
            del self.kinds[name]

    def _run(self, box: Box, dice: random.Random) -> None:
        waiting: list[str] = []
        while not self._end.wait(dice.uniform(*self.pace_s)):
            if not waiting:  # each kind once before any comes again
                waiting = list(self.kinds)
                dice.shuffle(waiting)
            self.strike(box, waiting.pop())

    def strike(self, box: Box, name: str) -> None:
        begun = time.monotonic()
        box.troubles.append((begun, float("inf"), name))
        mine = len(box.troubles) - 1
        try:
            self.kinds[name](box)
            self.counts[name] += 1
        except Exception as error:
            self.failures.append(f"{name} at {box.name}: {error!r}")
        box.troubles[mine] = (begun, time.monotonic(), name)
        sys.stdout.write(f"{begun - self.epoch:7.1f} {box.name}   [{name}, {time.monotonic() - begun:.0f} s]\n")
        sys.stdout.flush()

    def _last(self, low: float, high: float) -> None:
        self._end.wait(self.dice.uniform(low, high))

    def _kill(self, box: Box) -> None:
        box.kill()

    def _kill_twice(self, box: Box) -> None:
        """The second one while it is still starting."""
        box.kill()
        self._last(0.6, 1.6)
        box.kill()

    def _kill_worker(self, box: Box) -> None:
        """The next worker that is seen within some seconds."""
        end = time.monotonic() + 12
        while time.monotonic() < end and not self._end.is_set():
            for pid, command in box.children():
                if "firmware.worker" in command or "agent.signer" in command:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.counts["workers killed"] += 1
                    return
            time.sleep(0.05)

    def _freeze(self, box: Box) -> None:
        pid = box.pid()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self._last(2, 12)
                os.kill(pid, signal.SIGCONT)

    def _network(self, box: Box, mode: str) -> None:
        """Corrupt bytes come from the releases alone: there no transport protects them, here TLS would."""
        wires = [box.repo] if mode == "corrupt" else [box.ddi, box.repo]
        for wire in wires:
            wire.mode = mode
            if mode == "reset":
                wire.hang_up()
        self._last(3, 15)
        for wire in wires:
            wire.mode = "pass"

    def _clock(self, box: Box, choice: tuple[int, ...]) -> None:
        box.jump(self.dice.choice(choice))
        self._last(5, 20)
        box.jump(0)

    def _disk(self, box: Box, left: int) -> None:
        """Fill the file system that the state lies on, but for ``left`` bytes."""
        filler = box.host.root / "var" / FILLER
        try:
            with filler.open("wb") as file, contextlib.suppress(OSError):
                while True:
                    found = os.statvfs(filler)
                    free = found.f_bavail * found.f_frsize - left
                    if free <= 0:
                        break
                    file.write(bytes(min(free, 1 << 20)))
                    file.flush()
            self._last(4, 15)
        finally:
            filler.unlink()

    def _device(self, box: Box, key: str, bad: str, good: str) -> None:
        till = self.dice.choice(box.tills)
        till.set(key, bad)
        self._last(3, 12)
        till.set(key, good)

    def _centre_away(self, box: Box) -> None:
        """The centre is restarted: nobody listens for a while, every connection is cut; what it knew it knows."""
        del box
        seconds = self.dice.uniform(2, 10)
        self.centre.rest("POST", "/sim/behaviour", {"down_s": round(seconds, 1)})
        self._last(seconds, seconds + 1)
