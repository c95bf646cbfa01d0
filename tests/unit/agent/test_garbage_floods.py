"""A line that floods us with bytes holds a look-alike of every answer: nothing is made up of it, neither fault nor speed."""

import random

import pytest

from agent.health.device import DeviceHealth
from agent.health.readings import Moment
from agent.observations import LinkChanged, LinkState, Write
from agent.ports.watch import Watch
from protocols.catalogue import find

ANSWER_ALL_IS_WELL = b"\x16"
"""a true answer to DLE EOT 1: on-line (devices.md 1.2)"""
SWEEP_COVER_OPEN = bytes.fromhex("1E 36 12 12")
"""true answers to DLE EOT 1 to 4: off-line, cover open (devices.md 1.2)"""
NOISE = b"\xff\x83\x91"
"""bytes that fit nothing"""


class FloodedLine:
    """A watch and a model of a device, and what the line gives them; one step is a twentieth of a second."""

    def __init__(self, kind: str, name: str) -> None:
        protocol = find(kind, name)
        self.watch = Watch(protocol)
        self.health = DeviceHealth(kind, protocol.silent_fault, lambda: "incident")
        self.now = 100.0
        self.faults: set[str] = set()
        self.links: set[LinkState] = set()
        self.watch.opened(self.now)

    def asked(self) -> list[bytes]:
        return [effect.data for effect in self.watch.take_effects() if isinstance(effect, Write)]

    def step(self, data: bytes) -> None:
        self.now += 0.05
        if data:
            self.watch.receive(data, self.now)
        self.watch.timer(self.now)
        for seen in self.watch.take_observations():
            if isinstance(seen, LinkChanged):
                self.links.add(seen.state)
            self.health.apply(seen, Moment(self.now, "t"))
            self.faults |= {fault.id for fault in self.health.faults()}
        self.health.tick(Moment(self.now, "t"))
        self.faults |= {fault.id for fault in self.health.faults()}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("kind", "name"), [("printer", "escpos"), ("reader", "ccid")])
def test_random_bytes_are_the_lines_fault_alone(kind: str, name: str, seed: int) -> None:
    line, choose = FloodedLine(kind, name), random.Random(seed)
    for _ in range(240):
        line.asked()
        line.step(choose.randbytes(400))
    assert line.faults in ({"link.noise"}, {"reader.bad_checksum"})
    assert LinkState.BAUD_MISMATCH not in line.links


def test_a_look_alike_at_the_head_of_each_burst_proves_no_speed() -> None:
    """Each probe is "answered" at once, before the garbage behind it can spoil it: three in a row are no proof then."""
    line = FloodedLine("printer", "escpos")
    line.asked()
    for _ in range(60):  # silent at the configured speed, so that the search begins
        line.step(b"")
        if line.watch.stage == "sweeping":
            break
    assert line.watch.stage == "sweeping"
    for _ in range(200):
        line.step(ANSWER_ALL_IS_WELL + NOISE if line.asked() else b"")
        if line.watch.stage != "sweeping":
            break
    assert line.watch.stage == "silent"
    assert LinkState.BAUD_MISMATCH not in line.links


def test_a_noisy_line_raises_no_fault_of_the_device_and_a_clean_one_does() -> None:
    """The same two consistent samples: believed on a clean line, not between garbage."""
    for noise, expected in ((b"", {"printer.cover_open"}), (NOISE, {"link.noise"})):
        line = FloodedLine("printer", "escpos")
        for _ in range(200):
            line.step(noise)
            for wire in line.asked():
                answer = {
                    bytes.fromhex("10 04 01"): SWEEP_COVER_OPEN[:1],
                    bytes.fromhex("10 04 01 10 04 02 10 04 03 10 04 04"): SWEEP_COVER_OPEN,
                }
                line.step(answer.get(wire, b""))
        assert line.faults == expected
