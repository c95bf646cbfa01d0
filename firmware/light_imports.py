"""Keeps parts of libraries that nobody asks for out of the daemon's memory.

All of it at import time, before any thread starts.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def as_if_missing(*names: str) -> Iterator[None]:
    """Within the block, packages that are not loaded yet cannot be imported; what warns of their absence is quiet.

    For packages that the importing library documents as optional.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how the import system marks them
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def stand_ins(names: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Within the block, modules that are not loaded yet hold these names and nothing else.

    For modules that the importing library needs for what we never ask of it. Afterwards they can be imported as they are,
    and a library that does so when it needs them, gets them.
    """
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        module = sys.modules[name] = ModuleType(name)
        module.__dict__.update(names[name])
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


class NoVersionError(Exception):
    """Of a package, as ``importlib.metadata.PackageNotFoundError``."""


def _no_version(package: str) -> str:
    raise NoVersionError(package)


def _no_entry_points(**wanted: str) -> tuple[()]:
    del wanted
    return ()


NO_METADATA: Mapping[str, Any] = {
    "PackageNotFoundError": NoVersionError,
    "version": _no_version,
    "entry_points": _no_entry_points,
}
"""Of ``importlib.metadata``, which brings csv and reads the folder of every package that is installed."""
