"""`posagent update check --dry-run`: what the centre wants, and what this till would do with it. Nothing is changed.

Trusted metadata is fetched and judged in a copy of the trust folder, so the owner of the real one is not disturbed and
neither floor nor known time move.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from agent.centerwish import SKIP, CenterWindow
from agent.clock import Clock
from agent.config.model import Config
from agent.control import ask_owner
from agent.enrolment.duty import stored_identity
from agent.errors import AgentError, CenterError, ConfigError
from agent.hostwatch import clock_wrong
from agent.knowntime import KnownTime
from agent.paths import Paths
from agent.reporting import center_transport
from agent.updatesettings import settings_of
from firmware.effects import MachineEffects, Settings
from firmware.errors import FirmwareError, InstallFailed, ReleaseRefused, TransportError
from firmware.interfaces import HARDWARE_UNKNOWN, GateAnswer
from firmware.state import Component, StateFile, Wanted
from protocols.center import ddi
from protocols.errors import RemoteProtocolError

Plan = dict[str, Any]
OWNER_LIMIT_S = 5.0
_COPIED = tuple(f"{name}.json.{copy}" for name in ("floor", "time") for copy in "12")


def preview(config: Config, paths: Paths, clock: Clock) -> list[Plan]:
    """One plan for each component that the centre wants: ``component``, ``version``, ``runs`` (or None), ``would``
    (install, download, nothing, wait, refuse), ``code``, ``reason``.

    Raises ConfigError (no_update_section, no_center_section), CenterError (center_unreachable), FirmwareError.
    """
    if config.update is None:
        raise ConfigError("no [update] is configured", code="no_update_section")
    if config.center is None or not config.center.ddi:
        raise ConfigError("no [center] ddi is configured", code="no_center_section")
    found = _wanted(config, paths)
    wanted = [Wanted(chunk.name, chunk.version) for chunk in found.chunks] if found is not None else []
    with _copy(settings_of(config, paths), paths.state) as settings:
        state = StateFile(settings.state_dir / "deployment.json")
        state.load()
        effects = MachineEffects(
            settings,
            gate=lambda _deployment: GateAnswer(open=False),
            device_health=dict,
            wall=clock.rfc3339,
            clock=lambda: clock_wrong(paths, clock),
            by_hand=KnownTime(paths, clock).by_hand,
            devices=lambda: _identities(config, paths),
        )
        plans = [_plan(item, effects, state.components.get(item.component, Component())) for item in wanted]
        if len(wanted) > 1 and any(plan["would"] == "install" for plan in plans):
            plans = _together(wanted, plans, effects)
        return plans if found is None or found.update != SKIP else [_less(plan, found) for plan in plans]


def _less(plan: Plan, found: ddi.Deployment) -> Plan:
    """hawkBit's own maintenance window is shut, or the action is for download alone."""
    if plan["would"] != "install":
        return plan
    if not CenterWindow(float).heard(found):
        return plan | {"would": "wait", "code": "not_now"}
    return plan | {"would": "download"}


def _wanted(config: Config, paths: Paths) -> ddi.Deployment | None:
    """What the next poll would bring; None where it would bring nothing."""
    center = config.center
    if center is None or center.ddi is None:
        return None
    base = f"{center.ddi.rstrip('/')}/{quote(config.host.id, safe='')}"
    try:
        with center_transport(center, center.ddi, lambda: stored_identity(paths)) as transport:
            poll = ddi.parse_poll(transport.get_bytes(base, ddi.MAX_POLL_BYTES))
            if poll.deployment is None:
                return None
            query = urlsplit(poll.deployment.href).query
            url = f"{base}/deploymentBase/{quote(poll.deployment.action_id or '', safe='')}" + (f"?{query}" if query else "")
            return ddi.parse_deployment(transport.get_bytes(url, ddi.MAX_DEPLOYMENT_BYTES))
    except (TransportError, RemoteProtocolError) as error:
        raise CenterError(f"the service centre did not answer: {error}", code="center_unreachable") from None


def _identities(config: Config, paths: Paths) -> dict[str, dict[str, str]]:
    """What each configured device has said of itself to the daemon; nothing where none runs: then it is not known."""
    found = {f"{till.id}/{device.kind}": dict[str, str]() for till in config.terminals for device in till.devices()}
    try:
        terminals = ask_owner(paths.socket, {"do": "status"}, OWNER_LIMIT_S)["terminals"]
    except AgentError:
        return found
    for till in terminals:
        found |= {f"{till['id']}/{kind}": dict(device["identity"]) for kind, device in till["devices"].items()}
    return found


@contextmanager
def _copy(settings: Settings, state: Path) -> Iterator[Settings]:
    """The same settings on a copy of what trust remembers; the releases are looked at where they are."""
    with tempfile.TemporaryDirectory(prefix="posagent-") as name:
        folder, real = Path(name), settings.state_dir
        try:
            if (real / "trust").is_dir():
                shutil.copytree(real / "trust", folder / "trust")
            for file in _COPIED:
                if (real / file).exists():
                    shutil.copy(real / file, folder / file)
            for file in ("deployment.json.1", "deployment.json.2"):
                if (state / file).exists():
                    shutil.copy(state / file, folder / file)
            (real / "releases").mkdir(parents=True, exist_ok=True)
            (folder / "releases").symlink_to(real / "releases")
        except OSError as error:
            raise InstallFailed(f"{real} cannot be read: {error.strerror}", code="disk_denied") from None
        yield replace(settings, state_dir=folder)


def _together(wanted: list[Wanted], plans: list[Plan], effects: MachineEffects) -> list[Plan]:
    """Several are a signed set or nothing; and one that is refused stops all."""
    stopped = next((plan for plan in plans if plan["would"] in ("refuse", "wait")), None)
    try:
        effects.arrange(wanted)
    except FirmwareError as error:
        would = "refuse" if isinstance(error, ReleaseRefused) else "wait"
        stopped = stopped or {"would": would, "code": error.code, "reason": str(error)}
    if stopped is None:
        return plans
    said = {key: stopped[key] for key in ("would", "code", "reason")}
    return [{**plan, **said} if plan["would"] == "install" else plan for plan in plans]


def _plan(item: Wanted, effects: MachineEffects, installed: Component) -> Plan:
    plan: Plan = {"component": item.component, "version": item.version, "runs": None, "code": "", "reason": ""}
    try:
        plan["runs"] = effects.current(item.component)
        if plan["runs"] == item.version:
            return plan | {"would": "nothing"}
        if why := effects.clock():
            return plan | {"would": "wait", "code": "clock_wrong", "reason": why}
        found: Mapping[str, Any] = effects.verify(item, replace(installed, version=plan["runs"]))
    except ReleaseRefused as error:
        if error.code == HARDWARE_UNKNOWN:
            return plan | {"would": "wait", "code": error.code, "reason": str(error)}
        return plan | {"would": "refuse", "code": error.code, "reason": str(error)}
    except FirmwareError as error:
        return plan | {"would": "wait", "code": error.code, "reason": str(error)}
    return plan | {"would": "install", "bytes": int(found["archive"]["length"])}
