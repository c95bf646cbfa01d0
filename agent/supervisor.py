"""The daemon: builds the parts, starts them in order, runs the owner in the main thread, and ends them within seconds.

Which part does what: docs/architecture.md. Nothing in this file decides anything about a till or a release.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent import __version__
from agent.clock import Clock
from agent.config.model import Config
from agent.control import ControlServer
from agent.documents import Doc, selftest_document, status_document, update_document
from agent.enrolment.duty import Enrolment, journal_knows
from agent.enrolment.once import answer_enroll
from agent.errors import NotAvailable, UsageError
from agent.hostwatch import HostWatch, clock_wrong
from agent.house import House
from agent.inbox import Inbox
from agent.journal import Journal
from agent.journal.peek import was_cut_off
from agent.keeping import EVERY_S as KEEP_S
from agent.keeping import Keeper
from agent.lock import OwnerLock
from agent.memory import Memory
from agent.notify import notify, watchdog_s
from agent.paths import Paths
from agent.ports.port import PortOpener
from agent.reporting import Reporting
from agent.selftest import SelfTest
from agent.selfwatch import EVERY_S as SELF_LOOK_S
from agent.selfwatch import SelfWatch
from agent.signer import signer
from agent.starts import GOOD_S, Starts
from agent.stopsignal import StopSignal
from agent.text import Text
from agent.updateasked import answer_update
from agent.updating import Updating
from agent.usage import read_usage

log = logging.getLogger(__name__)

STATUS_LIMIT_S = 5.0
CHECK_LIMIT_S = 30.0
ALIVE_LIMIT_S = 30.0
LEVELS = ("internal", "external", "interactive")


class Daemon:
    """One run of ``posagent run``. Raises ConfigError or NotAvailable before anything is started."""

    def __init__(self, config: Config, paths: Paths, clock: Clock, opener: PortOpener) -> None:
        self._config = config
        self._paths = paths
        self._clock = clock
        self._lock = OwnerLock(paths.lock)
        self._lock.take()
        try:
            memory = Memory(paths.statistics)
            self._journal = Journal(
                paths.journal,
                boot_id=clock.boot_id,
                wall=clock.rfc3339,
                mono=clock.mono,
                signer=signer(paths.state / "keys"),
            )
            self._house = House(config, self._journal.append_all, clock, opener=opener, remembered=memory.load())
            self._keeper = Keeper(memory, self._house, clock)
        except BaseException:
            self._lock.release()
            raise
        owner = self._house.owner
        self._hosts = HostWatch(config, paths, clock, owner)
        self._updating = Updating(config, paths, clock, owner, self._journal)
        self._enrolment = Enrolment(
            config,
            paths,
            clock,
            clock_wrong=lambda: clock_wrong(paths, clock),
            tell=lambda results: owner.inbox.post(lambda: owner.host_checked(results)),
            record=lambda kind, severity, body: self._journal.append(kind, severity, "host", body),
            recorded=lambda sha256: journal_knows(paths.journal, sha256),
        )
        self._reporting = Reporting(
            config,
            clock,
            owner,
            self._journal,
            self._updating,
            self._enrolment,
            counted=self._keeper.reported,
            saving=lambda: self._selfwatch.saving,
        )
        self._enrolment.on_enrolled = self._enrolled
        house = self._house
        self._selftest = SelfTest(owner, house.pumps, self._hosts.run, clock.mono, self.slip_lines, house.borrowed, house.pcsc)
        self._testing = threading.Lock()
        self._starts = Starts(paths.starts)
        if self._starts.given_up:
            log.warning("posagent %s did not start well: this is the release before it", self._starts.given_up)
        self._selfwatch = SelfWatch(
            config.limits,
            lambda: read_usage(paths.state, clock, self._reporting.traffic.moved),
            clock,
            tell=lambda results: owner.inbox.post(lambda: owner.host_checked(results)),
            busy=self._updating.under_way,
            restart=self._start_anew,
        )
        self._anew = ""
        if self._updating.own is not None:
            self._updating.own.connect(
                alive=lambda limit_s: owner.inbox.ask(lambda: None).result(limit_s),
                usage=lambda: read_usage(paths.state, clock, self._reporting.traffic.moved),
                reached=lambda: self._reporting.status()["reachable"],
                restart=owner.stop,
            )
        self._control = ControlServer(paths.socket, self.handle)

    # -- life ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises NotAvailable where it ended itself to be started anew."""
        stop = StopSignal(self._house.owner.stop)
        stop.start()
        begun = {"version": __version__, "config": str(self._config.path), "cut_off": was_cut_off(self._paths.journal)}
        self._journal.append("agent.started", "info", "host", begun)
        self._house.start(own_thread=False)
        self._updating.start()
        self._enrolment.start()
        self._reporting.start()
        self._hosts.start(self._chores())
        self._control.start()
        log.info("posagent %s watches %d terminal(s)", __version__, len(self._config.terminals))
        notify("READY=1")
        try:
            self._house.owner.run()
            if not self._anew:
                self._starts.forgive()
        finally:
            self._stop()
            stop.close()
        if self._anew:
            raise NotAvailable(self._anew, code="self_limits", remedy="the service starts it anew; by hand: posagent run")

    def _chores(self) -> Sequence[tuple[float, Any]]:
        """(every so many seconds, what): apscheduler's thread does them."""
        chores: list[tuple[float, Any]] = [
            (KEEP_S, self._keeper.keep),
            (3600.0, self._journal.sign_head),
            (GOOD_S, self._alive),
            (SELF_LOOK_S, self._selfwatch.look),
            *self._updating.chores(),
            *self._enrolment.chores(),
        ]
        return [*chores, *feeding(self._house.owner.inbox)]

    def _start_anew(self, what: str, evidence: Mapping[str, str]) -> None:
        """End in order, so that whoever started us starts us anew; the record says why."""
        self._journal.append("agent.restarting", "warning", "host", dict(evidence))
        self._anew = f"posagent used too much ({what}: {evidence[what]}) and ended"
        self._house.owner.stop()

    def _alive(self) -> None:
        """The main loop answers: the launcher may go on with this release."""
        self._house.owner.inbox.ask(lambda: None).result(ALIVE_LIMIT_S)
        if not self._updating.proves_itself():  # then its own probation decides
            self._starts.good()

    def _stop(self) -> None:
        notify("STOPPING=1")
        self._control.stop()
        self._hosts.stop()
        self._reporting.stop()
        self._enrolment.stop()
        self._updating.stop()
        self._house.stop()
        self._keeper.stop()
        self._journal.append("agent.stopped", "info", "host", {"version": __version__})
        self._journal.close()
        self._lock.release()

    def _enrolled(self) -> None:
        """Who waited for a certificate goes on."""
        self._reporting.all_soon()
        self._hosts.look()

    # -- questions from the socket ---------------------------------------------------------------------------------

    def handle(self, request: Mapping[str, Any]) -> Doc:
        """One request of a command; runs on a thread of the control server."""
        match request.get("do"):
            case "status":
                return self._house.owner.inbox.ask(self._status).result(STATUS_LIMIT_S)
            case "enroll":
                return answer_enroll(self._enrolment, request)
            case "selftest":
                return self._run_selftest(str(request.get("level", "internal")))
            case "trace":
                return {"schema": 1, "devices": self._house.traces()}
            case "print.seen":
                return {"schema": 1, "seen": self._house.print_seen(str(request.get("terminal", "")))}
            case "swipe":
                return self._run_swipe(str(request.get("terminal", "")))
            case "check_card":
                return self._alone_in_testing(lambda: self._selftest.check_card(str(request.get("terminal", ""))))
            case "update.status":
                return self._update_status()
            case "update.check":
                return self._update_check()
            case str(words) if words.startswith("update."):
                return answer_update(self._updating, words, request)
        raise UsageError(f"the daemon does not know {request.get('do')!r}", remedy="use a posagent of the same version")

    def _status(self) -> Doc:
        center = self._reporting.status()
        components = self._updating.status()["components"]
        return status_document(self._house.owner, self._config.host.id, center, components, self._enrolment.status())

    def _update_status(self) -> Doc:
        self._updating.require_state()
        return update_document(self._updating.report())

    def _update_check(self) -> Doc:
        if not self._reporting.poll_now(CHECK_LIMIT_S):
            raise NotAvailable(
                f"the service centre did not answer: {self._reporting.why_not()}",
                code="center_unreachable",
                remedy="check the network and [center] in the configuration; posagent status tells more",
            )
        return self._update_status()

    def _run_selftest(self, level: str) -> Doc:
        if level not in LEVELS:
            raise UsageError(f"no level {level!r}", remedy=f"choose one of {', '.join(LEVELS)}")
        document = self._alone_in_testing(lambda: selftest_document(level, self._selftest.run(level)))
        body = {"level": level, "result": document["result"]}
        self._journal.append("selftest.done", "info", "host", body)
        return document

    def _run_swipe(self, terminal: str) -> Doc:
        from agent.swipecheck import SwipeCheck  # on use: an idle daemon has nothing of it

        return self._alone_in_testing(lambda: SwipeCheck(self._house, self._clock.mono).run(terminal))

    def _alone_in_testing(self, test: Callable[[], Doc]) -> Doc:
        if not self._testing.acquire(blocking=False):
            raise NotAvailable("a self-test is running already", code="testing", remedy="wait until it has ended")
        try:
            return test()
        finally:
            self._testing.release()

    def slip_lines(self, subject: str) -> list[str]:
        """What a self-test prints: who, where, when."""
        return slip_lines(subject, self._clock)


def feeding(inbox: Inbox) -> list[tuple[float, Callable[[], object]]]:
    """What feeds systemd's watchdog, where there is one: through the main loop, since a stuck one must not look alive."""
    every_s = watchdog_s()
    return [] if every_s is None else [(every_s, lambda: inbox.post(lambda: notify("WATCHDOG=1")))]


def slip_lines(subject: str, clock: Clock) -> list[str]:
    """The test slip, Chinese first: it lies on the counter afterwards."""
    lines = list(dict.fromkeys(Text(lang).t("selftest.slip_title") for lang in ("zh_CN", "en")))
    return [*lines, subject, clock.rfc3339()[:19] + "Z", "posagent " + __version__, ""]
