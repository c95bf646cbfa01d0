"""The service centre's side of an update, by its own tool, and what an attacker does to the published files."""

import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.harness import Done, Host, center_table, host_table, run

COMPONENT = "till-app"
HEALTHY, BROKEN = "exit 0", "echo no database; exit 1"


@dataclass
class Releases:
    """A signed repository in the folder that the centre serves; keys lie beside it, where no server sees them."""

    center: Any
    folder: Path

    @property
    def repo(self) -> Path:
        return self.folder / "repository"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def root(self) -> Path:
        return self.repo / "metadata" / "1.root.json"

    def tool(self, command: str, *words: object, code: int = 0) -> Done:
        done = run("posrelease", command, "--json", "--repo", self.repo, *words)
        assert done.code == code, done
        return done

    def init(self) -> None:
        self.tool("init", "--keys", self.keys, "--clear-keys")

    def app(self, version: str, health: str) -> Path:
        app = self.folder / f"app-{version}"
        (app / "bin").mkdir(parents=True)
        (app / "bin" / "health").write_text(f"#!/bin/sh\n{health}\n")
        (app / "bin" / "health").chmod(0o755)
        (app / "VERSION").write_text(version)
        return app

    def release(self, version: str, health: str = HEALTHY, component: str = COMPONENT, expires: str = "") -> None:
        """`posrelease add` and `publish`."""
        path = self.app(version, health) if component == COMPONENT else self._other(component, version)
        self.tool("add", "--keys", self.keys, "--component", component, "--version", version, path)
        self.publish(expires)

    def publish(self, expires: str = "") -> None:
        self.tool("publish", "--keys", self.keys, *(["--expires", expires] if expires else []))

    def _other(self, component: str, version: str) -> Path:
        path = self.folder / f"{component}-{version}"
        path.mkdir()
        (path / "VERSION").write_text(version)
        return path

    def push(self, version: str, component: str = COMPONENT, terminal: str = "pos-1", kind: str = "forced") -> int:
        """`posrelease push`; the number of the action."""
        who = ("--management", self.center.management, "--user", self.center.user, "--password", self.center.password)
        what = ("--component", component, "--version", version, "--terminal", terminal, "--type", kind)
        done = self.tool("push", *who, *what)
        return int(done.document["assigned"][0]["action"])

    # -- what a server that was broken into could serve -----------------------------------------------------------

    def snapshot(self) -> Path:
        """A copy of what is published now, to be replayed later."""
        copy = self.folder / f"old-{len(list(self.folder.glob('old-*')))}"
        shutil.copytree(self.repo, copy)
        return copy

    def serve_instead(self, other: Path) -> None:
        shutil.rmtree(self.repo)
        shutil.copytree(other, self.repo)

    def archive(self, version: str) -> Path:
        return next((self.repo / "targets").glob(f"*{COMPONENT}-{version}.tar.gz"))

    def change_a_byte(self, version: str) -> None:
        path = self.archive(version)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def elsewhere(self) -> "Releases":
        """A repository of the same shape under keys that no terminal trusts."""
        other = Releases(self.center, self.folder / "elsewhere")
        other.folder.mkdir()
        other.init()
        return other

    def climbing_member(self, version: str, outside: str) -> None:
        """A signed release whose archive names a file outside its folder: what a hijacked build could hand in."""
        packed = self.folder / "hijacked.tar.gz"
        with tarfile.open(packed, "w:gz") as tar:
            for name, content in (("bin/health", b"#!/bin/sh\nexit 0\n"), (outside, b"gotcha")):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
        self.tool("add", "--keys", self.keys, "--component", COMPONENT, "--version", version, packed)
        self.publish()


def configure(
    host: Host,
    center: Any,
    releases: Releases,
    *tills: str,
    probation_s: float = 0.5,
    idle_s: float = 0.0,
    more: str = "",
) -> None:
    """A host that takes `till-app` from this centre; its trusted root came with the installation."""
    (host.etc / "root.json").write_bytes(releases.root.read_bytes())
    update = (
        f'[update]\nmetadata = "{center.metadata}"\ntargets = "{center.targets}"\ntrusted_root = "root.json"\n'
        f"probation_s = {probation_s}\nidle_s = {idle_s}\n"
        f'components = {{ {COMPONENT} = {{ handler = "app_slots", health_check = ["bin/health"] }} }}\n'
    )
    host.configure(host_table() + "".join(tills) + center_table(center) + update + more)
