"""The page of attacks is the suite: no attack is missing there, none is claimed that is not tried."""

from pathlib import Path

from .table import SUBJECTS, attacks, table

HERE = Path(__file__).parent


def test_the_page_is_the_suite() -> None:
    assert (HERE.parents[1] / "docs" / "attacks.md").read_text() == table(), "python tests/attacks/table.py > docs/attacks.md"


def test_every_attack_says_why_in_one_line() -> None:
    files = sorted(path.name for path in HERE.glob("test_*.py"))
    assert files == sorted([*(f"test_{subject}.py" for subject in SUBJECTS), "test_table.py"])
    found = [attack for subject in SUBJECTS for attack in attacks(HERE / f"test_{subject}.py")]
    assert len(found) >= 40
    assert [name for name, why in found if not 30 <= len(why) <= 160 or "\n" in why] == []
    assert len({name for name, _ in found}) == len(found)
