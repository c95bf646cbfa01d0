"""What the engine needs from the world, what it tells it, and its bounds: types only, imported by both sides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from firmware.confirm import Outcome
from firmware.probation import ProbationLimits
from firmware.state import Component, Deployment, Wanted

Facts = Mapping[str, Any]
"""What verification learnt of one component (see effects.Effects.verify); plain JSON, kept in the state."""


CLOCK_WRONG = "clock_wrong"
"""Code of the state in which nothing is installed because this machine's time cannot be right."""


HARDWARE_UNKNOWN = "hardware_unknown"
"""Code of a release that asks for certain hardware, while a device has not said who it is."""


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """Whether the till may be touched now, and if not, what that waits for in one word or two."""

    open: bool
    waiting_for: str = ""


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """One step for the journal and the centre. ``key`` is the same when the same step is recorded again.

    ``state`` is the table's name, ``word`` the contract's;
    ``execution`` and ``finished`` are hawkBit's words; ``answers_cancel`` says that they belong to the cancel action;
    ``back`` that a person asked for the predecessor, ``stick`` that it came in a bundle.
    """

    key: str
    deployment_id: str
    action_id: str
    component: str
    version: str
    items: tuple[Wanted, ...]
    state: str
    word: str
    execution: str
    finished: str
    final: bool
    code: str = ""
    reason: str = ""
    answers_cancel: bool = False
    back: bool = False
    stick: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Every wait and every bound, in seconds and counts. With these a centre may be gone for about a week."""

    retry_first_s: float = 2.0
    retry_max_s: float = 300.0
    retry_count: int = 2000
    local_retry_s: float = 1.0
    local_tries: int = 5
    gate_poll_s: float = 1.0
    store_retry_s: float = 5.0
    calm_s: float = 600.0
    probation: ProbationLimits = field(default_factory=ProbationLimits)


class Cancel(StrEnum):
    """What became of a wish to cancel."""

    ACCEPTED = "accepted"
    TOO_LATE = "too_late"
    FINISHED = "finished"
    UNKNOWN = "unknown"


class Own(Protocol):
    """This very program, as a component that it updates itself. A switch takes effect when it is started anew."""

    @property
    def component(self) -> str:
        """Its name in the configuration."""
        ...

    def running(self) -> str:
        """The version that does this; empty where no launcher started it (then nothing of it can be updated)."""
        ...

    def passed_over(self) -> str:
        """The version that the pointer named at our start and that the launcher did not run; empty where there is none."""
        ...

    def serves(self) -> bool:
        """Whether this is the daemon: a command that works for a moment proves nothing and is started by nobody."""
        ...

    def rehearse(self, version: str) -> Outcome:
        """Let an unpacked release look at this machine where it lies, changing nothing: may it run here?"""
        ...

    def health(self) -> Outcome:
        """Of this process: its main loop, its own limits."""
        ...

    def lifelines(self) -> Mapping[str, str]:
        """What a release must not lose for good: a subject (probation.LIFELINE…) to ``ok``, another word, or ``unknown``."""
        ...

    def restart(self) -> None:
        """End in order, to be started as what the pointer names. Returns at once."""
        ...


class Effects(Protocol):
    """What the table's states do to the world. Every method may be called again after a kill: twice must be as once.

    They raise ReleaseRefused, TransportError or InstallFailed and nothing else. ``stop`` comes from another thread.
    """

    @property
    def own(self) -> Own | None:
        """This program, where it is one of the components."""
        ...

    def components(self) -> Sequence[str]:
        """Names of the components that this machine has."""
        ...

    def current(self, component: str) -> str | None:
        """The version that the pointer names. Raises ReleaseRefused (unknown_component)."""
        ...

    def clock(self) -> str:
        """Why this machine's time cannot be right, in one line; empty while it can."""
        ...

    def learn(self, item: Wanted, bundle: str = "") -> None:
        """Refresh the trusted metadata, its root above all, and install nothing: a new root may set the known time right."""
        ...

    def arrange(self, items: Sequence[Wanted]) -> Sequence[Wanted]:
        """Several releases in the order that their signed set names. Raises ReleaseRefused (no_set)."""
        ...

    def verify(self, item: Wanted, installed: Component, bundle: str = "") -> Facts:
        """Find the signed release, in ``bundle`` where one is named, and make sure that it is for this till."""
        ...

    def recall(self, item: Wanted) -> Facts:
        """Make sure that a release which lies here is as it was unpacked. Raises ReleaseRefused (not_kept, drift)."""
        ...

    def fetch(self, item: Wanted, facts: Facts, progress: Callable[[int, int], None]) -> None:
        """Bring the archive onto the disk, verified."""
        ...

    def stage(self, item: Wanted, facts: Facts) -> None:
        """Unpack the archive beside the running release; durable on return."""
        ...

    def gate(self, deployment: Deployment) -> GateAnswer:
        """Whether the till may be touched now."""
        ...

    def health(self, component: str, argv: Sequence[str]) -> Outcome:
        """Run the check of the release that the pointer names (``argv`` empty: the configured one)."""
        ...

    def device_health(self) -> Mapping[str, str]:
        """Subject to ``ok``, a fault id, or ``unknown``."""
        ...

    def switch(self, component: str, version: str | None) -> None:
        """Move the pointer, durably; None takes it away (there was no version before)."""
        ...

    def commit(self, item: Wanted, facts: Facts) -> None:
        """Make the release's counter the floor, durably."""
        ...

    def tidy(self, items: Sequence[Wanted], keep: Mapping[str, frozenset[str]], *, downloads: bool = True) -> None:
        """Remove ``downloads`` and all releases but ``keep``. Never raises: it is done again the next time."""
        ...

    def short(self) -> bool:
        """Whether less of the disk is free than no update may take."""
        ...

    def stop(self) -> None:
        """End the step under way at once (it raises InstallFailed), and every later one, until ``rearm``."""
        ...

    def rearm(self) -> None:
        """A new deployment begins: nothing is to be stopped."""
        ...
