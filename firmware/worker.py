"""The heavy steps of an update, in a process that ends: ``python -m firmware.worker arrange|learn|verify|fetch|stage|inspect``.

tuf and cryptography weigh more than the whole daemon, and an archive may be hostile: both are met here. One job comes
as JSON on stdin (see effects._job for its keys); out go JSON lines: any number of ``{"progress": [done, of]}``, then
one of ``{"ok": {…}}``, ``{"refused": {"code", "message"}}``, ``{"failed": {"code", "message", …}}``. Exit code 0 or 1.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from firmware.child import described
from firmware.errors import FirmwareError, InstallFailed, ReleaseRefused
from firmware.files import read_bounded, require_unshared
from firmware.interfaces import CLOCK_WRONG

ROOT_MAX: Final = 512_000
JOB_MAX: Final = 1 << 20
_PROGRESS_EVERY_S: Final = 0.2
_PR_SET_PDEATHSIG: Final = 1

Progress = Callable[[int, int], None]


def verify(job: Mapping[str, Any], _progress: Progress) -> dict[str, Any]:
    """Refresh the trusted metadata, find the release, and hold it against this till."""
    from firmware.fitting import Installed, TillFacts, fits, host_names

    host, running = job["host"], job["installed"]
    with _trust(job) as (trust, now):
        manifest = trust.manifest(job["component"], job["version"])
        target = trust.archive(manifest)
    till = TillFacts(
        tuple(host["terminals"]),
        tuple(host["labels"]),
        (*host["hardware"], *host_names()),
        now,
        dict(job["components"]),
        frozenset((job["component"], version) for version in job["revoked"]),
        job["devices"],
    )
    fits(manifest, till, Installed(running["version"], running["counter"]) if running else None)
    return {
        "release_counter": manifest.release_counter,
        "handler": manifest.handler,
        "health_check": list(manifest.health_check),
        "size_unpacked": manifest.size_unpacked,
        "members": manifest.members,
        "file": manifest.file,
        "revoked": list(manifest.revoked),
        "may_wait": manifest.may_wait,
        "max_hold_h": manifest.max_hold_h,
        "deadline": manifest.deadline.isoformat() if manifest.deadline else None,
        "archive": {"name": target.name, "length": target.length, "sha256": target.sha256, "prefix": target.prefix},
    }


def arrange(job: Mapping[str, Any], _progress: Progress) -> dict[str, Any]:
    """Find the signed set of exactly these releases: the order of their installation."""
    members = [(str(component), str(version)) for component, version in job["members"]]
    with _trust(job) as (trust, _):
        found = trust.set_of(members)
    if found is None:
        named = ", ".join(f"{component} {version}" for component, version in members)
        raise ReleaseRefused(f"no signed set says that these belong together, and in which order: {named}", code="no_set")
    return {"set": found.name, "version": found.version, "members": [list(pair) for pair in found.members]}


def learn(job: Mapping[str, Any], _progress: Progress) -> dict[str, Any]:
    """Refresh the trusted metadata and no more: what a till does whose clock cannot be right."""
    with _trust(job):
        return {}


@contextlib.contextmanager
def _trust(job: Mapping[str, Any]) -> Iterator[tuple[Any, datetime]]:
    """The refreshed trusted metadata, and the moment by which things expire."""
    # tuf is imported here alone: the other verbs need neither its time nor its memory.
    from firmware.floor import Floor
    from firmware.lastgood import LastGoodTime
    from firmware.trust import Trust

    state_dir = Path(job["state_dir"])
    memory = (*state_dir.glob("*.json.[12]"), state_dir / "trust", *(state_dir / "trust").glob("*.json"))
    require_unshared(state_dir, *memory, Path(job["release"]).parent, Path(job["trusted_root"]))
    clock = datetime.fromisoformat(job["now"])
    by_hand = datetime.fromisoformat(job["by_hand"]) if job["by_hand"] else None
    last_good = LastGoodTime(state_dir / "time.json", by_hand)
    with _source(job) as source:
        trust = Trust(
            state_dir / "trust",
            _root_bytes(Path(job["trusted_root"])),
            source.metadata_url,
            source.transport,
            Floor(Path(job["floor"])),
            clock,
            last_good=last_good,
            targets_url=source.targets_url,
            mirrors=source.mirrors,
            offline=source.offline,
        )
        # The root chain first, and the clock after it: a new root may have taken away the key that signed a false time.
        try:
            trust.refresh()
        except FirmwareError:
            _believable(last_good, clock)
            raise
        _believable(last_good, clock)
        yield trust, last_good.at_least(clock)


def _believable(last_good: Any, clock: datetime) -> None:
    if why := last_good.wrong(clock):
        raise InstallFailed(why, code=CLOCK_WRONG)


def fetch(job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Bring the archive to ``download``, resuming what an earlier run left there.

    ``verified`` tells which file on the disk it is whose hash was right (``plain.Identity``); null where it is an archive.
    """
    from firmware.fetch import fetch as fetch_target
    from firmware.manifest import Target

    facts, destination = job["facts"], Path(job["download"])
    archive = facts["archive"]
    target = Target(archive["name"], archive["length"], archive["sha256"], prefix=archive["prefix"])
    with _source(job) as source:
        # Unpacking is thought of now: nothing is fetched that could not be unpacked then.
        fetch_target(
            target,
            source.targets_url,
            destination,
            source.transport,
            progress,
            reserve=job["reserve_bytes"],
            also_needed=0 if facts.get("file") else facts["size_unpacked"],
            mirrors=source.mirrors,
        )
    return {"verified": _identity(destination) if facts.get("file") else None}


