"""Enrolment and renewal against the simulated centre: what lies on the disk afterwards, and every way in which it is refused."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from agent.enrolment import request as requests_
from agent.enrolment import steps
from agent.enrolment.errors import EnrolmentRefused, NotYet
from agent.enrolment.request import made, read
from agent.enrolment.state import State
from agent.errors import AgentError
from firmware.errors import FirmwareError, InstallFailed, StateError, TransportError
from firmware.transport import Transport
from tests.unit.enrolment.stage import HOST, TILL, Stage


def poll(stage: Stage, number: int, host: str = HOST) -> bytes:
    files = stage.enrolling().files(number)
    with Transport(ca=stage.center.authority.file, client=lambda: files) as transport:
        return transport.get_bytes(f"{stage.center.ddi}/{host}", 4096)


def test_a_token_becomes_a_certificate_that_opens_the_centre(stage: Stage) -> None:
    standing = stage.enroll()
    assert standing.state is State.ENROLLED
    assert standing.certificate is not None
    assert standing.certificate.binding.host == HOST
    assert [(t.merchant, t.site, t.till) for t in standing.certificate.binding.tills] == [TILL]
    assert stage.enrolling().standing() == standing
    assert b"polling" in poll(stage, 1)


def test_the_key_is_ours_alone_and_the_token_is_gone(stage: Stage) -> None:
    token = stage.token()
    stage.enroll(token=token)
    assert (stage.state / "key-1.pem").stat().st_mode & 0o777 == 0o600
    assert read(stage.file) is None
    for path in [stage.file, *stage.state.iterdir()]:
        assert token not in path.read_text()


def test_a_fingerprint_is_as_good_as_the_ca(stage: Stage) -> None:
    fingerprint = stage.center.authority.fingerprint()
    shown = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    assert stage.enroll(ca="", fingerprint=shown).state is State.ENROLLED
    assert (stage.state / "anchors.pem").read_text() == stage.center.authority.file.read_text()


def test_a_renewal_has_a_new_key_and_the_same_names_and_the_old_key_goes(stage: Stage) -> None:
    first = stage.enroll().certificate
    second = stage.enrolling().renew().certificate
    assert first is not None
    assert second is not None
    assert (second.number, second.binding, second.marks) == (2, first.binding, first.marks)
    assert second.sha256 != first.sha256
    assert stage.names() == [
        "anchors-2.pem",
        "anchors.pem",
        "certificate-2.pem",
        "enrolment.json.1",
        "enrolment.json.2",
        "key-2.pem",
    ]
    assert b"polling" in poll(stage, 2)


def test_it_is_renewed_at_two_thirds_of_its_life(stage: Stage) -> None:
    seen = stage.enroll(token=stage.token(certificate_s=2940.0)).certificate
    assert seen is not None
    begins, ends, renew = (steps.from_rfc3339(text) for text in (seen.begins, seen.ends, seen.renew))
    assert (ends - begins).total_seconds() == 3000
    assert (renew - begins).total_seconds() == 2000
    assert seen.due(renew)
    assert not seen.due(begins)


def test_whoever_is_revoked_is_renewed_no_more(stage: Stage) -> None:
    stage.enroll()
    stage.center.est.revoke(HOST)
    with pytest.raises(EnrolmentRefused) as caught:
        stage.enrolling().renew()
    assert caught.value.code == "renewal_refused"
    standing = stage.enrolling().standing()
    assert standing.state is State.RENEWING
    assert standing.certificate is not None


@pytest.mark.parametrize("kind", ["wrong", "used", "expired", "another host's"])
def test_a_token_that_is_not_good_is_named_and_stays_where_it_is(stage: Stage, kind: str) -> None:
    token = "no-token-of-this-centre"
    if kind == "used":
        token = stage.token()
        stage.enroll(token=token)
        for path in stage.state.iterdir():
            path.unlink()
    elif kind == "expired":
        token = stage.token(valid_s=-1)
    elif kind == "another host's":
        token = stage.token("pos-2")
    stage.write(token)
    with pytest.raises(EnrolmentRefused) as caught:
        stage.enroll(token=token)
    assert caught.value.code == "token_refused"
    assert token not in str(caught.value)
    assert stage.enrolling().standing().state is State.ASKING
    assert stage.enroll().state is State.ENROLLED


def test_a_lost_answer_is_given_again_for_the_same_key(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The centre has signed, and the power fails before its answer is on the disk."""
    token = stage.token()
    with monkeypatch.context() as patch:
        patch.setattr(steps.Enrolling, "_accept", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stage.enroll(token=token)
    assert stage.enroll(token=token).state is State.ENROLLED
    assert len(stage.center.est.enrolled) == 1


def test_an_answer_that_was_lost_on_its_way_and_comes_only_once_is_named_and_another_token_repairs_it(stage: Stage) -> None:
    """RFC 7030 does not say that a centre has to give the same answer again."""
    token = stage.token(repeats=False)
    stage.center.behaviour.add("cut", "*simpleenroll", times=1)
    with pytest.raises(TransportError):
        stage.enroll(token=token)
    assert len(stage.center.est.enrolled) == 1
    with pytest.raises(EnrolmentRefused) as caught:
        stage.enroll(token=token)
    assert caught.value.code == "token_refused"
    assert requests_.holds_token(stage.file)
    standing = stage.enroll(token=stage.token(repeats=False))
    assert standing.state is State.ENROLLED
    assert stage.names() == [
        "anchors-1.pem",
        "anchors.pem",
        "certificate-1.pem",
        "enrolment.json.1",
        "enrolment.json.2",
        "key-1.pem",
    ]


def test_an_answer_that_the_disk_did_not_take_is_kept_for_the_next_try(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token works once: a disk that is full for a moment must not cost it."""
    stage.write(stage.token(repeats=False))
    request, host, honest = read(stage.file), stage.enrolling(), steps.write_durably
    assert request is not None

    def full(path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.name.startswith("certificate"):
            raise requests_.disk_failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path)
        honest(path, data, mode)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "write_durably", full)
        with pytest.raises(InstallFailed) as caught:
            host.enroll(request)
    assert caught.value.code == "disk_full"
    assert host.enroll(request).state is State.ENROLLED
    assert len(stage.center.est.enrolled) == 1


def test_the_centre_may_take_its_time(stage: Stage) -> None:
    token = stage.token(approvals=1)
    with pytest.raises(NotYet) as caught:
        stage.enroll(token=token)
    assert (caught.value.code, caught.value.retry_after_s) == ("waiting_approval", 1.0)
    assert stage.enroll(token=token).state is State.ENROLLED


def test_a_wrong_clock_sends_nothing(stage: Stage) -> None:
    stage.wrong = "1970"
    with pytest.raises(NotYet) as caught:
        stage.enroll()
    assert caught.value.code == "clock_wrong"
    assert not stage.state.exists()
    stage.wrong = ""
    assert stage.enroll().state is State.ENROLLED


def test_another_centre_gets_no_token(stage: Stage, service_centers: Any) -> None:
    other = service_centers(mutual=True)
    with pytest.raises(TransportError) as caught:
        stage.enroll(url=other.url)
    assert caught.value.code == "tls"
    with pytest.raises(EnrolmentRefused) as refused:
        stage.enroll(ca="", fingerprint=other.authority.fingerprint())
    assert refused.value.code == "wrong_centre"
    with pytest.raises(TransportError):
        stage.enroll(ca="")  # the system's authorities do not know a simulated centre
    assert stage.center.est.enrolled == other.est.enrolled == []


@pytest.mark.parametrize(
    ("attribute", "code"),
    [("wrong_key", "wrong_key"), ("wrong_host", "wrong_host"), ("wrong_issuer", "wrong_issuer"), ("ended", "certificate_ended")],
)
def test_a_certificate_that_is_not_for_us_is_refused(
    stage: Stage, service_centers: Any, monkeypatch: pytest.MonkeyPatch, attribute: str, code: str
) -> None:
    est, authority = stage.center.est, stage.center.authority
    stranger = service_centers(mutual=True).authority
    honest = est._give

    def give(wanted: Any, uris: tuple[str, ...], seconds: float, *, renewal: bool) -> x509.Certificate:
        if attribute == "wrong_key":
            return authority.root
        if attribute == "wrong_issuer":
            return stranger.issue(wanted, HOST, uris, seconds)
        name = "pos-2" if attribute == "wrong_host" else HOST
        return authority.issue(wanted, name, uris, -1.0 if attribute == "ended" else seconds)

    monkeypatch.setattr(est, "_give", give)
    with pytest.raises(EnrolmentRefused) as caught:
        stage.enroll()
    assert caught.value.code == code
    assert not (stage.state / "certificate-1.pem").exists()
    monkeypatch.setattr(est, "_give", honest)
    assert stage.enroll().state is State.ENROLLED


def test_a_full_disk_sends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    token = stage.token()
    with monkeypatch.context() as patch:
        patch.setattr("firmware.files.free_bytes", lambda _folder: 1000)
        with pytest.raises(InstallFailed) as caught:
            stage.enroll(token=token)
    assert caught.value.code == "disk_full"
    assert stage.enroll(token=token).state is State.ENROLLED


def test_a_token_that_cannot_be_erased_is_remembered_and_erased_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, when: str) -> None:
        raise requests_.disk_failure(OSError(errno.EROFS, os.strerror(errno.EROFS)), path)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "erase", read_only)
        standing = stage.enroll()
    assert (standing.state, standing.erase) == (State.ENROLLED, (str(stage.file),))
    assert requests_.holds_token(stage.file)
    assert stage.enrolling().tidy().erase == ()
    assert read(stage.file) is None


def _outstanding(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> str:
    """Enrolled, and the power failed before the token was erased; the token."""
    token = stage.token()
    stage.write(token)
    with monkeypatch.context() as patch:
        patch.setattr(steps.Enrolling, "tidy", lambda self: self.standing())
        assert stage.enroll(token=token).erase == (str(stage.file),)
    return token


def test_a_next_token_in_the_place_of_a_used_one_is_left_and_works(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    used = _outstanding(stage, monkeypatch)
    stage.write(stage.token())
    whole = stage.file.read_bytes()
    standing = stage.enrolling().tidy()
    assert (standing.erase, standing.spent) == ((), ())
    assert stage.file.read_bytes() == whole
    request = read(stage.file)
    assert request is not None
    assert stage.enrolling().enroll(request).certificate != standing.certificate
    assert not requests_.holds_token(stage.file)
    assert used not in stage.file.read_text()


def test_a_next_token_is_used_at_once_though_the_used_one_was_still_to_be_erased(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _outstanding(stage, monkeypatch)
    standing = stage.enroll(token=stage.token())
    assert (standing.state, standing.erase, standing.spent) == (State.ENROLLED, (), ())
    assert standing.certificate is not None
    assert standing.certificate.number == 2


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("end", [False, True])
def test_of_a_used_token_half_overwritten_nothing_stays(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, share: float, end: bool
) -> None:
    """A power cut in the middle of the overwriting; a disk may have kept either part."""
    used = _outstanding(stage, monkeypatch)
    text = stage.file.read_text()
    cut = int(len(text) * share)
    stage.file.write_text(text[:cut] + "#" * (len(text) - cut) if end else "#" * cut + text[cut:])
    assert stage.enrolling().tidy().erase == ()
    assert not any(used[at : at + 8] in stage.file.read_text() for at in range(len(used) - 8))


NEXT = '# 新令牌\nurl = "https://centre.example"\ntoken = "next"\n'


@pytest.mark.parametrize(
    "data",
    [
        NEXT.replace('example"', "example").encode(),
        b"# for till 7 ########\n" + NEXT.replace('"next"', '"next').encode(),
        NEXT.encode("gbk"),
        NEXT.encode("utf-16"),
        NEXT.encode() + b"# " + b"x" * 70_000,
    ],
    ids=["a slip", "a banner", "GBK", "UTF-16", "far too long"],
)
def test_words_that_nobody_can_read_in_the_place_of_a_used_token_are_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """A slip in the file of the next token must not cost it."""
    _outstanding(stage, monkeypatch)
    stage.file.write_bytes(data)
    assert stage.enrolling().tidy().erase == (str(stage.file),)
    assert stage.file.read_bytes() == data


def test_a_state_of_before_the_marks_erases_as_it_did(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _outstanding(stage, monkeypatch)
    file = steps.StandingFile(stage.state / "enrolment.json")
    old = {key: value for key, value in file.load().to_json().items() if key != "spent"}
    file._file.store(old)
    other = stage.file.with_name("stick.toml")
    other.write_text(stage.file.read_text())
    before = file.load()
    assert before.enrolled(before.certificate, (*before.erase, str(other)), "next").used("whatever lies in the first"), (
        "not known"
    )
    assert stage.enrolling().tidy().erase == ()
    assert not requests_.holds_token(stage.file)


def test_a_state_that_nobody_can_read_is_named(stage: Stage) -> None:
    stage.enroll()
    for copy in (1, 2):
        (stage.state / f"enrolment.json.{copy}").write_text("{")
    with pytest.raises(StateError):
        stage.enrolling().standing()
    with pytest.raises(StateError):
        stage.enroll()


def test_a_host_that_moves_to_another_centre_keeps_its_certificate_until_it_has_a_new_one(
    stage: Stage, service_centers: Any
) -> None:
    first = stage.enroll().certificate
    stage.center = service_centers(mutual=True)
    with pytest.raises(EnrolmentRefused):
        stage.enroll(token="wrong")
    standing = stage.enrolling().standing()
    assert (standing.state, standing.certificate) == (State.ASKING, first)
    second = stage.enroll().certificate
    assert second is not None
    assert second.url.startswith(stage.center.url)
    assert b"polling" in poll(stage, second.number)


# -- a kill between any two steps ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The power fails."""


def kill_at(monkeypatch: pytest.MonkeyPatch, place: int, *, after: bool) -> list[str]:
    """Die at the ``place``-th thing that reaches the disk or the centre, before or after it; gives what was done until then."""
    done: list[str] = []

    def guard(name: str, honest: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            if len(done) >= place and not after:
                raise Killed
            found = honest(*args, **options)
            done.append(name)
            if len(done) > place and after:
                raise Killed
            return found

        return counted

    for owner, name in (
        (steps, "write_durably"),
        (steps, "erase"),
        (steps.StandingFile, "store"),
        (steps.CenterDoor, "enroll"),
        (steps.CenterDoor, "authorities"),
        (Path, "unlink"),
    ):
        monkeypatch.setattr(owner, name, guard(name, getattr(owner, name)))
    monkeypatch.setattr("agent.enrolment.keys.write_durably", guard("key", requests_.write_durably))
    return done


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_every_step_of_an_enrolment_ends_well_at_the_next_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    places = 0
    while True:
        host = replace(stage, folder=stage.folder / f"{places}-{after}")
        host.folder.mkdir()
        token, before = host.token(), len(host.center.est.enrolled)
        with monkeypatch.context() as patch:
            done = kill_at(patch, places, after=after)
            try:
                host.enroll(token=token)
            except Killed:
                ended = False
            else:
                ended = True
        request = read(host.file)
        standing = host.enrolling().enroll(request) if request is not None else host.enrolling().tidy()
        assert standing.state is State.ENROLLED, done
        assert standing.erase == ()
        assert read(host.file) is None
        assert len(host.center.est.enrolled) == before + 1, done
        assert b"polling" in poll(host, 1)
        if ended:
            break
        places += 1
    assert places >= 8


@pytest.mark.slow
def test_a_kill_at_every_step_of_a_renewal_ends_well_at_the_next_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    places = 0
    while True:
        host = replace(stage, folder=stage.folder / str(places))
        host.folder.mkdir()
        host.enroll()
        with monkeypatch.context() as patch:
            kill_at(patch, places, after=places % 2 == 0)
            try:
                host.enrolling().renew()
            except Killed:
                ended = False
            else:
                ended = True
        seen = host.enrolling().standing()
        assert seen.certificate is not None
        assert b"polling" in poll(host, seen.certificate.number)
        renewed = host.enrolling().renew() if seen.state is State.RENEWING else host.enrolling().tidy()
        assert renewed.certificate is not None
        assert b"polling" in poll(host, renewed.certificate.number)
        if ended:
            break
        places += 1
    assert places >= 6


def test_every_error_is_one_that_callers_know(stage: Stage) -> None:
    """A centre that answers with nonsense, in all the ways that the simulator knows."""
    for mode, options in (("html", {}), ("half", {}), ("cut", {}), ("status", {"status": 500}), ("status", {"status": 307})):
        for path in ("*cacerts", "*simpleenroll"):
            stage.center.behaviour.add(mode, path, times=1, **options)
            with pytest.raises((AgentError, FirmwareError)):
                stage.enroll()
            stage.center.behaviour.clear()
    assert stage.enroll().state is State.ENROLLED


def test_what_is_typed_wrongly_is_refused_without_the_token() -> None:
    for values in (
        {"url": "http://127.0.0.1:1"},
        {"url": "nowhere"},
        {"token": "sec\nret"},
        {"fingerprint": "ab"},
        {"ca": "no pem"},
        {"token": ""},
    ):
        given = {"url": "https://centre.example", "token": "secret-token"} | values
        with pytest.raises(EnrolmentRefused) as caught:
            made(given.pop("url"), given.pop("token"), **given)
        assert caught.value.exit_code == 2
        assert "secret" not in str(caught.value)
    assert "secret" not in repr(made("https://centre.example", "secret-token"))


def test_a_token_is_overwritten_where_the_folder_allows_no_new_file(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under ProtectSystem=strict, where the unit lets only the file itself be written."""

    def denied(path: Path, data: bytes, mode: int = 0o600) -> None:
        raise requests_.disk_failure(OSError(errno.EROFS, os.strerror(errno.EROFS)), path)

    stage.write("one-time")
    monkeypatch.setattr(requests_, "write_durably", denied)
    requests_.erase(stage.file, "now")
    assert set(stage.file.read_text()) == {"#"}
    assert read(stage.file) is None
