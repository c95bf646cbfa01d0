"""Root who works by hand goes on as the user whose state it is, and still sees who holds a port."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from agent.identity import become_owner
from agent.ports.holders import holders
become_owner(Path(sys.argv[1]))
import os
print(os.getresuid(), os.getresgid(), [h.pid for h in holders(sys.argv[2])])
print(*[line for line in open("/proc/thread-self/status") if line.startswith(("CapEff", "CapPrm", "CapInh"))])
try:
    os.setuid(0)
    print("root again")
except PermissionError:
    print("never again")
"""
USER = 54321


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lays rights down")
def test_root_lays_down_all_rights_but_those_to_look(tmp_path: Path) -> None:
    keys, port = tmp_path / "keys", tmp_path / "port"
    keys.mkdir()
    os.chown(keys, USER, USER)
    port.touch()
    with port.open() as held:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path), str(port)], capture_output=True, text=True, timeout=60, check=False
        )
        assert held.readable()
    assert done.returncode == 0, done.stderr
    ids, capabilities, again = done.stdout.splitlines()[0], done.stdout.splitlines()[1:-1], done.stdout.splitlines()[-1]
    assert ids == f"({USER}, {USER}, {USER}) ({USER}, {USER}, {USER}) [{os.getpid()}]"
    kept = 1 << 19 | 1 << 2  # CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH
    found = dict(line.split() for line in capabilities if line.strip())
    assert {name: int(word, 16) for name, word in found.items()} == {"CapInh:": 0, "CapPrm:": kept, "CapEff:": kept}
    assert again == "never again"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lays rights down")
def test_where_root_owns_the_state_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "/nowhere"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("(0, 0, 0) (0, 0, 0)")
