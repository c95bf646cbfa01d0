"""One worker process at a time: a job in, progress and one result out, and never a process left behind.

The worker may hang, crash, be killed for want of memory, or write nonsense: all of that becomes an error of ours. Its
output is bounded, so is its time, and it dies with us (see worker).
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from firmware.confirm import end_group, one_line
from firmware.errors import FirmwareError, InstallFailed, ReleaseRefused, TransportError

LINE_MAX: Final = 1 << 18
"""Longest line of a worker in bytes; a longer one ends it."""
LEAVE_S: Final = 2.0
STDERR_MAX: Final = 4096
"""Kept of what it says to stderr: the end, of which one line may reach a person."""
COMMAND: Final = (sys.executable, "-P", "-m", "firmware.worker")
"""``-P``: whatever folder we stand in, no module is ever imported from it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: in all, and without any sign of life. ``network``: running out of them is the network's fault."""

    total_s: float
    silent_s: float
    network: bool


class Child:
    """Runs workers. ``run`` belongs to one thread; ``stop`` and ``rearm`` may come from any."""

    def __init__(self, command: Sequence[str] = COMMAND, now: Callable[[], float] = time.monotonic) -> None:
        self._command, self._now = tuple(command), now
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Kill the worker under way, and let none start until ``rearm``."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def rearm(self) -> None:
        """Let workers start again."""
        with self._lock:
            self._stopped = False

    def run(self, verb: str, job: Mapping[str, Any], patience: Patience, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Run one job and return what its ``ok`` line holds.

        Raises ReleaseRefused, TransportError or InstallFailed as the worker says, InstallFailed (worker_failed) when it
        ends without a word that makes sense, (stopped) after ``stop``.
        """
        talk = Talk(json.dumps({**job, "parent": os.getpid()}).encode() + b"\n", progress)
        with self._lock:
            if self._stopped:
                raise InstallFailed("stopped", code="stopped")
            process = self._process = self._start(verb)
        in_time = False
        with process:
            try:
                in_time = self._listen(process, talk, patience)
            finally:
                self._end(process, in_time)
        if self._stopped:
            raise InstallFailed("stopped", code="stopped")
        if not in_time:
            kind = TransportError if patience.network else InstallFailed
            raise kind(f"the {verb} step did not end in time", code="timeout")
        code = process.returncode
        return result(talk, verb, f"died of signal {-code}" if code < 0 else f"ended with exit code {code}")

    def _end(self, process: subprocess.Popen[bytes], closed: bool) -> None:
        with self._lock:
            self._process = None
        # One that closed its output is leaving by itself; only one that lingers is killed.
        if closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVE_S)
        if process.returncode is None:
            end_group(process)

    def _start(self, verb: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(
                [*self._command, verb], stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, bufsize=0
            )
        except OSError as error:
            raise InstallFailed(f"no worker could be started: {error.strerror}", code="worker_failed") from error

    def _listen(self, process: subprocess.Popen[bytes], talk: "Talk", patience: Patience) -> bool:
        """Until it closes its output: True; False when patience ran out."""
        if process.stdin is None or process.stdout is None or process.stderr is None:
            return False
        end, heard = self._now() + patience.total_s, self._now()
        with selectors.DefaultSelector() as selector:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, talk.write_job)
            selector.register(process.stdout, selectors.EVENT_READ, talk.read_output)
            selector.register(process.stderr, selectors.EVENT_READ, talk.read_complaint)
            while talk.open:
                left = min(end, heard + patience.silent_s) - self._now()
                if left <= 0:
                    return False
                # An empty answer is no time-out: it may be news of a pipe that was closed here but not yet in a fork.
                for key, _ in selector.select(left):
                    if key.fileobj is process.stdout:
                        heard = self._now()
                    if not key.data(key.fileobj):
                        selector.unregister(key.fileobj)
                        if key.fileobj is process.stdin:
                            process.stdin.close()
        return True


class Talk:
    """What goes between us and a worker. Each method returns False when its pipe has no more."""

    def __init__(self, job: bytes, progress: Callable[[int, int], None]) -> None:
        self._job, self._progress = job, progress
        self._line = b""
        self.complaint = b""
        self.result: dict[str, Any] | None = None
        self.open = True

    def write_job(self, pipe: IO[bytes]) -> bool:
        """Some of the job."""
        try:
            self._job = self._job[os.write(pipe.fileno(), self._job) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._job = b""
        return bool(self._job)

    def read_complaint(self, pipe: IO[bytes]) -> bool:
        """Some of what it says to stderr."""
        chunk = os.read(pipe.fileno(), 65536)
        self.complaint = (self.complaint + chunk)[-STDERR_MAX:]
        return bool(chunk)

    def read_output(self, pipe: IO[bytes]) -> bool:
        """Some of its lines."""
        chunk = os.read(pipe.fileno(), 65536)
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._take(line)
        self.open = bool(chunk) and len(self._line) <= LINE_MAX
        if not self.open and self._line:
            self._take(self._line[:LINE_MAX])
        return self.open

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self.result = None
            return
        step = said.get("progress")
        if isinstance(step, list) and len(step) == 2 and all(type(count) is int for count in step):
            self._progress(step[0], step[1])
        else:
            self.result = said


def result(talk: Talk, verb: str, how: str) -> dict[str, Any]:
    """What the worker's last line says; ``how`` it ended is told where that makes no sense. Raises as ``Child.run``."""
    said = talk.result or {}
    match said:
        case {"ok": dict(found)}:
            return found
        case {"refused": {"code": str(reason), "message": str(text)}}:
            raise ReleaseRefused(text, code=reason)
        case {"failed": {"code": str(reason), "message": str(text), "transport": True} as failure}:
            wish = failure.get("retry_after_s")
            raise TransportError(text, code=reason, retry_after_s=wish if isinstance(wish, (int, float)) else None)
        case {"failed": {"code": str(reason), "message": str(text)}}:
            raise InstallFailed(text, code=reason)
    last = one_line(talk.complaint)
    raise InstallFailed(f"the {verb} worker {how} without a result{': ' if last else ''}{last}", code="worker_failed")


def described(error: FirmwareError) -> dict[str, Any]:
    """The worker's last line for an error: what ``Child.run`` turns back into it."""
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, ReleaseRefused):
        return {"refused": told}
    if isinstance(error, TransportError):
        told |= {"transport": True, "retry_after_s": error.retry_after_s}
    return {"failed": told}
