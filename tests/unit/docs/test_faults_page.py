"""docs/faults.md against the table, and the table against the catalogue of printers, readers and lines."""

from agent.health import catalogue, rules
from tests.unit.docs.faults import NORMAL, NOT_YET, ROWS, page
from tests.unit.docs.pages import read


def test_the_page_is_made_from_the_table() -> None:
    assert read("docs/faults.md") == page(), "python -m tests.unit.docs.faults > docs/faults.md"


def test_every_row_of_the_catalogue_has_its_fault() -> None:
    named = {row for entry in catalogue.table().values() for row in entry.get("rows", ())}
    without = set(NORMAL) | NOT_YET
    assert not named & without, "a row that has its fault is neither normal nor still to come"
    assert named | without == set(ROWS)


def test_what_a_person_is_asked_is_what_no_rule_finds() -> None:
    asked = {fault for fault, entry in catalogue.table().items() if entry.get("proof") == "question"}
    read_off = {rule.fault for rule in rules.RULES}
    assert asked - read_off == {
        "printer.print_faded",
        "printer.wrong_paper",
        "printer.drawer_line",
        "printer.test_mode",
        "reader.contactless",
    }
