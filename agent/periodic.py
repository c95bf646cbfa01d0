"""Periodic work that goes on whatever somebody does to the wall clock.

APScheduler 3 plans by the wall clock alone. Set back by two hours, it would do nothing for two hours: no check of the
host, no sign of life for systemd. Set ahead from 1970, as when a machine with an empty clock battery finds the time, it
would count every run that it missed, one object each, until the memory is gone. So every plan is moved along with the clock.
"""

import inspect
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.clock import Clock
from firmware.light_imports import NO_METADATA, stand_ins

# 2.5 MiB for event loops, pools of processes and the names of time zones on Windows: threads and UTC are all that is used.
with stand_ins(
    {
        "asyncio": {"iscoroutinefunction": inspect.iscoroutinefunction},
        "multiprocessing": {},
        "concurrent.futures.process": {"BrokenProcessPool": RuntimeError},
        "tzlocal": {"get_localzone": lambda: UTC},
        "importlib.metadata": NO_METADATA,
    }
):
    from apscheduler.executors.base import BaseExecutor, run_job
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.interval import IntervalTrigger

LOOK_S = 60.0
"""At least this often the two clocks are compared."""
STEP_S = 1.0
"""What the wall clock may gain or lose between two looks without being said to have jumped."""


class Periodic(BackgroundScheduler):  # type: ignore[misc]  # (the library has no types)
    """A scheduler whose plans follow ``clock``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(
            timezone=UTC,
            executors={"default": _Threads()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._clock = clock
        self._seen = (clock.mono(), clock.wall())

    def every(self, seconds: float, work: Callable[[], object], *, at_once: bool = False) -> None:
        """Have ``work`` done every so many seconds; what has not ended when it is due again is not begun a second time."""
        begin: dict[str, datetime] = {"next_run_time": self._clock.wall()} if at_once else {}
        self.add_job(work, IntervalTrigger(seconds=seconds, timezone=UTC), **begin)

    def _main_loop(self) -> None:
        """The thread: as BlockingScheduler's, but that the plans are moved first and no wait is long."""
        while self.running:
            self._follow()
            wait_s = self._process_jobs()
            self._event.wait(LOOK_S if wait_s is None else min(wait_s, LOOK_S))
            self._event.clear()

    def _follow(self) -> None:
        mono, wall = self._clock.mono(), self._clock.wall()
        jump = wall - self._seen[1] - timedelta(seconds=mono - self._seen[0])
        self._seen = (mono, wall)
        if abs(jump) > timedelta(seconds=STEP_S):
            for job in self.get_jobs():
                if job.next_run_time is not None:
                    job.modify(next_run_time=job.next_run_time + jump)


class _Threads(BaseExecutor):  # type: ignore[misc]
    """A thread for each run, and none while nothing is due. There are never more than jobs, since none runs twice at once."""

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        threading.Thread(target=self._run, args=(job, run_times), name="chore", daemon=True).start()

    def _run(self, job: Any, run_times: Any) -> None:
        try:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        except Exception as error:  # noqa: BLE001  (a chore's own mistake: the library tells it)
            self._run_job_error(job.id, error, error.__traceback__)
        else:
            self._run_job_success(job.id, events)
