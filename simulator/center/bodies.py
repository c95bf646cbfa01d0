"""Reading the Management API's bodies and queries, and its paged lists."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TypeVar

from simulator.center import refusals, rules
from simulator.center.web import CenterError, Json, Reply, Request, bad_body, hal_kind, json_reply

T = TypeVar("T")
_LIMIT, _MAX_LIMIT = 50, 500
_CONDITION = re.compile(r"\s*([A-Za-z]+)\s*(==|!=)\s*(\"[^\"]*\"|'[^']*'|[^;,\s()]+)\s*")


def object_(found: Json) -> dict[str, Json]:
    """A JSON object; 400 for anything else."""
    if not isinstance(found, dict):
        raise bad_body()
    return found


def objects(found: Json) -> list[dict[str, Json]]:
    """A list of JSON objects; 400 for anything else."""
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise bad_body()
    return found


def optional(item: dict[str, Json], key: str) -> str | None:
    """A text, or None where it is absent; 400 for anything else."""
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise bad_body()
    return value


def text(item: dict[str, Json], key: str) -> str:
    """A text that must be there; 400 otherwise."""
    value = optional(item, key)
    if not value:
        raise refusals.invalid(f"{key} must not be null.")
    return value


def ids(found: Json) -> list[int]:
    """The ``id`` of every object of a list; 400 unless all are whole numbers."""
    numbers = [item.get("id") for item in objects(found)]
    whole = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool)]
    if len(whole) < len(numbers):
        raise bad_body()
    return whole


def options(item: dict[str, Json]) -> dict[str, Json]:
    """An assignment's own words, as the store takes them; 400 for values that hawkBit refuses."""
    kind = optional(item, "type") or "forced"
    weight, force_ms = item.get("weight", rules.DEFAULT_WEIGHT), item.get("forcetime")
    if kind not in ("soft", "forced", "timeforced", "downloadonly"):
        raise bad_body()
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (weight, force_ms or 0)) or not 0 <= weight <= 1000:
        raise refusals.invalid("weight must be between 0 and 1000")
    if item.get("maintenanceWindow") is not None:
        code = "hawkbit.server.error.maintenanceScheduleInvalid"
        raise CenterError(400, code, "maintenance windows are not simulated")
    return {"kind": kind, "weight": weight, "force_ms": force_ms, "confirm": item.get("confirmationRequired", True)}


def page(
    request: Request, found: Iterable[T], document: Callable[[T], dict[str, Json]], key: str, *, newest: bool = False
) -> Reply:
    """hawkBit's paged list; ``q`` knows == and != joined by ``;`` or ``and``; ``limit`` is 50, at most 500."""
    listed = [item for item in map(document, found) if _matches(item, request.first("q"))]
    field, _, direction = request.first("sort").partition(":")
    if field and field.lower() not in (key.lower(), "id"):
        code = "hawkbit.server.error.rest.param.invalidField"
        java = "org.eclipse.hawkbit.mgmt.rest.resource.exception.SortParameterUnsupportedFieldException"
        raise CenterError(400, code, "The given sort parameter field does not exist", java)
    if direction.lower() == "desc" or (not field and newest):
        listed.reverse()
    offset = max(0, request.number("offset", 0))
    limit = request.number("limit", _LIMIT)
    part = listed[offset : offset + (min(limit, _MAX_LIMIT) if limit > 0 else _LIMIT)]
    return json_reply({"content": part, "total": len(listed), "size": len(part)}, kind=hal_kind(request))


def _matches(item: dict[str, Json], query: str) -> bool:
    return all(_holds(item, part) for part in re.split(r";|\sand\s", query) if query)


def _holds(item: dict[str, Json], part: str) -> bool:
    match = _CONDITION.fullmatch(part)
    if not match:
        code = "hawkbit.server.error.rest.param.rsqlParamSyntax"
        raise CenterError(400, code, "", refusals.JAVA + "RSQLParameterSyntaxException")
    values = {key.lower(): value for key, value in item.items()}
    if match[1].lower() not in values:
        code = "hawkbit.server.error.rest.param.rsqlInvalidField"
        raise CenterError(400, code, "", refusals.JAVA + "RSQLParameterUnsupportedFieldException")
    wanted = match[3].strip("\"'").replace("[", "[[]").replace("?", "[?]").lower()
    return fnmatchcase(str(values[match[1].lower()]).lower(), wanted) is (match[2] == "==")
