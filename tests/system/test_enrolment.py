"""A till comes in by a token, renews its certificate, and reports under nobody else's name: the real programs."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import BIN, COMMAND_LIMIT_S, ENVIRONMENT, Doc, Host, host_table, till_table, validator

LIMIT_S = 60.0
TILL = ("merchant-47", "shop-17", "pos-1")

Centers = Callable[..., Any]


class Shop:
    """One till and a centre that lets nobody in without a certificate."""

    def __init__(self, host: Host, center: Any, terminal: Any) -> None:
        self.host, self.center, self.terminal = host, center, terminal
        self.marks = host.root.with_name("machine")
        self.marks.write_text("serial-1")
        self.configure()

    def configure(self, name: str = "pos-1", till: str = "pos-1") -> None:
        center = f'[center]\nddi = "{self.center.ddi}"\notlp = "{self.center.otlp}"\nca = "{self.center.authority.file}"\n'
        self.host.configure(
            host_table(name)
            + till_table(till, self.terminal.dir, reader=False)
            + center
            + f'heartbeat_s = 1\n[enrolment]\nmarks = ["{self.marks}"]\n'
        )

    def token(self, host: str = "pos-1", **options: Any) -> str:
        token: str = self.center.est.issue(host, [TILL], **options)
        return token

    def write(self, token: str, **values: str) -> None:
        given = {"url": self.center.url, "token": token, "fingerprint": self.center.authority.fingerprint()} | values
        (self.host.etc / "enroll.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in given.items()))

    def reported(self) -> int:
        """Records that came in under this host's name."""
        return len(self.center.intake.records(0)["logs"])

    def came(self, kind: str = "enrolment.done") -> int:
        return sum(event["kind"] == kind for event in self.center.intake.records(0)["logs"])


@pytest.fixture
def shop(host: Host, service_centers: Centers, terminal: Any) -> Shop:
    return Shop(host, service_centers(mutual=True), terminal)


def enrolment(document: Doc) -> Doc:
    found: Doc = document["host"].get("enrolment", {})
    return found


def is_enrolled(document: Doc) -> bool:
    return enrolment(document).get("state") == "enrolled" and document["host"]["center"]["reachable"] is True


def faults(document: Doc) -> dict[str, Doc]:
    return {fault["id"]: fault["evidence"] for fault in document["host"]["faults"]}


def test_a_token_file_is_all_it_takes(shop: Shop) -> None:
    token = shop.token()
    shop.write(token)
    shop.host.start()
    shop.host.until(is_enrolled, LIMIT_S)
    shop.host.until(lambda _: shop.came() == 1, LIMIT_S)
    document = shop.host.command("status").document
    assert enrolment(document)["merchants"] == ["merchant-47"]
    assert enrolment(document)["sites"] == ["shop-17"]
    assert faults(document).keys() & {"host.identity", "host.enrolment"} == set()
    for lang, words in (("en", "enrolled · until"), ("zh_CN", "已登记 · 有效期至")):
        assert words in shop.host.command("status", "--lang", lang, json_=False).out
    assert shop.host.stop()[0] == 0
    for path in (p for p in shop.host.root.rglob("*") if p.is_file()):
        assert token.encode() not in path.read_bytes(), path
    assert token not in shop.host.log_text()
    shop.host.verified()


def test_by_command_with_a_daemon_and_without(shop: Shop) -> None:
    shop.host.start()
    shop.host.until(lambda d: faults(d).get("host.enrolment", {}).get("why") == "no_request", LIMIT_S)
    assert shop.reported() == 0
    refused = enroll(shop, "not-a-token", "--json")
    assert refused.returncode == 1
    assert b"not-a-token" not in refused.stdout + refused.stderr
    assert b'"token_refused"' in refused.stdout
    done = enroll(shop, shop.token(), "--lang", "en")
    assert done.returncode == 0, done.stderr
    assert b"enrolled" in done.stdout
    shop.host.until(is_enrolled, LIMIT_S)
    shop.host.stop()
    again = enroll(shop, shop.token(), "--json")
    assert again.returncode == 0, again.stderr
    validator("enroll").validate(json.loads(again.stdout))
    assert len(shop.center.est.enrolled) == 2


