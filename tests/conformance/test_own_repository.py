"""The conformance program as a process of its own, on a repository that posrelease made, as `init`, `refresh`, `download`."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware.release import cli
from tests.conformance.conftest import Client
from tests.unit.firmware_trust.conftest import Web

TOP = Path(__file__).parents[2]
PROGRAM = TOP / "tests" / "conformance" / "tuf_client.py"


def run(program: list[str], *words: object, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *program, *map(str, words)],
        capture_output=True, text=True, timeout=60, env=environment, cwd=TOP.parent, check=False,
    )  # fmt: skip
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_init_refresh_download(tmp_path: Path, web: Web) -> None:
    repo, keys = tmp_path / "repository", tmp_path / "keys"
    release = ["-m", "firmware.release.cli"]
    app = tmp_path / "app.bin"
    app.write_bytes(b"app" * 10_000)
    run(release, "init", "--repo", repo, "--keys", keys, "--threshold", 2, "--holders", 3, "--clear-keys")
    run(release, "add", "--repo", repo, "--keys", keys, "--component", "till-app", "--version", "1.0", app)
    run(release, "publish", "--repo", repo, "--keys", keys)
    web.folder = repo
    metadata, targets = tmp_path / "client" / "metadata", tmp_path / "client" / "targets"
    trusted = ["--metadata-url", f"{web.url}/metadata", "--metadata-dir", metadata]
    run([str(PROGRAM)], "--metadata-dir", metadata, "init", repo / "metadata" / "1.root.json")
    assert (metadata / "root.json").read_bytes() == (repo / "metadata" / "1.root.json").read_bytes()
    run([str(PROGRAM)], *trusted, "refresh")
    for role, published in (("timestamp", "timestamp"), ("snapshot", "2.snapshot"), ("targets", "2.targets")):
        assert (metadata / f"{role}.json").read_bytes() == (repo / "metadata" / f"{published}.json").read_bytes()
    names = ["--target-name", "till-app-1.0.tar.gz", "--target-name", "till-app-1.0.json"]
    places = ["--target-dir", targets, "--target-base-url", f"{web.url}/targets"]
    run([str(PROGRAM)], *trusted, *names, *places, "download")
    assert sorted(path.name for path in targets.iterdir()) == ["till-app-1.0.json", "till-app-1.0.tar.gz"]
    for path in targets.iterdir():
        assert any(path.read_bytes() == served.read_bytes() for served in (repo / "targets").iterdir())
    said = run([str(PROGRAM)], *trusted, "--target-name", "till-app-9.9.json", *places, "download", code=1)
    assert "unknown" in said or "not in the signed repository" in said


def test_a_rotated_repository_with_a_vendor(tmp_path: Path, web: Web) -> None:
    """Every role gets new keys while the client sleeps, then a vendor signs: one `download` follows all of it."""
    repo, keys, vendor = tmp_path / "repository", tmp_path / "keys", tmp_path / "acme"
    (tmp_path / "app.bin").write_bytes(b"app")

    def typed(command: str, *words: object) -> None:
        assert cli.main([str(word) for word in ("--json", command, "--repo", repo, *words)]) == 0

    typed("init", "--keys", keys, "--threshold", 2, "--holders", 3, "--clear-keys")
    web.folder = repo
    client = Client(tmp_path / "client", web, datetime.now(UTC) + timedelta(minutes=1))
    assert client.init((repo / "metadata" / "1.root.json").read_bytes()) == 0
    assert client.refresh() == 0
    for role in ("root", "targets", "snapshot", "timestamp", "root"):
        typed("rotate", "--keys", keys, "--role", role)
        typed("publish", "--keys", keys)
    typed("delegate", "--keys", keys, "--name", "acme", "--component", "fw", "--new-keys", vendor, "--clear-keys")
    typed("publish", "--keys", keys)
    typed("add", "--keys", vendor, "--role", "acme", "--component", "fw", "--version", "2.0", tmp_path / "app.bin")
    typed("publish", "--keys", keys)
    assert client.download("printer/acme/fw-2.0.tar.gz", "printer/acme/fw-2.0.json") == 0
    assert client.versions() == {"root": 6, "timestamp": 8, "snapshot": 8, "targets": 3, "acme": 1}
    assert json.loads(client.got("printer/acme/fw-2.0.json"))["component"] == "fw"
    assert client.download("printer/other/fw-2.0.json") == 1
