"""What must be true of a state folder: in the moment after a blow, and when the agent has run again."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.journal import Record, verify
from agent.journal.record import canonical
from agent.journal.store import connect, records
from firmware.files import TwinFile
from firmware.floor import ONLINE_ROLES
from firmware.flow import SWITCHED
from tests.crash.itself import FIRST, OWN
from tests.crash.scenarios import NEXT, Scenario
from tests.crash.stage import STICK, Place

GROWTH_BYTES = 128 * 1024
"""A few records more than an undisturbed run has; a stray download or release is larger."""
JOURNAL_PARTS = ("journal.sqlite-wal", "journal.sqlite-shm")

Tree = tuple[tuple[str, bool, str], ...]


class BrokenError(AssertionError):
    """A promise that did not hold."""


def tree_of(folder: Path) -> Tree:
    """Every file below: name, whether it may be executed, hash."""
    found = []
    for place, folders, files in os.walk(folder):
        for name in (*files, *(f for f in folders if (Path(place) / f).is_symlink())):
            path = Path(place) / name
            digest = "link" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            found.append((str(path.relative_to(folder)), os.access(path, os.X_OK), digest))
    return tuple(sorted(found))


@lru_cache
def released(folder: Path) -> Tree:
    return tree_of(folder)


def pointer(place: Place, component: str) -> str | None:
    """The version that runs, after holding every byte of it against what was released."""
    link = pointers(place, component) / "current"
    if not link.is_symlink():
        if link.exists():
            raise BrokenError("the pointer is no link")
        return None
    version = str(link.readlink()).removeprefix("releases/" if component == OWN else "")
    check_release(place, component, version)
    return version


def pointers(place: Place, component: str) -> Path:
    """Where the links are."""
    return place.root / "opt/posagent" if component == OWN else place.state / "releases" / component


def releases(place: Place, component: str) -> Path:
    """Where the versions are."""
    return pointers(place, component) / "releases" if component == OWN else pointers(place, component)


def check_release(place: Place, component: str, version: str) -> None:
    folder = releases(place, component) / version
    if (component, version) not in place.stage.trees:
        raise BrokenError(f"{component} {version!r} was never released")
    if tree_of(folder) != released(place.stage.trees[component, version]):
        raise BrokenError(f"what lies under {component} {version} is not what was released")


def floors(place: Place) -> dict[str, int]:
    """Every number that must never fall: versions, release counters, and the last-known-good time."""
    floor = stored(place, "floor.json")
    counters = {f"counter {name}": number for name, number in floor.get("counters", {}).items()}
    moment = stored(place, "time.json").get("signed_at")
    time = {"time": int(datetime.fromisoformat(moment).timestamp()) if moment else 0}
    return {role: floor.get("versions", {}).get(role, 0) for role in ("root", *ONLINE_ROLES)} | counters | time


def stored(place: Place, name: str) -> Mapping[str, Any]:
    """What a twin file holds, by its own rules; nothing is healed on the way, that is the agent's to do."""
    return TwinFile(place.state / name).load() or {}