def enroll(shop: Shop, token: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
    """`posagent enroll` with the token on stdin."""
    return subprocess.run(
        [
            *(BIN / "posagent", "--root", shop.host.root, "enroll", "--url", shop.center.url),
            *("--token-file", "-", "--fingerprint", shop.center.authority.fingerprint(), *words),
        ],
        input=token.encode() + b"\n",
        env=ENVIRONMENT,
        capture_output=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


def test_wrong_ways_to_ask(shop: Shop, tmp_path: Path) -> None:
    host = shop.host
    for words, code, exit_code in (
        (("enroll",), "no_request", 3),
        (("enroll", "--url", shop.center.url), "half_request", 2),
        (("enroll", "--url", "http://127.0.0.1:1", "--token", "t"), "bad_url", 2),
        (("enroll", "--url", shop.center.url, "--token", "t", "--ca", str(tmp_path / "none")), "bad_ca", 2),
        (("enroll", "--url", shop.center.url, "--token-file", str(tmp_path / "none")), "token_unreadable", 2),
        (("enroll", "--url", shop.center.url, "--token", "t"), "tls", 3),
        (("enroll", "--url", shop.center.url, "--token", "t", "--fingerprint", "0" * 64), "wrong_centre", 1),
    ):
        done = host.command(*words)
        assert (done.document["error"]["code"], done.code) == (code, exit_code), words
    assert shop.center.est.enrolled == []


def test_it_is_renewed_before_its_end(shop: Shop) -> None:
    """Two thirds of the life are over at once: the daemon renews at its start, and reports with the new certificate."""
    shop.write(shop.token(certificate_s=60 * LIMIT_S))
    shop.host.start()
    shop.host.until(is_enrolled, LIMIT_S)
    shop.host.stop()
    make_due(shop.host)
    shop.host.start()
    shop.host.until(lambda d: is_enrolled(d) and shop.came() == 2, LIMIT_S)
    assert [one.renewal for one in shop.center.est.enrolled] == [False, True]
    assert sorted(p.name for p in (shop.host.state / "enrolment").glob("*-*.pem")) == [
        f"{what}-2.pem" for what in ("anchors", "certificate", "key")
    ]


def make_due(host: Host) -> None:
    """The moment of renewal is now: what months would bring."""
    from dataclasses import replace

    from agent.enrolment.state import StandingFile

    file = StandingFile(host.state / "enrolment" / "enrolment.json")
    standing = file.load()
    assert standing.certificate is not None
    file.store(replace(standing, certificate=replace(standing.certificate, renew=standing.certificate.begins)))


def test_an_expired_certificate_is_named_and_a_new_token_mends_it(shop: Shop) -> None:
    shop.write(shop.token(certificate_s=1))
    shop.host.start()
    shop.host.until(lambda d: faults(d).get("host.enrolment", {}).get("why") == "certificate_expired", LIMIT_S)
    assert enrolment(shop.host.ask("status"))["state"] == "expired"
    assert enroll(shop, shop.token()).returncode == 0
    shop.host.until(is_enrolled, LIMIT_S)


def test_a_copied_disk_reports_nothing_until_it_is_enrolled_itself(shop: Shop) -> None:
    shop.write(shop.token())
    shop.host.start()
    shop.host.until(lambda _: shop.came() == 1, LIMIT_S)
    shop.host.stop()
    before = shop.reported()
    shop.marks.write_text("serial-2")  # the same disk in another machine
    shop.host.start()
    shop.host.until(lambda d: "host.identity" in faults(d), LIMIT_S)
    document = shop.host.ask("status")
    assert faults(document)["host.identity"]["why"] == "other_machine"
    assert enrolment(document)["state"] == "mismatch"
    shop.host.until(lambda d: d["terminals"][0]["can_take_money"] == "yes", LIMIT_S)  # local health goes on
    shop.host.until(lambda d: d["host"]["center"]["reachable"] is False, LIMIT_S)
    assert shop.host.ask("status")["host"]["center"]["backlog"] > 0
    assert shop.reported() == before
    assert shop.host.command("status").code == 1
    assert enroll(shop, shop.token()).returncode == 0
    shop.host.until(lambda d: is_enrolled(d) and "host.identity" not in faults(d), LIMIT_S)
    shop.host.until(lambda _: shop.reported() > before, LIMIT_S)


def test_another_merchants_till_is_not_reported_for(shop: Shop) -> None:
    shop.write(shop.token())
    shop.host.start()
    shop.host.until(lambda _: shop.came() == 1, LIMIT_S)
    shop.host.stop()
    before = shop.reported()
    shop.configure(till="pos-9")
    shop.host.start()
    shop.host.until(lambda d: "host.identity" in faults(d), LIMIT_S)
    assert faults(shop.host.ask("status"))["host.identity"] == {
        "why": "wrong_till",
        "certificate": "pos-1",
        "configured": "pos-9",
    }
    shop.host.until(lambda d: d["host"]["center"]["reachable"] is False, LIMIT_S)
    assert shop.reported() == before


def test_used_token_and_wrong_centre_are_named_at_the_first_start(shop: Shop, service_centers: Centers) -> None:
    shop.write("used-up")
    shop.host.start()
    shop.host.until(lambda d: faults(d).get("host.enrolment", {}).get("why") == "token_refused", LIMIT_S)
    shop.host.stop()
    shop.write(shop.token(), fingerprint=service_centers(mutual=True).authority.fingerprint())
    shop.host.start()
    shop.host.until(lambda d: faults(d).get("host.enrolment", {}).get("why") == "wrong_centre", LIMIT_S)
    assert shop.reported() == 0
    assert shop.center.est.enrolled == []


def test_a_revoked_host_is_heard_no_more(shop: Shop) -> None:
    shop.write(shop.token())
    shop.host.start()
    shop.host.until(lambda _: shop.came() == 1, LIMIT_S)
    shop.center.est.revoke("pos-1")
    shop.host.until(lambda d: d["host"]["center"]["reachable"] is False, LIMIT_S)
