"""Small statistics: percentiles by nearest rank, so that every figure printed was really measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 < share ≤ 1) of all values do not exceed.

    Raises:
        ValueError: no values, or a share outside (0, 1].
    """
    if not values or not 0 < share <= 1:
        raise ValueError("a percentile needs values and a share in (0, 1]")
    return sorted(values)[math.ceil(share * len(values)) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds (or whatever was measured)."""

    count: int
    p50: float
    p99: float
    worst: float


def spread(values: Sequence[float]) -> Spread:
    """Sum up ``values``."""
    return Spread(len(values), percentile(values, 0.5), percentile(values, 0.99), max(values))


def per_day(count: float, every_s: float) -> float:
    """``count`` of something every ``every_s`` seconds, over a day."""
    return count * 86_400 / every_s
