"""Never a wrong slot state from a broken frame: damaged, cut, stretched, misdirected, or another device's (CCID over serial)."""

from functools import reduce
from operator import xor

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.events import Answered, CardPowered, CardTorn, Event, Identity, Status
from protocols.readers.ccid import CcidConnection
from tests.unit.protocols.feeding import feed, settle

CARDS = ("powered", "present", "absent")
PAST = 7
"""questions before it, so that bSeq is no accident"""
ENOUGH = settings(max_examples=300, deadline=None)
card = st.integers(0, 2)


def whole(body: bytes) -> bytes:
    """A frame with its right LRC, by hand."""
    front = b"\x03\x06" + body
    return front + bytes([reduce(xor, front)])


def answer(status: int, *, kind: int = 0x81, slot: int = 0, sequence: int = PAST, length: int = 0, data: bytes = b"") -> bytes:
    return whole(bytes([kind]) + length.to_bytes(4, "little") + bytes([slot, sequence, status, 0, 1]) + data)


def asked() -> CcidConnection:
    connection = CcidConnection()
    for number in range(PAST):
        connection.ask("slot_status", 0.0)
        connection.data_to_send()
        connection.receive_data(answer(2, sequence=number), 0.0)
    connection.ask("slot_status", 0.0)
    assert connection.data_to_send()[8] == PAST
    return connection


def heard(*pieces: bytes) -> list[Event]:
    connection = asked()
    return feed(connection, pieces) + settle(connection)


def told(events: list[Event]) -> list[str]:
    """Every state of the slot that was believed, and what else must not come of a broken frame."""
    assert not any(isinstance(e, (CardPowered, CardTorn, Identity)) for e in events)
    return [e.readings["card"] for e in events if isinstance(e, Status)]


@ENOUGH
@given(status=card, begin=st.integers(0, 13 * 8 - 1), burst=st.integers(1, 0xFF))
def test_a_burst_of_up_to_eight_bits_is_never_believed(status: int, begin: int, burst: int) -> None:
    frame = answer(status)
    bits = (int.from_bytes(frame, "big") ^ (burst << begin)) & ((1 << 8 * len(frame)) - 1)
    events = heard(bits.to_bytes(len(frame), "big"))
    if bits != int.from_bytes(frame, "big"):
        assert told(events) == []
        assert Answered("slot_status") not in events


@ENOUGH
@given(status=card, at=st.integers(0, 13), byte=st.integers(0, 255), drop=st.booleans())
def test_a_byte_lost_or_a_byte_too_many_changes_no_state(status: int, at: int, byte: int, drop: bool) -> None:
    frame = answer(status)
    spoilt = frame[:at] + frame[at + 1 :] if drop else frame[:at] + bytes([byte]) + frame[at:]
    assert set(told(heard(spoilt))) <= {CARDS[status]}


@ENOUGH
@given(
    status=card,
    slot=st.integers(0, 255),
    sequence=st.integers(0, 255),
    kind=st.integers(0, 255),
    length=st.one_of(st.just(0), st.integers(0, 0xFFFFFFFF)),
)
def test_a_right_checksum_is_not_enough(status: int, slot: int, sequence: int, kind: int, length: int) -> None:
    events = heard(answer(status, kind=kind, slot=slot, sequence=sequence, length=length))
    ours = (kind, slot, sequence, length) == (0x81, 0, PAST, 0)
    assert told(events) == ([CARDS[status]] if ours else [])


@ENOUGH
@given(status=card, others=st.lists(st.binary(min_size=10, max_size=40).map(whole), max_size=4))
def test_what_another_device_says_before_is_not_ours(status: int, others: list[bytes]) -> None:
    """Whole frames with a right LRC, as on a line that two devices share; at the end comes our answer."""
    strangers = [o for o in others if int.from_bytes(o[3:7], "little") != len(o) - 13 or (o[7], o[8]) != (0, PAST)]
    events = heard(*strangers, answer(status))
    assert set(told(events)) <= {CARDS[status]}


@ENOUGH
@given(status=card, echo=st.binary(min_size=0, max_size=20))
def test_any_echo_in_front_of_the_answer_leaves_it_as_it_is(status: int, echo: bytes) -> None:
    question = whole(bytes([0x65, 0, 0, 0, 0, 0, 0x55, 0, 0, 0]))
    assert told(heard(question, answer(status))) == [CARDS[status]]
    assert set(told(heard(echo, answer(status)))) <= {CARDS[status]}
