"""The maintenance window, and what the gate lets override it."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from agent.clock import ManualClock
from agent.gate import Gate
from agent.notice import Notices
from agent.owner import Owner
from agent.window import JITTER_MAX_S, Window
from firmware.state import Deployment, Wanted

NIGHT = Window.parse("22:00-06:00")


def local(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}")


@pytest.mark.parametrize("words", ["", "22-6", "24:00-06:00", "22:60-06:00", "22:00", "06:00-06:00", "22:00-06:00x"])
def test_what_is_no_window(words: str) -> None:
    with pytest.raises(ValueError, match="window"):
        Window.parse(words)


@pytest.mark.parametrize(
    ("window", "time", "is_open"),
    [
        (NIGHT, "21:59:59", False),
        (NIGHT, "22:30:00", True),
        (NIGHT, "00:00:00", True),
        (NIGHT, "05:59:59", True),
        (NIGHT, "06:00:00", False),
        (NIGHT, "12:00:00", False),
        (Window.parse("09:00 - 10:00"), "09:15:00", True),
        (Window.parse("09:00 - 10:00"), "10:00:00", False),
        (Window.parse("09:00 - 10:00"), "08:59:59", False),
    ],
)
def test_open_and_shut(window: Window, time: str, is_open: bool) -> None:
    assert window.is_open(local(time), "pos-1") is is_open


def test_tills_begin_at_different_moments_of_a_night_and_every_night_at_others() -> None:
    delays = [NIGHT.delay_s(f"pos-{number}", "2026-03-01") for number in range(500)]
    assert 0 <= min(delays) < 60
    assert JITTER_MAX_S - 60 < max(delays) < JITTER_MAX_S
    assert len(set(delays)) > 300
    assert len({NIGHT.delay_s("pos-1", f"2026-03-{day:02}") for day in range(1, 29)}) > 20
    opened = local("22:00:00") + timedelta(seconds=NIGHT.delay_s("pos-1", "2026-03-01"))
    assert NIGHT.is_open(opened, "pos-1")
    assert not NIGHT.is_open(opened - timedelta(seconds=1), "pos-1")
    assert NIGHT.is_open(local("00:00:01"), "pos-1"), "after midnight it is still the same night"
    assert str(NIGHT) == "22:00-06:00"


class Empty:
    """An owner without tills."""

    tills = ()

    @property
    def inbox(self) -> Any:
        return self

    def ask(self, _work: object) -> Any:
        return self

    def result(self, _limit_s: float) -> list[object]:
        return []


@pytest.mark.parametrize(
    ("deployment", "held", "waits_for"),
    [
        ({}, "", "window"),
        ({"forced": True}, "", ""),
        ({"deadline": "2026-01-01T00:00:00Z"}, "", ""),
        ({"deadline": "2026-01-01T00:00:01Z"}, "", "window"),
        ({"person": True}, "", ""),
        ({"forced": True}, "2026-01-02T00:00:00Z", "hold until 2026-01-02T00:00:00Z"),
        ({"person": True}, "2026-01-02T00:00:00Z", "hold until 2026-01-02T00:00:00Z"),
    ],
)
def test_force_a_deadline_and_a_person_do_not_wait_for_it_but_a_hold_stops_all(
    deployment: dict[str, Any], held: str, waits_for: str
) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    now = clock.wall().astimezone()
    shut = Window(now.hour * 3600 + 7200, now.hour * 3600 + 10800)
    gate = Gate(
        cast("Owner", Empty()), idle_s=3, idle_check=(), now=clock.mono, wall=clock.wall, hold=lambda _longest_s: held,
        notices=Notices((), 0.0, "en", clock.mono, lambda _body: None),
        window=Window(shut.start % 86400, shut.end % 86400), host="pos-1",
    )  # fmt: skip
    answer = gate(Deployment("d", "1", (Wanted("app", "1"),), **deployment))
    assert answer.open is not bool(waits_for)
    assert answer.waiting_for.startswith(waits_for)