def check_floors(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    fallen = {name: (number, after.get(name)) for name, number in before.items() if after.get(name, 0) < number}
    if fallen:
        raise BrokenError(f"the floor fell: {fallen}")


def journal(place: Place) -> list[Record]:
    """All records, of a journal that verifies."""
    path = place.state / "journal.sqlite"
    verdict = verify(path)
    if not verdict.ok:
        raise BrokenError(f"the journal does not verify: {verdict.problems}")
    link = connect(path, read_only=True)
    try:
        return records(link, 0, 100_000)
    finally:
        link.close()


def final_states(found: list[Record], deployment: str) -> list[str]:
    """The one final report of each deployment whose id is that one, or begins with it where it ends in a dash."""
    finals: dict[str, list[str]] = {}
    for record in found:
        name = str(record.body.get("deployment", ""))
        if name == deployment or (deployment.endswith("-") and name.startswith(deployment)):
            finals.setdefault(name, []).extend([str(record.body["state"])] if record.body.get("final") else [])
    if not finals or any(len(states) != 1 for states in finals.values()):
        raise BrokenError(f"{deployment} has these final reports: {finals}")
    keys = Counter(record.body["key"] for record in found if "key" in record.body)
    if twice := [key for key, count in keys.items() if count > 1]:
        raise BrokenError(f"told twice: {twice}")
    return [states[0] for states in finals.values()]


@dataclass(frozen=True)
class Extent:
    """How much a terminal's folder holds: names (those below a release left out) and bytes."""

    names: frozenset[str]
    size: int

    @classmethod
    def of(cls, place: Place) -> "Extent":
        names, size = set(), 0
        for path in place.root.rglob("*"):
            name = str(path.relative_to(place.state if path.is_relative_to(place.state) else place.root))
            parts = name.split("/")
            if not path.is_dir() or path.is_symlink():
                size += path.lstat().st_size
            if parts[0] in ("releases", "inventory") and len(parts) > 2 and parts[2] != "current":
                continue
            if parts[:3] == ["opt", "posagent", "releases"] and len(parts) > 3:
                continue
            if name not in JOURNAL_PARTS:
                names.add(name)
        return cls(frozenset(names), size)


def check_extent(place: Place, components: Iterable[str], reference: Extent) -> None:
    seen = Extent.of(place)
    if more := seen.names - reference.names:
        raise BrokenError(f"left over: {sorted(more)}")
    if seen.size > reference.size + GROWTH_BYTES:
        raise BrokenError(f"the state folder grew from {reference.size} to {seen.size} bytes")
    for component in components:
        kept = sorted(name for name in os.listdir(releases(place, component)) if name != "current")
        brought = 1 if component == OWN else 0  # by the package, which alone removes it
        if pointer(place, component) not in kept or len(kept) > 2 + brought:
            raise BrokenError(f"kept releases: {kept}")
        for version in kept:
            check_release(place, component, version)
        listed = sorted(os.listdir(place.state / "inventory" / component))
        if listed != [version for version in kept if not brought or version != FIRST]:
            raise BrokenError(f"releases {kept}, their inventories {listed}")


def after_blow(place: Place, scenario: Scenario, before: Mapping[str, int]) -> dict[str, int]:
    """Nothing has run since: the till would start what the pointers name. Returns the floors."""
    running = {name: pointer(place, name) for name in scenario.components}
    for name, version in running.items():
        if version not in (scenario.old[name], scenario.new[name]):
            raise BrokenError(f"the pointer of {name} names {version}")
    if running != dict(scenario.old) and running != dict(scenario.new):
        _check_half_switched(place, running)
    _check_hold(place, scenario)
    found = floors(place)
    check_floors(before, found)
    return found


def _check_half_switched(place: Place, running: Mapping[str, str | None]) -> None:
    """Half a set may be switched for a moment, if the next start knows that it was."""
    deployment = stored(place, "deployment.json").get("deployment") or {}
    if deployment.get("state") not in SWITCHED:
        raise BrokenError(f"half a set runs, and nothing on disk says so: {running}")


def _check_hold(place: Place, scenario: Scenario) -> None:
    """What was stored last can be read, and nobody is held who was not to be."""
    if stored(place, "hold.json").get("until") and scenario.asks:
        raise BrokenError("updates are held")


def after_recovery(place: Place, scenario: Scenario, before: Mapping[str, int], reference: Extent, *, exact: bool) -> str:
    """The agent ran again, ended the deployment, and installed one more. ``exact``: the end is that of a calm run."""
    found = journal(place)
    end = ending(place, scenario, found, exact=exact)
    running = {name: pointer(place, name) for name in scenario.components}
    if final_states(found, "after") != ["committed"] or running != {name: NEXT[name] for name in scenario.components}:
        raise BrokenError(f"the next update does not work: {running}")
    check_previous(place, scenario, end)
    check_floors(before, floors(place))
    check_extent(place, scenario.components, reference)
    return end


def ending(place: Place, scenario: Scenario, found: list[Record], *, exact: bool) -> str:
    """How it ended, as the journal tells, and whoever else was to be told."""
    if not scenario.asks:
        return scenario.ends
    ends = final_states(found, scenario.deployment)
    if exact and set(ends) != {scenario.ends}:
        reasons = [(r.kind, r.body.get("code"), r.body.get("reason")) for r in found if r.kind.startswith("update.")]
        raise BrokenError(f"it ended {ends}, not {scenario.ends}: {reasons}")
    if scenario.by == "install":
        _check_receipt(place, scenario, found, exact=exact)
    if place.center is not None:
        _check_centre(place, ends[-1])
    return ends[-1]


def _check_receipt(place: Place, scenario: Scenario, found: list[Record], *, exact: bool) -> None:
    """Whole, signed by this terminal, and true; one for each time that the command came to an end, and no more."""
    told = json.loads((place.media / f"{STICK}.receipt.json").read_bytes())
    earlier, public, signature = told.pop("earlier"), told.pop("public"), told.pop("signature")
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), canonical(told).encode())
    if public != (place.state / "keys" / "journal.pub").read_text("ascii").strip():
        raise BrokenError("the receipt is signed by another key")
    finals = [r for r in found if r.body.get("deployment") == told["deployment"] and r.body.get("final")]
    (wanted,) = scenario.new.values()
    if [(r.body["state"]) for r in finals] != [told["outcome"]] or told["outcome"] != "committed" or told["runs"] != wanted:
        raise BrokenError(f"the receipt says {told}")
    ids = [one["deployment"] for one in (told, *earlier)]
    ended = {r.body.get("deployment") for r in found if r.body.get("final")}
    if len(set(ids)) != len(ids) or not ended.issuperset(ids) or (exact and len(ids) > 2):
        raise BrokenError(f"{len(ids)} receipts of {len(ended)} installs: {ids}")


