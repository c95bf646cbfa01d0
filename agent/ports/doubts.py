"""Which samples have to be seen twice, and whether one has been. Pure: the time is passed in."""

from dataclasses import replace

from protocols.events import Status


class Doubts:
    """Of one line. The model counts in the same way (agent.health.device), so that both believe the same."""

    def __init__(self, shaken_s: float) -> None:
        self._shaken_s = shaken_s
        self._shaken_until = 0.0
        self._sample: dict[str, str] = {}

    def silent(self, now: float) -> None:
        """The line was silent: it may spoil bytes too, though it has not had the time to show it."""
        self._shaken_until = now + self._shaken_s

    def weighed(self, status: Status, now: float, *, shaky: bool) -> Status:
        """On a shaky line no sample vouches for itself: one flipped bit is seldom alone."""
        if status.corroborated and (shaky or now < self._shaken_until):
            return replace(status, corroborated=False)
        return status

    def again(self, status: Status) -> bool:
        """This doubtful sample is the same as the one before it."""
        readings = dict(status.readings)
        same = readings == self._sample
        self._sample = {} if status.corroborated else readings
        return same and not status.corroborated

    @property
    def there(self) -> bool:
        """A sample waits to be seen again."""
        return bool(self._sample)

    def ended(self) -> bool:
        """What was known is confirmed: the doubtful sample before it, if there was one, was none of the device's."""
        there, self._sample = bool(self._sample), {}
        return there
