"""From the first byte that the server sends to a durable, verified release: ours, Mender's, RAUC's, and the floor.

All fetch from the same server, one after the other in turns, each time onto an empty place after a sync(2). Ours is the
product's engine with its real effects and worker processes; the clock stops when it asks its gate whether the till is idle:
by then the release is whole, verified, durable, and the state says so. The others' clock stops when their program ends.
"""

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from firmware.child import Child
from firmware.effects import ComponentSettings, MachineEffects, Settings
from firmware.engine import Deployment, Engine, GateAnswer, UpdateRecord, Wanted
from firmware.release.choices import Options
from firmware.release.repository import Repository
from firmware.state import StateFile
from firmware.unpack import sync_tree
from tests.benchmarks import trees, updaters, volume
from tests.benchmarks.web import Web, web

COMPONENT, VERSION = "subject", "1.0"
VOLUME_BYTES = 2 << 30
_PIECE = 1 << 18
_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is measured: bytes of the one file, files of the tree, how often; whether beside the other updaters, and the tree on
    a file system of its own."""

    file_bytes: int = 200 << 20
    tree_files: int = 5000
    runs: int = 7
    peers: bool = True
    volume: bool = True


@dataclass(slots=True)
class Column:
    """One subject: seconds of each run, or why there are none. ``imports``: of those seconds, a worker's start and imports."""

    seconds: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def apart(self) -> list[float]:
        """The seconds without the imports."""
        return [whole - part for whole, part in zip(self.seconds, self.imports, strict=True)] if self.imports else self.seconds


@dataclass(frozen=True, slots=True)
class Installing:
    """``file`` and ``tree``: name of the subject to its column, in the same order of runs."""

    sizes: Sizes
    tree_bytes: int
    archive_bytes: int
    file: dict[str, Column]
    tree: dict[str, Column]
    aged: str
    """why the tree had no fresh file system of its own; empty when it had one"""


Subject = Callable[[], tuple[float, float]]
"""Installs once from nothing; gives its seconds and, of them, those of a worker's imports."""


