"""A worker as the daemon starts it, which also notes when all that its job imports was imported.

``python -P timed_worker.py NOTE VERB``: a script and no module, so that nothing of the tests is imported with it. NOTE is a file
that gets one line of JSON.
"""

import importlib
import json
import sys
import time
from pathlib import Path

from firmware import worker

NEEDED = {
    "verify": ("manifest", "floor", "lastgood", "trust", "transport"),
    "fetch": ("fetch", "manifest", "transport", "plain"),
    "stage": ("handlers", "handlers.app_slots", "handlers.single_file", "inventory", "plain", "unpack"),
}

if __name__ == "__main__":
    note, verb = sys.argv[1:]
    for name in NEEDED.get(verb, ()):
        importlib.import_module(f"firmware.{name}")
    with Path(note).open("a") as file:
        file.write(json.dumps({"verb": verb, "ready": time.monotonic()}) + "\n")
    worker.leave(worker.main(verb, sys.stdin, sys.stdout))
