"""The support bundle and the exported journal: whole, swept, without secrets, and never over a file that is there."""

import io
import json
import os
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest

from agent.errors import NotAvailable, UsageError
from agent.journal.record import Draft, canonical, digest, placed
from agent.support import bundle
from agent.support.bundle import ENTRY_MAX, SECRET, Entry, Written
from agent.support.outfile import new_file

NUMBER = "4" + "1" * 15


def unpacked(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        members = {m.name.removeprefix("posagent-bundle/"): found.extractfile(m) for m in found.getmembers()}
        return {name: file.read().decode() for name, file in members.items() if file is not None}


def listed(written: list[Written]) -> str:
    return "\n".join(f"{part.name} {part.missing}" for part in written)


def refuses() -> str:
    raise NotAvailable(f"no daemon for {NUMBER}", code="no_daemon")


def test_what_cannot_be_had_is_in_it_as_the_reason() -> None:
    file = io.BytesIO()
    entries = [Entry("a.json", "status", lambda: "{}\n"), Entry("b.json", "trace", refuses)]
    written = bundle.write(file, entries, listed, 1_764_400_000.0)
    found = unpacked(file.getvalue())
    assert list(found) == ["a.json", "b.json", "LISTING.txt"]
    assert [part.size for part in written] == [3, len(found["b.json"])]
    assert "no daemon" in found["b.json"]
    assert NUMBER not in json.dumps(found)
    assert "b.json no daemon" in found["LISTING.txt"]


def test_a_mistake_in_one_part_leaves_the_others_whole() -> None:
    def wrong() -> str:
        raise ValueError(NUMBER)

    file = io.BytesIO()
    bundle.write(file, [Entry("a.json", "status", wrong), Entry("b.json", "trace", lambda: "{}\n")], listed, 0.0)
    found = unpacked(file.getvalue())
    assert (found["a.json"], found["b.json"]) == ("own error: ValueError\n", "{}\n")
    assert "a.json own error: ValueError" in found["LISTING.txt"]


def test_an_entry_has_a_bound_and_keeps_its_end() -> None:
    file = io.BytesIO()
    bundle.write(file, [Entry("long", "journal", lambda: "x" * ENTRY_MAX + "end")], listed, 0.0)
    text = unpacked(file.getvalue())["long"]
    assert (len(text), text[-3:]) == (ENTRY_MAX, "end")


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('token = "abcdef"', "abcdef"),
        ("gateway_token='abcdef'", "abcdef"),
        ('center = { ddi = "https://x", token = "abc\\"def" }', 'abc\\"def'),
        ('"token" = "abcdef"', "abcdef"),
        ('token = """abc\ndef"""', "def"),
        ('proxy = "http://user:abcdef@proxy:3128"', "abcdef"),
        ('Password = "abcdef" # why', "abcdef"),
        ('pin = "file:/abcdef"', "abcdef"),
        ('tokens = ["x", "abcdef"]', "abcdef"),
        ("token = x,abcdef", "abcdef"),
        ("token = x#abcdef", "abcdef"),
        ('token = "x" abcdef', "abcdef"),
        ("token: abcdef", "abcdef"),
        ('token = "abc def', "def"),
        ('proxy = "http://user:x@abcdef@proxy:3128"', "abcdef"),
        ('proxy = "http://us/er:abcdef@proxy:3128"', "abcdef"),
    ],
)
def test_secrets_of_the_configuration_stay_at_home(tmp_path: Path, line: str, secret: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(f'[host]\nid = "pos-1"\n{line}\nport = "/dev/x"\n', encoding="utf-8")
    text = bundle.configuration(path)
    assert secret not in text
    assert SECRET in text
    assert 'id = "pos-1"' in text
    assert 'port = "/dev/x"' in text


def test_documents_and_lines_are_swept_and_hashes_stay() -> None:
    hashed = "a1" * 32
    assert json.loads(bundle.document({"a": NUMBER, "hash": hashed})) == {"a": "[card-data]", "hash": hashed}
    lines = bundle.swept_lines([json.dumps({"body": {"x": NUMBER}, "prev": hashed})])
    assert json.loads(lines) == {"body": {"x": "[card-data]"}, "prev": hashed}


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(UsageError) as error, new_file(path):
        pytest.fail("it was opened")
    assert error.value.code == "file_exists"
    assert path.read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError), new_file(tmp_path / "link"):
        pytest.fail("it was opened")
    with pytest.raises(UsageError), new_file(tmp_path / "no" / "out"):
        pytest.fail("it was opened")


def test_a_file_is_whole_or_not_there_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def broken() -> None:
        with new_file(path) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(NotAvailable):
        broken()
    assert os.listdir(tmp_path) == []
    with new_file(path) as file:
        file.write(b"whole")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"whole", 0o600)


def test_who_has_an_exported_journal_can_prove_it() -> None:
    """The hash of a line is over its other fields, as documented."""
    body = canonical({"a": "é"})
    draft = Draft("id", "boot", "2026-11-29T12:00:00Z", 1.5, "fault.raised", "error", "pos-1/printer", body)
    line = json.dumps(asdict(placed(7, draft, "p", digest(7, draft, "p"))))
    read = json.loads(line)
    again = Draft(
        *(read[name] for name in ("id", "boot", "wall", "mono", "kind", "severity", "subject")), canonical(read["body"])
    )
    assert digest(read["seq"], again, read["prev"]) == read["hash"]
