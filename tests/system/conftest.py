"""Hosts under test; whatever they started ends with the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import Host
from tests.system.releases import Releases

MakeHost = Callable[..., Host]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[MakeHost]:
    """A factory of hosts: `hosts(name)`."""
    with ExitStack() as running:

        def make(name: str = "root") -> Host:
            host = Host(tmp_path / name)
            running.callback(host.stop_all)
            return host

        yield make


@pytest.fixture
def host(hosts: MakeHost) -> Host:
    """One host, not configured yet."""
    return hosts()


@pytest.fixture
def releases(service_center: Any, tmp_path: Path) -> Releases:
    """A signed, empty repository in the folder that the service centre serves."""
    made = Releases(service_center, tmp_path / "center-1")
    made.folder.mkdir(exist_ok=True)
    made.init()
    return made
