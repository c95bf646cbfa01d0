"""What holds for any card number and any harmless text."""

import base64
import json
import logging
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.queue import Queue, Waiting
from agent.journal.record import Draft, canonical_body
from agent.redact import MASK, CardDataFilter, holds_card_data, redact, redact_json


def with_check_digit(digits: str) -> str:
    """Luhn's check digit, worked out the slow way: double every second digit from the right, add all digits."""
    total = sum(sum(divmod(int(d) * 2, 10)) if place % 2 == 0 else int(d) for place, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


SCHEMES = [
    ("4", 16),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("34", 15),
    ("37", 15),
    ("62", 16),
    ("6011", 16),
    ("36", 14),
]
DIGITS = st.text("0123456789", min_size=20, max_size=20)


def number(scheme: tuple[str, int], rest: str) -> str:
    prefix, length = scheme
    return with_check_digit((prefix + rest)[: length - 1])


ANY_PANS = st.builds(number, st.sampled_from(SCHEMES), DIGITS)
PANS = st.builds(number, st.sampled_from([scheme for scheme in SCHEMES if scheme[1] == 16]), DIGITS)
WORDS = st.text(st.characters(categories=["Lu", "Ll", "Lo"]), max_size=20)


@given(ANY_PANS, WORDS, WORDS)
def test_any_number_goes_whatever_stands_around_it(pan: str, before: str, after: str) -> None:
    assert pan not in redact(f"{before} {pan} {after}")
    assert pan not in redact(f"{before}{pan}{after}")


@pytest.mark.parametrize(
    "hide",
    [
        lambda pan: " ".join(pan[i : i + 4] for i in range(0, 16, 4)),
        lambda pan: "-".join(pan[i : i + 4] for i in range(0, 16, 4)),
        lambda pan: pan[:8] + "\n" + pan[8:],
        lambda pan: f"5A08{pan}5F24",
        lambda pan: " ".join(pan[i : i + 2] for i in range(0, 16, 2)),
        lambda pan: ":".join(pan[i : i + 2] for i in range(0, 16, 2)),
        lambda pan: pan.encode().hex(),
        lambda pan: pan.encode().hex(" ").upper(),
        lambda pan: pan.encode("utf-16-le").hex(),
        lambda pan: pan.encode("utf-16-be").decode("latin-1"),
        lambda pan: base64.b64encode(pan.encode()).decode(),
        lambda pan: base64.b64encode(b"x" + pan.encode("utf-16-le")).decode(),
        lambda pan: base64.urlsafe_b64encode(f";{pan}=2512".encode()).decode(),
        lambda pan: repr(bytes.fromhex("5a08" + pan)),
        lambda pan: repr(pan.encode("utf-16-le")),
        lambda pan: list(pan.encode()),
        lambda pan: list(bytes.fromhex(pan + "d2512101")),
        lambda pan: ";".join(map(str, pan.encode("utf-16-le"))),
        lambda pan: ", ".join(map(str, pan.encode())) + ".",
        lambda pan: json.dumps([300, *pan.encode(), 443], indent=4),
        lambda pan: "\t".join(map(str, bytes.fromhex(pan))),
        lambda pan: f"57 11 {bytes.fromhex(pan).hex(' ')} d2 51 21 01",
    ],
)
@given(pan=PANS)
def test_any_number_goes_whatever_it_hides_behind(hide: object, pan: str) -> None:
    assert MASK in redact(f"read: {hide(pan)} end")  # type: ignore[operator]


@given(PANS)
def test_tracks_go_whole(pan: str) -> None:
    first = redact(f"swipe %B{pan}^DOE/JANE^25121010000000000000? ok")
    second = redact(f"swipe ;{pan}=25121010000000000000? ok")
    assert first == second == f"swipe {MASK} ok"


@given(st.uuids(version=4), st.binary(min_size=32, max_size=32), st.datetimes())
def test_what_a_record_needs_stays(ident: uuid.UUID, digest: bytes, moment: object) -> None:
    text = f"{moment:%Y-%m-%dT%H:%M:%S.%fZ} incident {ident}"
    assert redact(text) == text
    if not digest.hex().isdigit():
        assert redact_json({"sha256": digest.hex()}) == {"sha256": digest.hex()}


@given(st.text("abcdefghijklmnop /.-_", max_size=300))
def test_text_without_digits_stays(text: str) -> None:
    assert redact(text) == text


@given(PANS)
def test_numbers_and_keys_of_json_are_swept(pan: str) -> None:
    swept = redact_json({"n": int(pan), "f": float(int(pan)), pan: [pan, (pan,)], "raw": pan.encode()})
    assert pan not in str(swept)
    assert swept["raw"] == "[16 bytes]"  # type: ignore[index,call-overload]
    for row in (list(pan.encode()), [None, *pan.encode()], [-1, *bytes.fromhex(pan), 300]):
        assert redact_json({"bytes": row}) == {"bytes": MASK}


@given(st.lists(st.integers(0, 9), max_size=40))
def test_lists_of_small_numbers_stay(numbers: list[int]) -> None:
    assert redact_json({"n": numbers}) == {"n": numbers}
    text = f"lost {'; '.join(map(str, numbers))};"
    assert redact(text) == text


def test_zeros_stay() -> None:
    assert redact_json([0] * 8) == [0] * 8
    assert redact("usage 0 0 0 0 0 0 0") == "usage 0 0 0 0 0 0 0"


def test_hashes_of_free_text_are_rarely_hit() -> None:
    digests = [uuid.uuid5(uuid.NAMESPACE_OID, str(n)).hex * 2 for n in range(500)]
    assert sum(map(holds_card_data, digests)) < 50


def test_a_hash_that_spells_a_number_is_no_hash() -> None:
    pan = with_check_digit("411111111111111")
    assert redact_json({"md5": pan.encode().hex()}) == {"md5": MASK}


def test_log_records_are_swept_with_their_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    pan = with_check_digit("555555555555444")
    handler = logging.StreamHandler()
    handler.addFilter(CardDataFilter())
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        int(f"bad frame {pan}")
    except ValueError:
        log.exception("frame %s from %r", pan, pan.encode())
    log.error("%d", pan)
    err = capsys.readouterr().err
    assert "bad frame [card-data]" in err
    assert pan not in err
    assert pan.encode().hex() not in err


class TestQueue:
    """The bounds of the queue, whatever comes."""

    @staticmethod
    def draft(kind: str, number: int) -> Waiting:
        return Waiting(Draft(str(number), "b", "w", 0.0, kind, "info", f"s{number % 3}", canonical_body({"n": number})))

    @given(st.lists(st.sampled_from(["reading.changed", "device.identified", "fault.raised"]), max_size=60))
    def test_nothing_is_lost_uncounted_and_faults_go_last(self, kinds: list[str]) -> None:
        queue = Queue(max_records=5, max_readings=2)
        everything = [self.draft(kind, number) for number, kind in enumerate(kinds)]
        for waiting in everything:
            queue.put(waiting)
        taken = queue.take(100)
        assert len(taken) + sum(queue.dropped.values()) == len(kinds)
        assert sum(waiting.draft.is_reading for waiting in taken) <= 2
        faults = [waiting for waiting in everything if waiting.draft.is_kept]
        assert [waiting for waiting in taken if waiting.draft.is_kept] == faults[-5:]
        assert [w.draft.is_reading for w in taken] == sorted(w.draft.is_reading for w in taken)

    def test_a_batch_that_is_put_back_keeps_its_order(self) -> None:
        queue = Queue()
        for number in range(6):
            queue.put(self.draft("fault.raised" if number % 2 else "reading.changed", number))
        batch = queue.take(4)
        queue.put_back(batch)
        assert [waiting.draft.id for waiting in queue.take(10)] == ["1", "3", "5", "0", "2", "4"]


@pytest.mark.parametrize("sign", [".", "_", "/", ",", ":"])
@given(rest=DIGITS)
def test_a_number_grouped_as_cards_print_it_is_found_whatever_stands_between(sign: str, rest: str) -> None:
    long, short = number(("4", 16), rest), number(("37", 15), rest)
    fours = sign.join(long[at : at + 4] for at in range(0, 16, 4))
    uneven = sign.join((short[:4], short[4:10], short[10:]))
    assert redact(f"a={fours};") == f"a={MASK};"
    assert redact(f"{uneven} b") == f"{MASK} b"


@pytest.mark.parametrize(
    "text",
    [
        "2026.1123.1234.0001",
        "0000.0000.0000.0000",
        "10.0.0.1/24",
        "1.234.567,89",
        "v4111.1111",
        "1, 2, 3, 4, 5, 6, 7, 8",
        "2026:11:30",
    ],
)
def test_other_numbers_with_such_signs_stay(text: str) -> None:
    assert redact(text) == text
