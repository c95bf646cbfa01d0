"""A release for certain hardware while a device has not said who it is: patience within a bound, and never "fits"."""

from dataclasses import replace
from pathlib import Path

import pytest

from firmware.errors import ReleaseRefused
from firmware.work import HARDWARE_PERSON_S, HARDWARE_WAIT_S

from .fakes import Bench, FakeEffects, wanted

UNKNOWN = ReleaseRefused("pos-1/printer has not said its model", code="hardware_unknown")


def _bench(folder: Path, times: int) -> Bench:
    bench = Bench(folder, FakeEffects({"till-app": "1.0"}))
    bench.effects.trouble["verify"] = [UNKNOWN] * times
    return bench


def test_a_printer_that_is_switched_on_a_little_later_is_waited_for(tmp_path: Path) -> None:
    bench = _bench(tmp_path, 3)
    assert bench.engine.request(wanted())
    while bench.effects.calls.count("verify till-app") < 3:
        bench.clock += bench.engine.step() or 0.0
    shown = bench.engine.status()["deployment"]
    assert (shown["waiting_for"], shown["reason"]) == ("who the devices are", str(UNKNOWN))
    bench.run()
    assert bench.finals == ["committed"]


@pytest.mark.parametrize(("bundle", "bound_s"), [("", HARDWARE_WAIT_S), ("/media/stick/x.bundle", HARDWARE_PERSON_S)])
def test_unknown_for_too_long_is_refused_and_told(bundle: str, bound_s: float, tmp_path: Path) -> None:
    bench = _bench(tmp_path, 1000)
    begun = bench.clock
    assert bench.engine.request(replace(wanted(), bundle=bundle))
    bench.run()
    assert bench.finals == ["refused"]
    assert bench.journal[-1].code == "hardware_unknown"
    assert bound_s <= bench.clock - begun <= bound_s + 1
    assert bench.effects.pointer == {"till-app": "1.0"}


def test_it_can_be_canceled_meanwhile(tmp_path: Path) -> None:
    bench = _bench(tmp_path, 1000)
    assert bench.engine.request(wanted())
    for _ in range(5):
        bench.clock += bench.engine.step() or 0.0
    bench.engine.cancel("7")
    bench.run()
    assert bench.finals == ["canceled"]
