"""The fault table: whole in both languages, and as severe as the field says."""

import re
import tomllib
from pathlib import Path

import pytest

from agent.health import catalogue

TABLE = tomllib.loads(Path(catalogue.__file__).with_name("faults.toml").read_text("utf-8"))
WORDS = {"title", "cause", "remedy", "advice", "part"}

MARKS = {"severity", "blocks", "unknown", "visit"}
FOR_THE_PAGE = {"rows", "cure", "proof"}
"""What the rows of devices and lines have besides, for docs/faults.md."""


@pytest.mark.parametrize("fault_id", TABLE)
def test_every_fault_is_whole(fault_id: str) -> None:
    row = TABLE[fault_id]
    assert re.fullmatch(r"(printer|link|reader|host)\.[a-z0-9_]+", fault_id)
    wire = not fault_id.startswith("host.")
    words = WORDS | ({"detected", "cured"} if wire else set())
    assert set(row) == MARKS | {"en", "zh"} | (FOR_THE_PAGE if wire else set())
    assert row.get("cure", "person") in ("person", "agent", "device")
    assert row.get("proof", "walk") in ("walk", "line", "question", "open")
    assert row["severity"] in ("info", "warning", "error", "critical")
    assert row["visit"] in ("no", "maybe", "yes")
    assert not (row["blocks"] and row["unknown"])
    assert set(row["en"]) == set(row["zh"]) == words
    assert bool(row["en"]["part"]) == bool(row["zh"]["part"])
    for word in words - {"part"}:
        assert row["en"][word].isascii()
        assert re.search(r"[\u4e00-\u9fff]", row["zh"][word])
        assert not re.search(r"[\u4e00-\u9fff][,:;?!(]|[,:;?!)][\u4e00-\u9fff]", row["zh"][word])


def test_what_blocks_what_hides_and_what_only_warns() -> None:
    marks = {fault: catalogue.severity_of(fault) for fault in catalogue.known()}
    assert {fault for fault, mark in marks.items() if mark.blocks} == {
        "printer.paper_end",
        "printer.cover_open",
        "printer.cutter_jam",
        "printer.head_hot",
        "printer.unrecoverable",
        "printer.paper_jam",
        "printer.offline",
        "printer.head_failed",
        "printer.supply_voltage",
        "reader.hardware",
        "reader.short_circuit",
        "printer.mechanism",
        "printer.feed_button",
        "printer.waiting_online",
        "printer.test_mode",
        "reader.tamper",
        "reader.keys_missing",
        "reader.boot_loader",
        "link.unplugged",
        "link.baud_mismatch",
        "link.parity_mismatch",
        "link.stuck_xoff",
        "link.stuck_busy",
        "host.clock",
        "host.network",
    }
    assert {fault for fault, mark in marks.items() if mark.unknown} == {
        "link.silent",
        "link.noise",
        "link.not_serial",
        "link.permission",
        "link.second_process",
        "link.half_duplex",
        "link.echo",
        "link.server_down",
        "printer.print_unseen",
        "reader.silent",
        "reader.bad_checksum",
        "reader.echo_mismatch",
        "reader.nak_storm",
        "reader.pcscd_down",
        "reader.pcscd_stuck",
        "reader.pcsc_reader_lost",
        "reader.pcsc_refused",
    }
    for fault in ("printer.paper_near_end", "reader.card_mute"):
        assert marks[fault].level == "warning"
        assert marks[fault].degrades
        assert not marks[fault].matters


def test_words_in_both_languages() -> None:
    assert catalogue.text("printer.paper_end", "zh_CN").title == "缺纸"
    assert catalogue.text("printer.paper_end", "en").title == "Paper is out"


def test_an_unknown_fault_asserts_nothing_and_says_so() -> None:
    assert catalogue.severity_of("printer.new").unknown
    assert not catalogue.severity_of("printer.new").blocks
    assert "printer.new" in catalogue.text("printer.new", "zh_CN").title
    assert "printer.new" in catalogue.text("printer.new", "en").title


def test_every_rule_has_its_words() -> None:
    from agent.health.rules import RULES

    assert {rule.fault for rule in RULES} <= set(catalogue.known())


def test_how_bad_a_fault_is_is_read_as_the_whole_table_says() -> None:
    assert list(catalogue.known()) == list(TABLE)
    for fault, row in TABLE.items():
        found = catalogue.severity_of(fault)
        assert (found.level, found.blocks, found.unknown, found.visit) == tuple(
            row[m] for m in ("severity", "blocks", "unknown", "visit")
        )
