"""Whatever a centre sends, the parser of certificates answers with certificates or with one kind of refusal."""

import base64
import io
import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.enrolment import worker
from agent.enrolment.certificates import certificates, pem_certificates, with_fingerprint
from firmware.errors import ReleaseRefused
from tests.unit.protocols.feeding import vectors

GOOD = base64.b64decode("".join(next(v for v in vectors("est", "in") if v["expected"])["text"].split()))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The RFC's own answer with some bytes changed, cut out or put in."""
    data = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(("flip", "cut", "put"))):
            case "flip" if data:
                data[place] ^= draw(st.integers(1, 255))
            case "cut":
                del data[place : place + draw(st.integers(1, 300))]
            case _:
                data[place:place] = draw(st.binary(min_size=1, max_size=20))
    return bytes(data)


def refusal(work: Callable[[], object]) -> str:
    """The code of the refusal, empty where there is none; anything else that is raised fails the test."""
    try:
        work()
    except ReleaseRefused as error:
        return error.code
    return ""


@settings(max_examples=150, deadline=None)
@given(st.one_of(damaged(), st.binary(max_size=300)))
def test_any_pkcs7(der: bytes) -> None:
    code = refusal(lambda: certificates(der))
    assert code in ("", "bad_answer")
    if not code:
        assert refusal(lambda: with_fingerprint(certificates(der), "0" * 64)) == "wrong_centre"


@given(st.text(max_size=300))
def test_any_pem(text: str) -> None:
    assert refusal(lambda: pem_certificates(text)) in ("", "bad_ca")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("request", "accept", "anchor")),
    st.one_of(st.binary(max_size=80), st.dictionaries(st.sampled_from(("host", "store", "answer", "served")), st.text())),
)
def test_any_job_of_the_worker_ends_with_one_line(verb: str, job: Any) -> None:
    """Nonsense from a newer or a broken daemon: one JSON line, never a traceback."""
    wanted = {**job, "key": "/proc/none/key", "parent": os.getppid()} if isinstance(job, dict) else None
    text = json.dumps(wanted) if wanted is not None else job.decode("latin-1")
    said = io.StringIO()
    before = os.umask(0o077)
    try:
        assert worker.main(verb, io.StringIO(text), said) == 1
    finally:
        os.umask(before)
    document = json.loads(said.getvalue())
    assert document.keys() <= {"failed", "refused"}
