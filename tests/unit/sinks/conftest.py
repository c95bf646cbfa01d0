from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.journal import Journal


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journal(tmp_path: Path, clock: ManualClock) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite", boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    yield journal
    journal.close()
