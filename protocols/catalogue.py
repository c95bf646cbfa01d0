"""Finds a device protocol by name: a module of ours, or an entry point that somebody else's package offers.

Only the module asked for is imported, because the daemon's memory is weighed; ``names`` imports them all, for commands.
A module offers its DeviceProtocol as ``PROTOCOL``; one that begins with an underscore is a part of another.
"""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from protocols.connection import DeviceProtocol
from protocols.errors import LocalProtocolError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PACKAGES = {"printer": "protocols.printers", "reader": "protocols.readers"}
GROUPS = {"printer": "posagent.printers", "reader": "posagent.readers"}


def find(kind: str, name: str) -> DeviceProtocol:
    """The protocol ``name`` for a ``kind`` of device (printer or reader).

    Raises LocalProtocolError, with the names that there are, for one that does not exist or offers something else.
    """
    _check_kind(kind)
    protocol = _built_in(kind, name) or _offered(kind, name)
    if protocol is None:
        raise LocalProtocolError(f"no {kind} protocol {name!r}; there are {', '.join(names(kind))}")
    if protocol.kind != kind:
        raise LocalProtocolError(f"the protocol {name!r} is for a {protocol.kind}, not for a {kind}")
    return protocol


def names(kind: str) -> tuple[str, ...]:
    """All protocols for a ``kind`` of device, ours and others', sorted."""
    _check_kind(kind)
    import pkgutil

    package = importlib.import_module(PACKAGES[kind])
    ours = [m.name for m in pkgutil.iter_modules(package.__path__) if _built_in(kind, m.name) is not None]
    return tuple(sorted({*ours, *(point.name for point in _entry_points(kind))}))


def _check_kind(kind: str) -> None:
    if kind not in PACKAGES:
        raise LocalProtocolError(f"a device is a {' or a '.join(PACKAGES)}, not {kind!r}")


def _built_in(kind: str, name: str) -> DeviceProtocol | None:
    if not name.isidentifier() or name.startswith("_"):
        return None
    path = f"{PACKAGES[kind]}.{name}"
    try:
        module: ModuleType = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        return None
    found = getattr(module, "PROTOCOL", None)
    return found if isinstance(found, DeviceProtocol) else None


def _offered(kind: str, name: str) -> DeviceProtocol | None:
    for point in _entry_points(kind):
        if point.name == name:
            found = point.load()
            if not isinstance(found, DeviceProtocol):
                raise LocalProtocolError(f"the entry point {point.value!r} is no DeviceProtocol")
            return found
    return None


def _entry_points(kind: str) -> "Iterator[EntryPoint]":
    # Imported here: it costs 2 MiB, and a till with our own protocols never needs it.
    from importlib.metadata import entry_points

    return iter(entry_points(group=GROUPS[kind]))
