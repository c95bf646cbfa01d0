"""The simulated card reader against facts/devices.md section 2: the start-up exchange and more, in literal bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.line import MemoryLine, VirtualClock
from simulator.reader.card import Card
from simulator.terminal import Terminal, in_memory

Ask = Callable[[str], str]
GET_STATUS = "03 06 65 00 00 00 00 00 02 00 00 00 62"
POWER_ON = "03 06 62 00 00 00 00 00 08 01 00 00 6e"
NOTICES_ON = "03 06 6b 03 00 00 00 00 01 00 00 00 01 01 01 6d"
SELECT = "03 06 6f 07 00 00 00 00 09 00 00 00 00 a4 04 00 02 3f 00 f9"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def till(clock: VirtualClock) -> Terminal[MemoryLine]:
    return in_memory(clock)


@pytest.fixture
def raw(till: Terminal[MemoryLine]) -> Ask:
    def raw(question: str) -> str:
        assert till.reader is not None
        host = till.reader.line.host
        host.write(bytes.fromhex(question))
        return host.read().hex(" ")

    return raw


@pytest.fixture
def ask(raw: Ask) -> Ask:
    """Send a frame; check that it is echoed; return what follows the echo."""

    def ask(question: str) -> str:
        answer = raw(question)
        assert answer.startswith(question)
        return answer[len(question) :].strip()

    return ask


def test_start_up_exchange(ask: Ask) -> None:
    firmware = ask("03 06 6b 01 00 00 00 00 00 00 00 00 02 6d")
    text = b"GemTwin-V2.00-PS01"
    assert firmware == "03 06 83 12 00 00 00 00 00 02 00 00 " + text.hex(" ") + " b5"
    assert ask(NOTICES_ON) == "03 06 83 00 00 00 00 00 01 02 00 00 85"
    assert ask(GET_STATUS) == "03 06 81 00 00 00 00 00 02 02 00 01 85"
    # Gemalto's features: may fail, politely
    assert ask("03 06 6b 01 00 00 00 00 04 00 00 00 6a 01") == "03 06 83 00 00 00 00 00 04 42 00 00 c0"


def test_power_on_gives_the_atr(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.card", "ok", 0.0)
    assert ask(GET_STATUS)[27:29] == "01"
    assert ask(POWER_ON) == "03 06 80 09 00 00 00 00 08 00 00 00 3b 07 50 4f 53 53 49 4d 31 92"
    assert ask(GET_STATUS)[27:29] == "00"
    assert ask("03 06 63 00 00 00 00 00 0a 00 00 00 6c")[27:29] == "01"


@pytest.mark.parametrize(("card", "status", "error"), [("none", "42", "fe"), ("bad_atr", "41", "f8"), ("short", "41", "a2")])
def test_power_on_fails(till: Terminal[MemoryLine], ask: Ask, card: str, status: str, error: str) -> None:
    till.set("reader.card", card, 0.0)
    assert ask(POWER_ON)[27:32] == f"{status} {error}"


def test_a_mute_card_takes_its_time(till: Terminal[MemoryLine], raw: Ask, clock: VirtualClock) -> None:
    till.set("reader.card", "mute", 0.0)
    assert raw(POWER_ON) == POWER_ON
    clock.advance(0.1)
    assert raw("")[27:32] == "41 fe"
    assert till.show()["reader"]["power_ons"] == 1


def test_apdus_in_t0(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.card", "ok", 0.0)
    assert ask(SELECT)[27:32] == "41 fe"  # not powered
    ask(POWER_ON)
    assert ask(SELECT)[27:] == "00 00 00 61 07 e8"
    assert "90 00" in ask("03 06 6f 05 00 00 00 00 0b 00 00 00 00 c0 00 00 07 a3")
    assert "6d 00" in ask("03 06 6f 05 00 00 00 00 0c 00 00 00 00 ee 00 00 00 8d")
    challenge = ask("03 06 6f 05 00 00 00 00 0d 00 00 00 00 84 00 00 08 ee")
    assert challenge[9:11] == "0a"
    assert challenge.endswith("90 00 " + challenge[-2:])
    assert till.show()["reader"]["apdus"] == 5


def test_parameters(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.card", "ok", 0.0)
    assert ask("03 06 6c 00 00 00 00 00 05 00 00 00 6c")[36:50] == "11 00 00 0a 00"
    assert ask("03 06 61 05 00 00 00 00 06 00 00 00 13 00 00 0a 00 7e")[36:50] == "13 00 00 0a 00"
    assert ask("03 06 6d 00 00 00 00 00 07 00 00 00 6f")[36:50] == "11 00 00 0a 00"
    assert ask("03 06 61 05 00 00 00 00 06 01 00 00 13 00 00 0a 00 7f")[27:32] == "41 07"


def test_moves_are_told_between_echo_and_answer_only_when_enabled(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.card", "ok", 0.0)
    assert ask(GET_STATUS).startswith("03 06 81")
    ask(NOTICES_ON)
    till.set("reader.card", "none", 0.0)
    assert ask(GET_STATUS).startswith("50 02 03 06 81")
    till.set("reader.card", "ok", 0.0)
    till.set("reader.card", "mute", 0.0)
    assert ask(GET_STATUS).startswith("50 03 50 02 50 03 03 06 81")
    assert ask(GET_STATUS).startswith("03 06 81")


def test_broken_frames_get_a_nak_and_are_not_obeyed(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.card", "ok", 0.0)
    assert ask(POWER_ON[:-2] + "6f") == "03 15 16"
    assert till.show()["reader"]["power_ons"] == 0
    answer = ask(GET_STATUS)
    assert ask("03 15 16") == answer  # our NAK: the last answer again


def test_unknown_commands_and_slots(ask: Ask) -> None:
    assert ask("03 06 99 00 00 00 00 00 02 00 00 00 9e")[27:32] == "42 00"
    assert ask("03 06 65 00 00 00 00 01 02 00 00 00 63")[27:32] == "42 05"


def test_noise_before_a_frame_and_half_a_frame(till: Terminal[MemoryLine], raw: Ask, clock: VirtualClock) -> None:
    assert raw("ff 00 " + GET_STATUS).startswith("ff 00 " + GET_STATUS + " 03 06 81")
    half, rest = GET_STATUS[:20], GET_STATUS[20:]
    assert raw(half) == ""
    assert raw(rest).startswith(GET_STATUS)
    assert raw(half) == ""
    clock.advance(1.0)
    assert raw("") == half.strip()
    assert raw(GET_STATUS).startswith(GET_STATUS + " 03 06 81")


def test_an_endless_length_is_refused(raw: Ask) -> None:
    assert raw("03 06 6f ff ff ff ff 00 01 00 00 00").endswith("03 15 16")
    assert raw(GET_STATUS).startswith(GET_STATUS + " 03 06 81")


def test_without_power_not_even_an_echo(till: Terminal[MemoryLine], raw: Ask) -> None:
    till.set("reader.power", "off", 0.0)
    assert raw(GET_STATUS) == ""
    till.set("reader.power", "on", 0.0)
    assert raw(GET_STATUS).startswith(GET_STATUS)


def test_any_bytes_leave_it_answering(till: Terminal[MemoryLine], raw: Ask, clock: VirtualClock) -> None:
    import random

    noise = random.Random(5)
    for _ in range(300):
        raw(noise.randbytes(noise.randrange(1, 60)).hex())
        clock.advance(1.0)
    raw("")
    assert raw(GET_STATUS).startswith(GET_STATUS + " 03 06 81")


def test_what_the_card_refuses() -> None:
    card = Card()
    card.reset()
    assert card.exchange(bytes.fromhex("00 A4 04")).hex() == "6700"
    assert card.exchange(bytes.fromhex("80 A4 04 00 00")).hex() == "6e00"
    assert card.exchange(bytes.fromhex("00 A4 04 00 05 3F")).hex() == "6700"
    assert card.exchange(bytes.fromhex("00 C0 00 00 07")).hex() == "6985"
    assert card.exchange(bytes.fromhex("00 A4 04 00 00")).hex() == "6107"
    assert card.exchange(bytes.fromhex("00 C0 00 00 00")).hex() == "6c07"
    assert card.exchange(bytes.fromhex("00 C0 00 00 07")).hex() == "6f05840353494d9000"


def blocks(ask: Ask, *sent: str) -> list[str]:
    """T=1 blocks to the card, without their check bytes, in XfrBlock; what it answers, without frame and check byte."""
    answers = []
    for number, block in enumerate(sent):
        data = bytes.fromhex(block)
        data += bytes([xor(data)])
        message = bytes([3, 6, 0x6F, len(data), 0, 0, 0, 0, number, 0, 0, 0]) + data
        answers.append(ask((message + bytes([xor(message)])).hex(" "))[36:-6])
    return answers


def xor(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
    return found


def test_a_card_in_t1_talks_in_blocks(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.chip", "t1", 0.0)
    till.set("reader.card", "ok", 0.0)
    assert ask(POWER_ON) == "03 06 80 0b 00 00 00 00 08 00 00 00 3b 87 01 50 4f 53 53 49 4d 31 ac bd"
    ifs, select, again, resend = blocks(ask, "00 C1 01 FE", "00 00 07 00 A4 04 00 02 3F 00", "00 00 00", "00 80 00")
    assert ifs == "00 e1 01 fe"
    assert select == "00 00 09 6f 05 84 03 53 49 4d 90 00"
    assert again == "00 92 00", "N(S) is the one before: R(1) with an error"
    assert resend == select, "R(0): the last block again"


def test_a_long_answer_in_t1_is_chained(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.chip", "t1", 0.0)
    till.set("reader.card", "ok", 0.0)
    ask(POWER_ON)
    first, second = blocks(ask, "00 00 05 00 84 00 00 28", "00 90 00")
    assert first.startswith("00 20 20 ")
    assert second.startswith("00 40 0a ")
    assert second.endswith("90 00")


def test_a_gemcore_does_not_echo(till: Terminal[MemoryLine], raw: Ask) -> None:
    till.set("reader.model", "gemcore", 0.0)
    assert raw(GET_STATUS) == "03 06 81 00 00 00 00 00 02 02 00 01 85"
    assert bytes.fromhex(raw("03 06 6b 01 00 00 00 00 00 00 00 00 02 6d")[36:-3]).startswith(b"GemCore")


def test_troubles(till: Terminal[MemoryLine], ask: Ask, raw: Ask, clock: VirtualClock) -> None:
    till.set("reader.card", "ok", 0.0)
    for trouble, question, expected in (
        ("hardware", POWER_ON, "41 fb"),
        ("overrun", POWER_ON, "41 fc"),
        ("busy", GET_STATUS, "41 e0"),
    ):
        till.set("reader.trouble", trouble, 0.0)
        assert ask(question)[27:32] == expected
    ask("03 06 72 00 00 00 00 00 03 00 00 00 74")
    assert ask(GET_STATUS)[27:32] == "01 00", "an Abort frees the slot"
    till.set("reader.trouble", "nak", 0.0)
    assert ask(GET_STATUS) == "03 15 16"
    till.set("reader.trouble", "sequence", 0.0)
    assert ask(GET_STATUS)[24:26] == "82"
    till.set("reader.trouble", "foreign_echo", 0.0)
    assert raw(GET_STATUS)[24:26] == "57"
    till.set("reader.trouble", "extension", 0.0)
    assert ask(POWER_ON)[27:32] == "80 00"
    for _ in range(3):
        clock.advance(1.01)
        assert raw("")[27:32] == "80 00"
    ask("03 06 72 00 00 00 00 00 03 00 00 00 74")
    clock.advance(5)
    assert raw("") == ""


def test_a_card_that_is_torn_out(till: Terminal[MemoryLine], ask: Ask) -> None:
    till.set("reader.card", "ok", 0.0)
    ask(NOTICES_ON)
    till.set("reader.trouble", "torn", 0.0)
    assert ask(POWER_ON) == "50 02 03 06 80 00 00 00 00 00 08 42 fe 00 31"
    assert ask(GET_STATUS)[27:29] == "02"


def test_a_switch_that_bounces(till: Terminal[MemoryLine], ask: Ask) -> None:
    ask(NOTICES_ON)
    till.set("reader.switch", "bounce", 0.0)
    assert [ask(GET_STATUS)[:5] for _ in range(4)] == ["50 03", "50 02", "50 03", "50 02"]
