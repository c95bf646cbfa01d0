"""What one round of questions holds: the poll each time, and now and then what changes over hours (DeviceProtocol.survey)."""

from protocols.connection import DeviceProtocol

SURVEY_EVERY_S = 600.0


class Rounds:
    """Of one line."""

    def __init__(self, protocol: DeviceProtocol) -> None:
        self._survey = protocol.survey
        self._due = 0.0

    def anew(self) -> None:
        """Everything is wanted with the next round: the line is new, or somebody waits for all of it."""
        self._due = 0.0

    def survey(self, now: float) -> tuple[str, ...]:
        """What to ask beside the poll now."""
        if not self._survey or now < self._due:
            return ()
        self._due = now + SURVEY_EVERY_S
        return self._survey
