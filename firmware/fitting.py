"""Does a verified release fit this till? The manifest's words against what the machine and its devices say of themselves."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

from firmware.errors import ReleaseRefused, one_line
from firmware.interfaces import HARDWARE_UNKNOWN
from firmware.manifest import Fit, Manifest, compare_versions, time_text

_NAMES: Final = ("sys/class/dmi/id/product_name", "sys/class/dmi/id/board_name", "proc/device-tree/model")
_NAME_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Installed:
    """What runs now of the component in question."""

    version: str
    release_counter: int


@dataclass(frozen=True, slots=True)
class TillFacts:
    """What this machine is, as its configuration and its devices say; ``now`` is aware and trusted.

    ``components`` maps every installed component to its version, ``revoked`` holds (component, version) pairs that
    newer manifests have taken back. ``devices``: subject (``<till>/<kind>``) of every configured device → what it has
    said of itself, nothing where it is not known now.
    """

    terminals: tuple[str, ...]
    labels: tuple[str, ...]
    hardware: tuple[str, ...]
    now: datetime
    components: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    revoked: frozenset[tuple[str, str]] = frozenset()
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))


def host_names(root: Path = Path("/")) -> tuple[str, ...]:
    """What ``hardware`` of a manifest may name: the machine's architecture, and what its firmware calls product and board.

    Linux: uname(2), DMI in /sys, the device tree in /proc.
    """
    names = [os.uname().machine]
    for place in _NAMES:
        try:
            with (root / place).open("rb") as file:
                names.append(one_line(file.read(_NAME_MAX).decode("utf-8", "replace").strip("\0 \n"), _NAME_MAX))
        except OSError:
            continue
    return tuple(dict.fromkeys(name for name in names if name))


def fits(manifest: Manifest, till: TillFacts, installed: Installed | None) -> None:
    """Return if the release may run on this till now.

    Raises ReleaseRefused: wrong_till, wrong_hardware, hardware_unknown (a device has not said who it is), revoked,
    downgrade, too_early, too_late, needs_other. The version that runs already is no downgrade.
    """
    label = f"{manifest.component} {manifest.version}"
    _fits_till(label, manifest, till)
    if (manifest.component, manifest.version) in till.revoked or manifest.version in manifest.revoked:
        _refuse("revoked", f"{label} has been taken back by its maker: ask for a newer release")
    _fits_history(label, manifest, installed)
    _fits_time(label, manifest, till.now)
    for need in manifest.needs:
        running = till.components.get(need.component)
        if running is None or compare_versions(running, need.min_version) < 0:
            has = f"{need.component} {running} runs" if running else f"{need.component} is not installed"
            _refuse("needs_other", f"{label} needs {need.component} {need.min_version} or newer, but {has}: update it first")
    _fits_devices(label, manifest, till)  # last: of all reasons this is the one that may pass by waiting


def _fits_till(label: str, manifest: Manifest, till: TillFacts) -> None:
    if manifest.terminals and not set(manifest.terminals) & set(till.terminals):
        _refuse("wrong_till", f"{label} is signed for other tills than {', '.join(till.terminals)}")
    if manifest.labels and not set(manifest.labels) & set(till.labels):
        _refuse("wrong_till", f"{label} is signed for tills labelled {', '.join(manifest.labels)}; this one is not")
    if manifest.hardware and not set(manifest.hardware) & set(till.hardware):
        _refuse("wrong_hardware", f"{label} is made for {', '.join(manifest.hardware)}; this machine is something else")


def _fits_history(label: str, manifest: Manifest, installed: Installed | None) -> None:
    if installed is None:
        return
    if compare_versions(manifest.version, installed.version) < 0:
        _refuse("downgrade", f"{label} is older than {installed.version}, which runs: go back with `update rollback`")
    counter, running = manifest.release_counter, installed.release_counter
    if counter < running:
        _refuse("downgrade", f"{label} was released before what runs (counter {counter} < {running})")
    if counter == running and manifest.version != installed.version:
        _refuse("downgrade", f"{label} has the release counter of {installed.version}, which runs: it is not newer")


def _fits_time(label: str, manifest: Manifest, now: datetime) -> None:
    if manifest.not_before and now < manifest.not_before:
        _refuse("too_early", f"{label} may be installed from {time_text(manifest.not_before)} on: wait")
    if manifest.not_after and now > manifest.not_after:
        _refuse("too_late", f"{label} could be installed until {time_text(manifest.not_after)}: ask for a newer release")


def _fits_devices(label: str, manifest: Manifest, till: TillFacts) -> None:
    """Every till of this host, since a component is the host's. What is known to be wrong comes before what is unknown."""
    unknown = ""
    for fit in manifest.fits:
        kind, _, noun = fit.what.partition(".")
        if kind == "host":
            _fits_one(label, "this machine", os.uname().machine, fit)
            continue
        devices = {subject: said for subject, said in till.devices.items() if subject.rpartition("/")[2] == kind}
        if not devices:
            _refuse("wrong_hardware", f"{label} is made for tills with a certain {kind}; this machine has none")
        for subject, said in sorted(devices.items()):
            if noun in said:
                _fits_one(label, subject, said[noun], fit)
            else:
                unknown = unknown or f"{label} needs {_wanted(fit)}, and {subject} has not said its {noun}"
    if unknown:
        _refuse(HARDWARE_UNKNOWN, unknown)


def _fits_one(label: str, subject: str, said: str, fit: Fit) -> None:
    if not any(said.startswith(text[:-1]) if text.endswith("*") else said == text for text in fit.texts):
        _refuse("wrong_hardware", f"{label} needs {_wanted(fit)}; {subject} is {one_line(said, 60)}")


def _wanted(fit: Fit) -> str:
    return f"{fit.what} {' or '.join(one_line(text, 40) for text in fit.texts[:3])}"


def _refuse(code: str, message: str) -> NoReturn:
    raise ReleaseRefused(one_line(message, 300), code=code)
