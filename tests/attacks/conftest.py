"""Every attack gets a till of its own, and must leave it able to be updated."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import unpack
from firmware.files import free_bytes

from .till import Till, copy_of, make_template
from .web import Web, start_web


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fsync: what survives a power cut is the subject of other tests."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(unpack, "_syncfs", lambda _descriptor: True)


@pytest.fixture(scope="session")
def quick_folder() -> Iterator[Path]:
    """In memory where there is such a place: a busy disk would triple the time of hundreds of tills."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and free_bytes(memory) > 64 << 20
    with tempfile.TemporaryDirectory(prefix="posagent-attacks-", dir=memory if roomy else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def template(quick_folder: Path) -> Path:
    web, stop = start_web()
    try:
        (quick_folder / "template").mkdir()
        return make_template(quick_folder / "template", web)
    finally:
        stop()


@pytest.fixture
def web() -> Iterator[Web]:
    made, stop = start_web()
    yield made
    stop()


@pytest.fixture
def other_web() -> Iterator[Web]:
    """The attacker's own host."""
    made, stop = start_web()
    yield made
    stop()


@pytest.fixture
def till(template: Path, web: Web, request: pytest.FixtureRequest) -> Iterator[Till]:
    folder = template.with_name("shop")
    made = Till(copy_of(template, folder), web)
    yield made
    shutil.rmtree(folder)
    assert made.recovered or request.node.get_closest_marker("xfail"), "an attack's test ends with an honest update"
