"""What `posagent doctor` says of an enrolment: before it, with a token, with a certificate, and of a key in a token."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.config.load import load
from agent.doctor import enrolment
from agent.doctor.finding import Finding, Outcome
from agent.enrolment.binding import Binding
from agent.enrolment.duty import stored_identity
from agent.enrolment.state import Certificate, Standing, StandingFile
from agent.memory import Memory
from agent.paths import Paths
from firmware.files import make_folder

NOW = datetime(2026, 11, 29, tzinfo=UTC)
Look = Callable[..., list[Finding]]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    make_folder(made.config.parent)
    make_folder(made.state / "enrolment")
    return made


@pytest.fixture
def look(paths: Paths) -> Look:
    def one(section: str = "[enrolment]") -> list[Finding]:
        paths.config.write_text(f'[host]\nid = "pos-1"\n{section}\n')
        return list(enrolment.look(load(paths.config), paths, ManualClock(NOW)))

    return one


def enrolled(paths: Paths, *, ends: str, erase: tuple[str, ...] = ()) -> None:
    seen = Certificate(
        1, "https://centre.example", False, "1f", "ab", "2026-09-01T00:00:00Z", ends, "2026-10-31T00:00:00Z", Binding("pos-1")
    )
    StandingFile(paths.state / "enrolment/enrolment.json").store(Standing().asking(seen.url).enrolled(seen, erase))


def codes(found: list[Finding]) -> list[tuple[str, Outcome]]:
    return [(finding.code, finding.outcome) for finding in found]


def test_who_only_looks_writes_nothing(paths: Paths) -> None:
    """Run as root beside the daemon it made the lost copy anew as root's, or wrote an older state over the daemon's newer one."""
    enrolled(paths, ends="2026-12-31T00:00:00Z")
    lost = paths.state / "enrolment/enrolment.json.2"
    lost.unlink()
    assert stored_identity(paths) is not None
    assert not lost.exists()
    Memory(paths.statistics).store({"pos-1/printer": {"identity": {"model": "x"}}})
    lost = paths.statistics.with_name(paths.statistics.name + ".2")
    lost.unlink()
    assert Memory(paths.statistics).load(heal=False)
    assert not lost.exists()
    assert Memory(paths.statistics).load()
    assert lost.exists()


def test_who_asks_for_none_is_told_of_none(look: Look) -> None:
    assert look("") == []


def test_without_a_token_it_says_where_one_belongs(look: Look, paths: Paths) -> None:
    (found,) = look()
    assert (found.code, found.outcome) == ("token_none", Outcome.FAIL)
    assert found.values["path"] == str(paths.config.parent / "enroll.toml")
    (paths.config.parent / "enroll.toml").write_text("# used\n")
    assert codes(look()) == [("token_none", Outcome.FAIL)]
    (paths.config.parent / "enroll.toml").write_text('url = "https://centre.example"\ntoken = "secret-of-the-till"\n')
    (waits,) = look()
    assert (waits.code, waits.outcome) == ("token_waits", Outcome.WARN)
    assert "secret" not in str(waits)


def test_a_certificate_is_well_ended_or_has_left_its_token(look: Look, paths: Paths) -> None:
    enrolled(paths, ends="2026-12-31T00:00:00Z")
    (found,) = look()
    assert (found.code, found.outcome, found.values["until"]) == ("enrolled", Outcome.PASS, "2026-12-31")
    enrolled(paths, ends="2026-12-31T00:00:00Z", erase=("/media/stick/posagent-enroll.toml",))
    assert codes(look()) == [("token_left", Outcome.WARN)]
    enrolled(paths, ends="2026-11-01T00:00:00Z")
    assert codes(look()) == [("certificate_over", Outcome.FAIL)]


def test_a_state_that_cannot_be_read_is_no_verdict_and_is_left_alone(look: Look, paths: Paths) -> None:
    copies = [paths.state / f"enrolment/enrolment.json.{copy}" for copy in (1, 2)]
    for copy in copies:
        copy.write_text("{")
    assert codes(look()) == [("enrolment_unseen", Outcome.UNKNOWN)]
    assert [copy.read_text() for copy in copies] == ["{", "{"]


def test_what_a_key_in_a_token_lacks_is_named(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "token.so").write_text("")
    where = f'[enrolment]\nkey = "pkcs11:token=till?module-path={tmp_path}/{{}}&pin-source=file:{tmp_path}/pin"'
    monkeypatch.setattr(enrolment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(enrolment, "ENGINES", "bin/env")
    assert codes(look(where.format("token.so")))[1] == ("key_store", Outcome.PASS)
    monkeypatch.setattr(enrolment.shutil, "which", lambda _name: None)
    _, found = look(where.format("none.so"))
    assert (found.code, found.outcome) == ("key_store_lacks", Outcome.FAIL)
    assert found.values["missing"] == f"pkcs11-tool, openssl, {tmp_path}/none.so"
