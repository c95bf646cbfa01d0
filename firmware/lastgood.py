"""The latest time that is known for certain: when the centre last signed its timestamp, by its own clock.

A till's clock may stand anywhere after its battery died, and with a clock that is behind, metadata that expired long ago
looks fresh (a freeze attack; TUF specification 1.0.34 section 1.5.2). So this memory only rises, lies in two synced
copies, and expiry is judged by it where the clock shows less. It starts anew only when a newer verified root takes a key
of the online roles away, as the floor does: a stolen key may have signed a moment far ahead.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from firmware.errors import StateError
from firmware.files import TwinFile

SLACK: Final = timedelta(hours=1)
"""So much may a clock be behind and still count as right. It never makes anything expire later."""
FORMAT: Final = 1


class LastGoodTime:
    """``path``.1 and .2. A file that was never stored knows no time. Raises StateError when both copies are damaged.

    ``by_hand``: a person has just said that this moment is right (aware). It stands in for a memory that is damaged, until
    a signature makes that whole again, and for nothing else.
    """

    def __init__(self, path: Path, by_hand: datetime | None = None) -> None:
        self._file = TwinFile(path, 0o644)
        self._by_hand: datetime | None = None
        try:
            data = self._file.load() or {}
            self.moment, self._root, self._keys = _read(path, data)
        except StateError as error:
            if by_hand is None or error.code != "state_damaged":
                raise
            self.moment, self._root, self._keys, self._by_hand = None, 0, frozenset(), by_hand

    def believe(self, signed_at: datetime | None, root: int, keys: Collection[str]) -> None:
        """Take the time of a verified timestamp (None: it tells none) under the verified root of that version.

        ``keys`` are the ids of the online roles' keys. An earlier time changes nothing, unless it starts anew. Durable on
        return. Raises InstallFailed (disk).
        """
        moment = None if self.starts_anew(root, keys) else self.moment
        if signed_at is not None and (moment is None or signed_at > moment):
            moment = signed_at.astimezone(UTC)
        known = (self.moment, self._root, self._keys)
        if moment is None and self.moment is None:
            return
        if (moment, root, frozenset(keys)) == known:
            self._file.heal()
            return
        shown = moment.isoformat() if moment else None
        self._file.store({"format": FORMAT, "signed_at": shown, "root": root, "keys": sorted(keys)})
        self.moment, self._root, self._keys, self._by_hand = moment, root, frozenset(keys), None

    def starts_anew(self, root: int, keys: Collection[str]) -> bool:
        """Whether verified root version ``root`` takes a key away that may have signed what is remembered.

        It has a memory of the root of its own: a kill between the floor's store and this one must not leave a poisoned
        time behind for ever.
        """
        return root > self._root and not self._keys <= frozenset(keys)

    def wrong(self, now: datetime) -> str:
        """Why a clock that shows ``now`` cannot be right; empty while it can."""
        if self.moment is None or now >= self.moment - SLACK:
            return ""
        return f"the clock shows {_shown(now)}, but the centre signed at {_shown(self.moment)}"

    def at_least(self, now: datetime, root: int = 0, keys: Collection[str] = ()) -> datetime:
        """The later of the clock and the time that is known under that verified root: what expiry is judged by."""
        known = self._by_hand if self.moment is None or self.starts_anew(root, keys) else self.moment
        return now if known is None else max(now, known)


def _read(path: Path, data: Mapping[str, Any]) -> tuple[datetime | None, int, frozenset[str]]:
    try:
        text, root = data.get("signed_at"), data.get("root", 0)
        if type(root) is not int or (data and "signed_at" not in data):
            raise ValueError(root)
        moment = datetime.fromisoformat(text).astimezone(UTC) if text is not None else None
        return moment, root, frozenset(map(str, data.get("keys", ())))
    except (ValueError, TypeError) as error:
        raise StateError(f"{path} does not hold a time") from error


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
