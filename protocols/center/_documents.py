"""Reads JSON that a peer sent: bounded, typed where we need it, and RemoteProtocolError for everything else."""

import json
from typing import Any, NoReturn

from protocols.errors import RemoteProtocolError

MAX_SHOWN = 60
"""characters of a peer's value in an error message"""


def load(body: bytes, what: str, max_bytes: int) -> dict[str, Any]:
    """The JSON object in ``body``. RemoteProtocolError, naming ``what``, for anything else or above ``max_bytes``."""
    if len(body) > max_bytes:
        raise RemoteProtocolError(f"{what}: {len(body)} bytes, more than {max_bytes}")
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # ValueError: bad UTF-8, bad JSON, NaN, integers of more than 4,300 digits. RecursionError: nesting.
        raise RemoteProtocolError(f"{what}: no JSON ({str(error)[:MAX_SHOWN]})") from error
    if not isinstance(found, dict):
        raise RemoteProtocolError(f"{what}: a JSON object is expected, not {_shown(found)}")
    return found


def obj(parent: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    """A member that is an object; absent or null: an empty one."""
    found = parent.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RemoteProtocolError(f"{what}: {key} is no object: {_shown(found)}")
    return found


def objects(parent: dict[str, Any], key: str, what: str, most: int) -> list[dict[str, Any]]:
    """A member that is a list of at most ``most`` objects; absent or null: an empty one."""
    found = parent.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > most or not all(isinstance(item, dict) for item in found):
        raise RemoteProtocolError(f"{what}: {key} is no list of at most {most} objects")
    return found


def text(parent: dict[str, Any], key: str, what: str, longest: int) -> str:
    """A member that is a text of 1 to ``longest`` characters that can be written as UTF-8."""
    found = parent.get(key)
    if not isinstance(found, str) or not 0 < len(found) <= longest or not _encodable(found):
        raise RemoteProtocolError(f"{what}: {key} is no text of 1 to {longest} characters: {_shown(found)}")
    return found


def optional_text(parent: dict[str, Any], key: str, what: str, longest: int) -> str | None:
    """As ``text``; absent, null or empty: None."""
    return text(parent, key, what, longest) if parent.get(key) not in (None, "") else None


def whole_number(parent: dict[str, Any], key: str, what: str, most: int) -> int:
    """A member that is an integer from 0 to ``most``."""
    found = parent.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
        raise RemoteProtocolError(f"{what}: {key} is no number from 0 to {most}: {_shown(found)}")
    return found


def _encodable(value: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in value)


def _shown(value: object) -> str:
    # repr of a list or an object could be as long as the document; its type is enough.
    return repr(value[:MAX_SHOWN]) if isinstance(value, str) else type(value).__name__


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
