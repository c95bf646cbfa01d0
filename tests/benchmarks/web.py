"""The web server of all subjects of a run: ``python -m tests.benchmarks.web FOLDER``, a process of its own.

It says its port, then of every file when its first byte left: JSON lines on stdout, the clock is the machine's monotonic one.
Bodies go from file to socket inside the kernel, so that the server is the least of what is measured.
"""

import contextlib
import functools
import http.server
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

HOUSE = Path(__file__).parents[2]
LIMIT_S = 60.0


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self.wfile.flush()
        _say({"path": self.path, "first_byte": time.monotonic()})
        self.connection.sendfile(source)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        pass


_lock = threading.Lock()


def _say(what: dict[str, Any]) -> None:
    with _lock:
        os.write(1, json.dumps(what).encode() + b"\n")


def serve(folder: str) -> None:
    """Serve until stdin ends."""
    handler = functools.partial(_Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        _say({"port": server.server_port})
        sys.stdin.read()
        server.shutdown()


class Web:
    """A running server. Its reports wait in the pipe until they are asked for (a run asks after each of its files)."""

    def __init__(self, lines: IO[bytes], port: int) -> None:
        self._lines = lines
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def forget(self) -> None:
        """What was reported until now is of no interest."""
        while select.select([self._lines], [], [], 0)[0] and self._lines.readline():
            pass

    def first_byte(self, ending: str) -> float:
        """When the first byte of the next file whose address ends so left the server."""
        while True:
            said = json.loads(_line(self._lines))
            if said["path"].endswith(ending):
                return float(said["first_byte"])


def _line(lines: IO[bytes]) -> bytes:
    if not select.select([lines], [], [], LIMIT_S)[0]:
        raise TimeoutError("the web server of the benchmark says nothing")
    return lines.readline()


@contextlib.contextmanager
def web(folder: Path) -> Iterator[Web]:
    """Serve ``folder`` on loopback."""
    command = [sys.executable, "-m", "tests.benchmarks.web", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=HOUSE, stdin=pipe, stdout=pipe, bufsize=0) as process:
        try:
            assert process.stdout is not None
            yield Web(process.stdout, int(json.loads(_line(process.stdout))["port"]))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(LIMIT_S)


if __name__ == "__main__":
    serve(sys.argv[1])
