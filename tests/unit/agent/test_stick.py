"""What the owner keeps of a stick, and what a person sees of an update's way."""

import os
from pathlib import Path

import pytest

from agent.cli.follow import share
from agent.control import ControlServer, ask_owner
from agent.errors import UsageError
from agent.journal import Head
from agent.journal.record import canonical
from agent.signer import _check
from agent.stick import Sticks, receipt, require_readable


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_in_a_folder_that_is_closed_to_others_is_read_through_the_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "stick" / "bundle"
    path.parent.mkdir()
    path.write_bytes(b"content")
    before, sticks = open_descriptors(), Sticks()
    with path.open("rb") as handle:
        sticks.keep("d1", str(path), handle.fileno())
    path.parent.rename(tmp_path / "elsewhere")
    assert Path(sticks.opened(str(path))).read_bytes() == b"content"
    assert sticks.opened("/another") == "/another"
    sticks.let_go("d0")
    assert open_descriptors() == before + 1
    sticks.let_go("d1")
    assert (open_descriptors(), sticks.opened(str(path)), sticks.deployment) == (before, str(path), "")


def test_only_files_are_taken(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "bundle_unreadable"), (tmp_path / "none", "bundle_unreadable")):
        with pytest.raises(UsageError) as caught:
            require_readable(str(path), None)
        assert (caught.value.code, caught.value.exit_code) == (code, 2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError):
        require_readable(str(tmp_path / "pipe"), None)


def test_a_receipt_is_signed_whole(tmp_path: Path) -> None:
    made = receipt({"terminal": "pos-1", "outcome": "committed"}, "chain", Head(7, "abc"), tmp_path / "keys")
    assert made is not None
    body = {key: value for key, value in made.items() if key not in ("public", "signature")}
    assert body["journal"] == {"chain": "chain", "seq": 7, "hash": "abc"}
    job = {"text": canonical(body), "signature": str(made["signature"])}
    assert _check(tmp_path / "keys", job) == {"good": True}
    assert _check(tmp_path / "keys", {**job, "text": canonical({**body, "outcome": "refused"})}) == {"good": False}


def test_without_a_key_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    assert receipt({}, "chain", Head(7, "abc"), tmp_path / "keys") is None


def test_an_open_file_goes_over_the_socket_and_is_closed_again(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def handle(request: object) -> dict[str, object]:
        assert isinstance(request, dict)
        if "descriptor" in request:
            seen.append(os.pread(request["descriptor"], 7, 0))
        return {"keys": sorted(request)}

    (tmp_path / "file").write_bytes(b"content")
    server = ControlServer(tmp_path / "run" / "control.sock", handle)
    server.start()
    before = open_descriptors()
    try:
        with (tmp_path / "file").open("rb") as handed:
            found = ask_owner(tmp_path / "run" / "control.sock", {"do": "x"}, 5.0, descriptor=handed.fileno())
        assert (found, seen) == ({"keys": ["descriptor", "do"]}, [b"content"])
        # A number alone is nobody's open file.
        assert ask_owner(tmp_path / "run" / "control.sock", {"do": "x", "descriptor": 0}, 5.0) == {"keys": ["do"]}
    finally:
        server.stop()
    assert open_descriptors() <= before


def test_the_bar_only_grows_while_an_update_goes_forward() -> None:
    steps = ["received", "verifying", "fetching", "staging", "waiting", "checking_before", "switching", "probation", "committing"]
    shares = [share({"step": step}) for step in steps]
    assert shares == sorted(set(shares))
    half = share({"step": "fetching", "bytes_total": 100, "bytes_missing": 50})
    assert share({"step": "fetching", "bytes_total": 100, "bytes_missing": 100}) < half < share({"step": "staging"})
    assert share({"step": "rolling_back"}) == share({}) == 0.0
