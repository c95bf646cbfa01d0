"""The enrolment: is there a certificate, does it last, does a token wait, and is there what a key in a token needs?"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from agent.clock import Clock
from agent.config.model import Config
from agent.doctor.finding import Finding, Outcome
from agent.enrolment.duty import FOLDER
from agent.enrolment.request import NAME, holds_token
from agent.enrolment.state import StandingFile
from agent.paths import Paths
from firmware.errors import FirmwareError
from firmware.files import PKCS11

TOPIC = "enrolment"
PROGRAMS = ("pkcs11-tool", "openssl")
ENGINES = "lib*/*/engines-*/pkcs11.so"


def look(config: Config, paths: Paths, clock: Clock) -> Iterator[Finding]:
    """Nothing where the configuration asks for no enrolment."""
    if config.enrolment is None:
        return
    yield _certificate(paths, clock)
    if config.enrolment.key.startswith(PKCS11):
        yield from _store(config.enrolment.key)


def _certificate(paths: Paths, clock: Clock) -> Finding:
    path = paths.state / FOLDER / "enrolment.json"
    try:
        standing = StandingFile(path).peek()
    except FirmwareError as error:
        return Finding(TOPIC, str(path), Outcome.UNKNOWN, "enrolment_unseen", {"why": str(error)})
    seen = standing.certificate
    if seen is None:
        return _token(paths)
    values = {"until": seen.ends[:10], "url": seen.url}
    if seen.ended(clock.wall()):
        return Finding(TOPIC, seen.binding.host, Outcome.FAIL, "certificate_over", values)
    if standing.erase:
        return Finding(TOPIC, seen.binding.host, Outcome.WARN, "token_left", {**values, "path": standing.erase[0]})
    return Finding(TOPIC, seen.binding.host, Outcome.PASS, "enrolled", values)


def _token(paths: Paths) -> Finding:
    path = paths.config.parent / NAME
    try:
        path.stat()
    except FileNotFoundError:
        return Finding(TOPIC, str(path), Outcome.FAIL, "token_none", {"path": str(path)})
    except OSError as error:
        return Finding(TOPIC, str(path), Outcome.UNKNOWN, "enrolment_unseen", {"why": error.strerror or "?"})
    if holds_token(path):
        return Finding(TOPIC, str(path), Outcome.WARN, "token_waits", {"path": str(path)})
    return Finding(TOPIC, str(path), Outcome.FAIL, "token_none", {"path": str(path)})


def _store(uri: str) -> Iterator[Finding]:
    """What a key in a token needs, one finding for all that is missing."""
    from firmware.token_key import attributes

    _, query = attributes(uri)
    files = (query.get("module-path", ""), query.get("pin-source", "").removeprefix("file:"))
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [name for name in files if not _there(name)]
    missing += [] if any(Path("/usr").glob(ENGINES)) else ["libengine-pkcs11-openssl"]
    if missing:
        yield Finding(TOPIC, f"{PKCS11}…", Outcome.FAIL, "key_store_lacks", {"missing": ", ".join(missing)})
    else:
        yield Finding(TOPIC, f"{PKCS11}…", Outcome.PASS, "key_store")


def _there(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:
        return True  # in a folder that is closed to us: the daemon's user may well see it
