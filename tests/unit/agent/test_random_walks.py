"""Random walks of faults over a simulated printer: whatever happened, the end is exactly the simulator's truth."""

import random

import pytest

from tests.unit.agent.counter import Counter

STEPS = {
    "paper": ["ok", "near_end", "end", "jam"],
    "cover": ["open", "closed"],
    "cutter": ["ok", "jam"],
    "head": ["ok", "hot", "failed"],
    "power": ["on", "off"],
    "plugged": ["yes", "no"],
    "baud": ["115200", "9600", "38400"],
    "noise": ["0", "0.01", "0.05"],
}


def truth(state: dict[str, str]) -> list[str]:
    found = []
    if state["cover"] == "open":
        found.append("printer.cover_open")
    else:
        found += {"end": ["printer.paper_end"], "near_end": ["printer.paper_near_end"]}.get(state["paper"], [])
        found += ["printer.head_hot"] if state["head"] == "hot" else []
    found += ["printer.cutter_jam"] if state["cutter"] == "jam" else []
    found += ["printer.paper_jam"] if state["paper"] == "jam" else []
    return sorted(found)


def supposed(state: dict[str, str]) -> set[str]:
    """What follows from the state together with how it came about; the state alone does not tell."""
    found = {"printer.cutter_weak"}
    if state["cover"] == "closed" and state["paper"] == "end":
        found.add("printer.paper_sensor")
    if state["cover"] == "open" and state["head"] == "hot":
        found.add("printer.cover_opened_printing")
    return found


def walk(seed: int) -> None:
    choose = random.Random(seed)
    counter = Counter(seed=seed)
    counter.run(choose.random() * 4)
    for _ in range(12):
        key = choose.choice(list(STEPS))
        counter.set(key, choose.choice(STEPS[key]))
        counter.run(choose.choice([0.01, 0.3, 2, 7]))
    for key, value in (("noise", "0"), ("baud", "115200"), ("plugged", "yes"), ("power", "on")):
        counter.set(key, value)
    counter.run(90)
    state = counter.terminal.show()["printer"]["state"]
    found = sorted(counter.faults())
    head = [f for f in found if f in ("printer.unrecoverable", "printer.head_failed")]
    assert len(head) == (state["head"] == "failed"), "which of the two: whether the printer could name the cause"
    assert [f for f in found if f not in supposed(state) and f not in head] == truth(state)


@pytest.mark.parametrize("seed", range(100))
def test_a_walk_ends_with_the_truth(seed: int) -> None:
    walk(seed)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_walks_end_with_the_truth() -> None:
    for seed in range(1000, 6000):
        walk(seed)
