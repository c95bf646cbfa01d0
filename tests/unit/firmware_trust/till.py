"""A service centre and a till for the tests of trust: real repositories on disk, served by a loopback web server."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from firmware.floor import Floor
from firmware.manifest import Manifest
from firmware.release.choices import DEFAULT_OPTIONS, Options
from firmware.release.repository import Repository
from firmware.transport import Transport
from firmware.trust import Trust

from .conftest import Web

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Scene:
    """``repo`` is what the centre signs, ``web`` serves its folder, ``state`` is the till's own."""

    tmp: Path
    web: Web
    transport: Transport
    root: bytes = b""
    repo: Repository = field(init=False)

    def __post_init__(self) -> None:
        self.repo = self.centre("centre")
        self.root = self.repo.root_bytes
        self.serve(self.repo.folder)

    @property
    def state(self) -> Path:
        return self.tmp / "state"

    def centre(self, name: str, threshold: int = 2, holders: int = 3) -> Repository:
        return Repository.create(self.tmp / name, self.tmp / f"{name}-keys", threshold, holders, now=NOW)

    def serve(self, folder: Path) -> None:
        self.web.folder = folder

    def release(self, version: str, text: str = "app", options: Options = DEFAULT_OPTIONS, now: datetime = NOW) -> Manifest:
        app = self.tmp / "app"
        (app / "bin").mkdir(parents=True, exist_ok=True)
        (app / "bin" / "app").write_text(f"{text} {version}\n")
        manifest = self.repo.add_release("till-app", version, app, options=options, now=now).manifest
        self.repo.publish(now)
        return manifest

    def backup(self) -> Path:
        """A copy of the repository as it is now, for a replay later."""
        return Path(shutil.copytree(self.repo.folder, self.tmp / f"backup-{len(list(self.tmp.iterdir()))}"))

    def floor(self) -> Floor:
        return Floor(self.tmp / "floor")

    def trust(self, now: datetime = NOW, root: bytes | None = None) -> Trust:
        """A till that starts anew: only what is on its disk counts."""
        return Trust(
            self.state, root or self.root, f"{self.web.url}/metadata", self.transport, self.floor(), now,
            targets_url=f"{self.web.url}/targets",
        )  # fmt: skip

    def edit(self, path: str, old: bytes, new: bytes) -> None:
        """Change bytes of a file that is served; fails if they are not there."""
        file = (self.web.folder or self.tmp) / path
        raw = file.read_bytes()
        assert old in raw
        file.write_bytes(raw.replace(old, new, 1))


DAY = timedelta(days=1)
