"""A self-test with no daemon: the same house, for as long as it takes. It holds the owner's lock meanwhile."""

import threading
from collections.abc import Callable, Mapping

from agent.clock import Clock
from agent.config.model import Config
from agent.documents import Doc, selftest_document
from agent.hostwatch import HostWatch
from agent.house import House
from agent.journal import Journal
from agent.lock import OwnerLock
from agent.memory import Memory
from agent.observations import LinkState
from agent.paths import Paths
from agent.ports.port import PortOpener
from agent.selftest import SelfTest
from agent.supervisor import slip_lines
from agent.swipecheck import SwipeCheck

SETTLE_S = 8.0
STEP_S = 0.05
OWNER_LIMIT_S = 5.0


CardOf = Callable[[str], Mapping[str, str]]
SwipeOf = Callable[[str], Doc]
PrintSeen = Callable[[str], object]
Person = Callable[[Doc, CardOf, SwipeOf, PrintSeen], Doc]
"""Adds what a person at the till answers, while the lines are still open."""


def run_selftest(config: Config, paths: Paths, clock: Clock, opener: PortOpener, level: str, person: Person | None = None) -> Doc:
    """The document of the contract. Raises NotAvailable (another owner), ConfigError, AgentError."""
    lock = OwnerLock(paths.lock)
    lock.take()
    try:
        journal = Journal(paths.journal, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
        try:
            return _test(config, paths, clock, opener, level, journal, person)
        finally:
            journal.close()
    finally:
        lock.release()


def _test(
    config: Config, paths: Paths, clock: Clock, opener: PortOpener, level: str, journal: Journal, person: Person | None
) -> Doc:
    house = House(
        config,
        journal.append_all,
        clock,
        opener=opener,
        remembered=Memory(paths.statistics).load(),
    )
    hosts = HostWatch(config, paths, clock, house.owner)
    house.start(own_thread=True)
    try:
        _settle(house, clock)
        test = SelfTest(
            house.owner, house.pumps, hosts.run, clock.mono, lambda s: slip_lines(s, clock), house.borrowed, house.pcsc
        )
        document = selftest_document(level, test.run(level))
        if person is not None:
            document = person(document, test.check_card, SwipeCheck(house, clock.mono).run, house.print_seen)
            Memory(paths.statistics).store(house.remember(exact=True))
        journal.append("selftest.done", "info", "host", {"level": level, "result": document["result"]})
        return document
    finally:
        house.stop()


def _settle(house: House, clock: Clock) -> None:
    """Wait until every line has shown what it is: up, silent, or not to be opened."""

    pause = threading.Event()
    end = clock.mono() + SETTLE_S
    while clock.mono() < end:
        links = house.owner.inbox.ask(lambda: [d.health.link for t in house.tills for d in t.devices.values()]).result(
            OWNER_LIMIT_S
        )
        if LinkState.CONNECTING not in links:
            return
        pause.wait(STEP_S)
