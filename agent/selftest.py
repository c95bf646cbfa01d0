"""CheckHealth (UnifiedPOS): internal changes nothing, external prints, interactive asks a person; with or without a daemon.

Every device is asked anew at once, each on its own port; then the checks are read off the models, so that a self-test can never
say something else than the status does.
"""

import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from agent.health.atrtext import shown
from agent.health.catalogue import severity_of
from agent.health.device import DeviceHealth, DeviceState
from agent.health.terminal import device_need
from agent.hostchecks import Check as HostCheck
from agent.observations import CardChecked, LinkState, Refreshed, SlipDone
from agent.owner import Ended as EndedTask
from agent.owner import Owner
from agent.ports.holders import holders
from agent.ports.pump import Pump
from agent.ports.tasks import BY_RECEIPT, CANNOT_TELL
from agent.till import Till, WatchedDevice

REFRESH_LIMIT_S = 8.0
CARD_LIMIT_S = 70.0
"""A card may ask for time for a minute."""
SLIP_LIMIT_S = 10.0

TOLD = ("why", "found_baud", "configured_baud", "heard_bytes")
"""Evidence that a technician wants to read beside the check."""

UNSEEN = "printer.print_unseen"
"""What leaves a printer unknown though its line is well."""

Ended = Future[EndedTask]


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the answer. ``outcome`` is pass, fail, skip or unknown; ``text`` names a sentence in agent.text."""

    id: str
    device: str
    outcome: str
    fault: str | None
    text: str
    took_s: float
    detail: str = ""
    """evidence in a few words, where it helps on the spot: who holds the port, at which speed it answers"""


class CardChecker(Protocol):
    """Checks a test card by itself (agent.pcsc.look)."""

    def check_card(self, token: str) -> bool:
        """Ends in CardChecked(token); False: not now."""


class SelfTest:
    """Runs the checks of one level over all tills. ``host_checks`` runs the host's own, bounded by themselves."""

    def __init__(
        self,
        owner: Owner,
        pumps: Mapping[str, Pump],
        host_checks: Callable[[], Sequence[HostCheck]],
        now: Callable[[], float],
        slip_lines: Callable[[str], list[str]],
        borrow: Callable[[], contextlib.AbstractContextManager[Mapping[str, Pump]]],
        through_pcscd: Mapping[str, CardChecker] | None = None,
    ) -> None:
        """``borrow`` gives the passive lines that nobody holds, for the time of a technician's test.

        ``through_pcscd`` are the readers that pcscd owns, by subject.
        """
        self._through_pcscd = through_pcscd or {}
        self._owner = owner
        self._own = pumps
        self._pumps = pumps
        self._borrow = borrow
        self._host_checks = host_checks
        self._now = now
        self._slip_lines = slip_lines

    def run(self, level: str) -> list[dict[str, Any]]:
        """The ``terminals`` of the contract's document. One at a time: the caller sees to it."""
        if level != "interactive":
            return self._test(level)
        with self._borrow() as borrowed:
            self._pumps = {**self._own, **borrowed}
            try:
                return self._test(level)
            finally:
                self._pumps = self._own

    def check_card(self, terminal: str) -> dict[str, str]:
        """A person has put a test card into that till's reader: what came of it, as ``agent.cli.interview`` reads it."""
        subject = f"{terminal}/reader"
        if subject in self._through_pcscd:
            return self._checked(self._through_pcscd[subject].check_card)
        with self._borrow() as borrowed:
            pump = {**self._own, **borrowed}.get(subject)
            if pump is None:
                return {"card": "held"}
            return self._checked(lambda token: pump.submit(lambda watch, _: watch.check_card(token)))

    def _checked(self, begin: Callable[[str], bool]) -> dict[str, str]:
        token = uuid.uuid4().hex
        future = self._owner.expect(token)
        try:
            done = future.result(CARD_LIMIT_S) if begin(token) else None
        except FutureTimeout:
            done = None
        finally:
            self._owner.forget(token)
        if not isinstance(done, CardChecked):
            return {"card": "unknown"}
        atr = {"atr": shown(done.atr)} if done.atr else {}
        return {"card": done.card, "exchange": done.exchange, "parameters": done.parameters, **atr}

    def _test(self, level: str) -> list[dict[str, Any]]:
        begun = self._now()
        asked = {subject: self._refresh(subject) for subject in self._pumps}
        host = list(self._host_checks())
        took = {s: self._finish(s, token, future, begun) for s, (token, future) in asked.items()}
        slips = self._slips() if level != "internal" else {}
        return self._owner.inbox.ask(lambda: self._read(host, took, slips, level)).result(REFRESH_LIMIT_S)

    def _refresh(self, subject: str) -> tuple[str, Ended]:
        token = uuid.uuid4().hex
        future = self._owner.expect(token)
        if not self._pumps[subject].submit(lambda watch, now: watch.refresh(token, now)):
            future.set_result(Refreshed(token, answered=False))
        return token, future

    def _finish(self, subject: str, token: str, future: Ended, begun: float) -> float:
        del subject
        try:
            future.result(max(0.1, begun + REFRESH_LIMIT_S - self._now()))
        except FutureTimeout:
            pass  # the model says what is known of the line meanwhile
        finally:
            self._owner.forget(token)
        return self._now() - begun

    def _slips(self) -> dict[str, tuple[SlipDone | None, float]]:
        ready = self._owner.inbox.ask(self._printable).result(REFRESH_LIMIT_S)
        waiting: dict[str, tuple[str, Ended, float]] = {}
        for subject in ready:
            token = uuid.uuid4().hex
            marker = token[:4].upper()
            future = self._owner.expect(token)
            lines = self._slip_lines(subject)
            self._pumps[subject].submit(
                lambda watch, now, t=token, m=marker, text=lines: watch.print_slip(t, m, text, now)  # type: ignore[misc]
            )
            waiting[subject] = (token, future, self._now())
        return {subject: self._slip_end(*one) for subject, one in waiting.items()}

    def _slip_end(self, token: str, future: Ended, begun: float) -> tuple[SlipDone | None, float]:
        try:
            done = future.result(SLIP_LIMIT_S)
        except FutureTimeout:
            return None, self._now() - begun
        finally:
            self._owner.forget(token)
        return (done if isinstance(done, SlipDone) else None), self._now() - begun

    def _printable(self) -> list[str]:
        return [
            subject
            for till in self._owner.tills
            for subject, device in till.subjects()
            if device.health.kind == "printer" and subject in self._pumps and device.health.link is LinkState.UP
        ]

    def _watched(self, subject: str) -> bool:
        return subject in self._pumps or subject in self._through_pcscd

    # -- in the owner's thread -------------------------------------------------------------------------------------

    def _read(
        self,
        host: list[HostCheck],
        took: Mapping[str, float],
        slips: Mapping[str, tuple[SlipDone | None, float]],
        level: str,
    ) -> list[dict[str, Any]]:
        answer = []
        for till in self._owner.tills:
            checks = [c for s, d in till.subjects() for c in device_checks(d, self._watched(s), took.get(s, 0.0), level)]
            for subject, device in till.subjects():
                if subject in slips:
                    checks.append(_slip_check(device.health, *slips[subject]))
            checks += [_host_check(c) for c in host if _concerns(c, till)]
            answer.append({"id": till.id, "checks": [asdict(c) for c in checks]})
        return answer


