"""The deployment of one or several components as ONE table of states and events; every rule of the sequence is here.

Nothing in this file acts: ``engine`` runs the table, ``effects`` does the work, ``state`` keeps it on disk. The columns
beside the table say what a state means elsewhere: for ``posagent status`` (architecture.md, contract) and for hawkBit's
feedback (facts/updates.md section 2, body 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final


@unique
class State(StrEnum):
    """Where a deployment is. The value is what lies on disk: never rename one without a new format number."""

    RECEIVED = "received"
    VERIFYING = "verifying"
    FETCHING = "fetching"
    STAGING = "staging"
    WAITING = "waiting"
    CHECKING_BEFORE = "checking_before"
    SWITCHING = "switching"
    PROBATION = "probation"
    COMMITTING = "committing"
    ROLLING_BACK = "rolling_back"
    COMMITTED = "committed"
    DOWNLOADED = "downloaded"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELED = "canceled"


@unique
class Event(StrEnum):
    """What came of a state's work."""

    DONE = "done"  # for every component
    CURRENT = "current"  # every component already runs the version that is wanted
    KEPT = "kept"  # it lies here as it was unpacked: the predecessor that a person wants, or what was brought ahead of time
    BROUGHT = "brought"  # wanted for download alone: it lies here, as it was unpacked
    LATER = "later"  # not now: the network, the gate, a probation without a verdict
    EXHAUSTED = "exhausted"  # LATER, too often
    REFUSED = "refused"  # the release may not run here
    FAILED = "failed"  # this machine could not do it
    WORSE = "worse"  # the new version's own check, or a device that fell silent
    CANCEL = "cancel"  # the centre takes the deployment back
    LOOP = "loop"  # the state was stored too often: we go round in circles


S, E = State, Event

FINAL: Final = frozenset({S.COMMITTED, S.DOWNLOADED, S.ROLLED_BACK, S.REFUSED, S.FAILED, S.CANCELED})
"""Reported once, then moved into the history."""

TABLE: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (S.RECEIVED, E.DONE): S.VERIFYING,
        (S.RECEIVED, E.CURRENT): S.COMMITTED,
        (S.RECEIVED, E.REFUSED): S.REFUSED,  # a component that this till does not have
        (S.RECEIVED, E.FAILED): S.FAILED,
        (S.RECEIVED, E.CANCEL): S.CANCELED,
        (S.RECEIVED, E.LOOP): S.FAILED,
        #
        (S.VERIFYING, E.DONE): S.FETCHING,
        (S.VERIFYING, E.KEPT): S.WAITING,
        (S.VERIFYING, E.BROUGHT): S.DOWNLOADED,
        (S.VERIFYING, E.LATER): S.VERIFYING,
        (S.VERIFYING, E.EXHAUSTED): S.FAILED,
        (S.VERIFYING, E.REFUSED): S.REFUSED,
        (S.VERIFYING, E.FAILED): S.FAILED,
        (S.VERIFYING, E.CANCEL): S.CANCELED,
        (S.VERIFYING, E.LOOP): S.FAILED,
        #
        (S.FETCHING, E.DONE): S.STAGING,
        (S.FETCHING, E.LATER): S.FETCHING,
        (S.FETCHING, E.EXHAUSTED): S.FAILED,
        (S.FETCHING, E.REFUSED): S.REFUSED,
        (S.FETCHING, E.FAILED): S.FAILED,
        (S.FETCHING, E.CANCEL): S.CANCELED,
        (S.FETCHING, E.LOOP): S.FAILED,
        #
        (S.STAGING, E.DONE): S.WAITING,
        (S.STAGING, E.BROUGHT): S.DOWNLOADED,  # an end of its own: nothing was switched, and nothing will be
        (S.STAGING, E.REFUSED): S.REFUSED,
        (S.STAGING, E.FAILED): S.FAILED,
        (S.STAGING, E.CANCEL): S.CANCELED,
        (S.STAGING, E.LOOP): S.FAILED,
        #
        (S.WAITING, E.DONE): S.CHECKING_BEFORE,
        (S.WAITING, E.LATER): S.WAITING,  # unknown is not idle: no EXHAUSTED, a deadline is the gate's business
        (S.WAITING, E.CANCEL): S.CANCELED,
        (S.WAITING, E.LOOP): S.FAILED,
        #
        (S.CHECKING_BEFORE, E.DONE): S.SWITCHING,
        (S.CHECKING_BEFORE, E.LATER): S.WAITING,  # a sale began while we looked
        (S.CHECKING_BEFORE, E.FAILED): S.FAILED,
        (S.CHECKING_BEFORE, E.CANCEL): S.CANCELED,
        (S.CHECKING_BEFORE, E.LOOP): S.FAILED,
        # From here on something may have been switched: every way out leads through the new version or back.
        (S.SWITCHING, E.DONE): S.PROBATION,
        (S.SWITCHING, E.FAILED): S.ROLLING_BACK,
        (S.SWITCHING, E.LOOP): S.ROLLING_BACK,
        #
        (S.PROBATION, E.DONE): S.COMMITTING,
        (S.PROBATION, E.LATER): S.PROBATION,
        (S.PROBATION, E.WORSE): S.ROLLING_BACK,
        (S.PROBATION, E.FAILED): S.ROLLING_BACK,
        (S.PROBATION, E.LOOP): S.ROLLING_BACK,
        #
        (S.COMMITTING, E.DONE): S.COMMITTED,
        (S.COMMITTING, E.LATER): S.COMMITTING,
        (S.COMMITTING, E.EXHAUSTED): S.ROLLING_BACK,  # a floor that cannot be raised is no commit
        (S.COMMITTING, E.LOOP): S.ROLLING_BACK,
        #
        (S.ROLLING_BACK, E.DONE): S.ROLLED_BACK,
        (S.ROLLING_BACK, E.LATER): S.ROLLING_BACK,
        (S.ROLLING_BACK, E.EXHAUSTED): S.FAILED,  # said as it is: the old version could not be brought back
        (S.ROLLING_BACK, E.LOOP): S.FAILED,
    }
)

