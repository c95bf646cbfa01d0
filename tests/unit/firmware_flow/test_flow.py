"""The table itself: complete, without dead ends, and saying the same as its columns."""

import pytest

from firmware.flow import CANCELABLE, FINAL, MEANING, NEVER, RESUME, SWITCHED, TABLE, Event, State, follow, mermaid

PAIRS = [(state, event) for state in State for event in Event]


def _reach(start: State) -> set[State]:
    seen, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (source, _), target in TABLE.items():
            if source is state and target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_is_in_the_table_or_refused_by_name(state: State, event: Event) -> None:
    assert ((state, event) in TABLE) != (state in NEVER[event])


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_every_state_is_reachable_and_reaches_an_end(state: State) -> None:
    assert state in _reach(State.RECEIVED)
    assert _reach(state) & FINAL


def test_finals_are_reachable_and_end() -> None:
    assert _reach(State.RECEIVED) == set(State)
    assert not [state for state, _ in TABLE if state in FINAL]


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_meaning_and_a_place_to_resume(state: State) -> None:
    assert RESUME[state] in State
    assert MEANING[state].word in {
        "none", "waiting", "downloading", "installing", "probation", "committed", "rolled_back", "refused"
    }  # fmt: skip


def test_resume_never_forgets_that_something_was_switched() -> None:
    assert all(RESUME[state] in SWITCHED for state in SWITCHED)
    assert all(RESUME[state] not in SWITCHED | FINAL for state in set(State) - SWITCHED - FINAL)


def test_success_is_closed_only_after_the_commit() -> None:
    closed = {state for state in State if MEANING[state].execution == "closed"}
    assert closed == FINAL - {State.DOWNLOADED}, "what was only downloaded is not closed by us: hawkBit would call it installed"
    succeeded = {state for state in closed if MEANING[state].finished == "success"}
    assert succeeded == {State.COMMITTED, State.CANCELED}
    assert {source for (source, _), target in TABLE.items() if target is State.COMMITTED} == {
        State.RECEIVED,
        State.COMMITTING,
    }


def test_cancel_is_obeyed_exactly_until_the_switch() -> None:
    assert set(State) - FINAL - SWITCHED == CANCELABLE


def test_going_on_without_a_place_in_the_table_is_our_own_error() -> None:
    assert follow(State.PROBATION, Event.WORSE) is State.ROLLING_BACK
    with pytest.raises(ValueError, match="cancel cannot happen in switching"):
        follow(State.SWITCHING, Event.CANCEL)


def test_the_picture_shows_every_arrow() -> None:
    picture = mermaid()
    assert picture.startswith("stateDiagram-v2\n    [*] --> received\n")
    for (state, event), target in TABLE.items():
        assert any(
            line.startswith(f"    {state} --> {target}: ") and event in line.split(": ")[1].split(", ")
            for line in picture.splitlines()
        )
    assert "    checking_before --> waiting: restart" in picture
