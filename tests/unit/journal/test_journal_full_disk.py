"""A file system that is really full: a small tmpfs in a namespace of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import json, os, sys, time
from pathlib import Path
from agent.journal import Journal, verify
from agent.journal.reserve import RESERVE_BYTES

root = Path(sys.argv[1])
path = root / "journal.sqlite"
journal = Journal(path, boot_id="b", wall=lambda: "2026-01-01T00:00:00Z", mono=time.monotonic)
journal.append("agent.started", "info", "host", {}).wait(5)
held = (root / "journal.sqlite.reserve").stat().st_size == RESERVE_BYTES
with (root / "filler").open("wb", 0) as filler:
    try:
        while filler.write(bytes(4096)) == 4096:
            pass
    except OSError:
        pass
faults = [journal.append("fault.raised", "error", "pos-1/printer", {"n": n, "t": "x" * 300}) for n in range(600)]
event = journal.append("device.identified", "info", "pos-1/printer", {})
for fault in faults:
    fault.wait(20)
said = {"held": held, "event": event.seq, "writable": journal.state().writable}
(root / "filler").unlink()
event.wait(20)
journal.close()
verdict = verify(path)
print(json.dumps(said | {"ok": verdict.ok, "records": verdict.records}))
"""


@pytest.mark.slow
def test_the_reserve_takes_the_faults_and_the_rest_follows_later(tmp_path: Path) -> None:
    shell = 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$1" -c "$2" "$0"'
    argv = ["unshare", "-rm", "sh", "-c", shell, str(tmp_path), sys.executable, CHILD]
    if shutil.which("unshare") is None or subprocess.run([*argv[:2], "true"], capture_output=True).returncode:
        pytest.skip("no namespace of our own can be made here")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if "mount" in done.stderr:
        pytest.skip(done.stderr.strip())
    said = json.loads(done.stdout)
    assert said == {"held": True, "event": None, "writable": False, "ok": True, "records": 602}