NEVER: Final[Mapping[Event, frozenset[State]]] = MappingProxyType(
    {
        E.DONE: FINAL,
        E.CURRENT: frozenset(S) - {S.RECEIVED},  # asked once, before anything is done
        E.KEPT: frozenset(S) - {S.VERIFYING},
        E.BROUGHT: frozenset(S) - {S.VERIFYING, S.STAGING},
        E.LATER: FINAL | {S.RECEIVED, S.STAGING, S.SWITCHING},  # local work is done or it is not
        E.EXHAUSTED: FINAL | {S.RECEIVED, S.STAGING, S.WAITING, S.CHECKING_BEFORE, S.SWITCHING, S.PROBATION},
        E.REFUSED: FINAL | {S.WAITING, S.CHECKING_BEFORE, S.SWITCHING, S.PROBATION, S.COMMITTING, S.ROLLING_BACK},
        E.FAILED: FINAL | {S.WAITING, S.COMMITTING, S.ROLLING_BACK},  # these try again and end in EXHAUSTED
        E.WORSE: frozenset(S) - {S.PROBATION},
        E.CANCEL: FINAL | {S.SWITCHING, S.PROBATION, S.COMMITTING, S.ROLLING_BACK},  # too late: finish, tell the truth
        E.LOOP: FINAL,
    }
)
"""The pairs that cannot be, by event. With TABLE they are all there are (a test holds them against each other)."""

RESUME: Final[Mapping[State, State]] = MappingProxyType(
    {
        S.RECEIVED: S.RECEIVED,
        S.VERIFYING: S.VERIFYING,
        S.FETCHING: S.VERIFYING,  # it may have been a month: is the release still good? The bytes on disk stay
        S.STAGING: S.STAGING,
        S.WAITING: S.WAITING,
        S.CHECKING_BEFORE: S.WAITING,  # the proof of idle has grown old
        S.SWITCHING: S.SWITCHING,  # a set may be half switched: that must not last, and switching twice is harmless
        S.PROBATION: S.PROBATION,
        S.COMMITTING: S.COMMITTING,
        S.ROLLING_BACK: S.ROLLING_BACK,
        **{state: state for state in FINAL},  # reported unless it was, then into the history
    }
)
"""Where a restart (kill, power cut) goes on, by the state found on disk."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a state is called elsewhere. ``execution`` and ``finished`` are None where the state is not reported."""

    word: str
    execution: str | None = None
    finished: str | None = None
    text: str = ""

    @property
    def reported(self) -> bool:
        """Whether entering the state makes a durable record (and feedback to the centre)."""
        return self.execution is not None


