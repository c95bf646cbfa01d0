"""Whatever the centre answers, a parser gives a document or a RemoteProtocolError, in bounded time."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.center import ddi, otlp
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.readers import atr
from tests.unit.protocols.feeding import vectors

PARSERS: dict[str, Callable[[bytes], object]] = {
    "poll": ddi.parse_poll,
    "deployment": ddi.parse_deployment,
    "cancel": ddi.parse_cancel,
    "answer": otlp.parse_answer,
    "atr": atr.parse,
}
ENOUGH = settings(deadline=None, max_examples=100)
REAL = [json.loads(v["text"]) for name in ("ddi", "otlp") for v in vectors(name, "in")]
each = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
names = st.text(max_size=8)
json_values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(names, v, max_size=4))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real document with one member, at any depth, replaced by anything."""
    document = json.loads(json.dumps(draw(st.sampled_from(REAL))))
    inner: Any = document
    while isinstance(inner, (dict, list)) and inner:
        key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if draw(st.booleans()) or not isinstance(inner[key], (dict, list)) or not inner[key]:
            inner[key] = draw(json_values)
            break
        inner = inner[key]
    return json.dumps(document).encode()


@each
@ENOUGH
@given(body=st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()) | mutated())
def test_only_our_error_leaves(parser: Callable[[bytes], object], body: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parser(body)


@ENOUGH
@given(value=st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3)))
def test_whatever_is_reported_is_strict_json(value: object) -> None:
    record = otlp.LogRecord("i", 1, "k", "host", "info", 0, 0, body=value)
    with contextlib.suppress(LocalProtocolError):  # an integer beyond 64 bits
        text = json.dumps(otlp.logs({}, [record], version="1"), allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")


@ENOUGH
@given(st.dictionaries(st.text(min_size=1, max_size=300), st.text(max_size=300), max_size=5))
def test_attributes_hold_only_what_hawkbit_takes(attributes: dict[str, str]) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-!@#$%^&*()+=[]{}|;:'\",.<>/\\? \t\n\r\x0b\x0c")
    with contextlib.suppress(LocalProtocolError):  # two keys that become the same
        data = ddi.config_data(attributes)["data"]
        assert set("".join([*data, *data.values()])) <= allowed
        assert all(0 < len(k) <= 128 and len(v) <= 128 for k, v in data.items())
