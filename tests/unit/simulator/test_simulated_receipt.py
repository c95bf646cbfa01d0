"""What is printed: commands cut from the stream, text and pictures on the paper, bars, and the drawn receipt."""

from __future__ import annotations

import random

import pytest
from PIL import ImageChops

from simulator.line import VirtualClock
from simulator.printer.barcode import modules
from simulator.printer.interpreter import Interpreter
from simulator.printer.paper import Cut, Element, Line, Picture, Symbol, from_json, plain_text, to_json
from simulator.printer.receipt import draw
from simulator.printer.tokens import Tokenizer
from simulator.terminal import in_memory


def printed(data: bytes) -> tuple[Element, ...]:
    engine, tokens = Interpreter(), Tokenizer()
    for token in tokens.feed(data):
        engine.execute(token)
    return engine.receipt()


COMMANDS = [
    "1b 40", "1b 21 38", "1b 64 03", "1b 4a 20", "1b 63 35 01", "1b 70 00 19 fa", "1b 2a 21 02 00 010203 040506",
    "1b 2a 00 03 00 010203", "1b 44 08 10 00", "1b 26 03 41 42 02 010203040506 01 aabbcc", "1b 24 10 00",
    "1d 21 11", "1d 56 00", "1d 56 42 10", "1d 76 30 00 02 00 02 00 f0f0 0f0f", "1d 61 0e", "1d 49 41",
    "1d 67 32 00 14 00", "1d 28 48 06 00 30 30 41 42 43 44", "1d 28 6b 03 00 31 51 30",
    "1d 38 4c 03 00 00 00 30 70 30", "1d 6b 04 41 42 43 00", "1d 6b 49 04 7b 42 31 32", "1d 2a 01 01 0102030405060708",
    "1c 26", "1c 2e", "1c 21 04", "1c 70 01 00", "1c 71 01 01 00 01 00 0102030405060708", "10 04 01", "10 04 07 01",
    "10 05 02", "10 14 01 00 05", "10 14 08 01 03 14 01 06 02 08",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_cut_off_at_its_length(command: str) -> None:
    data = bytes.fromhex(command)
    tokens = Tokenizer().feed(data + b"text")
    assert [token.size for token in tokens] == [len(data), 4]
    assert tokens[1].data == b"text"


def test_pieces_of_any_size_give_the_same_commands() -> None:
    stream = b"".join(bytes.fromhex(command) + b"ab" for command in COMMANDS) * 3
    whole = Tokenizer().feed(stream)
    dice = random.Random(11)
    for _ in range(20):
        cut, at, tokens = Tokenizer(), 0, []
        while at < len(stream):
            size = dice.randrange(1, 9)
            tokens += cut.feed(stream[at : at + size])
            at += size
        assert [token for token in tokens if token.lead] == [token for token in whole if token.lead]
        assert not cut.mid_command


def test_long_lists_of_characters_and_pictures_end_where_they_end() -> None:
    characters = bytes.fromhex("1b 26 03 20 7e") + (b"\x0c" + b"\xaa" * 36) * 95
    pictures = bytes.fromhex("1c 71 02") + (bytes.fromhex("10 00 10 00") + b"\x55" * 2048) * 2
    for command in (characters, pictures):
        tokens = Tokenizer()
        cut = [token for at in range(0, len(command), 500) for token in tokens.feed(command[at : at + 500])]
        assert [token.size for token in cut] == [len(command)]
        assert not tokens.mid_command


def test_a_raster_that_claims_gigabytes_is_consumed_and_not_kept() -> None:
    tokens = Tokenizer()
    assert tokens.feed(bytes.fromhex("1d 76 30 00 ff ff ff ff")) == []
    for _ in range(40):
        for token in tokens.feed(bytes(1024 * 1024)):
            assert token.size == 2 * 1024 * 1024
    assert tokens.mid_command


def test_random_bytes_do_no_harm() -> None:
    till = in_memory(VirtualClock())
    assert till.printer is not None
    dice = random.Random(3)
    for _ in range(100):
        till.printer.line.host.write(dice.randbytes(997))
    till.set("printer.power", "off", 0.0)
    till.set("printer.power", "on", 0.0)
    till.printer.line.host.read()
    till.printer.line.host.write(b"\x10\x04\x01\x1dI\x42")
    assert till.printer.line.host.read() == b"\x12\x5fPOSSIM\x00"
    draw(till.receipt())


def test_text_wraps_aligns_and_feeds() -> None:
    lines = [one for one in printed(b"\x1ba\x02" + b"x" * 50 + b"\nend\n") if isinstance(one, Line)]
    assert [line.text for line in lines] == ["x" * 48, "xx", "end"]
    assert {line.align for line in lines} == {"right"}


def test_chinese_in_kanji_mode_only() -> None:
    text = "收款 ¥5"
    assert plain_text(printed(b"\x1c&" + text.encode("gb18030") + b"\n")) == text
    assert plain_text(printed(b"\x1c&\xca\xd5\x1c.A\xca\n")) == "收A╩"
    assert plain_text(printed(b"\x1bt\x10caf\xe9\n")) == "café"


def test_pictures() -> None:
    raster = printed(bytes.fromhex("1d 76 30 00 02 00 02 00 f0f0 0f0f"))
    assert raster == (Picture(16, 2, bytes.fromhex("f0f00f0f"), "left"),)
    column = printed(bytes.fromhex("1b 2a 21 02 00 800001 000000"))[0]
    assert isinstance(column, Picture)
    assert (column.width, column.height) == (2, 24)
    assert (column.dots[0], column.dots[1], column.dots[23]) == (0x80, 0, 0x80)
    column_lines = printed(b"\x1b3\x18" + bytes.fromhex("1b 2a 21 01 00 ffffff 0a") * 2)
    assert [type(one) for one in column_lines] == [Picture, Picture]  # no blank paper between them
    stored = bytes.fromhex("1d 28 4c 0c 00 30 70 30 01 01 31 08 00 02 00 aa55  1d 28 4c 02 00 30 32")
    assert printed(stored) == (Picture(8, 2, bytes.fromhex("aa55"), "left"),)


def test_codes() -> None:
    qr = b"\x1d(k\x03\x001C\x06\x1d(k\x08\x001P0hello\x1d(k\x03\x001Q0"
    assert printed(qr)[0] == Symbol("QR", "hello", 6, 174, "none", "left")
    assert plain_text(printed(b"\x1dk\x024006381333931\x00")) == "[EAN13 4006381333931]"


def test_a_cut_ends_the_receipt_and_blank_paper_is_none() -> None:
    assert printed(b"\x1dV\x00") == ()
    elements = printed(b"first\n\x1dV\x01second\n\x1dV\x00\x1bd\x05")
    assert plain_text(elements) == "second"
    assert elements[-1] == Cut(partial=False)


def test_a_roll_that_is_never_cut_does_not_grow() -> None:
    assert len(printed(b"line\n" * 6000)) == 5000


def test_bars() -> None:
    # ISO/IEC 15420: 5901234123457 with its three guards
    ean = modules("EAN13", "5901234123457")
    assert ean == (
        "101" "0001011" "0100111" "0110011" "0010011" "0111101" "0011101" "01010"
        "1100110" "1101100" "1000010" "1011100" "1001110" "1000100" "101"
    )  # fmt: skip
    assert modules("EAN13", "590123412345") == ean
    assert modules("CODE39", "") == "1000101110111010" + "100010111011101"
    assert modules("CODE128", "{BA") == "1101001000010100011000100010110001100011101011"
    assert len(modules("EAN8", "96385074") or "") == 67
    assert len(modules("ITF", "1234") or "") == 4 + 36 + 5
    assert modules("EAN13", "12") is modules("CODE39", "ä") is modules("CODE93", "A") is modules("ITF", "123") is None
    assert modules("CODE128", "no set") is None


def test_elements_survive_json() -> None:
    elements = printed("\x1bE\x01bold\n\x1dk\x04A1\x00".encode("latin-1") + bytes.fromhex("1d 76 30 00 01 00 01 00 81"))
    assert len(elements) == 3
    assert from_json(to_json(elements)) == elements


def test_the_picture_is_that_of_what_was_printed() -> None:
    receipt = printed(b"total 5.30\n\x1dV\x00")
    picture = draw(receipt)
    assert ImageChops.difference(picture, draw(receipt)).getbbox() is None
    other = draw(printed(b"total 5.31\n\x1dV\x00"))
    assert other.size == picture.size
    changed = ImageChops.difference(picture, other).getbbox()
    assert changed is not None
    assert changed[2] - changed[0] <= 20  # one character of the line


def ink(data: bytes) -> int:
    """Pixels of the drawn receipt that are not paper."""
    picture = draw(printed(data + b"\x1dV\x00")).convert("L")
    return sum(picture.crop((60, 60, picture.width - 60, picture.height - 60)).histogram()[:200])


def test_attributes_are_seen_on_the_paper() -> None:
    plain = ink(b"attribute\n")
    for style in (b"\x1bE\x01", b"\x1b-\x01", b"\x1dB\x01", b"\x1d!\x11", b"\x1b!\x30"):
        assert ink(style + b"attribute\n") > plain * 1.2
    assert ink(b"\x1bM\x01attribute\n") < plain


def test_chinese_is_drawn_with_or_without_a_font() -> None:
    chinese = b"\x1c&" + "收款".encode("gb18030") + b"\n"
    assert ink(chinese) > 100
    assert ink(b"\x1bE\x01" + chinese) > ink(chinese)


def test_codes_are_bars_or_boxes_that_say_what_they_are() -> None:
    bars = ink(b"\x1dh\x40\x1dw\x02\x1dk\x04CODE39\x00")
    assert bars > 64 * 2 * 30
    assert ink(b"\x1dh\x40\x1dw\x02\x1dH\x03\x1dk\x04CODE39\x00") > bars
    assert ink(b"\x1dk\x48\x02AB") > 500  # Code 93 is a box
    assert ink(b"\x1d(k\x08\x001P0hello\x1d(k\x03\x001Q0") > 500


def test_doubled_pictures() -> None:
    assert printed(bytes.fromhex("1d 76 30 03 01 00 01 00 81")) == (Picture(16, 2, bytes.fromhex("c003 c003"), "left"),)
    assert printed(bytes.fromhex("1b 2a 00 01 00 80")) == (Picture(2, 24, bytes.fromhex("c0" * 3 + "00" * 21), "left"),)
    assert printed(bytes.fromhex("1d 76 30 00 00 00 00 00")) == ()


def test_a_very_long_receipt_is_drawn_to_a_bound() -> None:
    assert draw(printed(b"\x1bJ\xff" * 200 + b"end\n")).height < 12_500
