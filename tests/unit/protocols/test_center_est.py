"""EST's messages against literal text: what is read, what is refused, what we write."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrolment.certificates import certificates
from protocols.center import est
from protocols.errors import LocalProtocolError, RemoteProtocolError
from tests.unit.protocols.feeding import name, vectors

CERTS = [v for v in vectors("est", "in") if v["parser"] == "certs"]
ANSWERS = [v for v in vectors("est", "in") if v["parser"] == "enrolment"]


@pytest.mark.parametrize("vector", CERTS, ids=name)
def test_certificates_are_read(vector: dict[str, Any]) -> None:
    kind, body = vector["content_type"], vector["text"].encode()
    if vector["expected"] is None:
        with pytest.raises(RemoteProtocolError):
            est.parse_certs(kind, body)
        return
    der = est.parse_certs(kind, body)
    assert hashlib.sha256(der).hexdigest() == vector["expected"]["sha256"]
    assert sorted(c.subject.rfc4514_string() for c in certificates(der)) == sorted(
        f"CN={subject}" for subject in vector["expected"]["subjects"]
    )


@pytest.mark.parametrize("vector", ANSWERS, ids=name)
def test_answers_are_understood(vector: dict[str, Any]) -> None:
    words = (vector["status"], vector["content_type"], vector["retry_after_s"], vector["text"].encode())
    if vector["expected"] is None:
        with pytest.raises(RemoteProtocolError):
            est.parse_enrolment(*words)
    else:
        assert est.parse_enrolment(*words) == est.Later(vector["expected"]["later_s"])


@pytest.mark.parametrize("vector", vectors("est", "out"), ids=name)
def test_what_we_write(vector: dict[str, Any]) -> None:
    if vector["builder"] == "base_url":
        assert est.base_url(vector["address"]) == vector["text"]
    else:
        assert est.request_body(bytes.fromhex(vector["hex"])) == vector["text"].encode()


def test_a_whole_certificate_is_issued() -> None:
    good = next(v for v in CERTS if v["expected"])
    answer = est.parse_enrolment(200, good["content_type"], None, good["text"].encode())
    assert isinstance(answer, est.Issued)
    assert hashlib.sha256(answer.pkcs7).hexdigest() == good["expected"]["sha256"]


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_a_cut_answer_is_refused(cut: int) -> None:
    good = next(v for v in CERTS if v["expected"])
    with pytest.raises(RemoteProtocolError):
        est.parse_certs(good["content_type"], good["text"].encode().rstrip()[:-cut])


@pytest.mark.parametrize(
    "address",
    [
        "http://centre.example",
        "http://127.0.0.1:1",
        "https://",
        "https://user:secret@centre.example",
        "https://centre.example?x=1",
        "https://centre.example/#a",
        "https://centre.example/est",
        "https://centre.example/.well-known/est/a/b",
        "https://centre.example/.well-known/estate",
        "https://centre.example:0",
        "https://centre.example:99999",
        "https://cen tre.example",
        "https://centre.example/.well-known/est/../../x",
        "centre.example",
        "",
        "https://[::1",
    ],
)
def test_addresses_without_protection_or_sense_are_refused(address: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        est.base_url(address)
    assert "secret" not in str(caught.value)


def test_an_answer_beyond_the_bound_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="more than"):
        est.parse_certs(est.CERTS_KIND, b"A" * (est.MAX_BODY + 1))


texts = st.text(st.characters(exclude_categories=("C", "Zs", "Zl", "Zp")), min_size=1, max_size=20)


@given(texts, texts, texts)
def test_any_till_is_named_and_read_again(merchant: str, site: str, till: str) -> None:
    named = est.TillName(merchant, site, till)
    assert est.parse_till(named.uri()) == named


@given(st.text(max_size=200))
def test_any_uri_is_a_till_or_somebody_elses_or_refused(text: str) -> None:
    for uri in (text, f"posagent://{text}"):
        try:
            found = est.parse_till(uri)
        except RemoteProtocolError:
            continue
        assert found is None or all((found.merchant, found.site, found.till))


@given(st.binary(max_size=400), st.integers(200, 299))
def test_any_bytes_are_refused_in_one_way(body: bytes, status: int) -> None:
    try:
        found = est.parse_enrolment(status, est.CERTS_KIND, None, body)
    except RemoteProtocolError:
        return
    assert isinstance(found, est.Later | est.Issued)
