"""One stage per test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.enrolment.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, service_centers: Callable[..., Any]) -> Stage:
    """A host that is not enrolled, and a centre that asks for certificates."""
    folder = tmp_path / "host"
    folder.mkdir()
    return Stage(folder, service_centers(mutual=True))
