from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.journal import Journal

Opener = Callable[..., Journal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal.sqlite"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journal_at(clock: ManualClock) -> Iterator[Opener]:
    """Opens journals that are closed at the end of the test."""
    opened: list[Journal] = []

    def open_it(path: Path, **settings: object) -> Journal:
        journal = Journal(path, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono, **settings)  # type: ignore[arg-type]
        opened.append(journal)
        return journal

    yield open_it
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(path: Path, journal_at: Opener) -> Journal:
    return journal_at(path)