def device_checks(device: WatchedDevice, watched: bool, took_s: float, level: str) -> list[Check]:
    """Line first; where it does not carry, the device's own checks are unknown and not failed."""
    kind = device.health.kind
    took = round(took_s, 3)
    if not watched:
        return [_left_alone(device, level, took)]
    need = device_need(kind, device.health)
    faults = [f.id for f in device.health.faults() if not f.stale]
    line_faults = [f for f in faults if not f.startswith(kind) or (severity_of(f).unknown and f != UNSEEN)]
    checks = [_line_check(device.health, kind, line_faults, took)]
    own = [f for f in faults if f not in line_faults]
    told = device.health.link in (LinkState.UP, LinkState.BAUD_MISMATCH)
    if not own and (need.state is DeviceState.UNKNOWN or not told):
        checks.append(Check(f"{kind}.state", kind, "unknown", None, "selftest.state_unknown", took))
        return checks
    if not own:
        atr = device.health.readings.value("atr")
        detail = f"ATR {atr}" if atr is not None and level != "internal" else ""
        text = "selftest.state_by_person" if device.health.readings.value("print_seen") == "yes" else "selftest.state_ok"
        checks.append(Check(f"{kind}.state", kind, "pass", None, text, took, detail))
    for fault in own:
        severity = severity_of(fault)
        outcome = "fail" if severity.blocks else "unknown" if severity.unknown else "pass"
        checks.append(Check(f"{kind}.state", kind, outcome, fault, f"fault.{fault}", took))
    return checks + _wear_checks(device.health, kind, took)


