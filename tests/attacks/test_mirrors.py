"""Attacks by mirrors: whoever holds copies of a release's bytes, perhaps in another shop, decides nothing."""

import shutil
from pathlib import Path

import pytest

from .test_transport import archive_of
from .till import Till
from .web import Answer, Web, cut, endless, says

LIES: dict[str, Answer] = {
    "other bytes": says(b"x" * 64),
    "endless": endless(b"x" * 65536),
    "nothing": says(status=404),
    "redirect to metadata": says(status=302, Location="/metadata/timestamp.json"),
    "cut": cut(b"x" * 64, 1),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_mirror_that_lies(till: Till, other_web: Web, lie: Answer) -> None:
    """Somebody else's mirror sends what it likes: it costs time, and the signed release comes from the centre."""
    till.release("2.0")
    other_web.lie("*", lie)
    till.start(mirrors=[f"{other_web.url}/m"])
    assert till.update("2.0").state == "committed"
    assert till.runs == "2.0"
    assert any(path.endswith(".tar.gz") for path, _ in other_web.seen), "it was asked"
    assert all("authorization" not in headers for _, headers in other_web.seen), "and never shown the token"
    till.honest()


def test_mirror_alone_with_a_release_of_its_own(till: Till, other_web: Web) -> None:
    """The centre is down and the mirror offers another file under the right name: nothing is installed from it."""
    till.release("2.0")
    good = archive_of(till)
    other_web.lie("*", says(good[:-1] + b"x"))
    till.web.lie("/targets/*", says(status=503))
    till.start(mirrors=[f"{other_web.url}/m"])
    till.attack("http_status", state="failed")
    till.honest()


def test_mirror_of_yesterday(till: Till, other_web: Web) -> None:
    """A mirror that stands still, or is kept still, decides nothing: what is newest is told by the centre's metadata."""
    other_web.folder = Path(shutil.copytree(till.repo.folder, till.folder / "kept"))
    till.release("2.0")
    till.start(mirrors=[f"{other_web.url}/targets"])
    assert till.update("2.0").state == "committed"
    till.honest()


def test_mirror_is_never_asked_for_metadata(till: Till, other_web: Web) -> None:
    """Metadata from a mirror could be frozen there: it comes from its own address, even where that is down."""
    till.release("2.0")
    other_web.folder = till.repo.folder
    till.web.lie("/metadata/*", says(status=503))
    till.start(mirrors=[f"{other_web.url}/targets"])
    till.attack("http_status", state="failed")
    assert other_web.seen == []
    till.honest()
    assert any(path.endswith(".tar.gz") for path, _ in other_web.seen)