def measure(folder: Path, sizes: Sizes, said: Callable[[str], object] = lambda _line: None) -> Installing:
    """Build what is to be installed below ``folder``, and install it again and again."""
    served = folder / "served"
    served.mkdir(parents=True)
    file = trees.one_file(served / "subject.bin", sizes.file_bytes)
    tree = trees.tree(folder / "tree", sizes.tree_files)
    with tarfile.open(served / "subject.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(tree, ".")
    packed = _publish(folder, file, tree)
    with web(served) as server:
        with ExitStack() as running:
            place = folder / "place"
            files: dict[str, Subject | str] = {
                "floor": lambda: _floor_file(place, server),
                "posagent": Ours(place, folder / "root.json", server, "file").install,
            }
            if sizes.peers:
                files["mender"] = updaters.mender_file(running, folder, place, file, server)
                files["rauc"] = updaters.rauc(running, folder, file, server)
            files_found = _rounds(files, place, server, sizes.runs, said)
        fresh, aged = folder / "volume" / "place", "not asked for"
        with ExitStack() as running:
            if sizes.volume:
                aged = volume.mounted(folder / "volume.ext4", folder / "volume", VOLUME_BYTES)
                running.callback(volume.unmount, folder / "volume")
            fresh.parent.mkdir(exist_ok=True)
            many: dict[str, Subject | str] = {
                "floor": lambda: _floor_tree(fresh, server),
                "posagent": Ours(fresh, folder / "root.json", server, "tree").install,
            }
            if sizes.peers:
                many["mender"] = updaters.mender_tree(running, folder, fresh, tree, server)
                many["mender, then syncfs"] = updaters.mender_tree(running, folder, fresh, tree, server, synced=True)
            tree_found = _rounds(many, fresh, server, sizes.runs, said)
    return Installing(sizes, trees.contents(tree)[1], packed, files_found, tree_found, aged)


def _publish(folder: Path, file: Path, tree: Path) -> int:
    """A signed repository with both; how many bytes the packed tree has."""
    now = datetime.now(UTC)
    center = Repository.create(folder / "served" / "center", folder / "keys", now=now)
    center.add_release("file", VERSION, file, options=Options(archive=".file", handler="single_file"), now=now)
    center.add_release("tree", VERSION, tree, options=Options(archive=".tar.gz"), now=now)
    center.publish(now)
    (folder / "root.json").write_bytes(center.root_bytes)
    return next((folder / "served" / "center" / "targets").glob("*.tree-*.tar.gz")).stat().st_size


def _rounds(
    subjects: dict[str, Subject | str], place: Path, server: Web, runs: int, said: Callable[[str], object]
) -> dict[str, Column]:
    columns = {name: Column(missing=one if isinstance(one, str) else "") for name, one in subjects.items()}
    present = [(name, one) for name, one in subjects.items() if not isinstance(one, str)]
    for number in range(runs + 1):
        for name, one in random.sample(present, len(present)):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            server.forget()
            os.sync()
            seconds, imports = one()
            said(f"{number}/{runs} {name}: {seconds:.3f} s")
            if number:  # the first round warms up
                columns[name].seconds.append(seconds)
                if imports:
                    columns[name].imports.append(imports)
    shutil.rmtree(place, ignore_errors=True)
    return columns


# -- ours -------------------------------------------------------------------------------------------------------------


class _TimedChild(Child):
    """Notes when a worker was started; the worker notes when it had imported everything."""

    def __init__(self, note: Path) -> None:
        script = Path(__file__).with_name("timed_worker.py")
        super().__init__((sys.executable, "-P", str(script), str(note)))
        self.started: dict[str, float] = {}

    def _start(self, verb: str) -> "subprocess.Popen[bytes]":
        self.started[verb] = time.monotonic()
        return super()._start(verb)


class Ours:
    """The engine, its effects and its workers."""

    def __init__(self, place: Path, root: Path, server: Web, component: str) -> None:
        self._place, self._server, self._component = place, server, component
        self._ending = f"{component}-{VERSION}" + (".file" if component == "file" else ".tar.gz")
        handler = "single_file" if component == "file" else "app_slots"
        self._settings = Settings(
            state_dir=place,
            metadata_url=f"{server.url}/center/metadata",
            targets_url=f"{server.url}/center/targets",
            trusted_root=root,
            components={component: ComponentSettings(handler)},
            host={"labels": [], "terminals": ["pos-1"], "hardware": []},
        )
        self._ready: list[float] = []
        self.records: list[UpdateRecord] = []

    def install(self) -> tuple[float, float]:
        """Once, up to the gate. The state folder must be empty."""
        note, self._ready, self.records = self._place / "imports.note", [], []
        child = _TimedChild(note)
        effects = MachineEffects(
            self._settings,
            gate=self._gate,
            device_health=dict,
            wall=lambda: datetime.now(UTC).isoformat(),
            child=child,
        )
        engine = Engine(StateFile(self._place / "deployment.json"), effects, self.records.append, time.monotonic)
        engine.resume()
        engine.request(Deployment("bench", "", (Wanted(self._component, VERSION),)))
        end = time.monotonic() + _LIMIT_S
        while not self._ready:
            wait_s = engine.step()
            if wait_s is None or time.monotonic() > end:
                raise RuntimeError(f"it was not installed: {self.records}")
        imported = {said["verb"]: said["ready"] for said in map(json.loads, note.read_text().splitlines())}
        return self._ready[0] - self._server.first_byte(self._ending), imported["stage"] - child.started["stage"]

    def _gate(self, _deployment: Deployment) -> GateAnswer:
        self._ready.append(time.monotonic())
        return GateAnswer(open=False, waiting_for="idle")


# -- floors: one process, nothing but what must be done ---------------------------------------------------------------


@contextmanager
def _body(server: Web, name: str) -> Iterator[socket.socket]:
    """A socket at the first byte of the body."""
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"GET /{name} HTTP/1.0\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += line.recv(1)
        yield line


def _floor_file(place: Path, server: Web) -> tuple[float, float]:
    _receive(place / "subject.bin", server, "subject.bin")
    _sync_folder(place)
    return time.monotonic() - server.first_byte("subject.bin"), 0.0


def _receive(path: Path, server: Web, name: str) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_PIECE))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with _body(server, name) as line:
        while count := line.recv_into(buffer):
            digest.update(buffer[:count])
            os.write(descriptor, buffer[:count])
    os.fsync(descriptor)
    os.close(descriptor)
    return digest.hexdigest()


def _floor_tree(place: Path, server: Web) -> tuple[float, float]:
    """The plain tar is received, hashed and synced; its files are made, and one syncfs makes them durable, as ours does."""
    _receive(place / "subject.tar", server, "subject.tar")
    _sync_folder(place)
    _make_files(place)
    sync_tree(place)
    return time.monotonic() - server.first_byte("subject.tar"), 0.0


def _make_files(place: Path) -> None:
    """ustar's headers are looked at no more closely than they must be."""
    with (place / "subject.tar").open("rb") as tar:
        while (block := tar.read(512)).strip(b"\0"):
            name, size = block[:100].rstrip(b"\0").decode(), int(block[124:135], 8)
            if block[156:157] == b"5":
                (place / "tree" / name).mkdir(exist_ok=True, parents=True)
                continue
            content = tar.read(size + -size % 512)[:size]
            descriptor = os.open(place / "tree" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(descriptor, content)
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
