"""Updates with no daemon: the same house and the same engine, for as long as a command needs them, under the owner's lock."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.clock import Clock
from agent.config.model import Config
from agent.house import House
from agent.journal import Journal
from agent.lock import OwnerLock
from agent.memory import Memory
from agent.observations import LinkState
from agent.paths import Paths
from agent.ports.port import PortOpener
from agent.updating import Updating

SETTLE_S = 8.0
STEP_S = 0.05
OWNER_LIMIT_S = 5.0


@contextmanager
def updating_alone(config: Config, paths: Paths, clock: Clock, opener: PortOpener, *, devices: bool) -> Iterator[Updating]:
    """The update side of a daemon that lives for one command. Raises NotAvailable (another owner), ConfigError, AgentError.

    ``devices`` opens the ports as well: what an update must not silence has to be seen before and after it.
    """
    lock = OwnerLock(paths.lock)
    lock.take()
    try:
        journal = Journal(paths.journal, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
        try:
            remembered = Memory(paths.statistics).load()
            house = House(config, journal.append_all, clock, opener=opener, remembered=remembered)
            updating = Updating(config, paths, clock, house.owner, journal)
            if not devices:
                yield updating
                return
            house.start(own_thread=True)
            try:
                _settle(house, clock)
                updating.start(watch=False)
                yield updating
            finally:
                updating.stop()
                house.stop()
        finally:
            journal.close()
    finally:
        lock.release()


def _settle(house: House, clock: Clock) -> None:
    """Wait until every line has shown what it is: up, silent, or not to be opened."""
    pause, end = threading.Event(), clock.mono() + SETTLE_S
    while clock.mono() < end:
        asked = house.owner.inbox.ask(lambda: [d.health.link for till in house.tills for d in till.devices.values()])
        if LinkState.CONNECTING not in asked.result(OWNER_LIMIT_S):
            return
        pause.wait(STEP_S)
