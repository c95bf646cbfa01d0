"""What an update must not forget: components, the deployment under way, a short history; on disk in two copies.

Read by the next start after a kill or a power cut, so every field is checked on the way in, and a file that makes no
sense is a named StateError and never an exception of another kind. Format 1; a later release may add keys, which this
one ignores, so that it can still run after a rollback of the agent.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from firmware.errors import FirmwareError, StateError
from firmware.files import TwinFile
from firmware.flow import FINAL, SWITCHED, State

FORMAT: Final = 1
STORES_MAX: Final = 28
"""Stores of one deployment before it is ended by force (a straight one needs 11): the guard against endless loops."""
HISTORY_MAX: Final = 32
ITEMS_MAX: Final = 16
TEXT_MAX: Final = 500
REVOKED_MAX: Final = 256

JSON = Any
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One component at one version."""

    component: str
    version: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is asked for: ``items`` are handled together and all of them or none are kept. Several are a signed set, whose
    order takes the place of theirs once it is verified.

    ``id`` is ours and unique for ever; ``action_id`` is hawkBit's (empty for a stick). ``deadline`` is RFC 3339 UTC.
    ``forced``, ``deadline`` and ``max_hold_s`` (how old a hold may be and still stop it; from the signed manifests, never
    stored here) are read by the gate alone; ``person`` means somebody stands before the till. ``back``
    asks for the kept predecessor of one component: nothing is fetched, its files are held against their list. ``bundle``
    is the path of a bundle (firmware.bundle) that stands in place of the network; empty where there is none.
    ``download_only`` ends when the release lies here, verified and unpacked; nothing is switched. ``window``: the centre has a
    maintenance window for it.
    """

    id: str
    action_id: str
    items: tuple[Wanted, ...]
    forced: bool = False
    deadline: str | None = None
    person: bool = False
    back: bool = False
    bundle: str = ""
    max_hold_s: float | None = None
    download_only: bool = False
    window: bool = False

    @property
    def component(self) -> str:
        """The components' names, joined by ``+``."""
        return "+".join(item.component for item in self.items)

    @property
    def version(self) -> str:
        """The versions, joined by ``+`` in the same order."""
        return "+".join(item.version for item in self.items)


@dataclass(slots=True)
class Component:
    """The version that runs, its predecessor, the counter of the release, and the outcome of the last deployment.

    ``revoked`` are versions that signed manifests have taken back, the newest REVOKED_MAX. ``ready`` is a version that was
    brought ahead of time and lies here unpacked; it was never switched to.
    """

    version: str | None = None
    previous: str | None = None
    release_counter: int = 0
    state: str = "none"
    health_check: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    ready: str | None = None


@dataclass(slots=True)
class Progress:
    """A deployment under way. ``facts`` are what verification learnt of each component, ``before`` is what health the
    till was in before the switch; both are what a restart needs and cannot find out again."""

    deployment: Deployment
    state: State = State.RECEIVED
    stores: int = 0
    code: str = ""
    reason: str = ""
    facts: dict[str, dict[str, JSON]] = field(default_factory=dict)
    previous: dict[str, str | None] = field(default_factory=dict)
    before: dict[str, str] | None = None
    devices_before: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """A finished deployment, as the history tells it."""

    id: str
    action_id: str
    component: str
    version: str
    state: str
    code: str
    reason: str


def way_back(name: str, seen: Component, progress: Progress | None) -> str | None:
    """The version that ran before: of one that is on probation the one that it has just replaced."""
    if progress is None or name not in progress.previous or progress.previous[name] == seen.version:
        return seen.previous
    return progress.previous[name] if progress.state in SWITCHED else seen.previous


