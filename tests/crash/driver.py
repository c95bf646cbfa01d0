"""The update path of the daemon, run again and again: ``python -m tests.crash.driver``, with the shim preloaded.

The parts are the real ones, put together as ``agent.updating`` does; ``tests.crash.people`` runs the commands and the
daemon's side of hawkBit. One process has everything imported and forks for each run, and a run's workers are forked from
it in turn (starting Python and importing tuf would cost a hundred times more than the update itself);
``test_real_program`` takes samples of the sweep with the real daemon and its real workers. Jobs come as JSON lines on
stdin; each ends with a JSON line on stdout: how the run's process ended.
"""

import ctypes
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import firmware.fetch
import firmware.handlers.agent_self
import firmware.handlers.app_slots
import firmware.handlers.single_file
import firmware.inventory
import firmware.lastgood
import firmware.trust
import firmware.unpack  # noqa: F401  (all of them: loaded once, so that no worker has to)
from agent import updates
from agent.clock import Clock
from agent.config.model import Limits as OwnLimits
from agent.journal import Journal, writer
from agent.lock import OwnerLock
from agent.paths import Paths
from agent.selfupdate import SelfUpdate
from agent.updates import Recorder
from agent.usage import Usage
from firmware.effects import ComponentSettings, MachineEffects, Settings
from firmware.engine import Engine
from firmware.errors import FirmwareError
from firmware.interfaces import GateAnswer, Limits
from firmware.probation import ProbationLimits
from firmware.state import Deployment, StateFile, Wanted
from tests.crash import enrolling, people
from tests.crash.forks import fork_instead_of_starting, work_in_one_process
from tests.crash.itself import AGAIN, OWN, WORSE
from tests.crash.shim import Control, loaded

PACE_S = 0.01
LIMITS = Limits(
    retry_first_s=PACE_S,
    retry_max_s=PACE_S,
    local_retry_s=PACE_S,
    gate_poll_s=PACE_S,
    store_retry_s=PACE_S,
    probation=ProbationLimits(min_s=0.0, poll_s=PACE_S, silent_s=PACE_S, health_retry_s=0.0, own_min_s=0.0),
)
"""Every wait short: a sweep is thousands of updates. The numbers of tries are the real ones."""
JOURNAL_PACE_S = tuple(PACE_S * pause for pause in (1, 1, 2, 2, 4, 4))
RECORD_LIMIT_S = 0.3
RUN_LIMIT_S = 60.0
STUCK = 75


def deploy(job: Mapping[str, Any]) -> int:
    """Go on with what lies in the state folder, then take the deployments of the job, each to its end."""
    paths, clock, again = Paths(Path(job["root"])), Clock(), threading.Event()
    own = _itself(paths, clock, str(job["release"]), again) if "release" in job else None
    lock = OwnerLock(paths.lock)
    lock.take()
    journal = Journal(paths.journal, boot_id=clock.boot_id, wall=clock.rfc3339, mono=clock.mono)
    settings = Settings(
        state_dir=paths.state,
        metadata_url=job["metadata"],
        targets_url=job["targets"],
        trusted_root=Path(job["trusted_root"]),
        components={name: ComponentSettings(*map(_plain, how)) for name, how in job["components"].items()},
        host={"labels": (), "terminals": ("pos-1",), "hardware": ()},
        program_home=paths.program,
    )
    effects = MachineEffects(settings, gate=lambda _: GateAnswer(open=True), device_health=dict, wall=clock.rfc3339, own=own)
    recorder = Recorder(journal)
    state = StateFile(paths.state / "deployment.json")
    engine = Engine(state, effects, recorder.record, clock.mono, recorded=recorder.recorded, limits=LIMITS)
    try:
        _work(engine, job, again)
    finally:
        journal.close()
        lock.release()
    return AGAIN if again.is_set() else 0


def _itself(paths: Paths, clock: Clock, release: str, again: threading.Event) -> SelfUpdate:
    """posagent as a component of itself: this run is that release."""
    os.environ["POSAGENT_RELEASE"] = release
    own = SelfUpdate(OWN, paths, OwnLimits(), os.environ)
    usage = Usage(clock.mono(), 0.0, 10.0, 1.0, 1000 if release == WORSE else 20, 0)
    own.connect(alive=lambda _: None, usage=lambda: usage, reached=lambda: True, restart=again.set)
    return own


def _plain(how: Any) -> Any:
    return tuple(how) if isinstance(how, list) else how


def _work(engine: Engine, job: Mapping[str, Any], again: threading.Event) -> None:
    while True:
        try:
            engine.resume()
            break
        except FirmwareError:
            time.sleep(PACE_S)
    for wanted in job["deployments"]:
        items = tuple(Wanted(*item) for item in wanted["items"])
        how = {"back": wanted["back"], "bundle": wanted["bundle"], "download_only": wanted["download_only"]}
        deployment = Deployment(wanted["id"], "", items, forced=True, **how)
        while engine.outcome(deployment.id) is None and not again.is_set():
            try:
                engine.request(deployment)  # as the centre does, for as long as it has no final answer
                wait_s = engine.step()
            except FirmwareError:
                wait_s = PACE_S
            time.sleep(min(wait_s or 0.0, PACE_S))


def _watchdog(job: Mapping[str, Any]) -> None:
    """Ends a run that does not end by itself. With a disk that stays full that is what a technician would do, ``patience_s``
    after it began: turn the till off and on."""
    patience_s, block = job.get("patience_s"), Control(Path(job["control"]))

    def watch() -> None:
        end = time.monotonic() + RUN_LIMIT_S
        while patience_s is not None and time.monotonic() < end and not block.seen().refused:
            time.sleep(PACE_S)
        full = patience_s is not None and time.monotonic() < end
        time.sleep(patience_s if full else max(0.0, end - time.monotonic()))
        os._exit(0 if full else STUCK)

    threading.Thread(target=watch, daemon=True).start()


RUNS = {"deploy": deploy, "command": people.command, "centre": people.centre, "enrol": enrolling.enrol}


def _fork_run(job: Mapping[str, Any]) -> dict[str, Any]:
    began, pid = time.monotonic(), os.fork()
    if not pid:
        _be_run(job)
    _, status = os.waitpid(pid, 0)
    _reap_rest()
    return {"code": os.waitstatus_to_exitcode(status), "took_s": time.monotonic() - began}


def _be_run(job: Mapping[str, Any]) -> None:
    code = 70
    try:
        os.setsid()
        output = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if job["control"]:
            if loaded(Path(os.environ["LD_PRELOAD"])).crash_attach(os.fsencode(job["control"])):
                raise OSError("no control block")
        else:
            work_in_one_process()
        _watchdog(job)
        code = RUNS[job["do"]](job)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap_rest() -> None:
    """Workers of a run that was killed fall to us; none may outlive its run."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while left := children.read_text().split():
        for pid in map(int, left):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def main() -> None:
    """Serve jobs until stdin ends."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER (prctl(2)): orphans come to us
    updates.RECORD_LIMIT_S, writer.RETRY_S = RECORD_LIMIT_S, JOURNAL_PACE_S
    fork_instead_of_starting()
    people.hurry(LIMITS, PACE_S)
    enrolling.hurry(PACE_S)
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_fork_run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
