"""Never all tills of a gateway at once."""

from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.clock import ManualClock
from agent.config.load import load
from agent.config.mistakes import ConfigError
from agent.config.model import Component
from agent.gate import Gate
from agent.journal import Journal
from agent.notice import Notices
from agent.observations import LinkState
from agent.owner import Owner
from agent.paths import Paths
from agent.served import takes_all, tills_of
from agent.updating import Updating
from firmware.state import Deployment, Wanted
from protocols.center import ddi

TILLS = ("pos-1", "pos-2")
PARTS = {"app-1": Component(tills=("pos-1",)), "app-2": Component(tills=("pos-2",)), "prices": Component()}


@pytest.mark.parametrize(
    ("names", "touched", "all_at_once"),
    [
        (["app-1"], {"pos-1"}, False),
        (["app-1", "app-2"], set(TILLS), True),
        (["prices"], set(TILLS), False),
        (["app-1", "prices"], set(TILLS), False),
        (["app-1", "app-2", "prices"], set(TILLS), True),
        (["unheard-of"], set(TILLS), False),
    ],
)
def test_which_tills_are_touched(names: list[str], touched: set[str], all_at_once: bool) -> None:
    assert tills_of(names, PARTS, TILLS) == touched
    assert takes_all(names, PARTS, TILLS) is all_at_once


def test_one_till_alone_is_never_all_at_once() -> None:
    parts = {"a": Component(tills=("pos-1",)), "b": Component(tills=("pos-1",))}
    assert not takes_all(["a", "b"], parts, ("pos-1",))


def _till(name: str, active_at: float) -> Any:
    health = SimpleNamespace(kind="printer", link=LinkState.UP)
    printer = SimpleNamespace(config=SimpleNamespace(mode="owned"), health=health, last_active=active_at)
    return SimpleNamespace(id=name, subjects=lambda: [(f"{name}/printer", printer)])


def _gate(busy: str) -> Gate:
    clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    tills = [_till(name, clock.mono() if name == busy else clock.mono() - 60.0) for name in TILLS]

    def ask(look: Any) -> "Future[Any]":
        answer: Future[Any] = Future()
        answer.set_result(look())
        return answer

    return Gate(
        cast("Owner", SimpleNamespace(inbox=SimpleNamespace(ask=ask), tills=tills)),
        idle_s=3.0,
        idle_check=(),
        now=clock.mono,
        wall=clock.wall,
        hold=lambda _longest_s: "",
        notices=Notices((), 0.0, "en", clock.mono, lambda _body: None),
        touches=lambda wanted: tills_of([item.component for item in wanted.items], PARTS, TILLS),
    )


@pytest.mark.parametrize(("component", "opens"), [("app-1", True), ("app-2", False), ("prices", False)])
def test_only_the_tills_that_are_served_have_to_be_idle(component: str, opens: bool) -> None:
    answer = _gate(busy="pos-2")(Deployment("d", "7", (Wanted(component, "1"),)))
    assert answer.open is opens
    assert opens or "pos-2" in answer.waiting_for


CONFIG = """
[host]
id = "gateway"
[[terminal]]
id = "pos-1"
[[terminal]]
id = "pos-2"
[update]
metadata = "https://releases.example/metadata"
targets = "https://releases.example/targets"
trusted_root = "/etc/posagent/root.json"
[update.components.app-1]
tills = ["pos-1"]
[update.components.app-2]
tills = ["{second}"]
"""


def test_a_set_that_would_take_all_tills_is_refused(tmp_path: Path) -> None:
    path, clock = tmp_path / "agent.toml", ManualClock()
    path.write_text(CONFIG.format(second="pos-2"), encoding="utf-8")
    journal = Journal(tmp_path / "journal.sqlite", boot_id="b", wall=clock.rfc3339, mono=clock.mono)
    try:
        owner = cast("Owner", SimpleNamespace(inbox=SimpleNamespace(post=lambda _work: None)))
        updating = Updating(load(path), Paths(tmp_path), clock, owner, journal)
        chunks = tuple(ddi.Chunk("bApp", name, "1.1", (), {}) for name in ("app-1", "app-2"))
        assert updating.on_deployment(ddi.Deployment("7", "forced", "forced", None, chunks))
        journal.append("test.end", "info", "host", {}).wait(10)
        (refused,) = [record for record in journal.read(0, 10) if record.kind == "update.refused"]
        assert (refused.body["code"], refused.body["execution"], refused.body["finished"]) == ("all_tills", "closed", "failure")
    finally:
        journal.close()


def test_a_till_that_is_none_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(second="pos-3"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(mistake.key, mistake.code) for mistake in caught.value.mistakes] == [
        ("update.components.app-2.tills", "no_such_till")
    ]