def _identity(path: Path) -> list[int]:
    from firmware.plain import Identity

    with path.open("rb") as file:
        return list(Identity.of(file.fileno()))


def stage(job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Unpack the archive into the release's folder, or give it the one file that it is."""
    from firmware.handlers import open_handler
    from firmware.inventory import Listing

    facts = job["facts"]
    head = {name: facts[name] for name in ("release_counter", "handler", "health_check")}
    archive = facts["archive"]
    head |= {"component": job["component"], "version": job["version"], "archive": archive["sha256"]}
    listing = Listing(Path(job["inventory"]), head)
    handler = open_handler(job["handler"], Path(job["release"]).parent)

    def check(folder: Path) -> None:
        handler.check(folder, job["validate"])
        for link, leads_to in handler.links.items():
            listing.link(link, leads_to)

    if name := facts.get("file"):
        from firmware.plain import Identity, place

        place(
            Path(job["download"]),
            Path(job["release"]),
            name,
            archive["sha256"],
            archive["length"],
            verified=Identity(*job["verified"]) if job["verified"] else None,
            listing=listing,
            check=check,
        )
        return {"files": 1, "folders": 0, "size": archive["length"]}
    from firmware.unpack import Bounds, unpack

    bounds = Bounds(archive["length"], archive["sha256"], facts["size_unpacked"], facts["members"], archive["name"])
    done = unpack(
        Path(job["download"]),
        Path(job["release"]),
        bounds,
        reserve_bytes=job["reserve_bytes"],
        progress=progress,
        listing=listing,
        check=check,
    )
    return {"files": done.files, "folders": done.folders, "size": done.size}


def inspect(job: Mapping[str, Any], _progress: Progress) -> dict[str, Any]:
    """Hold a release against the list of its files."""
    from firmware.inventory import Pace, compare

    if job["bytes_s"]:
        os.nice(19)
    found = compare(Path(job["inventory"]), Path(job["release"]), Pace(job["bytes_s"]))
    counts = {"changed": found.changed, "missing": found.missing, "extra": found.extra}
    return {"drift": found.found, **counts, "examples": found.examples, "head": dict(found.head)}


VERBS: Final[Mapping[str, Callable[[Mapping[str, Any], Progress], dict[str, Any]]]] = {
    "arrange": arrange,
    "learn": learn,
    "verify": verify,
    "fetch": fetch,
    "stage": stage,
    "inspect": inspect,
}


def main(verb: str, source: TextIO, sink: TextIO) -> int:
    """Do one job. Returns the exit code."""
    _die_with_parent()
    os.umask(0o022)
    try:
        job = json.loads(source.read(JOB_MAX))
        if os.getppid() != job["parent"]:
            return 1
        said = {"ok": VERBS[verb](job, _reporter(sink))}
    except FirmwareError as error:
        said = described(error)
    except (KeyError, TypeError, ValueError, OSError) as error:
        said = described(InstallFailed(f"the {verb} worker made a mistake: {error!r:.200}", code="internal"))
    _say(sink, said)
    return 0 if "ok" in said else 1


def leave(code: int) -> NoReturn:
    """End this process at once. All is told and durable; taking an interpreter and its libraries apart first takes a tenth of
    a second, for which the one who asked would wait."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _die_with_parent() -> None:
    """Linux prctl(2): a kill -9 of the daemon must not leave a worker that writes to its folders."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where releases come from: the network, or a bundle in its place."""

    transport: Any
    metadata_url: str
    targets_url: str
    mirrors: tuple[str, ...] = ()
    offline: bool = False


@contextlib.contextmanager
def _source(job: Mapping[str, Any]) -> Iterator[_Source]:
    if given := job.get("bundle"):
        from firmware.bundle import METADATA_URL, TARGETS_URL, Bundle

        with Bundle(Path(given["opened"]), shown=given["path"]) as bundle:
            yield _Source(bundle.source(), METADATA_URL, TARGETS_URL, offline=True)
        return
    from firmware.transport import Transport

    with Transport(
        ca=Path(job["ca"]) if job["ca"] else None,
        token=job["token"],
        token_for=job["metadata_url"],
        allow_http=job["allow_http"],
    ) as transport:
        yield _Source(transport, job["metadata_url"], job["targets_url"], tuple(job["mirrors"]))


def _root_bytes(path: Path) -> bytes:
    try:
        return read_bounded(path, ROOT_MAX)
    except OSError as error:
        raise InstallFailed(f"the trusted root {path} cannot be read: {error.strerror}", code="no_root") from error


def _reporter(sink: TextIO) -> Progress:
    """Tell progress now and then: the first, the last, and five a second."""
    next_at = 0.0

    def progress(done: int, of: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at or done >= of:
            next_at = time.monotonic() + _PROGRESS_EVERY_S
            _say(sink, {"progress": [done, of]})

    return progress


def _say(sink: TextIO, said: Mapping[str, Any]) -> None:
    sink.write(json.dumps(said, ensure_ascii=False) + "\n")
    sink.flush()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in VERBS:
        sys.exit(f"usage: python -m firmware.worker {'|'.join(VERBS)}")
    leave(main(sys.argv[1], sys.stdin, sys.stdout))
