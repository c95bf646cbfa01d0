"""pcscd with Debian's libccid drives the simulated reader (facts/devices.md 2.4): a peer with no code of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.pytest_plugin import SimulatedTerminal
from tests.peers.pcsc_client import EMPTY, PRESENT, Pcsc, PcscError
from tests.peers.pcscd_daemon import WITHIN, alone, connected, missing, running

ATR = "3b 07 50 4f 53 53 49 4d 31"
UNPOWERED_CARD = 0x80100067
"""SCARD_W_UNPOWERED_CARD: what pcsc-lite says of a card that gave no ATR at any voltage."""

pytestmark = pytest.mark.peer


@pytest.fixture
def till(terminals: Callable[..., SimulatedTerminal]) -> Iterator[SimulatedTerminal]:
    with alone():
        reason = missing()
        if reason:
            pytest.skip(reason)
        yield terminals(printer="none")


@pytest.fixture
def pcsc(till: SimulatedTerminal, tmp_path: Path) -> Iterator[Pcsc]:
    with running(str(till.reader_path), tmp_path) as daemon, connected(daemon) as context:
        yield context


def test_card_is_found_powered_and_spoken_to(till: SimulatedTerminal, pcsc: Pcsc) -> None:
    (reader,) = pcsc.readers()
    assert reader == "GemPCTwin sim 00 00"
    pcsc.wait(reader, EMPTY, WITHIN)
    till.set("reader.card", "ok")
    _, atr = pcsc.wait(reader, PRESENT, WITHIN)
    assert atr.hex(" ") == ATR
    card = pcsc.connect(reader)
    assert card.transmit("00 A4 04 00 02 3F 00") == "61 07"
    assert card.transmit("00 C0 00 00 07") == "6f 05 84 03 53 49 4d 90 00"
    assert len(card.transmit("00 84 00 00 08")) == len("00 " * 10) - 1
    assert card.transmit("00 EE 00 00 00") == "6d 00"
    card.disconnect()
    truth = till.show()["reader"]
    assert truth["apdus"] == 4
    assert truth["power_ons"] >= 1
    till.set("reader.card", "none")
    pcsc.wait(reader, EMPTY, WITHIN)


def test_a_mute_card_is_present_and_cannot_be_connected(till: SimulatedTerminal, pcsc: Pcsc) -> None:
    (reader,) = pcsc.readers()
    till.set("reader.card", "mute")
    pcsc.wait(reader, PRESENT, WITHIN)
    with pytest.raises(PcscError) as caught:
        pcsc.connect(reader)
    assert caught.value.code == UNPOWERED_CARD
    till.set("reader.card", "none")
    pcsc.wait(reader, EMPTY, WITHIN)
    till.set("reader.card", "ok")
    _, atr = pcsc.wait(reader, PRESENT, WITHIN)
    assert atr.hex(" ") == ATR
