"""One package for all of these tests: built once, loosely packed, from a copy, for the work tree may change meanwhile."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.building import build, copied
from tests.packaging.privateroot import PrivateRoot, private_root


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="session")
def package(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source, tmp_path_factory.mktemp("out"), "--quick")


@pytest.fixture(scope="session")
def newer(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source, tmp_path_factory.mktemp("newer"), "--version", "99.1", "--quick")


@pytest.fixture
def root() -> Iterator[PrivateRoot]:
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(private_root())
        except OSError as error:
            pytest.skip(str(error))
        yield made
