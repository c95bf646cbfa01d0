"""What a till's stream tells of its work, and keeps nothing of it: jobs, lines, cuts, bytes, what never ended. Pure."""

JOB_GAP_S = 5.0
"""Silence that ends a job which was not cut."""
UNFINISHED_S = 30.0
"""A job whose printer takes nothing for this long, or which stands inside a command for this long, has not finished."""
COUNTED = ("jobs", "lines", "cuts", "bytes", "unfinished", "seconds")


class Jobs:
    """Counts since ``taken``; times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTED, 0.0)
        self.open = False
        self._began = 0.0
        self._lines = 0
        self._told = False

    def heard(self, size: int, lines: int, cuts: int, now: float) -> None:
        """The till sent ``size`` bytes; whole lines and cuts among them."""
        if not self.open:
            self.open, self._began, self._lines = True, now, 0
        self._told = False
        self._lines += lines
        self.counts["bytes"] += size
        self.counts["lines"] += lines
        self.counts["cuts"] += cuts
        if cuts:
            self._end(cuts, now)

    def quiet(self, quiet_s: float, now: float, *, stuck: bool) -> None:
        """The till has been silent for ``quiet_s``; ``stuck``: inside a command, or the printer has not taken all."""
        if stuck and quiet_s >= UNFINISHED_S and self.open and not self._told:
            self._told = True
            self.counts["unfinished"] += 1
        elif self.open and not stuck and quiet_s >= JOB_GAP_S:
            self._end(1 if self._lines else 0, now - quiet_s)

    def broken(self) -> None:
        """The line was lost in the middle."""
        if self.open and not self._told:
            self._told = True
            self.counts["unfinished"] += 1

    def next_timer(self, last: float, *, stuck: bool) -> float | None:
        """When ``quiet`` has something to say."""
        if not self.open or (stuck and self._told):
            return None
        return last + (UNFINISHED_S if stuck else JOB_GAP_S)

    def taken(self) -> dict[str, int]:
        """What was counted since the last call; seconds whole, the rest stays."""
        found = {name: int(value) for name, value in self.counts.items()}
        for name, value in found.items():
            self.counts[name] -= value
        return found

    def give_back(self, counts: dict[str, int]) -> None:
        """Nobody took them after all."""
        for name, value in counts.items():
            self.counts[name] += value

    def _end(self, jobs: int, now: float) -> None:
        self.open = False
        self.counts["jobs"] += jobs
        self.counts["seconds"] += max(0.0, now - self._began)