def _wear_checks(health: DeviceHealth, kind: str, took: float) -> list[Check]:
    """What will be is no fault yet: the check passes, and says which part to bring next time."""
    return [
        Check(
            f"{kind}.wear",
            kind,
            "pass",
            None,
            f"selftest.{part.part}_{part.state}",
            took,
            f"{part.used:.10g}/{part.rated:.10g} {part.unit}",
        )
        for part in health.wear_parts()
        if part.state != "ok"
    ]


def _line_check(health: DeviceHealth, kind: str, faults: Sequence[str], took: float) -> Check:
    if not faults:
        known = health.link in (LinkState.UP, LinkState.BAUD_MISMATCH)
        text = "selftest.line_ok" if known else "selftest.line_unknown"
        return Check(f"{kind}.line", kind, "pass" if known else "unknown", None, text, took)
    worst = next((f for f in faults if severity_of(f).blocks), faults[0])
    outcome = "fail" if severity_of(worst).blocks else "unknown" if severity_of(worst).unknown else "pass"
    return Check(f"{kind}.line", kind, outcome, worst, f"fault.{worst}", took, _detail(health, worst))


def _detail(health: DeviceHealth, fault_id: str) -> str:
    evidence = next((f.evidence for f in health.faults() if f.id == fault_id), {})
    return ", ".join(f"{name} {evidence[name]}" if name != "why" else evidence[name] for name in TOLD if name in evidence)


def _left_alone(device: WatchedDevice, level: str, took: float) -> Check:
    kind = device.health.kind
    if device.health.link is LinkState.UNPLUGGED:
        return Check(f"{kind}.line", kind, "fail", "link.unplugged", "fault.link.unplugged", took)
    held = holders(device.config.port)
    text = "selftest.held" if held else "selftest.passive"
    outcome = "unknown" if level == "interactive" and held else "skip"
    return Check(f"{kind}.line", kind, outcome, None, text, took, ", ".join(map(str, held)))


def _slip_check(health: DeviceHealth, done: SlipDone | None, took: float) -> Check:
    if done is not None and done.printed:
        outcome, text = "pass", "selftest.printed" if done.how == BY_RECEIPT else "selftest.printed_drained"
    elif done is not None and done.printed is False:
        outcome, text = "fail", "selftest.not_printed"
    elif done is not None and done.how == CANNOT_TELL:
        outcome, text = "unknown", "selftest.print_untold"
    else:
        outcome, text = "unknown", "selftest.print_unknown"
    return Check("printer.slip", health.kind, outcome, None, text, round(took, 3))


def _host_check(check: HostCheck) -> Check:
    return Check(check.id, "host", check.outcome, check.id if check.outcome == "fail" else None, check.text, check.took_s)


def _concerns(check: HostCheck, till: Till) -> bool:
    return check.id != "host.network" or "network" in till.terminal.money.needs
