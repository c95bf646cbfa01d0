"""`python -m tests.benchmarks.many_tills DIR COUNT READER`: so many simulated tills in one process, a thread each.

As `possim terminal` makes them, below ``DIR/till-N``; one JSON line when all are up, then until SIGTERM.
"""

import json
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from simulator.terminal import Kinds, TerminalServer

STOP_S = 5.0


class ManyTills:
    """All of them; the folders are ``folders``."""

    def __init__(self, folder: Path, count: int, reader: str) -> None:
        self.folders = [folder / f"till-{number}" for number in range(1, count + 1)]
        with ExitStack() as made:
            self._servers = []
            for number, one in enumerate(self.folders):
                self._servers.append(TerminalServer(one, Kinds("escpos", reader, seed=number)))
                made.callback(self._servers[-1].close)
            made.pop_all()
        self._threads = [threading.Thread(target=server.run, name="till", daemon=True) for server in self._servers]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take them down."""
        for server in self._servers:
            server.stop()
        for thread in self._threads:
            thread.join(STOP_S)


def main() -> int:
    """Until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    tills = ManyTills(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    tills.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
