"""posagent as a component of itself (``firmware.interfaces.Own``): what runs, whether it is well, and how it is started anew.

The launcher decides which release runs, and says so in the environment (docs/decisions/0015); this module never guesses.
The table of what happens at a kill at each moment: docs/decisions/0017.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.config.model import Limits
from agent.paths import Paths
from agent.selfwatch import over
from agent.starts import Starts
from agent.usage import Usage
from firmware.confirm import Checks, Outcome

ALIVE_LIMIT_S: Final = 5.0
"""So long may the main loop take to answer: it never waits for anything, so this is a machine that swaps or a loop that hangs."""
SETTLE_S: Final = 30.0
"""After this time every port and every connection is open: files are counted from here on."""
GROWTH_MAX: Final = 48
"""Files and connections that may come on top of these until the end of the probation: more is a leak."""
CENTER: Final = "/center"
CHECK: Final = ("bin/python", "-I", "-m", "agent.selfupdate_check")
"""What every release must answer, also a newer one: ``--root DIR --version V``; 0 is yes, else the last line says why not."""
_REACHED: Final = {True: "ok", False: "unreachable", None: "unknown"}


class SelfUpdate:
    """``component`` is its name here. Until ``connect`` it is a command's: it sees what is there, and does nothing."""

    def __init__(self, component: str, paths: Paths, limits: Limits, environment: Mapping[str, str] = os.environ) -> None:
        self._component, self._paths, self._limits = component, paths, limits
        self._release = environment.get("POSAGENT_RELEASE", "")
        pointed = _pointed(paths.program / "current")
        self._passed_over = pointed if self._release and pointed != self._release else ""
        self._alive: Callable[[float], object] | None = None
        self._reached: Callable[[], bool | None] = lambda: None
        self._restart: Callable[[], None] = lambda: None
        self._usage: Callable[[], Usage] | None = None
        self._first: float | None = None
        self._base: Usage | None = None

    def connect(
        self,
        *,
        alive: Callable[[float], object],
        usage: Callable[[], Usage],
        reached: Callable[[], bool | None],
        restart: Callable[[], None],
    ) -> None:
        """The daemon's: ``alive`` returns when the main loop has answered (TimeoutError after so many seconds), ``reached`` says
        whether the centre is, ``restart`` begins to end the daemon and returns at once."""
        self._alive, self._usage, self._reached, self._restart = alive, usage, reached, restart

    @property
    def component(self) -> str:
        """See Own."""
        return self._component

    def running(self) -> str:
        """See Own."""
        return self._release

    def passed_over(self) -> str:
        """See Own."""
        return self._passed_over

    def serves(self) -> bool:
        """See Own."""
        return self._alive is not None

    def rehearse(self, version: str) -> Outcome:
        """See Own."""
        # It is tried anew: what came of it the last time counts no more.
        self._passed_over, self._first, self._base = "", None, None
        folder = self._paths.program / "releases" / version
        seen = Checks().run(folder, [*CHECK, "--root", str(self._paths.root), "--version", version])
        # Its own last line is a whole sentence: what step, and what is wrong.
        return replace(seen, reason=seen.reason.partition(": ")[2] or seen.reason) if seen.code == "exit" else seen

    def health(self) -> Outcome:
        """See Own. Codes: healthy, timeout (the main loop hangs), limits (of agent.selfwatch, or a leak)."""
        if self._alive is None or self._usage is None:
            return Outcome(True, "healthy")
        try:
            self._alive(ALIVE_LIMIT_S)
        except TimeoutError:
            return Outcome(False, "timeout", f"the main loop does not answer within {ALIVE_LIMIT_S:g} s")
        now = self._usage()
        self._settle(now)
        broken = dict(over(self._limits, now, self._base))
        if self._base is not None and now.descriptors - self._base.descriptors > GROWTH_MAX:
            broken["descriptors"] = f"{self._base.descriptors} grew to {now.descriptors}"
        if broken:
            return Outcome(False, "limits", "; ".join(f"{name}: {text}" for name, text in sorted(broken.items())))
        return Outcome(True, "healthy")

    def lifelines(self) -> Mapping[str, str]:
        """See Own: the centre. Asked every second of a probation, so this is where the files begin to be counted."""
        if self._usage is not None and self._base is None:
            self._settle(self._usage())
        return {CENTER: _REACHED[self._reached()]}

    def restart(self) -> None:
        """See Own."""
        Starts(self._paths.starts).try_again()
        self._restart()

    def _settle(self, now: Usage) -> None:
        if self._first is None:
            self._first = now.mono
        if self._base is None and now.mono - self._first >= SETTLE_S:
            self._base = now


def _pointed(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:
        return ""
