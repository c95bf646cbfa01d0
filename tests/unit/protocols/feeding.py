"""One way to feed the literal vectors of the serial protocols: whole, byte by byte, garbage before and behind."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protocols import profiles
from protocols.connection import Connection
from protocols.events import Discarded, Event, Garbage, LateAnswer
from protocols.profiles import Profile

VECTORS = Path(__file__).parents[2] / "vectors"
LATER = 100.0
"""seconds of silence that end everything that was under way"""


def vectors(protocol: str, direction: str) -> list[dict[str, Any]]:
    found = json.loads((VECTORS / f"{protocol}.json").read_text(encoding="utf-8"))["vectors"]
    return [v for v in found if v["direction"] == direction]


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def profile_of(vector: dict[str, Any]) -> Profile | None:
    """The family that the vector's bytes are of; None: it makes no difference."""
    return profiles.load(vector["profile"]) if "profile" in vector else None


def ready(connection: Connection, vector: dict[str, Any], now: float = 0.0) -> Connection:
    """The connection in the state in which the vector's bytes come."""
    profile = profile_of(vector)
    if profile is not None:
        connection.adapt(profile)
    for query in vector.get("before", []):
        connection.ask(query["ask"], now)
        connection.data_to_send()
        connection.receive_data(bytes.fromhex(query["hex"]), now)
        assert connection.idle, f"{query} left something open"
    if vector.get("ask"):
        connection.ask(vector["ask"], now)
        assert connection.data_to_send()
    return connection


def feed(connection: Connection, pieces: Iterable[bytes], now: float = 0.0) -> list[Event]:
    return joined(event for piece in pieces for event in connection.receive_data(piece, now))


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def joined(events: Iterable[Event]) -> list[Event]:
    """Counts that follow each other added up: how many bytes came in one call is not part of what happened."""
    out: list[Event] = []
    run: dict[type[Event], int] = {}
    for event in [*events, None]:
        if isinstance(event, (Garbage, LateAnswer, Discarded)):
            run[type(event)] = run.get(type(event), 0) + event.count
        else:
            out.extend(kind(count) for kind, count in run.items())
            run.clear()
            out.extend([event] if event else [])
    return out


def settle(connection: Connection, now: float = 0.0) -> list[Event]:
    """Let the time pass until nothing is outstanding; what happened meanwhile. Fails if that never ends."""
    events: list[Event] = []
    for _ in range(50):
        due = connection.next_timer()
        if due is None:
            return joined(events)
        assert due <= now + LATER, f"a wait of {due - now} s"
        now = max(now, due)
        events.extend(connection.handle_timer(now))
        connection.data_to_send()
    raise AssertionError("timers never end")


def check(events: list[Event], expected: list[dict[str, Any]]) -> None:
    """Hold events against their literal description, with the difference in the message."""
    assert [type(e).__name__ for e in events] == [e["type"] for e in expected], events
    for event, wanted in zip(events, expected, strict=True):
        for key, value in wanted.items():
            _check_key(event, key, value)


def _check_key(event: Event, key: str, value: Any) -> None:
    got = dataclasses.asdict(event)
    if key == "has":
        assert {k: got["readings"].get(k) for k in value} == value, event
    elif key == "lacks":
        assert not set(value) & set(got["readings"]), event
    elif key == "atr":
        assert got["atr"] == bytes.fromhex(value), event
    elif key != "type":
        assert got[key] == value, event
