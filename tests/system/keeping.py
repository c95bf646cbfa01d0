"""`posagent line` as the real program, and a service manager that keeps its descriptors as systemd does."""

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.system.harness import BIN, ENVIRONMENT, START_LIMIT_S

FIRST = 3


@contextlib.contextmanager
def line_keeper(port: Path, link: Path) -> Iterator["subprocess.Popen[str]"]:
    """A running keeper, ready; ended at the end."""
    command = [str(BIN / "posagent"), "line", "--port", str(port), "--link", str(link), "--json"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], START_LIMIT_S)[0]
        assert json.loads(process.stdout.readline())["ready"] is True
        yield process
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


class Manager:
    """Starts a keeper with what the one before has stored (sd_notify(3), sd_listen_fds(3)), as the unit's restart does."""

    def __init__(self, folder: Path, port: Path, link: Path) -> None:
        self._words = ["line", "--port", str(port), "--link", str(link)]
        self._log = folder / "keeper.log"
        self._address = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._address))
        self._socket.settimeout(START_LIMIT_S)
        self.kept: dict[str, int] = {}
        self.pid = 0

    def start(self) -> None:
        """Until it is ready."""
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        places = [_high(fd) for fd in self.kept.values()]
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, log, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, place, FIRST + at) for at, place in enumerate(places)]
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(self._address)}
        if self.kept:
            environment |= {"LISTEN_FDS": str(len(places)), "LISTEN_FDNAMES": ":".join(self.kept)}
        script = 'export LISTEN_PID=$$; exec "$@"'
        command = ["/bin/sh", "-c", script, "sh", str(BIN / "posagent"), *self._words]
        self.pid = os.posix_spawn("/bin/sh", command, environment, file_actions=actions)
        for descriptor in (*places, log):
            os.close(descriptor)
        while not self._hear():
            pass

    def _hear(self) -> bool:
        """One notice; True when it is ready."""
        data, rights, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(16))
        words = dict(line.partition("=")[::2] for line in data.decode().splitlines())
        for _, _, raw in rights:
            descriptors = array.array("i", raw)
            if words.get("FDSTORE") == "1" and words["FDNAME"] not in self.kept:
                os.set_inheritable(descriptors[0], False)
                self.kept[words["FDNAME"]] = descriptors[0]
            else:
                os.close(descriptors[0])
        if words.get("FDSTOREREMOVE") == "1" and words["FDNAME"] in self.kept:
            os.close(self.kept.pop(words["FDNAME"]))
        return words.get("READY") == "1"

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the keeper and hear what it still says; its exit status."""
        os.kill(self.pid, number)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        while select.select([self._socket], [], [], 0)[0]:
            self._hear()
        return os.waitstatus_to_exitcode(status)

    def log(self) -> str:
        return self._log.read_text("utf-8")

    def close(self) -> None:
        if self.pid:
            self.end()
        for descriptor in self.kept.values():
            os.close(descriptor)
        self._socket.close()


def _high(descriptor: int) -> int:
    """A copy far from the numbers that the child's are put at."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100)
