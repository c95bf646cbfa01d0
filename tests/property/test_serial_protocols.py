"""What holds for every protocol of the catalogue, whatever comes down the line.

Any bytes give events and nothing else; how they are cut makes no difference; every question ends once, in bounded time;
memory does not grow.
"""

import gc
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import catalogue
from protocols.connection import Connection, DeviceProtocol
from protocols.events import Answered, CardMoved, CardPowered, Event, Identity, Refused, Status, Unanswered
from tests.unit.protocols.feeding import bytewise, feed, joined, settle, vectors

ALL = [catalogue.find(kind, name) for kind in catalogue.PACKAGES for name in catalogue.names(kind)]
each = pytest.mark.parametrize("protocol", ALL, ids=lambda p: p.name)
ENOUGH = settings(deadline=None, max_examples=60)
OUTCOMES = (Answered, Unanswered, Refused)


def questions(protocol: DeviceProtocol) -> list[str]:
    every = (protocol.probe, *protocol.identify, *protocol.arm, *protocol.poll, *protocol.survey, *protocol.on_insert)
    every += (protocol.swipe,) if protocol.swipe else ()
    return [*dict.fromkeys(every), *([protocol.marker_query.replace("*", "AB12")] if protocol.marker_query else [])]


def pieces_of(protocol: DeviceProtocol) -> list[bytes]:
    """Real traffic of this protocol, to be mixed with noise: random bytes alone hardly ever get past a checksum."""
    return [bytes.fromhex(v["hex"]) for v in vectors(protocol.name, "in") + vectors(protocol.name, "out")]


@st.composite
def traffic(draw: st.DrawFn, protocol: DeviceProtocol) -> bytes:
    parts = draw(st.lists(st.sampled_from(pieces_of(protocol)) | st.binary(max_size=8), max_size=8))
    data = bytearray(b"".join(parts))
    for position in draw(st.lists(st.integers(0, max(0, len(data) - 1)), max_size=3)) if data else []:
        data[position] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def cut(data: bytes, positions: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(p % (len(data) + 1) for p in positions), len(data)]
    return (data[a:b] for a, b in pairwise(edges))


def started(protocol: DeviceProtocol, asked: list[str]) -> Connection:
    connection = protocol.connection()
    for query in asked:
        connection.ask(query, 0.0)
    connection.data_to_send()
    return connection


@each
@ENOUGH
@given(data=st.data())
def test_how_bytes_are_cut_makes_no_difference(protocol: DeviceProtocol, data: Any) -> None:
    asked = data.draw(st.lists(st.sampled_from(questions(protocol)), max_size=3))
    sent = data.draw(traffic(protocol))
    whole, single, pieces = (started(protocol, asked) for _ in range(3))
    expected = feed(whole, [sent])
    assert feed(single, bytewise(sent)) == expected
    assert feed(pieces, cut(sent, data.draw(st.lists(st.integers(0, 400), max_size=5)))) == expected
    assert whole.data_to_send() == single.data_to_send() == pieces.data_to_send()
    assert settle(whole) == settle(single) == settle(pieces)


@each
@ENOUGH
@given(data=st.data())
def test_every_question_ends_exactly_once(protocol: DeviceProtocol, data: Any) -> None:
    asked = data.draw(st.lists(st.sampled_from(questions(protocol)), min_size=1, max_size=4))
    connection = started(protocol, asked)
    events = feed(connection, [data.draw(traffic(protocol))]) + settle(connection)
    assert [e.query for e in events if isinstance(e, OUTCOMES)] == asked
    assert connection.idle
    assert connection.next_timer() is None


@each
@ENOUGH
@given(data=st.data())
def test_time_may_pass_anywhere(protocol: DeviceProtocol, data: Any) -> None:
    """Silence in the wrong place costs answers, never a crash or a question without an end."""
    asked = data.draw(st.lists(st.sampled_from(questions(protocol)), min_size=1, max_size=4))
    connection, now, events = started(protocol, asked), 0.0, list[Event]()
    for piece in bytewise(data.draw(traffic(protocol))):
        now += data.draw(st.sampled_from([0.0, 0.01, 0.06, 0.6, 3.0]))
        events += connection.handle_timer(now)
        connection.data_to_send()
        events += connection.receive_data(piece, now)
    events += settle(connection, now)
    assert [e.query for e in joined(events) if isinstance(e, OUTCOMES)] == asked


@each
@ENOUGH
@given(noise=st.binary(min_size=1, max_size=600))
def test_noise_is_never_an_identity_or_a_card(protocol: DeviceProtocol, noise: bytes) -> None:
    """With the high bit set in every byte, as at a wrong speed, nothing at all may be believed."""
    noise = bytes(byte | 0x80 for byte in noise)
    connection = started(protocol, questions(protocol)[:1])
    events = feed(connection, [noise]) + settle(connection)
    assert not any(isinstance(e, (Identity, Status, CardMoved, CardPowered, Answered)) for e in events)


@each
def test_one_flipped_bit_never_makes_a_corroborated_fault(protocol: DeviceProtocol) -> None:
    """All single flips of a healthy device's status: what looks like a fault then does not speak for itself."""
    healthy = {
        "escpos": ("status", "12121212"),
        "ccid": ("slot_status", "0306810000000000000200" + "0086"),
        "msr": ("firmware", "060252220556332E31390337"),
        "neo": ("keys", "5669564F746563683200" + "81000003020000" + "28AA"),
    }
    query, hexed = healthy[protocol.name]
    sane = {"online": "yes", "cover": "closed", "paper": "ok", "cutter": "ok", "card": "absent"}
    sane |= {"tamper": "no", "keys": "present", "secure_unit": "ok", "boot_loader": "no"}
    good = bytes.fromhex(hexed)
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        connection = started(protocol, [query])
        for event in feed(connection, [bytes(flipped)]) + settle(connection):
            if isinstance(event, Status) and event.corroborated:
                assert {k: v for k, v in event.readings.items() if k in sane}.items() <= sane.items(), flipped.hex()


def held(connection: Connection) -> int:
    """Bytes that a connection keeps, all of its parts together."""
    seen: set[int] = set()
    todo: list[object] = [connection]
    total = 0
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, (type, str)) or callable(item):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        todo += [value for value in gc.get_referents(item) if not isinstance(value, type(sys))]
    return total


@pytest.mark.parametrize(
    "seed",
    [b"\xff", b"\x5fA", b"\x03\x06\x83", b"\x10\x00", b"\x03\x06\x80\x05\x01\x00\x00", b"\x13", b"ViVOtech2\x00\x18\x00\x02\xff"],
)
@each
def test_minutes_of_garbage_cost_no_memory(protocol: DeviceProtocol, seed: bytes) -> None:
    connection = started(protocol, questions(protocol)[:2])
    chunk, sizes = seed * (4096 // len(seed)), list[int]()
    for step in range(20):
        events = connection.receive_data(chunk, step / 3) + connection.handle_timer(step / 3 + 0.1)
        connection.data_to_send()
        sizes.append(held(connection))
    assert len(events) < 2000
    assert max(sizes) < 10_000
    assert sizes[-1] <= max(sizes[:8])