def _check_centre(place: Place, end: str) -> None:
    """hawkBit was told of the end once, and of the true one."""
    assert place.center is not None
    (action,) = place.center.store.actions.values()
    kinds = ("finished", "error", "downloaded") if action.type == "downloadonly" else ("finished", "error")
    finals = [row.type for row in action.rows if row.type in kinds]
    wanted = {"committed": "finished", "downloaded": "downloaded"}.get(end, "error")
    if finals != ([] if place.told else [wanted]):
        raise BrokenError(f"it ended {end}, and hawkBit heard {[(row.type, row.messages) for row in action.rows]}")


def told(place: Place, scenario: Scenario) -> bool:
    """Whether hawkBit had acknowledged the end, as the journal knows it now. Looks at a copy: opening it changes it."""
    copy = place.folder / "journal"
    copy.mkdir()
    for part in place.state.glob("journal.sqlite*"):
        shutil.copy(part, copy)
    path = copy / "journal.sqlite"
    if not path.exists() or not verify(path).ok:
        return False
    link = connect(path, read_only=True)
    try:
        of_it = [record for record in records(link, 0, 100_000) if record.body.get("deployment") == scenario.deployment]
        finals = [record.seq for record in of_it if record.body.get("final")]
        cursor = link.execute("SELECT seq FROM cursor WHERE sink = 'hawkbit'").fetchone()
        return bool(finals and cursor and cursor[0] >= finals[0])
    finally:
        link.close()


def check_previous(place: Place, scenario: Scenario, end: str) -> None:
    """What ran when the deployment had ended is what the next update keeps as its predecessor: of a set all, or none."""
    versions = scenario.new if end == "committed" else scenario.old
    for component in scenario.components:
        expected = versions[component]
        if component == OWN:
            kept = [(pointers(place, component) / "previous").readlink().name]
        else:
            kept = sorted(name for name in os.listdir(releases(place, component)) if name not in ("current", NEXT[component]))
        if kept != ([expected] if expected else []):
            raise BrokenError(f"it ended {end}, but {kept} of {component} ran before the next update")


def durable(place: Place) -> dict[str, str]:
    """Every file but the journal's, by its hash: what one more start must leave alone."""
    return {name: digest for name, _, digest in tree_of(place.root) if "journal.sqlite" not in name}
