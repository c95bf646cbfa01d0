"""A journal on a read-only disk can be read and proven, whatever the owner left beside it: a tmpfs in a namespace of its own."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import NotAvailable
from agent.journal import Journal, verify
from agent.journal.peek import newest

OWNER = """
import os, sys, time
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1], "journal.sqlite"), boot_id="b", wall=lambda: "2026-01-01T00:00:00Z", mono=time.monotonic)
for number in range(3):
    journal.append("agent.started", "info", "host", {"n": number}).wait(5)
if sys.argv[2] == "closed":
    journal.close()
os._exit(0)
"""
READER = """
import json, sys
from pathlib import Path
from agent.errors import NotAvailable
from agent.journal import verify
from agent.journal.peek import newest
from agent.lock import OwnerLock
path = Path(sys.argv[1], "journal.sqlite")
verdict = verify(path)
try:
    OwnerLock(path.with_name("lock")).take()
except NotAvailable as error:
    shown = [record.seq for record in newest(path, 2)]
    print(json.dumps([verdict.problems, verdict.head.seq, shown, error.code, error.exit_code]))
"""
SHELL = """
mount -t tmpfs -o size=8m tmpfs "$0" && "$1" -c "$2" "$0" "$4" && { [ "$4" != copied ] || rm "$0/journal.sqlite-shm"; } &&
mount -o remount,ro "$0" && exec "$1" -c "$3" "$0"
"""


@pytest.mark.parametrize("left", ["closed", "killed", "copied"])
def test_a_read_only_disk_is_no_tampering(tmp_path: Path, left: str) -> None:
    argv = ["unshare", "-rm", "sh", "-c", SHELL, str(tmp_path), sys.executable, OWNER, READER, left]
    if shutil.which("unshare") is None or subprocess.run([*argv[:2], "true"], capture_output=True).returncode:
        pytest.skip("no namespace of our own can be made here")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if "mount:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == [[], 3, [2, 3], "state_folder", 3]


def test_what_cannot_be_read_is_neither_whole_nor_damaged(path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append("agent.started", "info", "host", {}).wait(5)
    journal.close()

    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    monkeypatch.setattr(sqlite3, "connect", refuse)
    for ask in (lambda: verify(path), lambda: newest(path, 1)):
        with pytest.raises(NotAvailable) as away:
            ask()
        assert away.value.code == "journal_unreadable"
