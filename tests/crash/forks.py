"""Workers and signatures forked instead of started: the same code, without the price of starting Python."""

import io
import json
import os
import select
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import signer
from agent.enrolment import crypto
from agent.enrolment import worker as enrolment_worker
from firmware import worker
from firmware.child import Child, Patience
from firmware.confirm import ENVIRONMENT, Checks
from firmware.errors import InstallFailed


class Forked:
    """What ``Child`` needs of a subprocess.Popen. ``body`` runs in the fork."""

    def __init__(self, body: Callable[[], int]) -> None:
        pipes = [os.pipe() for _ in range(3)]
        ours = (pipes[0][1], pipes[1][0], pipes[2][0])
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            _be(body, theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin = open(ours[0], "wb", buffering=0)  # noqa: SIM115, PTH123
        self.stdout, self.stderr = (open(end, "rb", buffering=0) for end in ours[1:])  # noqa: SIM115, PTH123

    def wait(self, timeout: float | None = None) -> int:
        handle = os.pidfd_open(self.pid)
        try:
            if not select.select([handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("fork", timeout or 0.0)
        finally:
            os.close(handle)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.close()
        if self.returncode is None:
            self.wait()


def _be(body: Callable[[], int], ends: tuple[int, int, int]) -> None:
    code = 70
    try:
        os.setsid()
        for place, descriptor in enumerate(ends):
            os.dup2(descriptor, place)
        os.closerange(3, 256)
        # Not the old sys.stdin: its buffer was filled in another process.
        sys.stdin, sys.stdout = io.TextIOWrapper(io.BufferedReader(io.FileIO(0))), io.TextIOWrapper(io.FileIO(1, "w"))
        code = body()
        sys.stdout.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _start_worker(child: Child, verb: str) -> Any:
    main = enrolment_worker.main if child._command == crypto.COMMAND else worker.main
    return Forked(lambda: main(verb, sys.stdin, sys.stdout))


_STAND_BY = ("/bin/sh", "-c", 'fd=$1; shift; "$@"; printf "exit %d" $? >"/dev/fd/$fd"', "check")


def _start_check(checks: Checks, release: Path, command: Sequence[str], status: int) -> Any:
    """Without its guardian, which touches no disk: what a killed run leaves behind is ended by the driver."""
    with checks._lock:
        if checks._stopped:
            raise InstallFailed("stopped", code="stopped")
        checks._running = subprocess.Popen(
            [*_STAND_BY, str(status), *command],
            cwd=release,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(status,),
        )
        return checks._running


def _work_here(child: Child, verb: str, job: Mapping[str, Any], _patience: Patience, progress: Any) -> Any:
    given = json.loads(json.dumps(job))
    enrols = child._command == crypto.COMMAND
    return json.loads(json.dumps(enrolment_worker._VERBS[verb](given) if enrols else worker.VERBS[verb](given, progress)))


def _ask_signer(job: Mapping[str, str], _: float) -> Mapping[str, Any] | None:
    with Forked(signer.main) as process:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        said = b"".join(iter(lambda: process.stdout.read(65536), b""))
    answer: Mapping[str, Any] | None = json.loads(said) if process.returncode == 0 else None
    return answer


def fork_instead_of_starting() -> None:
    """In this process and its forks, for good."""
    Child._start = _start_worker  # type: ignore[method-assign]
    Checks._start = _start_check  # type: ignore[method-assign]
    signer._ask = _ask_signer


def work_in_one_process() -> None:
    """For runs in which no blow falls: workers are no processes at all."""
    Child.run = _work_here  # type: ignore[method-assign]
