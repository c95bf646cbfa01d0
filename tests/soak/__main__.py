"""`python -m tests.soak --seconds 1200 --seed N`: exit 0 where every till ended as the centre believes.

Runs itself again in a mount namespace of its own where the system lets it: the hosts' state folders then lie on small
file systems that can be filled.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Soak, say

NAMESPACE = "SOAK_NAMESPACE"
MEMORY = Path("/dev/shm")


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    words.add_argument("--seconds", type=float, default=1200.0)
    words.add_argument("--updates", type=int, default=30)
    words.add_argument("--seed", type=int, default=None)
    words.add_argument("--keep", action="store_true", help="leave the folder behind")
    options = words.parse_args()
    if NAMESPACE not in os.environ and (found := _namespace()):
        again = [*found, sys.executable, "-m", "tests.soak", *sys.argv[1:]]
        os.execvpe(found[0], again, {**os.environ, NAMESPACE: "1"})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(130))
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    say(f"soak: {options.seconds:.0f} s, {options.updates} updates, seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=MEMORY if MEMORY.is_dir() else None))
    soak = Soak(folder, random.Random(seed), options.seconds, options.updates, disk=NAMESPACE in os.environ)
    wrong = soak.run()
    say(json.dumps(soak.figures(), indent=1))
    for line in wrong:
        say(f"WRONG: {line}")
    if options.keep or wrong:
        say(f"the folder stays: {folder}")
    else:
        soak.unmount()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def _namespace() -> list[str]:
    """The words before a command that give it a mount namespace of its own; none where the system does not let us."""
    for words in (["unshare", "-m"], ["unshare", "-U", "-r", "-m"]):
        trial = [*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if shutil.which(words[0]) and subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return words
    return []


if __name__ == "__main__":
    sys.exit(main())