MEANING: Final[Mapping[State, Meaning]] = MappingProxyType(
    {
        S.RECEIVED: Meaning("downloading", "proceeding", "none", "deployment received"),
        S.VERIFYING: Meaning("downloading"),
        S.FETCHING: Meaning("downloading", "download", "none", "release verified, downloading"),
        S.STAGING: Meaning("downloading"),
        S.WAITING: Meaning("waiting", "downloaded", "none", "ready, waiting for the till to be idle"),
        S.CHECKING_BEFORE: Meaning("installing"),
        S.SWITCHING: Meaning("installing", "proceeding", "none", "installing"),
        S.PROBATION: Meaning("probation", "proceeding", "none", "installed, on probation"),
        S.COMMITTING: Meaning("probation"),
        S.ROLLING_BACK: Meaning("installing", "proceeding", "none", "going back to the previous version"),
        S.COMMITTED: Meaning("committed", "closed", "success", "the new version proved itself"),
        # hawkBit closes a download-only action at this word, and believes nothing installed.
        S.DOWNLOADED: Meaning("waiting", "downloaded", "none", "downloaded and verified; installed only when the centre asks"),
        S.ROLLED_BACK: Meaning("rolled_back", "closed", "failure", "the previous version runs again"),
        S.REFUSED: Meaning("refused", "closed", "failure", "the release was refused"),
        S.FAILED: Meaning("refused", "closed", "failure", "the update could not be done"),
        # For hawkBit this is the answer to the cancel action: closed and success, nothing else ends it (hawkbit#952).
        S.CANCELED: Meaning("none", "closed", "success", "canceled by the centre, nothing was changed"),
    }
)

BACK_TEXT: Final[Mapping[State, str]] = MappingProxyType(
    {
        S.RECEIVED: "rollback asked for",
        S.WAITING: "the kept version is as it was installed",
        S.SWITCHING: "going back to the kept version",
        S.PROBATION: "the kept version runs, on probation",
        S.ROLLING_BACK: "the kept version is worse: returning to the newer one",
        S.COMMITTED: "the kept version runs again, as asked",
        S.ROLLED_BACK: "the newer version runs again",
        S.REFUSED: "the rollback was refused",
        S.FAILED: "the rollback could not be done",
        S.CANCELED: "the rollback was taken back, nothing was changed",
    }
)
"""``Meaning.text`` where the deployment is a rollback that a person asked for."""

CANCELABLE: Final = frozenset(state for state, event in TABLE if event is E.CANCEL)
"""States in which a cancel is still obeyed."""

SWITCHED: Final = frozenset({S.SWITCHING, S.PROBATION, S.COMMITTING, S.ROLLING_BACK})
"""States in which the pointer of some component may not be where the last commit left it."""


def follow(state: State, event: Event) -> State:
    """Return the next state. Raises ValueError for a pair of NEVER: our own error, not the release's."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise ValueError(f"{event} cannot happen in {state}") from None


def mermaid() -> str:
    """Draw the table as a Mermaid state diagram (what docs/architecture.md shows)."""
    lines = ["stateDiagram-v2", f"    [*] --> {S.RECEIVED}"]
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, event), target in TABLE.items():
        arrows.setdefault((state, target), []).append(event)
    lines += [f"    {state} --> {target}: {', '.join(events)}" for (state, target), events in arrows.items()]
    lines += [f"    {state} --> {resumed}: restart" for state, resumed in RESUME.items() if state is not resumed]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines) + "\n"
