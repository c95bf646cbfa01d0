"""Stands over one command and leaves nothing of it behind: ``python -I -S guardian.py STATUS_FD PROGRAM ARGUMENT…``.

A process group is not enough to end a command: whoever calls setsid(2) leaves it. This process is the one that orphans
come back to (PR_SET_CHILD_SUBREAPER), so it finds them all. It ends the command when its stdin closes, which happens when
whoever started it says so or dies in whatever way, and on SIGTERM. If it is killed itself, the command dies with it
(PR_SET_PDEATHSIG, both prctl(2)). The first line on STATUS_FD says how the command ended: ``exit N``, ``signal N`` or
``missing WHY``. Started as a file, so it imports the standard library alone.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
SWEEP_S: Final = 1.5
"""Longest that leftovers are hunted: one that forks faster than it is killed must not hold us."""


def main(argv: Sequence[str]) -> int:
    """Run the command until it ends or is to be ended; 0 whatever became of it."""
    status, command = int(argv[0]), argv[1:]
    os.set_inheritable(status, False)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _note)
    pid = os.fork()
    if pid == 0:
        _become(command, status, libc)
    _leave_output()
    word = _await(pid, wake)
    _sweep()
    with contextlib.suppress(OSError):
        os.write(status, f"{word}\n".encode())
    return 0


def _note(_number: int, _frame: object) -> None:
    """The wake-up pipe carries the number; a handler is needed for it to be written."""


def _become(command: Sequence[str], status: int, libc: ctypes.CDLL) -> None:
    """In the child: become the command. Never returns."""
    try:
        os.setsid()
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execv(command[0], list(command))  # noqa: S606 (the command that is to be guarded)
    except OSError as error:
        os.write(status, f"missing {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _leave_output() -> None:
    """The command's output ends with the command: this process must not hold it open."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)


def _await(pid: int, wake: int) -> str:
    """Wait until the command has ended, or stdin, or somebody sends SIGTERM."""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        ended = wake in ready and signal.SIGTERM in os.read(wake, 512)
        while (found := _reap()) is not None:
            if found[0] == pid:
                code = os.waitstatus_to_exitcode(found[1])
                return f"signal {-code}" if code < 0 else f"exit {code}"
        if ended or 0 in ready:
            return "ended"


def _reap() -> tuple[int, int] | None:
    try:
        found = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return found if found[0] else None


def _sweep() -> None:
    """Kill all children, then the orphans that come to us for it, until there are none."""
    until = time.monotonic() + SWEEP_S
    while time.monotonic() < until:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _children() -> list[int]:
    """By /proc/<pid>/stat (proc(5)): the word after the state is the parent."""
    found, own = [], os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), Path(f"/proc/{name}/stat").open("rb") as stat:
                if int(stat.read().rpartition(b")")[2].split()[1]) == own:
                    found.append(int(name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
