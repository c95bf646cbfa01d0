"""The centre's only user, the tenant's configuration (``/system/configs``) and who asked when."""

import base64
import hmac
import re
import secrets
from collections import deque

from simulator.center import refusals
from simulator.center.web import Json, Request

USER = "admin"
PASSWORD = "admin"  # noqa: S105 - hawkBit's own default, on loopback only
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(~\d{1,2}%)?")
_MIN_S, _MAX_S = 30, 86399
_POLLS = 1000

_DEFAULTS: dict[str, Json] = {
    "authentication.targettoken.enabled": True,
    "authentication.gatewaytoken.enabled": True,
    "authentication.gatewaytoken.key": "",
    "pollingTime": "00:05:00",
    "user.confirmation.flow.enabled": False,
    "implicit.lock.enabled": True,
}


def is_user(request: Request) -> bool:
    """Whether the request carries the user's name and password (HTTP Basic)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    return scheme.lower() == "basic" and hmac.compare_digest(given.strip().encode(), wanted)


class Settings:
    """Keys as hawkBit names them. Both kinds of token are on (hawkBit: off), with a fresh gateway key."""

    def __init__(self) -> None:
        self._values = _DEFAULTS | {"authentication.gatewaytoken.key": secrets.token_hex(16)}
        self._changed: set[str] = set()
        self.polls: deque[tuple[str, float, float]] = deque(maxlen=_POLLS)
        self.urgent_sleep: str | None = None

    @property
    def gateway_key(self) -> str:
        """The tenant's gateway token."""
        return str(self._values["authentication.gatewaytoken.key"])

    def enabled(self, kind: str) -> bool:
        """Whether ``targettoken`` or ``gatewaytoken`` authenticates a device."""
        return bool(self._values[f"authentication.{kind}.enabled"])

    def sleep(self) -> str:
        """What a device is told to sleep (HH:MM:SS); ``urgent_sleep`` goes first, for tests below hawkBit's 30 s."""
        return self.urgent_sleep or str(self._values["pollingTime"]).partition("~")[0]

    def note_poll(self, controller_id: str, stamp: tuple[float, float]) -> None:
        """Remembers a poll (the last 1000)."""
        self.polls.append((controller_id, *stamp))

    def keys(self) -> list[str]:
        """Every key."""
        return list(self._values)

    def get(self, key: str) -> tuple[Json, bool]:
        """Value, and whether it is still the server's own; 400 for an unknown key."""
        if key not in self._values:
            raise refusals.unknown_setting(key)
        return self._values[key], key not in self._changed

    def put(self, key: str, value: Json) -> None:
        """Sets a key; 400 for an unknown key or a value of another kind, polling outside 30 s to 23:59:59 included."""
        if type(value) is not type(self.get(key)[0]):
            raise refusals.bad_setting("The given configuration value is invalid.")
        if key == "pollingTime":
            self._check_polling(value)
        self._values[key] = value
        self._changed.add(key)

    def delete(self, key: str) -> None:
        """Back to the default."""
        self.get(key)
        self._values[key] = _DEFAULTS[key]
        self._changed.discard(key)

    @staticmethod
    def _check_polling(text: str) -> None:
        match = _TIME.fullmatch(text)
        if match is None:
            form = r"expecting: (HH:mm:ss|ISO-8601)(~\d{1,2}%)?"
            raise refusals.bad_setting(f"Invalid pollingInterval: '{text}', {form}")
        seconds = sum(int(match[i]) * 60 ** (3 - i) for i in (1, 2, 3))
        if not _MIN_S <= seconds <= _MAX_S:
            side = "smaller then minimum" if seconds < _MIN_S else "greater then maximum"
            allowed = "The allowed range is [00:00:30, 23:59:59]."
            raise refusals.bad_setting(f"The polling interval is {side} polling interval. {allowed}")
