"""Run a release's own health check: one command, relative to the release, 30 s, exit 0 is healthy (architecture.md).

The command is the release's, so it is trusted as far as the release is and no further: a short environment, no input,
little of its output kept, and nothing of it left when it is over, stopped, or when this process dies: see guardian.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from firmware.errors import InstallFailed

TIMEOUT_S: Final = 30.0
OUTPUT_MAX: Final = 4096
REASON_MAX: Final = 200
ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
LEAVE_S: Final = 2.0
"""A guardian that was told to end its command has this long; it needs less (guardian.SWEEP_S)."""
GUARDIAN: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guardian.py")))
_STATUS_MAX: Final = 512
_DIGITS = re.compile(r"\d(?:[ -]?\d){11,}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``code``: healthy, no_check, exit, killed, timeout, missing, not_allowed; ``reason`` is one line."""

    healthy: bool
    code: str
    reason: str = ""


NO_CHECK: Final = Outcome(True, "no_check", "no health check is configured")


class Checks:
    """Runs checks. ``run`` belongs to one thread; ``stop`` and ``rearm`` may come from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def stop(self) -> None:
        """End the check under way, and let none start until ``rearm``."""
        with self._lock:
            self._stopped = True
            if self._running is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._running.pid, signal.SIGTERM)

    def rearm(self) -> None:
        """Let checks start again."""
        with self._lock:
            self._stopped = False

    def run(
        self,
        release: Path,
        argv: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
        site: bool = False,
    ) -> Outcome:
        """Run ``argv`` in ``release`` and say whether it is healthy.

        Whatever the command does or is becomes an Outcome; InstallFailed (stopped) after ``stop``, which says nothing
        about the release. The wait is bounded by ``timeout_s``; then all that it started is killed. Of the output the
        last line is kept as the reason, with long runs of digits taken out (a check may print what it likes, card
        numbers stay here). ``site``: the command is the site's own and may lie anywhere.
        """
        if not argv:
            return NO_CHECK
        words = PurePosixPath(argv[0])
        if (words.is_absolute() and not site) or ".." in words.parts:
            return Outcome(False, "not_allowed", f"the health check {argv[0]!r:.80} leaves its release")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(reader, "rb") as status:
            try:
                process = self._start(release, [str(release / words), *argv[1:]], writer)
            except (OSError, ValueError) as error:
                return _missing(argv[0], error.strerror if isinstance(error, OSError) else str(error))
            finally:
                os.close(writer)
            tail, in_time = self._follow(process, timeout_s, now)
            said = status.read(_STATUS_MAX).decode("utf-8", "replace").partition("\n")[0]
        word, _, more = said.partition(" ")
        if self._stopped:
            raise InstallFailed("stopped", code="stopped")
        return _missing(argv[0], more) if word == "missing" else _outcome(word, more, tail, in_time, timeout_s)

    def _start(self, release: Path, command: Sequence[str], status: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise InstallFailed("stopped", code="stopped")
            self._running = subprocess.Popen(
                [*GUARDIAN, str(status), *command],
                cwd=release,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(status,),
            )
            return self._running

    def _follow(self, process: subprocess.Popen[bytes], timeout_s: float, now: Callable[[], float]) -> tuple[bytes, bool]:
        try:
            return _watch(process, now() + timeout_s, now)
        finally:
            with self._lock:
                self._running = None
            if process.stdin is not None:
                process.stdin.close()  # this is how a guardian is told that it is over
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVE_S)
            if process.returncode is None:
                end_group(process)
            if process.stdout is not None:
                process.stdout.close()


def confirm(
    release: Path,
    argv: Sequence[str],
    *,
    timeout_s: float = TIMEOUT_S,
    now: Callable[[], float] = time.monotonic,
    site: bool = False,
) -> Outcome:
    """Run one check that nobody stops: see Checks.run. Never raises."""
    return Checks().run(release, argv, timeout_s=timeout_s, now=now, site=site)


def one_line(raw: bytes) -> str:
    """The last line that says something, printable, short, and without anything that could be a card number."""
    lines = [line.strip() for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    text = "".join(letter if letter.isprintable() else "?" for letter in lines[-1]) if lines else ""
    return _DIGITS.sub("…", text)[:REASON_MAX]


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process's group and collect the process itself."""
    # Its leader is not collected yet (only poll or wait do that), so the group's number cannot be somebody else's.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _watch(process: subprocess.Popen[bytes], until: float, now: Callable[[], float]) -> tuple[bytes, bool]:
    """Read until the end of the output or the time-out. Returns the last bytes, and whether it ended by itself."""
    pipe: IO[bytes] | None = process.stdout
    tail = b""
    if pipe is None:
        return tail, False
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := until - now()) > 0:
            # A child of the check may hold the pipe for ever: look at the process as well, twice a second.
            if not selector.select(min(left, 0.5)):
                if _gone(process):
                    return tail, True
                continue
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                return tail, _ends(process, until, now)
            tail = (tail + chunk)[-OUTPUT_MAX:]
    return tail, False


def _gone(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without collecting it (the group must stay ours until end_group)."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ends(process: subprocess.Popen[bytes], until: float, now: Callable[[], float]) -> bool:
    """It closed its output: wait for the exit, still bounded."""
    pause_s = 0.001
    while not _gone(process):
        if now() >= until:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.1)
    return True


def _outcome(word: str, number: str, tail: bytes, in_time: bool, timeout_s: float) -> Outcome:
    said = one_line(tail)
    more = f": {said}" if said else ""
    if not in_time:
        return Outcome(False, "timeout", f"the health check did not end within {timeout_s:g} s{more}")
    if word != "exit":
        return Outcome(False, "killed", f"the health check died of signal {number or 9}{more}")
    if number != "0":
        return Outcome(False, "exit", f"the health check ended with exit code {number}{more}")
    return Outcome(True, "healthy", said)


def _missing(name: str, why: str | None) -> Outcome:
    return Outcome(False, "missing", f"the health check {name!r:.80} cannot be started: {why}")
