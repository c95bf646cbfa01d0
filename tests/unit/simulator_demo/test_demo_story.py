"""A scene that fails is told as it is, and the count at the end believes nobody."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.demo import outage
from simulator.demo.cast import Cast, ProgramError
from simulator.demo.desk import Desk, NoAnswerError, Report
from simulator.demo.releases import Releases, flip_one_bit, give_back, take_over, write_app
from simulator.demo.stage import Stage
from simulator.demo.stopwatch import StoppedError, Stopwatch, TimeIsUpError
from simulator.demo.story import play, show_figures
from simulator.demo.words import EN, ZH, Words
from simulator.demo.world import SceneError, World, can_take_money, known_fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    stopwatch = Stopwatch(60)
    cast = Cast(tmp_path, stopwatch, tmp_path)
    stage = Stage(io.StringIO(), {}, stopwatch.elapsed, 8)
    return World(tmp_path, cast, stopwatch, stage, Words(EN), Releases(cast, tmp_path))


def shown(world: World) -> str:
    stream: Any = world.stage._stream
    return " ".join(str(stream.getvalue()).split())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SceneError("till-app 0.9 runs, not 1.1"), "till-app 0.9 runs, not 1.1"),
        (ProgramError("agent: exit 4"), "agent: exit 4"),
        (TimeIsUpError("the card", 7.04), "not seen within 7.0 s: the card"),
        (NoAnswerError("/sim/records: refused"), "/sim/records: refused"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_a_scene_that_fails_ends_the_story(world: World, error: Exception, told: str) -> None:
    def first(world: World) -> None:
        world.begin("card")
        raise error

    assert play(world, [first, lambda _: pytest.fail("the story went on")]) is False
    assert "✘ The demonstration failed in scene “A card is inserted on pos-2”: " in shown(world)
    assert told in shown(world)


def test_running_out_of_time_is_said_as_such(world: World) -> None:
    def slow(world: World) -> None:
        world.begin("card")
        world.stopwatch.finish()
        world.stopwatch.pause(5, "the card")

    assert play(world, [slow]) is False
    assert "the limit of 60 s was reached while waiting for: the card" in shown(world)


def test_the_last_lines_of_every_log_are_shown(world: World, tmp_path: Path) -> None:
    (tmp_path / "till").write_text("#!/bin/sh\necho a port is gone >&2; exec sleep 100\n")
    (tmp_path / "till").chmod(0o755)
    program = world.cast.start("agent", "till")
    world.stopwatch.until(lambda: "gone" in program.log.read_text(), "its log", 20)

    def scene(_: World) -> None:
        raise SceneError("no")

    assert play(world, [scene]) is False
    world.cast.stop()
    assert "the last lines of agent: a port is gone" in shown(world)


def test_a_signal_is_no_failure_of_the_scene(world: World) -> None:
    world.stopwatch.stop(15)
    with pytest.raises(StoppedError):
        play(world, [lambda _: pytest.fail("nothing may begin any more")])


def test_what_was_measured_is_shown(world: World) -> None:
    world.figure("paper_end", 0.0032, 0.0054)
    world.figure("caught", float("nan"), 2.5)
    show_figures(world)
    assert "paper out 3.2 ms 5.4 ms" in shown(world)
    assert "any more - 2.5 s" in shown(world)


# The count


def record(seq: int, name: str = "", mono: float | None = None) -> dict[str, Any]:
    return {"seq": seq, "id": name or f"id-{seq}", "mono": float(seq) if mono is None else mono, "hash": f"hash-{seq:032}"}


def report(seq: int, name: str = "", mono: float | None = None) -> Report:
    return Report(seq, name or f"id-{seq}", "k", "host", {}, float(seq) if mono is None else mono, seq + 0.5)


@pytest.fixture
def count(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(records: list[Any], reports: list[Report], *, totals: Any = None, ok: bool = True) -> World:
        last = records[-1] if records else record(0)
        head = {"seq": last["seq"], "hash": last["hash"]}
        answers = {"show": {"records": records}, "verify": {"ok": ok, "problems": []}}
        monkeypatch.setattr(World, "agent", lambda self, *argv: answers[argv[1]])
        monkeypatch.setattr(outage, "_daemon", lambda world: ("1 MiB", "1 s"))
        monkeypatch.setattr(Desk, "refresh", lambda self: [])
        monkeypatch.setattr(outage, "CAUGHT_S", 0.0)
        world.desk = Desk({}, reports, {"duplicates": {"h": 0}, "complaints": [], "heads": {"h": head}} | (totals or {}))
        return world

    return make


def test_equal_counts_are_a_proof(count: Callable[..., World]) -> None:
    world = count([record(1), record(2)], [report(1), report(2)])
    outage.proof(world)
    assert "journal 2 records, centre 2: same ids, same order, missing 0, twice 0" in shown(world)
    assert world.figures[0].values == ("2", "2")


@pytest.mark.parametrize(
    ("records", "reports", "error"),
    [
        ([record(1), record(2)], [report(1)], TimeIsUpError),  # one is missing
        ([record(1)], [report(1), report(1)], TimeIsUpError),  # one came twice
        ([record(1), record(2)], [report(2), report(1)], SceneError),  # another order
        ([record(1), record(2)], [report(1), report(2, "another")], SceneError),
        ([record(1), record(2)], [report(1), report(2, mono=2.1)], SceneError),  # another time than the journal's
        ([record(1), record(3)], [report(1), report(3)], SceneError),  # the journal has a gap
        ([record(2), record(3)], [report(2), report(3)], SceneError),  # and at its beginning
    ],
)
def test_anything_else_is_none(count: Callable[..., World], records: Any, reports: Any, error: type[Exception]) -> None:
    world = count(records, reports)
    with pytest.raises(error):
        outage.proof(world)
    assert world.figures == []


@pytest.mark.parametrize(
    ("totals", "ok"),
    [
        ({"duplicates": {"h": 1}}, True),
        ({"complaints": [{"kind": "head_changed"}]}, True),
        ({"heads": {"h": {"seq": 2, "hash": "another"}}}, True),
        ({"heads": {"h": {"seq": 1, "hash": record(1)["hash"]}}}, True),  # the centre does not know the newest
        ({}, False),
    ],
)
def test_a_complaint_of_the_centre_or_a_broken_chain_is_a_failure(count: Callable[..., World], totals: Any, ok: bool) -> None:
    world = count([record(1), record(2)], [report(1), report(2)], totals=totals, ok=ok)
    with pytest.raises(SceneError):
        outage.proof(world)
    assert world.figures == []


# Small things


def test_a_fault_is_looked_for_on_its_own_till() -> None:
    fault = {"id": "printer.paper_end", "title": "Paper is out"}
    tills = [
        {"id": "pos-1", "can_take_money": "no", "devices": {"printer": {"faults": [fault]}, "reader": {"faults": []}}},
        {"id": "pos-2", "can_take_money": "yes", "devices": {"printer": {"faults": []}}},
    ]
    status = {"terminals": tills}
    assert known_fault(status, "pos-1", "printer.paper_end") == fault
    assert known_fault(status, "pos-2", "printer.paper_end") is None
    assert [can_take_money(status, till) for till in ("pos-1", "pos-2", "pos-3")] == ["no", "yes", "unknown"]


def test_what_happens_to_a_repository(tmp_path: Path) -> None:
    repository, thief, kept = tmp_path / "repository", tmp_path / "thief", tmp_path / "kept"
    for folder in (repository / "targets", thief / "metadata"):
        folder.mkdir(parents=True)
    archive = repository / "targets" / "0a.till-app-1.2.tar.gz"
    archive.write_bytes(bytes(9))
    flip_one_bit(repository, "1.2")
    assert sum(byte.bit_count() for byte in archive.read_bytes()) == 1
    take_over(repository, thief, kept)
    assert [path.name for path in repository.iterdir()] == ["metadata"]
    give_back(repository, kept)
    assert [path.name for path in repository.iterdir()] == ["targets"]
    assert not kept.exists()


def test_the_health_check_of_the_broken_release_fails(world: World, tmp_path: Path) -> None:
    for version, good in (("1.1", True), ("1.3", False)):
        write_app(tmp_path / version, version, good=good)
        world.cast.programs = tmp_path / version / "bin"
        if good:
            assert world.cast.command("health") == ""
        else:
            with pytest.raises(ProgramError, match="exit 1: no price list"):
                world.cast.command("health")


def test_chinese_is_chinese(world: World) -> None:
    world.words = Words(ZH)
    world.begin("paper")
    assert "pos-1 打印纸用完" in shown(world)
