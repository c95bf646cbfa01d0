"""What a reader sent is in no text that Python makes by itself, and what was swiped is overwritten whoever lets go of it."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import protocols.readers
from protocols.readers._trackbytes import TrackBytes

OURS = {"Query.data", "_Query.frames", "_Outstanding.frame"}
"""Bytes that we send."""


def fields() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    for found in pkgutil.iter_modules(protocols.readers.__path__, "protocols.readers."):
        module = importlib.import_module(found.name)
        for name, kind in vars(module).items():
            if dataclasses.is_dataclass(kind) and getattr(kind, "__module__", "") == module.__name__:
                yield from ((f"{name}.{field.name}", field) for field in dataclasses.fields(kind))


@pytest.mark.parametrize(
    ("name", "field"), [pair for pair in fields() if re.search(r"^(?!.*Callable).*bytes", str(pair[1].type))]
)
def test_bytes_of_a_reader_have_no_repr(name: str, field: dataclasses.Field[Any]) -> None:
    assert (not field.repr) == (name not in OURS)


def test_track_bytes_are_overwritten_when_their_connection_goes() -> None:
    held = TrackBytes()
    held.put(b"%E?")
    inside = held._bytes
    del held
    assert not any(inside)
