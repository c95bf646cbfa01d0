"""How long the watch of a line waits for what."""

from dataclasses import dataclass, field

from agent.ports.damage import NoiseLimits


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds. The defaults keep a status change under 2 s and a dead line under 6 s with one wake-up every 2 s."""

    misses: int = 2
    """unanswered questions in a row that make a line silent"""
    silent_poll_s: float = 1.0
    sweep_every_s: float = 30.0
    confirm_s: float = 0.2
    """pause before a doubtful sample is asked for again (devices.md section 7, P01)"""
    noise: NoiseLimits = field(default_factory=NoiseLimits)
    sweep_wait_s: float = 0.2
    """how long one speed may stay silent; a probe and its answer take 10 ms at 4800 baud"""
    sweep_answers: int = 3
    """valid answers in a row that prove a speed (devices.md section 7, L05), with no garbage since the first"""
    sweep_spoilt: int = 2
    """how often garbage may spoil the row before a speed is given up: a stream of it answers every question by chance"""
    slip_s: float = 8.0
    """until a slip that was not confirmed counts as unknown"""


def first_of(*due: float | None) -> float | None:
    """The earliest moment of those that there are."""
    return min((at for at in due if at is not None), default=None)
