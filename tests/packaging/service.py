"""The daemon of an installed package as its unit starts it, where no systemd runs."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

from tests.packaging.privateroot import PrivateRoot

WAIT_S = 60.0
UNIT = (Path(__file__).parents[2] / "packaging/system/posagent.service").read_text("utf-8")


class Service:
    """The daemon as its unit starts it: command, user, groups and umask of the unit; and the installer's socket beside it."""

    def __init__(self, root: PrivateRoot) -> None:
        self._root = root
        self._jobs: list[subprocess.Popen[bytes]] = []
        (command,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
        for name in ("notify", "posagent-installer.sock"):
            (root.path / "run" / name).unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(root.path / "run/notify"))
        (root.path / "run/notify").chmod(0o777)
        notify.settimeout(WAIT_S)
        self.notify = notify
        self.log = (root.seen / "log").open("a+b")
        root.run("install", "-d", "-o", "posagent", "-g", "posagent", "-m", "0750", "/run/posagent")
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(root.path / "run/posagent-installer.sock"))
        root.run("chown", "posagent:posagent", "/run/posagent-installer.sock")
        root.run("chmod", "0600", "/run/posagent-installer.sock")
        self._listening.listen(4)
        threading.Thread(target=self._accept, daemon=True).start()
        words = root.command(["env", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=60000000", *command.split()], user="posagent")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listening.accept()
                become = ["setpriv", "--reuid=posagent-installer", "--regid=posagent-installer", "--groups=posagent"]
                words = self._root.command([*become, "--no-new-privs", "/usr/lib/posagent/launcher", "installer"])
                with link:
                    self._jobs.append(subprocess.Popen(words, stdin=link, stdout=link, stderr=self.log))

    def ready(self) -> None:
        assert self.notify.recv(4096) == b"READY=1", self.said()

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")

    def stop(self) -> int:
        """As systemd does: SIGTERM to the main process."""
        code = self.end_daemon()
        self.close()
        return code

    def end_daemon(self) -> int:
        """The installer's socket stays, as it does on a till."""
        self._root.run("kill", "-TERM", self._root.run("pgrep", "--oldest", "-u", "posagent").strip())
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        self._listening.close()
        self.notify.close()
        for job in self._jobs:
            job.wait(WAIT_S)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_S)
        self.log.close()
