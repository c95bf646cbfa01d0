"""Bad input at the full speed of the line: bounded memory, no fault of the printer, and at work again within two seconds.

Bytes come as a UART at 115200 baud gives them, 576 in each twentieth of a second, on top of whatever the printer says. In memory,
under the virtual clock; ``make long`` floods for a whole hour.
"""

import random
from collections.abc import Callable, Iterator

import pytest

from agent.observations import LinkState
from protocols.events import Status
from tests.property.test_serial_protocols import held
from tests.unit.agent.counter import Counter

STEP_S = 0.05
AT_ONCE = 576
"""11,520 bytes a second."""
GROWTH = 20_000
"""Bytes by which the watch may be larger in a flood than before."""
RECOVERED_S = 2.0

Flood = Callable[[random.Random], bytes]


def repeated(pattern: str) -> Flood:
    data = bytes.fromhex(pattern) * AT_ONCE
    return lambda _: data[:AT_ONCE]


FLOODS: dict[str, Flood] = {
    "random bytes": lambda choose: choose.randbytes(AT_ONCE),
    "a block that never ends": repeated("5F 41 42 43"),
    "headers alone": repeated("5F"),
    "blocks cut off": repeated("5F 45 50 53 FF"),
    "counters cut off": repeated("5F 31 32 33 80"),
    "automatic status cut off": repeated("10 00 80"),
    "a storm of automatic status": repeated("10 00 00 0F"),
    "XOFF and XON in turn": repeated("13 11"),
    "answers to everything": repeated("12"),
    "bytes of a wrong speed": repeated("FF 80 F8 00"),
}


def flooded(counter: Counter, flood: Flood, seconds: float, seed: int) -> Iterator[int]:
    """Let it come for so long; gives what the watch holds, now and then."""
    choose = random.Random(seed)
    for step in range(int(seconds / STEP_S)):
        counter.station.line.send(flood(choose))
        counter._turn(counter.clock.now)
        counter.run(STEP_S)
        if step % 200 == 0:
            yield held(counter.watch)


def at_work(counter: Counter) -> bool:
    """The line is up and the printer has been asked and has answered, in the last turn."""
    return counter.health.link is LinkState.UP and counter.health.readings.value("online") == "yes"


def recovers(counter: Counter) -> None:
    """Within two seconds of the line becoming clean a status is heard again; the line's fault goes when it has been quiet."""
    begun = counter.clock.now
    asked = counter.terminal.show()["printer"]["bytes_in"]
    counter.until(lambda: at_work(counter) and counter.terminal.show()["printer"]["bytes_in"] > asked, RECOVERED_S)
    counter.run(max(0.0, RECOVERED_S - (counter.clock.now - begun)))
    assert at_work(counter)
    counter.set("cover", "open")
    counter.until(lambda: counter.health.readings.value("cover") == "open", RECOVERED_S)
    counter.set("cover", "closed")
    counter.until(lambda: counter.faults() == [], 90)


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("speed", ["115200", "the line found another"])
def test_a_flood_costs_nothing_but_the_line(name: str, speed: str) -> None:
    counter = Counter(baud=115200 if speed == "115200" else 9600, agent_baud=115200)
    counter.run(10)
    before = held(counter.watch)
    sizes = list(flooded(counter, FLOODS[name], 15, 7))
    assert max(sizes) < before + GROWTH
    assert not [fault for _, fault in counter.raised() if not fault.startswith("link.")]
    if speed == "115200":
        recovers(counter)


@pytest.mark.parametrize("seed", range(3))
def test_one_bit_in_a_hundred(seed: int) -> None:
    counter = Counter(seed=seed)
    counter.run(10)
    counter.set("noise", str(1 - 0.99**8))
    counter.run(200)
    assert not [fault for _, fault in counter.raised() if not fault.startswith("link.")]
    assert [one for at, one in counter.seen if at > 110 and isinstance(one, Status)], "it is heard all the same, now and then"
    counter.set("noise", "0")
    counter.until(lambda: at_work(counter), RECOVERED_S)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_hour_of_random_bytes() -> None:
    counter = Counter()
    counter.run(10)
    before = held(counter.watch)
    assert max(flooded(counter, FLOODS["random bytes"], 3600, 1)) < before + GROWTH
    assert not [fault for _, fault in counter.raised() if not fault.startswith("link.")]
    recovers(counter)