class StateFile:
    """``<path>.1`` and ``<path>.2``: loads what was stored, stores what is. The engine has the lock."""

    def __init__(self, path: Path) -> None:
        self._file = TwinFile(path)
        self.components: dict[str, Component] = {}
        self.progress: Progress | None = None
        self.history: list[Past] = []
        self.fresh = False
        """whether nothing was ever stored, or all of it has been taken away"""

    def load(self) -> None:
        """Read what was stored last; nothing stored is an empty state. Raises StateError, InstallFailed."""
        data = self._file.load()
        self.fresh = data is None
        if data is None:
            return
        self._file.settle()
        try:
            self._decode(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"the update state makes no sense: {error!r}", code="state_damaged") from error
        self._heal()

    def look(self) -> None:
        """As ``load``, and nothing is written: for one who only wants to know whether it can be read."""
        data = self._file.load()
        try:
            self._decode(data) if data is not None else None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"the update state makes no sense: {error!r}", code="state_damaged") from error

    def store(self) -> None:
        """Write everything; durable on return, counted against STORES_MAX. Raises InstallFailed (disk), StateError."""
        if self.progress is not None:
            self.progress.stores += 1
        self._file.store(self._encode())

    def finish(self) -> None:
        """Move the deployment into the history and store that. The state in memory changes only once it is stored."""
        progress = self.progress
        if progress is None:
            return
        wanted, history = progress.deployment, self.history
        past = Past(
            wanted.id,
            wanted.action_id,
            wanted.component,
            wanted.version,
            progress.state,
            progress.code,
            progress.reason,
        )
        self.progress, self.history = None, [*history, past][-HISTORY_MAX:]
        try:
            self._file.store(self._encode())
        except Exception:
            self.progress, self.history = progress, history
            raise

    def finished(self, deployment_id: str) -> Past | None:
        """The deployment of that id, if it ended within the last HISTORY_MAX."""
        return next((past for past in reversed(self.history) if past.id == deployment_id), None)

    def _heal(self) -> None:
        """Bring both copies to the same state again: a kill between them, or damage, has left one of them behind."""
        with contextlib.suppress(FirmwareError, OSError):
            first, second = (copy.read_bytes() if copy.exists() else b"" for copy in self._file.copies)
            if first != second:
                self._file.store(self._encode())

    def _encode(self) -> dict[str, JSON]:
        return {
            "format": FORMAT,
            "components": {name: _plain(component) for name, component in self.components.items()},
            "deployment": None if self.progress is None else _progress_out(self.progress),
            "history": [_plain(past) for past in self.history],
        }

    def _decode(self, data: Mapping[str, JSON]) -> None:
        if data["format"] != FORMAT:
            raise StateError(f"the update state has format {data['format']}, this is {FORMAT}", code="state_too_new")
        components = {name: _component_in(raw) for name, raw in data["components"].items()}
        progress = None if data["deployment"] is None else _progress_in(data["deployment"])
        history = [_past_in(raw) for raw in data["history"]][-HISTORY_MAX:]
        self.components, self.progress, self.history = components, progress, history


def _plain(record: Component | Past) -> dict[str, JSON]:
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _typed(kind: type[_T], value: JSON) -> _T:
    # bool is an int to isinstance, and a stored "true" where a count belongs is damage.
    if type(value) is not kind:
        raise ValueError(f"{value!r:.80} where {kind.__name__} belongs")
    return value


def _text_or_none(value: JSON) -> str | None:
    return None if value is None else _typed(str, value)


def _map(value: JSON, convert: Callable[[JSON], _T]) -> dict[str, _T]:
    return {_typed(str, key): convert(entry) for key, entry in _typed(dict, value).items()}


def _str(value: JSON) -> str:
    return _typed(str, value)


def _object(value: JSON) -> dict[str, JSON]:
    return _typed(dict, value)


def _component_in(raw: Mapping[str, JSON]) -> Component:
    return Component(
        _text_or_none(raw["version"]),
        _text_or_none(raw["previous"]),
        _typed(int, raw["release_counter"]),
        _str(raw["state"]),
        tuple(_str(word) for word in raw.get("health_check", ())),
        tuple(_str(version) for version in raw.get("revoked", ()))[-REVOKED_MAX:],
        _text_or_none(raw.get("ready")),
    )


def _past_in(raw: Mapping[str, JSON]) -> Past:
    return Past(*(_str(raw[name]) for name in Past.__dataclass_fields__))


def _progress_out(progress: Progress) -> dict[str, JSON]:
    wanted = progress.deployment
    return {
        "id": wanted.id,
        "action_id": wanted.action_id,
        "items": [[item.component, item.version] for item in wanted.items],
        "forced": wanted.forced,
        "deadline": wanted.deadline,
        "person": wanted.person,
        "back": wanted.back,
        "bundle": wanted.bundle,
        "download_only": wanted.download_only,
        "window": wanted.window,
        "state": progress.state.value,
        "stores": progress.stores,
        "code": progress.code,
        "reason": progress.reason,
        "facts": progress.facts,
        "previous": progress.previous,
        "before": progress.before,
        "devices_before": progress.devices_before,
    }


def _progress_in(raw: Mapping[str, JSON]) -> Progress:
    items = tuple(Wanted(_str(name), _str(version)) for name, version in raw["items"])
    if len(items) > ITEMS_MAX + 1:
        raise ValueError(f"{len(items)} components in one deployment")
    deployment = Deployment(
        _str(raw["id"]),
        _str(raw["action_id"]),
        items,
        _typed(bool, raw["forced"]),
        _text_or_none(raw["deadline"]),
        _typed(bool, raw.get("person", False)),
        _typed(bool, raw.get("back", False)),
        _str(raw.get("bundle", "")),
        download_only=_typed(bool, raw.get("download_only", False)),
        window=_typed(bool, raw.get("window", False)),
    )
    return Progress(
        deployment,
        State(raw["state"]),
        _typed(int, raw["stores"]),
        _str(raw["code"]),
        _str(raw["reason"]),
        _map(raw["facts"], _object),
        _map(raw["previous"], _text_or_none),
        None if raw["before"] is None else _map(raw["before"], _str),
        _map(raw["devices_before"], _str),
    )


def ended(progress: Progress | None) -> bool:
    """Whether nothing is under way (a final state only waits for its report)."""
    return progress is None or progress.state in FINAL
