"""Whether this machine's time can be right, and a person's word for it (`posagent update confirm-time`).

A person's word never goes before the last signed time. It stands in for the memory of that time where it is damaged, so
that updates go on, and for nothing else. It is durable, and holds until the machine restarts or its clock jumps; the next
verified signature makes the memory whole, and then nobody's word is needed any more.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.clock import Clock, from_rfc3339
from agent.errors import AgentError, NotAvailable
from agent.hold import shown
from agent.hostchecks import BUILT, JUMP_S
from agent.paths import Paths
from firmware.errors import FirmwareError, StateError
from firmware.files import TwinFile, make_folder, read_bounded
from firmware.lastgood import LastGoodTime

DAWDLE = timedelta(minutes=10)
"""So long may a person look at the time before saying that it is right."""
_TIMESTAMP_MAX = 16_384
_SIGNED_AT = "x-posagent-signed-at"


class KnownTime:
    """The times that ``paths.state`` remembers, against ``clock``. Any thread may ask; the owner of the folder confirms."""

    def __init__(self, paths: Paths, clock: Clock) -> None:
        self._path, self._trust = paths.trust_home / "time.json", paths.trust_home / "trust"
        self._file, self._folder, self._clock = TwinFile(paths.state / "confirmed.json"), paths.state, clock

    def wrong(self) -> str:
        """Why the clock cannot be right; empty while it can."""
        now = self._clock.wall()
        if now < BUILT:
            return f"{self._clock.rfc3339()} lies before this program was built"
        try:
            return LastGoodTime(self._path).wrong(now)
        except StateError as error:
            return "" if error.code == "state_damaged" and self.by_hand() else str(error)
        except FirmwareError as error:
            return str(error)

    def by_hand(self) -> str:
        """The moment that a person has confirmed, RFC 3339; empty where nobody has, or where it holds no more."""
        try:
            data = self._file.load() or {}
            at, mono = from_rfc3339(str(data["at"])), float(data["mono"])
        except (FirmwareError, KeyError, ValueError, TypeError):
            return ""
        wall_s, mono_s = (self._clock.wall() - at).total_seconds(), self._clock.mono() - mono
        same_boot = data.get("boot") == self._clock.boot_id != "unknown"
        return shown(at) if same_boot and mono_s >= 0 and abs(wall_s - mono_s) <= JUMP_S else ""

    def facts(self) -> dict[str, str | None]:
        """``shows`` and ``signed`` (None where nothing was ever signed), RFC 3339; ``wrong``: why, ``confirmed``: what holds."""
        signed = self._signed()
        return {
            "shows": shown(self._clock.wall()),
            "signed": shown(signed) if signed else None,
            "wrong": self.wrong() or None,
            "confirmed": self.by_hand() or None,
        }

    def confirm(self, seen: datetime) -> dict[str, str | None]:
        """A person has looked at ``seen`` and says that it is right: facts() from then on. Durable.

        Raises AgentError (before_build, before_signed; exit code 1), NotAvailable (time_moved: the clock is elsewhere by
        now), FirmwareError (disk).
        """
        now, signed = self._clock.wall(), self._signed()
        if abs(now - seen) > DAWDLE:
            raise NotAvailable("the clock shows another time by now", code="time_moved", remedy="look at it again")
        if now < BUILT:
            raise _refused(f"the clock shows {shown(now)}, before this program was built", "before_build")
        if signed is not None and now < signed:
            raise _refused(f"the clock shows {shown(now)}, but the centre signed at {shown(signed)}", "before_signed")
        make_folder(self._folder)
        self._file.store({"at": now.isoformat(), "boot": self._clock.boot_id, "mono": self._clock.mono()})
        return self.facts()

    def _signed(self) -> datetime | None:
        """The last signed time; where its memory is damaged, that of the timestamp that was trusted last."""
        try:
            return LastGoodTime(self._path).moment
        except FirmwareError:
            return self._in_timestamp()

    def _in_timestamp(self) -> datetime | None:
        try:
            document = json.loads(read_bounded(self._trust / "timestamp.json", _TIMESTAMP_MAX))
            return datetime.fromisoformat(document["signed"][_SIGNED_AT]).astimezone(UTC)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def _refused(message: str, code: str) -> AgentError:
    refused = AgentError(message, code=code, remedy="set the clock right first: timedatectl set-time, or date -s")
    refused.exit_code = 1
    return refused


def record_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The journal's body for a confirmed time."""
    return {"time": after["shows"], "signed": after["signed"], "was_wrong": before["wrong"]}
