"""Releases that were brought ahead of time (hawkBit's download-only): they lie here unpacked, and nothing points to them.

``Component.ready`` remembers them. They are collected when a release is committed in their place, when they did not stay, when
their maker takes them back, and when another update finds no room; a lost one is no loss, it is fetched again.
"""

import logging
from collections.abc import Iterable

from firmware.errors import FirmwareError
from firmware.interfaces import Effects, Facts
from firmware.state import Component, Progress, StateFile, Wanted

log = logging.getLogger(__name__)


def lies_here(effects: Effects, seen: Component, item: Wanted, facts: Facts) -> bool:
    """Whether the very archive that is signed now was unpacked here, and every file of it is as it was unpacked."""
    if seen.ready != item.version:
        return False
    try:
        kept = effects.recall(item)
    except FirmwareError as error:
        log.info("%s %s was brought ahead of time and is fetched again: %s", item.component, item.version, error)
        return False
    return bool(kept.get("unpacked")) and kept["unpacked"] == facts["archive"]["sha256"]


def lay(state: StateFile, progress: Progress) -> None:
    """It lies here from now on, in place of what was brought before."""
    for item in progress.deployment.items:
        seen = state.components.setdefault(item.component, Component())
        if seen.version != item.version:
            seen.ready = item.version


def kept(seen: Component) -> frozenset[str]:
    """The versions of a component that are not collected."""
    return frozenset(version for version in (seen.version, seen.previous, seen.ready) if version is not None)


def forget(seen: Component) -> None:
    """It is not wanted any more: the next tidying takes it away."""
    if seen.ready is not None and seen.state == "waiting":
        seen.state = "committed" if seen.release_counter else "none"
    seen.ready = None


def discard(state: StateFile, progress: Progress) -> None:
    """After going back: what did not stay does not wait here for its next turn."""
    for item in () if progress.deployment.back else progress.deployment.items:
        seen = state.components.get(item.component)
        if seen is not None and seen.ready == item.version:
            forget(seen)


def make_room(state: StateFile, effects: Effects, needed: Iterable[Wanted]) -> bool:
    """Take away what was brought ahead of time and what ``needed`` does not ask for; False where there is nothing such."""
    wanted = {(item.component, item.version) for item in needed}
    spare = [name for name, seen in state.components.items() if seen.ready and (name, seen.ready) not in wanted]
    for name in spare:
        seen = state.components[name]
        log.warning("%s %s was brought ahead of time and makes room now", name, seen.ready)
        item = Wanted(name, seen.ready or "")
        forget(seen)
        staged = {version for component, version in wanted if component == name}
        effects.tidy([item], {name: kept(seen) | staged}, downloads=False)
    return bool(spare)
