"""Mirrors are asked first and believed in nothing: a dead, slow, old or lying one costs time, and never the update."""

import hashlib
import json
import os
import socket
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path

import pytest

from firmware.errors import ReleaseRefused, TransportError
from firmware.fetch import fetch
from firmware.transport import Transport

from .conftest import Answer, Web, answer, cut, serve_range
from .test_fetch import DATA, PATH, TARGET, cut_range, in_turn, left

LIE = hashlib.sha256(DATA).digest() * (len(DATA) // 32)


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "app.tar.gz"


@pytest.fixture
def dead() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def get(dest: Path, transport: Transport, web: Web, *mirrors: str) -> list[int]:
    """Fetch; the progress that was told."""
    told: list[int] = []
    fetch(TARGET, web.url, dest, transport, lambda done, _: told.append(done), reserve=0, mirrors=mirrors)
    return told


def ranges(web: Web) -> list[str | None]:
    return [seen.headers.get("Range") for seen in web.seen]


def test_a_mirror_spares_the_centre_every_byte(web: Web, other_web: Web, transport: Transport, dest: Path) -> None:
    other_web.routes[PATH] = serve_range(DATA, '"m"')
    get(dest, transport, web, other_web.url)
    assert dest.read_bytes() == DATA
    assert (left(dest.parent), web.seen) == ([dest.name], [])


def test_mirrors_are_asked_in_their_order(web: Web, other_web: Web, transport: Transport, dest: Path, dead: str) -> None:
    other_web.routes[f"/second{PATH}"] = serve_range(DATA, '"m"')
    get(dest, transport, web, dead, f"{other_web.url}/first/", f"{other_web.url}/second/", f"{other_web.url}/third")
    assert dest.read_bytes() == DATA
    assert [seen.path for seen in other_web.seen] == [f"/first{PATH}", f"/second{PATH}"]
    assert web.seen == []


@pytest.mark.parametrize(
    "behind", [answer(404), answer(500), answer(403), cut(DATA, 0), answer(302, Location="http://192.0.2.1/")]
)
def test_one_that_is_no_use_is_passed_over(
    behind: Answer, web: Web, other_web: Web, transport: Transport, dest: Path, dead: str
) -> None:
    other_web.routes[PATH] = behind
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web, dead, other_web.url)
    assert dest.read_bytes() == DATA


def test_what_a_mirror_has_brought_is_taken_up_by_the_next(web: Web, other_web: Web, transport: Transport, dest: Path) -> None:
    other_web.routes[PATH] = in_turn(cut_range(50_000, '"m"'), answer(503))
    web.routes[PATH] = serve_range(DATA, '"1"')
    told = get(dest, transport, web, other_web.url)
    assert dest.read_bytes() == DATA
    assert ranges(web) == ["bytes=50000-"]
    assert "If-Range" not in web.seen[0].headers, "an ETag of another server says nothing here"
    assert told == sorted(told), "nothing was fetched twice"


def test_and_after_a_restart_by_whoever_answers_then(web: Web, other_web: Web, transport: Transport, dest: Path) -> None:
    other_web.routes[PATH] = in_turn(cut_range(20_000, '"m"'), answer(503))
    web.routes[PATH] = answer(503)
    with pytest.raises(TransportError):
        get(dest, transport, web, other_web.url)
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web)
    assert dest.read_bytes() == DATA
    assert ranges(web)[-1] == "bytes=20000-"


def test_a_slow_mirror_is_left_for_the_next(web: Web, other_web: Web, dest: Path) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for first in range(0, 80 << 10, 8 << 10):
            handler.wfile.write(b"2000\r\n" + DATA[first : first + (8 << 10)] + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    other_web.routes[PATH] = trickle
    web.routes[PATH] = serve_range(DATA, '"1"')
    seconds = count(step=2)  # for each look at the clock, of which each piece takes some: 1 KiB/s
    with Transport(timeout_s=30, mono=lambda: float(next(seconds))) as transport:
        get(dest, transport, web, other_web.url)
    assert dest.read_bytes() == DATA
    assert len(other_web.seen) == 1, "a slow one is not asked again and again while there are others"
    assert str(ranges(web)[0]).startswith("bytes="), "what it brought counts, and the last one has more patience"


def test_a_lying_mirror_costs_one_download_and_is_not_asked_again(
    web: Web, other_web: Web, transport: Transport, dest: Path
) -> None:
    other_web.routes[PATH] = answer(200, LIE)
    web.routes[PATH] = answer(503)
    for _ in range(3):
        with pytest.raises(TransportError):
            get(dest, transport, web, other_web.url)
    assert len(other_web.seen) == 1, "nor after a restart"
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web, other_web.url)
    assert (dest.read_bytes(), left(dest.parent)) == (DATA, [dest.name])


