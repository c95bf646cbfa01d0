"""Fetching: whatever the line and the server do, the file on disk is the signed one or there is none."""

import hashlib
import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.errors import HttpStatusError, InstallFailed, ReleaseRefused, TransportError
from firmware.fetch import bytes_missing, discard, fetch
from firmware.files import free_bytes
from firmware.manifest import Target
from firmware.transport import Transport

from .conftest import Answer, Web, answer, cut, serve_range

DATA = bytes(range(256)) * 400
TARGET = Target("app-1.0.tar.gz", len(DATA), hashlib.sha256(DATA).hexdigest(), prefix="abc")
PATH = "/abc.app-1.0.tar.gz"


def get(web: Web, transport: Transport, dest: Path, target: Target = TARGET) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    fetch(target, web.url, dest, transport, lambda done, of: told.append((done, of)), reserve=0)
    return told


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_turn(*answers: Answer) -> Answer:
    """The first request gets the first answer, and so on; the last one stays."""
    queue = list(answers)
    return lambda handler: (queue.pop(0) if len(queue) > 1 else queue[0])(handler)


def cut_range(after: int, etag: str = '"1"') -> Answer:
    """Honours Range, but never sends more than ``after`` bytes before it hangs up."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        first = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if first else 200)
        for name, value in (("ETag", etag), ("Content-Range", f"bytes {first}-{len(DATA) - 1}/{len(DATA)}")):
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(DATA) - first))
        handler.end_headers()
        handler.wfile.write(DATA[first : first + after])
        handler.close_connection = True

    return send


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "app.tar.gz"


def test_a_whole_file_arrives_and_leaves_nothing_beside_it(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = serve_range(DATA, '"1"')
    told = get(web, transport, dest)
    assert dest.read_bytes() == DATA
    assert left(dest.parent) == ["app.tar.gz"]
    assert told[-1] == (len(DATA), len(DATA))
    assert told == sorted(told)


def test_a_file_that_is_there_is_not_fetched_again_and_a_wrong_one_is(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(web, transport, dest)
    assert bytes_missing(TARGET, dest) == 0
    get(web, transport, dest)
    assert len(web.seen) == 1
    dest.write_bytes(DATA[:-1] + b"!")
    get(web, transport, dest)
    assert len(web.seen) == 2
    assert dest.read_bytes() == DATA


def test_an_empty_file_is_a_file(web: Web, transport: Transport, dest: Path) -> None:
    get(web, transport, dest, Target("e", 0, hashlib.sha256(b"").hexdigest()))
    assert dest.read_bytes() == b""


def test_a_cut_stream_is_taken_up_where_it_broke(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = in_turn(cut(DATA, 30_000, ETag='"1"'), serve_range(DATA, '"1"'))
    get(web, transport, dest)
    assert dest.read_bytes() == DATA
    assert (web.seen[1].headers["Range"], web.seen[1].headers["If-Range"]) == ("bytes=30000-", '"1"')


def test_it_is_taken_up_after_a_restart_too(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = in_turn(cut(DATA, 30_000, ETag='"1"'), answer(503))
    with pytest.raises(HttpStatusError):
        get(web, transport, dest)
    assert bytes_missing(TARGET, dest) == len(DATA) - 30_000
    web.routes[PATH] = serve_range(DATA, '"1"')
    told = get(web, transport, dest)
    assert told[0] == (30_000, len(DATA))
    assert web.seen[-1].headers["Range"] == "bytes=30000-"
    assert dest.read_bytes() == DATA


def test_a_line_that_breaks_again_and_again_still_gets_there(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = cut_range(len(DATA) // 5 + 1)
    get(web, transport, dest)
    assert dest.read_bytes() == DATA
    assert len(web.seen) == 5


def test_resuming_is_bounded_and_the_part_stays(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = cut_range(100)
    with pytest.raises(TransportError):
        get(web, transport, dest)
    assert len(web.seen) == 9
    assert bytes_missing(TARGET, dest) == len(DATA) - 900


def test_a_file_that_changed_on_the_server_starts_anew(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = in_turn(cut(b"x" * len(DATA), 30_000, ETag='"old"'), serve_range(DATA, '"new"'))
    get(web, transport, dest)
    assert dest.read_bytes() == DATA


def test_a_server_without_range_or_etag_costs_a_new_start_only(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = in_turn(cut(DATA, 30_000), answer(200, DATA))
    get(web, transport, dest)
    assert dest.read_bytes() == DATA


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.integers(0, len(DATA) + 9), wrong=st.booleans(), note=st.booleans())
def test_whatever_an_earlier_run_left_the_result_is_right(
    web: Web, transport: Transport, tmp_path_factory: pytest.TempPathFactory, kept: int, wrong: bool, note: bool
) -> None:
    dest = tmp_path_factory.mktemp("downloads") / "app.tar.gz"
    (dest.parent / ".app.tar.gz.part").write_bytes((b"\0" * 9000 if wrong else b"") + (DATA + b"y" * 9)[:kept])
    if note:
        (dest.parent / ".app.tar.gz.part.json").write_text(f'{{"sha256": "{TARGET.sha256}", "etag": "\\"1\\""}}')
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(web, transport, dest)
    assert dest.read_bytes() == DATA
    assert left(dest.parent) == ["app.tar.gz"]


def test_other_bytes_are_refused_and_thrown_away(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = answer(200, DATA[:-1] + b"!")
    with pytest.raises(ReleaseRefused) as caught:
        get(web, transport, dest)
    assert caught.value.code == "bad_hash"
    assert left(dest.parent) == []


def test_endless_data_ends_at_the_signed_length(web: Web, transport: Transport, dest: Path) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        while sent < 1 << 28:
            sent += handler.wfile.write(b"x" * 65536)

    web.routes[PATH] = endless
    with pytest.raises(ReleaseRefused) as caught:
        get(web, transport, dest)
    assert caught.value.code == "endless_data"
    assert left(dest.parent) == []


def test_more_bytes_after_a_resume_are_endless_data_too(web: Web, transport: Transport, dest: Path) -> None:
    more = answer(206, DATA[30_000:] + b"xx", Content_Range=f"bytes 30000-{len(DATA) + 1}/{len(DATA) + 2}")
    web.routes[PATH] = in_turn(cut(DATA, 30_000, ETag='"1"'), more)
    with pytest.raises(ReleaseRefused) as caught:
        get(web, transport, dest)
    assert caught.value.code == "endless_data"


def test_a_file_that_is_too_short_is_not_taken_for_whole(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = answer(200, DATA[:1000])
    with pytest.raises(TransportError):
        get(web, transport, dest)
    assert not dest.exists()


def test_a_part_that_lies_about_its_place_is_not_used(web: Web, transport: Transport, dest: Path) -> None:
    lie = answer(206, DATA[40_000:], Content_Range=f"bytes 40000-{len(DATA) - 1}/{len(DATA)}")
    web.routes[PATH] = in_turn(cut(DATA, 30_000, ETag='"1"'), lie)
    with pytest.raises(TransportError) as caught:
        get(web, transport, dest)
    assert caught.value.code == "bad_range"
    assert not dest.exists()


def test_too_little_room_is_said_before_the_first_byte(web: Web, transport: Transport, dest: Path) -> None:
    dest.parent.mkdir()
    for reserve, also in ((free_bytes(dest.parent) * 2, 0), (0, free_bytes(dest.parent) * 2)):
        with pytest.raises(InstallFailed) as caught:
            fetch(TARGET, web.url, dest, transport, lambda *_: None, reserve=reserve, also_needed=also)
        assert caught.value.code == "disk_full"
    assert web.seen == []


def test_a_disk_that_fills_up_on_the_way_is_one_clear_error(
    web: Web, transport: Transport, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.routes[PATH] = serve_range(DATA, '"1"')

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    dest.parent.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InstallFailed) as caught:
            get(web, transport, dest)
    assert caught.value.code == "disk_full"
    assert not dest.exists()
    get(web, transport, dest)
    assert dest.read_bytes() == DATA


def test_the_file_is_synced_before_it_gets_its_name(
    web: Web, transport: Transport, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.routes[PATH] = serve_range(DATA, '"1"')
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        order.append(f"rename {target.name}")
        return replace(self, target)

    dest.parent.mkdir()
    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    get(web, transport, dest)
    assert order[-3:] == [".app.tar.gz.part", "rename app.tar.gz", "downloads"]


def test_a_planted_link_is_not_followed(web: Web, transport: Transport, dest: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    dest.parent.mkdir()
    (dest.parent / ".app.tar.gz.part").symlink_to(victim)
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(web, transport, dest)
    dest.unlink()
    dest.symlink_to(victim)
    with pytest.raises(InstallFailed):
        get(web, transport, dest)
    assert victim.read_bytes() == b"precious"


def test_what_was_fetched_can_be_discarded(web: Web, transport: Transport, dest: Path) -> None:
    web.routes[PATH] = in_turn(cut(DATA, 30_000), answer(500))
    with pytest.raises(HttpStatusError):
        get(web, transport, dest)
    discard(TARGET, dest)
    assert left(dest.parent) == []
    assert bytes_missing(TARGET, dest) == len(DATA)


def test_the_token_does_not_follow_a_redirect_to_a_mirror(web: Web, other_web: Web, dest: Path) -> None:
    web.routes[PATH] = answer(302, Location=f"{other_web.url}/mirror")
    other_web.routes["/mirror"] = serve_range(DATA, '"1"')
    with Transport(token="TargetToken s3cret", timeout_s=3) as transport:
        get(web, transport, dest)
    assert dest.read_bytes() == DATA
    assert "Authorization" in web.seen[0].headers
    assert "Authorization" not in other_web.seen[0].headers
