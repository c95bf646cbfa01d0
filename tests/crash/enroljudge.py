"""What must be true of a host's enrolment: in the moment after a blow, and when everything was started again."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from agent.enrolment import machine, steps
from agent.enrolment.binding import Binding
from agent.enrolment.duty import FOLDER
from agent.enrolment.request import holds_token, read
from agent.enrolment.state import Certificate, Standing, StandingFile, State
from firmware.transport import Transport
from protocols.center.est import TillName
from tests.crash import judge
from tests.crash.enrolling import HOST, REFUSED, TILL, bring
from tests.crash.scenarios import Scenario
from tests.crash.stage import Place

_NUMBER = re.compile(r"-\d+\.pem$")
_BOUND = Binding(HOST, (TillName(*TILL),))


def after_blow(place: Place, _: Scenario, before: dict[str, int]) -> dict[str, int]:
    """Nothing has run since: what is named is whole, and the token is there for as long as it is needed."""
    standing = _standing(place)
    for path in (*_folder(place).glob("key-*.pem"), *_folder(place).glob(".key-*")):
        if path.stat().st_mode & 0o077:
            raise judge.BrokenError(f"{path.name} may be read by others")
    for path in _folder(place).glob("key-*.pem"):
        _private(path)
    if standing.certificate is not None:
        _check_pair(place, standing.certificate)
    elif (place.root / "etc/posagent/enroll.toml").exists() and read(_token_file(place)) is None:
        raise judge.BrokenError("the token is gone, and there is no certificate")
    _check_secret(place, standing)
    return before


def recover(place: Place, scenario: Scenario) -> None:
    """Start again, or type it again; where the centre has used the token up, bring another one; then enrol anew, and start."""
    had = _standing(place).certificate
    if scenario.name == "enrol-next" and had is not None:
        _next(place)
        return
    code = place.resume(scenario)["code"]
    if code == REFUSED:
        _check_refused(place, scenario, had)
        if had is None:
            bring(place, place.stage.centre.token())
            code = place.enrol()["code"]
        else:
            code = 0
    if code:
        raise judge.BrokenError(f"started again, it ended with {code}: {place.said()}")
    if (code := place.enrol()["code"]) or _standing(place).certificate is None:
        raise judge.BrokenError(f"the daemon ended with {code}: {place.said()}")
    if had is None or _standing(place).state is not State.ASKING:  # asked with a used token, a next one goes on
        _settled(place)
    number = _open(place).number
    bring(place, place.stage.centre.token())
    if (done := place.command("enroll"))["code"] or _open(place).number == number:
        raise judge.BrokenError(f"enrolling anew ended with {done['code']}: {place.said()}")
    calm = judge.durable(place)
    if (code := place.enrol()["code"]) or judge.durable(place) != calm:
        raise judge.BrokenError(f"one more start changed something: {code} {place.said()}")


def _next(place: Place) -> None:
    """Before it is started again, somebody writes the next token over the used one: it is neither lost nor used unasked."""
    bring(place, place.stage.centre.token())
    if (code := place.enrol()["code"]) or not holds_token(_token_file(place)):
        raise judge.BrokenError(f"the next token is gone, and nobody used it: {code} {place.said()}")
    number = _open(place).number
    if (done := place.command("enroll"))["code"] or _open(place).number == number:
        raise judge.BrokenError(f"enrolling with the next token ended with {done['code']}: {place.said()}")


def after_recovery(place: Place, _: Scenario, __: Mapping[str, int], reference: judge.Extent, *, exact: bool) -> str:
    """Everything has ended: one pair, no token, nothing else. ``exact`` does not matter here: there is one good end."""
    _settled(place)
    if more := _names(judge.Extent.of(place)) - _names(reference):
        raise judge.BrokenError(f"left over: {sorted(more)}")
    refused = [r for r in judge.journal(place) if r.kind == "enrolment.failed" and r.body.get("code") == "token_refused"]
    return "named, a new token" if refused else "enrolled"


def _settled(place: Place) -> None:
    """One pair, no token, nothing else, and the journal holds each certificate once."""
    standing = _standing(place)
    if standing.state is not State.ENROLLED or standing.certificate is None or standing.erase:
        raise judge.BrokenError(f"it stands at {standing}")
    if standing.certificate.binding != _BOUND or standing.certificate.marks != _marks(place, standing):
        raise judge.BrokenError(f"bound to {standing.certificate.binding}, {len(standing.certificate.marks)} marks")
    if holds_token(_token_file(place)):
        raise judge.BrokenError("the used token still lies there")
    kept = sorted(path.name for path in _folder(place).iterdir())
    pair = [f"{what}-{standing.certificate.number}.pem" for what in ("anchors", "certificate", "key")]
    if kept != sorted((*pair, "anchors.pem", "enrolment.json.1", "enrolment.json.2")):
        raise judge.BrokenError(f"files that are kept: {kept}")
    told = [record.body for record in judge.journal(place) if record.kind == "enrolment.done"]
    hashes = [body["sha256"] for body in told]
    if len(set(hashes)) != len(hashes) or hashes[-1] != standing.certificate.sha256:
        raise judge.BrokenError(f"enrolments that the journal holds: {hashes}, in use is {standing.certificate.sha256}")
    if any(body["tills"] != [list(TILL)] or body["host"] != HOST for body in told):
        raise judge.BrokenError(f"bound otherwise meanwhile: {told}")


def _check_refused(place: Place, scenario: Scenario, had: Certificate | None) -> None:
    """A centre says no to a token that was used: to one who has his certificate, or where the answer is never given twice."""
    token = place.stage.centre.known(place.token)
    if token.key is None or (had is None and token.repeats):
        raise judge.BrokenError(f"a good token was refused ({scenario.name}): {place.said()}")
    failed = [record.body["code"] for record in judge.journal(place) if record.kind == "enrolment.failed"]
    if "token_refused" not in failed:
        raise judge.BrokenError(f"nobody is told that the token is used up: {failed}")


def _standing(place: Place) -> Standing:
    """What is stored, by its own rules; nothing is healed on the way."""
    data = judge.stored(place, f"{FOLDER}/enrolment.json")
    copy = place.folder / "standing"
    copy.mkdir(exist_ok=True)
    if not data:
        return Standing()
    file = StandingFile(copy / "enrolment.json")
    file._file.store(data)
    return file.load()


def _check_pair(place: Place, seen: Certificate) -> None:
    chain, key = (Path(path) for path in steps.files_of(_folder(place), seen.number))
    leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    if f"{leaf.serial_number:x}" != seen.serial or leaf.public_key() != _private(key).public_key():
        raise judge.BrokenError(f"certificate and key {seen.number} are no pair")
    anchors = _folder(place) / f"anchors-{seen.number}.pem"
    if seen.pinned and not x509.load_pem_x509_certificates(anchors.read_bytes()):
        raise judge.BrokenError("the centre's authority is not there")


def _private(path: Path) -> Any:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise judge.BrokenError(f"{path.name} is not whole: {error}") from error


def _check_secret(place: Place, standing: Standing) -> None:
    """The token lies nowhere but in its file, and there only while the state says so."""
    used = standing.certificate is not None and not standing.erase and standing.state is State.ENROLLED
    for path in place.root.rglob("*") if place.token else ():
        if path.is_file() and place.token.encode() in path.read_bytes() and (path.name != "enroll.toml" or used):
            raise judge.BrokenError(f"the token lies in {path.name}")


def _open(place: Place) -> Certificate:
    """The certificate in use, having opened the centre's door with it."""
    seen, center = _standing(place).certificate, place.stage.centre.center
    if seen is None:
        raise judge.BrokenError("there is no certificate")
    _check_pair(place, seen)
    files = steps.files_of(_folder(place), seen.number)
    with Transport(ca=center.authority.file, client=lambda: files) as transport:
        if b"polling" not in transport.get_bytes(f"{center.ddi}/{HOST}", 65536):
            raise judge.BrokenError("the centre does not let the till in")
    return seen


def _marks(place: Place, standing: Standing) -> tuple[str, ...]:
    return machine.marks(standing.salt, [str(place.stage.folder / "serial")])


def _names(extent: judge.Extent) -> set[str]:
    """Without the numbers of keys: an attempt more counts one further."""
    return {_NUMBER.sub(".pem", name) for name in extent.names}


def _folder(place: Place) -> Path:
    return place.state / FOLDER


def _token_file(place: Place) -> Path:
    return place.root / "etc/posagent/enroll.toml"
