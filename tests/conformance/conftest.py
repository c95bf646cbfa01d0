"""One client folder and one hostile-able centre for each test, met over loopback HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.centre import NOW, Centre
from tests.conformance.tuf_client import local_name, main
from tests.unit.firmware_trust.conftest import Web, start_web


@dataclass
class Client:
    """The conformance program, called in this process at a time that the test chooses."""

    folder: Path
    web: Web
    now: datetime = NOW

    @property
    def metadata(self) -> Path:
        return self.folder / "metadata"

    @property
    def targets(self) -> Path:
        return self.folder / "targets"

    def init(self, root: bytes) -> int:
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "given-root.json"
        file.write_bytes(root)
        return main(["--metadata-dir", str(self.metadata), "init", str(file)], self.now)

    def refresh(self) -> int:
        return main(["--metadata-url", f"{self.web.url}/metadata", "--metadata-dir", str(self.metadata), "refresh"], self.now)

    def download(self, *names: str) -> int:
        words = ["--metadata-url", f"{self.web.url}/metadata", "--metadata-dir", str(self.metadata)]
        words += [word for name in names for word in ("--target-name", name)]
        words += ["--target-dir", str(self.targets), "--target-base-url", f"{self.web.url}/targets", "download"]
        return main(words, self.now)

    def got(self, name: str) -> bytes:
        return (self.targets / local_name(name)).read_bytes()

    def trusted(self, role: str) -> bytes:
        return (self.metadata / f"{role}.json").read_bytes()

    def versions(self) -> dict[str, int]:
        """Role → version of all that is trusted, as any reader of the folder would find it."""
        documents: dict[str, Any] = {path.stem: json.loads(path.read_bytes()) for path in self.metadata.glob("*.json")}
        return {role: document["signed"]["version"] for role, document in documents.items()}


@pytest.fixture
def web() -> Iterator[Web]:
    made, stop = start_web()
    yield made
    stop()


@pytest.fixture
def centre(tmp_path: Path, web: Web) -> Centre:
    made = Centre(tmp_path / "centre")
    web.folder = made.folder
    return made


@pytest.fixture
def client(tmp_path: Path, web: Web, centre: Centre) -> Client:
    made = Client(tmp_path / "client", web)
    assert made.init(centre.first_root) == 0
    return made
