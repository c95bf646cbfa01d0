"""A command that fails, in its thread or by itself, shows no number that it was handed, and its process leaves no core."""

import os
import subprocess
import sys

NUMBER = "4" + "1" * 15
PROGRAM = """
import logging, os, resource, sys, threading
from agent.cli import entry
from agent.cli.commands import status

def fails():
    raise ValueError(f"what came: {os.environ['NUMBER']}")

def run(context, arguments):
    thread = threading.Thread(target=fails, name="port-t")
    thread.start()
    thread.join()
    quiet = threading.Thread(target=sys.exit, args=("left quietly",))
    quiet.start()
    quiet.join()
    logging.getLogger("agent.ports.pump").error("port %s", os.environ["NUMBER"])
    with open("/proc/self/coredump_filter") as file:
        print(resource.getrlimit(resource.RLIMIT_CORE), int(file.read(), 16))
    fails()

status.run = run
sys.argv = ["posagent", "status"]
sys.exit(entry.main())
"""


def test_what_goes_wrong_in_a_command_is_swept() -> None:
    env = {**os.environ, "NUMBER": NUMBER, "POSAGENT_LOG": "debug"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    assert done.stdout == "(0, 0) 0\n"
    assert done.stderr.count("what came: [card-data]") == 3, "the thread's, the traceback of ours, the line for a person"
    assert "port [card-data]" in done.stderr
    assert "left quietly" not in done.stderr
    assert NUMBER not in done.stderr