def test_a_mirror_that_spoils_a_good_beginning(web: Web, other_web: Web, transport: Transport, dest: Path) -> None:
    """The centre's half, the liar's half: the liar has to show a whole file, cannot, and the centre's bytes count."""
    web.routes[PATH] = cut_range(30_000)
    with pytest.raises(TransportError):
        fetch(TARGET, web.url, dest, _Once(transport), lambda *_: None, reserve=0)
    other_web.routes[PATH] = serve_range(LIE, '"m"')
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web, other_web.url)
    assert dest.read_bytes() == DATA


class _Once(Transport):
    """One request, and then no network."""

    def __init__(self, real: Transport) -> None:
        super().__init__()
        self._real, self._left = real, 1

    def stream(self, url: str, **options: object) -> object:  # type: ignore[override]
        self._left -= 1
        if self._left < 0:
            raise TransportError("no network")
        return self._real.stream(url, **options)  # type: ignore[arg-type]


def test_an_old_mirror_whose_file_is_shorter_does_not_throw_the_rest_away(
    web: Web, other_web: Web, transport: Transport, dest: Path
) -> None:
    web.routes[PATH] = cut_range(60_000)
    with pytest.raises(TransportError):
        fetch(TARGET, web.url, dest, _Once(transport), lambda *_: None, reserve=0)
    other_web.routes[PATH] = answer(416)
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web, other_web.url)
    assert ranges(web)[-1] == "bytes=60000-"
    assert dest.read_bytes() == DATA


def test_an_endless_mirror_ends_at_the_signed_length(web: Web, other_web: Web, transport: Transport, dest: Path) -> None:
    other_web.routes[PATH] = answer(200, DATA + b"more")
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web, other_web.url)
    assert (dest.read_bytes(), left(dest.parent)) == (DATA, [dest.name])


def test_the_last_word_is_the_centres(web: Web, other_web: Web, transport: Transport, dest: Path, dead: str) -> None:
    other_web.routes[PATH] = web.routes[PATH] = answer(200, LIE)
    with pytest.raises(ReleaseRefused) as caught:
        get(dest, transport, web, dead, other_web.url)
    assert caught.value.code == "bad_hash"
    assert left(dest.parent) == []


@pytest.mark.parametrize("note", [{"liars": 3, "from": 4}, {"liars": ["x"] * 9}, {"etag": "a\r\nb", "from": None}])
def test_a_strange_note_is_no_trap(note: dict[str, object], web: Web, transport: Transport, dest: Path) -> None:
    dest.parent.mkdir()
    dest.with_name(f".{dest.name}.part.json").write_text(json.dumps({"sha256": TARGET.sha256, **note}))
    dest.with_name(f".{dest.name}.part").write_bytes(os.urandom(10))
    web.routes[PATH] = serve_range(DATA, '"1"')
    get(dest, transport, web)
    assert dest.read_bytes() == DATA


def test_the_token_is_never_sent_to_a_mirror_of_another_host(web: Web, other_web: Web, dest: Path) -> None:
    other_web.routes[PATH] = cut_range(50_000)
    web.routes[PATH] = serve_range(DATA, '"1"')
    with Transport(token="TargetToken secret", token_for=f"{web.url}/metadata") as transport:
        get(dest, transport, web, other_web.url)
    assert other_web.seen
    assert all("Authorization" not in seen.headers for seen in other_web.seen)
    assert all(seen.headers["Authorization"] == "TargetToken secret" for seen in web.seen)
