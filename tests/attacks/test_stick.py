"""Attacks by USB stick: somebody stands at the till and holds a file in his hand."""

import shutil
import uuid
from pathlib import Path

import pytest

from firmware.engine import UpdateRecord
from firmware.release import changes, stick
from firmware.release.repository import Repository
from firmware.state import Deployment, Wanted

from .till import Till, later
from .web import says


def write(till: Till, version: str = "2.0") -> Path:
    """A stick of the centre as it is now."""
    out = till.folder / f"{version}-{uuid.uuid4()}.bundle"
    stick.bundle(till.repo, "till-app", version, out, till.now)
    return out


def insert(till: Till, bundle: Path, version: str = "2.0") -> UpdateRecord:
    wanted = (Wanted("till-app", version),)
    assert till.engine.request(Deployment(f"stick-{uuid.uuid4()}", "", wanted, person=True, bundle=str(bundle)))
    till.run()
    return till.journal[-1]


def refused(till: Till, bundle: Path, *codes: str, version: str = "2.0") -> None:
    """By the same rules as the network's, with no network; then the centre's own stick is installed."""
    floor, files = till.floor(), till.files()
    till.web.lie("*", says(status=503))
    last = insert(till, bundle, version)
    till.unharmed(floor, files)
    assert last.code in codes, last
    assert last.state in ("refused", "failed")
    till.honest()


def test_stick_of_last_season(till: Till) -> None:
    """A stick that lay in a drawer holds yesterday's repository: what the till has seen since counts."""
    till.release("2.0")
    old = write(till)
    till.release("2.1", "scanner")
    assert till.update("9.9").code == "unknown_target"
    refused(till, old, "rollback")


def test_stick_after_its_time(till: Till) -> None:
    """A stick counts for some months and not for ever, whatever is signed on it."""
    till.release("2.0")
    bundle = write(till)
    floor, files = till.floor(), till.files()
    till.now = later(days=91)
    assert insert(till, bundle).code == "bundle_expired"
    till.unharmed(floor, files)
    till.repo.refresh(till.now)
    changes.rotate(till.repo, "targets", till.now)
    till.honest()


def test_stick_with_a_clock_set_back(till: Till) -> None:
    """Who holds an old stick and can reach the clock sets it back: it is told at once, and nothing is installed."""
    till.release("2.0")
    bundle = write(till)
    till.now = later(days=-30)
    floor, files = till.floor(), till.files()
    last = insert(till, bundle)
    till.unharmed(floor, files)
    assert (last.state, last.code) == ("failed", "clock_wrong")
    till.now = later(hours=1)
    till.honest()


@pytest.mark.parametrize(
    ("part", "codes"),
    [
        ("metadata/timestamp.json", ("bad_signature", "malformed")),
        ("metadata/*.snapshot.json", ("bad_hash",)),
        ("metadata/*.targets.json", ("bad_hash",)),
        ("targets/*.till-app-2.0.json", ("bad_hash",)),
        ("targets/*.till-app-2.0.tar.gz", ("bad_hash",)),
    ],
)
def test_stick_with_changed_bytes(till: Till, part: str, codes: tuple[str, ...]) -> None:
    """One byte of the stick is changed, be it in the metadata, in the manifest or in the release."""
    till.release("2.0")
    bundle = write(till)
    newest = max(till.repo.folder.glob(part), key=lambda path: path.stat().st_mtime_ns).read_bytes()
    raw = bytearray(bundle.read_bytes())
    at = raw.index(newest) + len(newest) // 2
    raw[at] ^= 1
    bundle.write_bytes(bytes(raw))
    refused(till, bundle, *codes)


def test_stick_of_a_stranger(till: Till) -> None:
    """A whole stick, well made and signed by somebody else: his keys are nobody's here."""
    evil = Repository.create(till.folder / "his", till.folder / "his-keys", now=till.now)
    app = till.folder / "his-app"
    app.mkdir()
    (app / "version").write_text("2.0")
    evil.add_release("till-app", "2.0", app, now=till.now)
    evil.publish(till.now)
    out = till.folder / "his.bundle"
    stick.bundle(evil, "till-app", "2.0", out, till.now)
    refused(till, out, "bad_signature")


def test_stick_with_another_release_than_asked_for(till: Till) -> None:
    """The label says 2.0 and the stick holds 1.5: what is not on it is not installed from elsewhere."""
    till.release("1.5")
    refused(till, shutil.copy(write(till, "1.5"), till.folder / "2.0.bundle"), "unknown_target")
