"""Profiles: every file says what it may, every printer finds its own, and none is without its sources."""

import pytest

from protocols import profiles
from protocols.errors import LocalProtocolError
from simulator.printer.families import FAMILIES, Family
from tests.unit.protocols.feeding import vectors

ALL = profiles.names()
LEAST = 'title = "x"\nsource = "x"\nprotocol = "escpos"\n'


@pytest.mark.parametrize("name", ALL)
def test_every_file_can_be_read_and_says_where_it_is_from(name: str) -> None:
    profile = profiles.load(name)
    assert profile.title
    assert profile.source
    assert profile.makers or profile.models or profile.anonymous or name == profiles.GENERIC
    assert set(profile.can.values()) <= set(profiles.ANSWERS)
    for part, rated in profile.rated.items():
        assert part in profiles.PARTS
        assert rated.value > 0
        assert len(rated.source) > 10, "a document with its page, or why this number was chosen"
    for counter in profile.counters.values():
        assert counter.total in (0, counter.number + 128), "cumulative counters are 128 higher (devices.md 1.4)"
    assert (profile.verdict == "prints") == (profile.print_holds_h > 0)


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ({"maker": "EPSON", "model": "TM-T90"}, "epson_tm"),
        ({"maker": "EPSON", "model": "TM-U220"}, "epson_tm_u"),
        ({"maker": "epson"}, "epson_tm"),
        ({"maker": "CITIZEN", "model": "CT-S310II"}, "citizen"),
        ({"maker": "BIXOLON", "model": "SRP-350III"}, "bixolon"),
        ({"model": "SRP-275"}, "bixolon"),
        ({"maker": "Star Micronics", "model": "TSP143"}, "star_escpos"),
        ({"maker": "Xprinter", "model": "XP-80"}, "xp80"),
        ({"model": "RP80-US"}, "xp80"),
        ({"maker": "SOMEBODY", "model": "PS-80"}, "generic"),
        ({}, "generic"),
    ],
)
def test_a_printer_finds_its_profile_by_its_name(identity: dict[str, str], name: str) -> None:
    assert profiles.choose(identity).name == name


def test_a_model_says_more_than_a_maker() -> None:
    assert profiles.choose({"maker": "Xprinter", "model": "TM-T88V"}).name == "epson_tm"


def test_a_printer_without_a_name_is_the_clone_s_only_where_it_answers_like_it() -> None:
    assert profiles.choose({}, status=False, paper_sensor=True).name == "pos58"
    assert profiles.choose({}, status=True, paper_sensor=True).name == "generic"
    assert profiles.choose({"model": "?"}, status=False, paper_sensor=True).name == "generic"
    assert profiles.choose({"maker": "EPSON"}, protocol="acme").name == "generic"


@pytest.mark.parametrize("name", ALL)
def test_every_profile_has_vectors_and_is_played_by_the_simulator(name: str) -> None:
    assert [v for v in vectors("escpos", "in") if v.get("profile") == name], "tests/vectors/escpos.json"
    assert [key for key, family in FAMILIES.items() if family.profile == name], "simulator/printer/families.py"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_what_the_simulator_plays_is_told_by_its_name_and_is_no_more_than_its_profile_says(family: Family) -> None:
    identity = {"maker": family.maker, "model": family.model} if family.model else {}
    profile = profiles.choose(identity, status=family.real_time, paper_sensor=family.sensor != "none")
    assert profile.name == family.profile
    played = {
        "status": family.real_time,
        "identity": bool(family.model),
        "serial": family.has_serial,
        "counters": bool(family.counters),
        "receipts": family.receipts,
        "queued": family.queued_status,
        "near_end": family.near_end_sensor,
        "auto_status": bool(family.automatic),
        "paper_sensor": family.sensor != "none",
    }
    for ability, there in played.items():
        assert profile.answer(ability) in ("probe", "yes" if there else "no"), ability


def test_only_the_clone_rests_on_what_a_person_saw() -> None:
    assert [name for name in ALL if profiles.load(name).verdict == "prints"] == ["pos58"]


@pytest.mark.parametrize("name", ["", "nonsense", "../profiles/pos58", "POS58", "_x"])
def test_an_unknown_profile_is_said_with_those_that_exist(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="there are bixolon"):
        profiles.load(name)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("title = ", "Invalid|value"),
        ('title = "x"', "source"),
        (LEAST + "[can]\nfly = 'yes'", "fly"),
        (LEAST + "[can]\nstatus = 'maybe'", "maybe"),
        (LEAST + "[matches]\nmaker = ['x']", "matches"),
        (LEAST + "[match]\nmaker = 'EPSON'", "EPSON"),
        (LEAST + "[bits.paper_sensor]\npaper = [{ mask = 0x0C, is = 'end' }]", "paper"),
        (LEAST + "[bits.paper_sensor]\npaper = [{ mask = 0x10, is = 'end' }, { is = 'ok' }]", "fixed"),
        (LEAST + "[rated]\ncuts = { value = 0, source = 'x' }", "above 0"),
        (LEAST + "[rated]\ncuts = { value = 5 }", "source"),
        (LEAST + "[counters]\ncuts = { number = 50 }", "unit"),
        (LEAST + "[line]\nflow = 'rts'", "rts"),
        (LEAST + "[verdict]\nrests_on = 'hope'", "hope"),
        (LEAST + "match = 3", "not iterable"),
    ],
)
def test_what_a_file_may_not_say_is_named(text: str, names: str) -> None:
    with pytest.raises(LocalProtocolError, match=names):
        profiles.parse("some", text)
