"""The flight recorder: what passes on a line is kept in bounds, frozen at a fault, and never a byte of a reader."""

import json
from collections.abc import Callable

import pytest

from agent.ports.trace import BYTES_MAX, FRAMES, FROZEN, FROZEN_FRAMES, Trace

STATUS = ("Status", "Answered")


def test_a_printers_status_traffic_is_kept_with_its_bytes() -> None:
    trace = Trace(with_bytes=True)
    trace.sent(b"\x10\x04\x01", 1.0)
    trace.heard(b"\x12", STATUS, 1.02)
    trace.repeated(3.0)
    sent, heard, repeated = trace.document(4.0)["frames"]
    assert sent == {"ago_s": 3.0, "way": "out", "bytes": 3, "hex": "10 04 01"}
    assert heard == {"ago_s": 2.98, "way": "in", "bytes": 1, "kinds": ["Status", "Answered"], "hex": "12"}
    assert repeated == {"ago_s": 1.0, "way": "in", "bytes": 0, "kinds": ["repeated"]}


@pytest.mark.parametrize(
    ("data", "kinds"),
    [(b"x" * 5, ("Garbage",)), (b"x" * 5, ("Status", "Garbage")), (b"x" * 5, ()), (b"x" * (BYTES_MAX + 1), STATUS)],
    ids=["not understood", "half understood", "not yet understood", "too long"],
)
def test_what_no_protocol_understood_is_a_length(data: bytes, kinds: tuple[str, ...]) -> None:
    trace = Trace(with_bytes=True)
    trace.heard(data, kinds, 1.0)
    (frame,) = trace.document(1.0)["frames"]
    assert frame["bytes"] == len(data)
    assert "hex" not in frame


def test_of_a_reader_no_byte_is_kept_whatever_it_was() -> None:
    trace = Trace(with_bytes=False)
    trace.sent(b"secret", 1.0)
    trace.heard(b"secret", STATUS, 1.0)
    trace.freeze("reader.silent", "i", "w", 2.0)
    text = json.dumps(trace.document(2.0)) + repr(vars(trace))
    assert "secret" not in text
    assert b"secret".hex(" ") not in text


def test_a_fault_keeps_what_led_to_it_and_everything_has_a_bound() -> None:
    trace = Trace(with_bytes=True)
    for number in range(FRAMES + 9):
        trace.sent(bytes([number % 256]), float(number))
    for number in range(FROZEN + 2):
        trace.freeze("printer.paper_end", f"incident-{number}", "2026-11-29T12:00:00Z", float(FRAMES + 9))
    document = trace.document(float(FRAMES + 9))
    assert len(document["frames"]) == FRAMES
    assert [one["incident"] for one in document["frozen"]] == [f"incident-{n}" for n in range(2, FROZEN + 2)]
    assert {len(one["frames"]) for one in document["frozen"]} == {FROZEN_FRAMES}
    assert document["frozen"][0]["frames"][-1]["ago_s"] == 1.0


def test_what_is_frozen_stays_when_the_line_goes_on() -> None:
    trace = Trace(with_bytes=True)
    trace.sent(b"\x01", 0.0)
    trace.freeze("link.silent", "i", "w", 1.0)
    keep: Callable[[], object] = lambda: trace.document(9.0)["frozen"]  # noqa: E731
    before = keep()
    for number in range(FRAMES * 2):
        trace.sent(b"\x02", float(number))
    assert keep() == before
