"""By what a machine is known again, and who a certificate lets us speak for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrolment.binding import Binding, binding_from, evidence
from agent.enrolment.machine import MAX_MARKS, another, marks
from protocols.center.est import TillName

TILLS = (TillName("m", "s", "pos-1"), TillName("m", "s", "pos-2"), TillName("n", "t", "pos-3"))


def test_marks_are_salted_and_hold_nothing_readable(tmp_path: Path) -> None:
    file = tmp_path / "serial"
    file.write_text("SERIAL-4711\n")
    found = marks("salt", (str(file),))
    assert len(found) == 1
    assert "4711" not in found[0]
    assert marks("salt", (str(tmp_path / "ser*"),)) != found  # which mark it is counts as well
    assert marks("pepper", (str(file),)) != found
    assert marks("salt", (str(file),)) == found


@pytest.mark.parametrize("text", ["", "0", "None", "Default string", "To be filled by O.E.M.", "\0"])
def test_what_says_nothing_is_no_mark(tmp_path: Path, text: str) -> None:
    (tmp_path / "serial").write_text(text)
    assert marks("salt", (str(tmp_path / "serial"), str(tmp_path / "missing"), "relative", str(tmp_path))) == ()


def test_they_are_bounded(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:03}").write_text(f"serial {number}")
    assert len(marks("salt", (f"{tmp_path}/*",))) <= MAX_MARKS


def test_this_machine_is_itself() -> None:
    assert not another(marks("salt"), marks("salt"))


def test_one_part_may_be_replaced_and_nothing_is_said_where_nothing_is_known() -> None:
    assert not another(("board", "card"), ("board", "new card"))
    assert another(("board", "card"), ("other board", "other card"))
    assert not another((), ("board",))
    assert not another(("board",), ())


def test_who_is_a_stranger() -> None:
    binding = Binding("gateway", TILLS)
    assert binding.strangers("gateway", ["pos-1", "pos-3"]) == []
    assert binding.strangers("gateway", ["pos-1", "pos-9"]) == ["pos-9"]
    assert binding.strangers("other", ["pos-1"]) == ["other"]
    assert Binding("gateway").strangers("gateway", ["any", "till"]) == []
    assert binding.merchants() == ["m", "n"]
    assert binding.sites() == ["s", "t"]
    assert evidence(binding, ["pos-9"])["configured"] == "pos-9"


@given(st.text(max_size=20), st.lists(st.tuples(*[st.text(max_size=9)] * 3), max_size=5))
def test_a_binding_survives_its_file(host: str, tills: list[tuple[str, str, str]]) -> None:
    binding = Binding(host, tuple(TillName(*till) for till in tills))
    assert binding_from(binding.to_json()) == binding
