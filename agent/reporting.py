"""Starts the receivers of the journal that the configuration names, and sums up whether the centre is reached."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent import __version__
from agent.clock import Clock
from agent.config.model import Center, Config
from agent.enrolment.center import Files
from agent.enrolment.duty import Enrolment
from agent.health.conditions import conditions
from agent.health.device import DeviceHealth
from agent.health.statistics import COUNTERS
from agent.journal import Journal
from agent.owner import Owner, device_states
from agent.sinks.base import Runner, SinkStatus
from agent.sinks.hawkbit import HawkbitSink
from agent.sinks.otlp import OtlpSink
from agent.updating import Updating
from firmware.traffic import Traffic
from firmware.transport import Transport
from protocols.center.ddi import MAX_ATTRIBUTE
from protocols.center.otlp import DeviceState

OWNER_LIMIT_S = 5.0
REQUEST_LIMIT_S = 20.0
HW_TYPES = {"printer": "printer", "reader": "card_reader"}


class Reporting:
    """The sinks of one daemon."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        owner: Owner,
        journal: Journal,
        updating: Updating,
        enrolment: Enrolment,
        *,
        counted: Callable[[], Mapping[str, Mapping[str, Any]]] = dict,
        saving: Callable[[], bool] = bool,
    ) -> None:
        self._config = config
        self._owner = owner
        self._counted = counted
        self._runners: dict[str, Runner] = {}
        self.traffic = Traffic()
        center = config.center
        if center is not None and center.otlp:
            sink = OtlpSink(
                center.otlp,
                center_transport(center, center.otlp, enrolment.identity, self.traffic),
                journal,
                clock,
                host_id=config.host.id,
                version=__version__,
                devices=self._devices,
                heartbeat_s=center.heartbeat_s,
            )
            self._runners["otlp"] = Runner(sink, journal, clock, stopped=enrolment.stopped, saving=saving)
        if center is not None and center.ddi:
            poller = HawkbitSink(
                center.ddi,
                center_transport(center, center.ddi, enrolment.identity, self.traffic),
                journal,
                updating,
                controller_id=config.host.id,
                attributes=self._attributes,
                polled=updating.center_window.polled,
            )
            self._runners["hawkbit"] = Runner(poller, journal, clock, stopped=enrolment.stopped, saving=saving)
        for name in journal.sinks():
            if name not in self._runners:
                journal.forget(name)

        updating.on_ended = self.poll_soon

    def start(self) -> None:
        """Begin to report."""
        for runner in self._runners.values():
            runner.start()

    def stop(self) -> None:
        """End; what is not delivered stays in the journal."""
        for runner in self._runners.values():
            runner.stop(1.0)

    def poll_now(self, limit_s: float) -> bool:
        """Ask the centre for deployments at once; False when it did not answer in time."""
        for name, other in self._runners.items():
            if name != "hawkbit":
                other.poke()  # somebody is looking: what backs off for minutes may be right again
        runner = self._runners.get("hawkbit")
        return runner is not None and runner.poke(limit_s)

    def poll_soon(self) -> None:
        """Ask the centre for deployments without waiting for the answer."""
        runner = self._runners.get("hawkbit")
        if runner is not None:
            runner.poke()

    def all_soon(self) -> None:
        """Every receiver now: who we are has changed."""
        for runner in self._runners.values():
            runner.poke()

    def why_not(self) -> str:
        """Why the centre is not reached, in one line."""
        if "hawkbit" not in self._runners:
            return "no [center] ddi is configured"
        return self._runners["hawkbit"].status().reason or "no answer in time"

    def status(self) -> dict[str, Any]:
        """``center`` of the status document: reachable is None before the first contact."""
        return summary({name: runner.status() for name, runner in self._runners.items()})

    def _devices(self) -> Sequence[DeviceState]:
        counted = self._counted()

        def read() -> list[DeviceState]:
            return [
                DeviceState(
                    subject,
                    HW_TYPES.get(health.kind, health.kind),
                    health.state().value,
                    {f"hw.{_HW_NAMES[k]}": v for k, v in health.identity.items() if k in _HW_NAMES},
                    conditions(health),
                    _of(health, counted.get(subject)),
                    {part.part: max(0.0, 1 - part.used / part.rated) for part in health.wear_parts()},
                )
                for subject, health in device_states(self._owner.tills).items()
            ]

        return self._owner.inbox.ask(read).result(OWNER_LIMIT_S)

    def _attributes(self) -> Mapping[str, str]:
        counted = self._counted()

        def read() -> dict[str, str]:
            found = {"posagent.version": __version__}
            for subject, health in device_states(self._owner.tills).items():
                found |= {f"{subject}.{noun}": value for noun, value in health.identity.items()}
                found[f"{subject}.statistics"] = statistics_line(_of(health, counted.get(subject)))
                found |= {f"{subject}.conditions": ", ".join(told) for told in [conditions(health)] if told}
            return found

        return self._owner.inbox.ask(read).result(OWNER_LIMIT_S)


_HW_NAMES = {"maker": "vendor", "model": "model", "serial": "serial_number", "firmware": "firmware_version"}


def _of(health: DeviceHealth, kept: Mapping[str, Any] | None) -> Mapping[str, int]:
    """What was kept of this very device; of the one that stood here before nothing is told under another's name."""
    return kept["statistics"] if kept and kept["identity"] == health.last_identity else {}


def statistics_line(counted: Mapping[str, int]) -> str:
    """All that fits into one attribute of hawkBit (128 characters), what is worth most first."""
    order = sorted(counted, key=lambda name: (name not in COUNTERS, not counted[name], name))
    line = ""
    for name in order:
        longer = f"{line} {name}={counted[name]}".lstrip()
        line = longer if len(longer) <= MAX_ATTRIBUTE else line
    return line


def center_transport(center: Center, url: str, client: Callable[[], Files | None], traffic: Traffic | None = None) -> Transport:
    """The way to the centre, with the token or the certificate that it gave this host."""
    token = f"TargetToken {center.token}" if center.token else None
    if center.gateway_token:
        token = f"GatewayToken {center.gateway_token}"
    return Transport(ca=center.ca, timeout_s=REQUEST_LIMIT_S, token=token, token_for=url, client=client, traffic=traffic)


def summary(statuses: Mapping[str, SinkStatus]) -> dict[str, Any]:
    """One answer for all receivers: reached only when each of them is; the backlog is the longest."""
    known = [s.reachable for s in statuses.values()]
    reachable = None if not known or (None in known and False not in known) else all(known)
    reports = [s.last_report for s in statuses.values() if s.last_report]
    return {
        "configured": bool(statuses),
        "reachable": reachable,
        "last_report": max(reports) if reports else None,
        "backlog": max((s.backlog for s in statuses.values()), default=0),
        "reasons": {name: s.reason for name, s in statuses.items() if s.reason},
    }
