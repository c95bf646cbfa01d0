"""The benchmarks of a line and of a gateway work, small; their figures are for docs/benchmarks.md."""

from pathlib import Path

import pytest

from tests.benchmarks import classifier, gateway, line_report, roundtrip
from tests.benchmarks.classifier import Throughput
from tests.benchmarks.roundtrip import RoundTrips


def test_a_question_of_ours_and_a_bare_one_are_both_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roundtrip, "THEIRS", 1)
    found = roundtrip.measure(5)
    assert len(found.bare) == len(found.ours) == 5
    assert found.peer or found.peer_why
    assert len(line_report.trips_table(found).splitlines()) == 4 + bool(found.peer)


def test_every_stream_is_taken_whole_and_bytewise() -> None:
    rates = classifier.measure(4000, 1)
    assert len(rates) == len(classifier.streams(40))
    assert all(rate.whole > 0 < rate.bytewise for rate in rates)


def test_the_tables_say_what_is_met_and_what_is_missed() -> None:
    trips = line_report.trips_table(RoundTrips([0.001, 0.001], [0.002, 0.007], [1.0], ""))
    assert "2.0, 3: met" in trips
    assert "7.0, 5: missed" in trips
    rates = line_report.rates_table([Throughput("a", 31.0, 4.9)])
    assert rates.splitlines()[2].replace(" ", "") == "|a|31.0|met|4.9|missed|"


@pytest.mark.slow
def test_a_small_gateway_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "SETTLE_S", 0.1)
    found = gateway.measure(tmp_path, tills=2, seconds=0.5)
    assert (found.devices, len(found.delays.journal)) == (4, 20)
    tables = "\n".join(line_report.gateway(found))
    assert "4 devices on one daemon" in tables
