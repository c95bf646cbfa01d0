"""The simulated NEO reader against the published frames (NEO 2 IDG 2019, facts devices.md 3.1), in literal bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.line import MemoryLine, VirtualClock
from simulator.reader.neo_reader import check_value
from simulator.settings import BadSettingError, read_setting
from simulator.terminal import Kinds, Terminal, in_memory

TAG = "56 69 56 4f 74 65 63 68 32 00 "
PING = TAG + "18 01 00 00 b3 cd"
PONG = TAG + "18 00 00 00 fa 83"
SERIAL = TAG + "12 01 00 00 18 a5"
MODE = TAG + "83 51 00 00 fd 4b"
VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[2] / "vectors/neo.json").read_text())["vectors"]}
KEYS = VECTORS["key info"]["hex"]


@pytest.fixture
def till() -> Terminal[MemoryLine]:
    return in_memory(VirtualClock(), Kinds("none", "neo"))


def ask(till: Terminal[MemoryLine], question: str) -> str:
    assert till.reader is not None
    host = till.reader.line.host
    host.write(bytes.fromhex(question))
    return host.read().hex(" ")


def answer(name: str) -> str:
    return bytes.fromhex(VECTORS[name]["hex"]).hex(" ")


def test_the_published_frames(till: Terminal[MemoryLine]) -> None:
    assert ask(till, PING) == PONG
    assert ask(till, MODE) == TAG + "83 00 00 01 03 04 72"
    till.set("reader.serial", "630Z000001", 0)
    assert ask(till, SERIAL) == TAG + "12 00 00 0f 36 33 30 5a 30 30 30 30 30 31 00 00 00 00 00 94 bc"
    assert check_value(bytes.fromhex(TAG + "83 00 00 02 e1 01")) == 0x0D25
    assert check_value(bytes.fromhex(TAG + "03 02 00 00")) == 0x915B


@pytest.mark.parametrize(
    ("key", "value", "question", "name"),
    [
        ("keys", "present", "key info", "two keys"),
        ("keys", "missing", "key info", "no key"),
        ("tamper", "yes", "key info", "tamper occurred"),
        ("secure_unit", "down", "key info", "secure interface down"),
        ("boot_loader", "yes", "key info", "in the boot loader"),
        ("mode", "boot_loader", "mode", "mode answered: boot loader"),
        ("self_check", "18:30", "self-check time, the form that only asks", "self-check at 18:30 UTC"),
    ],
)
def test_what_is_set_is_what_is_answered(till: Terminal[MemoryLine], key: str, value: str, question: str, name: str) -> None:
    till.set(f"reader.{key}", value, 0)
    assert ask(till, VECTORS[question]["hex"]) == answer(name)
    assert till.show()["reader"]["state"][f"reader.{key}"] == value


def test_a_tampered_reader_still_answers_a_ping(till: Terminal[MemoryLine]) -> None:
    till.set("reader.tamper", "yes", 0)
    assert ask(till, PING) == PONG


def test_a_wrong_crc_is_told_and_nothing_is_done(till: Terminal[MemoryLine]) -> None:
    assert ask(till, TAG + "18 01 00 00 b3 ce").startswith(TAG + "18 04 00 00")
    assert till.show()["reader"]["commands"] == 0


def test_without_power_it_is_silent(till: Terminal[MemoryLine]) -> None:
    till.set("reader.power", "off", 0)
    assert ask(till, PING) == ""
    till.set("reader.power", "on", 0)
    assert ask(till, PING) == PONG


def test_commands_that_would_change_it_are_counted_and_refused(till: Terminal[MemoryLine]) -> None:
    body = bytes.fromhex(TAG + "04 00 00 00")
    assert ask(till, (body + check_value(body).to_bytes(2, "little")).hex()).startswith(TAG + "04 02")
    body = bytes.fromhex(TAG + "25 07 00 02 18 30")
    assert ask(till, (body + check_value(body).to_bytes(2, "little")).hex()).startswith(TAG + "25 05")
    assert till.show()["reader"]["unknown_commands"] == 1


def test_the_clock_in_bcd() -> None:
    clock = VirtualClock(60.0)
    till = in_memory(clock, Kinds("none", "neo"))
    date = bytes.fromhex(ask(till, VECTORS["date, the first half of the clock"]["hex"]))
    assert date[14:18].hex() == "20270115"
    till.set("reader.clock", "epoch", clock.now)
    date = bytes.fromhex(ask(till, VECTORS["date, the first half of the clock"]["hex"]))
    assert date[14:18].hex() == "20000101"


@pytest.mark.parametrize("text", ["24:00", "1:30", "18:60", "18.30", "１8:30"])
def test_a_self_check_time_that_is_none(text: str) -> None:
    with pytest.raises(BadSettingError):
        read_setting("reader.self_check", text)


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([bytes.fromhex(PING)[:9], bytes.fromhex(PONG), b"ViVO"]))))
def test_it_answers_after_anything_and_a_pause(pieces: list[bytes]) -> None:
    clock = VirtualClock()
    till = in_memory(clock, Kinds("none", "neo"))
    assert till.reader is not None
    for piece in pieces:
        till.reader.line.host.write(piece)
    clock.advance(1.0)
    till.reader.line.host.read()
    assert ask(till, PING) == PONG
