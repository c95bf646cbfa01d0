"""A sink's file and hash are those of the bytes it was given, however they came."""

import hashlib
import io
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import sink as module
from firmware.sink import SMALL, Sink

SIZES = st.lists(st.sampled_from([0, 1, 100, SMALL - 1, SMALL, SMALL + 1, 5 * SMALL]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(SIZES)
def test_pieces_of_any_size_stay_in_order(sizes: list[int]) -> None:
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes, 1)]
    raw = io.BytesIO()
    with Sink(raw, "sha256") as sink:
        for piece in pieces:
            sink.write(piece)
        assert sink.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert raw.getvalue() == b"".join(pieces)


def test_a_restart_forgets_file_and_hash(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b", buffering=0) as file, Sink(file, "sha512") as sink:
        sink.write(b"a" * SMALL * 3)
        sink.restart()
        sink.write(b"b")
        assert sink.hexdigest() == hashlib.sha512(b"b").hexdigest()
    assert (tmp_path / "x").read_bytes() == b"b"


def test_what_lies_there_is_hashed_and_not_written() -> None:
    raw = io.BytesIO()
    with Sink(raw, "sha256") as sink:
        sink.hash(b"a" * SMALL)
        sink.hash(b"b")
        assert sink.hexdigest() == hashlib.sha256(b"a" * SMALL + b"b").hexdigest()
    assert raw.getvalue() == b""


def test_writeback_begins_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "WRITEBACK_BYTES", 100)
    monkeypatch.setattr(module, "_begin_writeback", lambda _file, offset, count: asked.append((offset, count)))
    with (tmp_path / "x").open("w+b", buffering=0) as file, Sink(file, "sha256") as sink:
        for size in (60, 60, 60, 300, 1):
            sink.write(b"x" * size)
    assert asked == [(0, 120), (120, 360)]


def test_the_thread_ends_with_the_sink_also_after_a_failure(tmp_path: Path) -> None:
    before = threading.active_count()
    with (tmp_path / "x").open("w+b") as file:
        file.close()
        with pytest.raises(ValueError, match="closed"), Sink(file, "sha256") as sink:
            sink.write(b"x" * SMALL)
    assert threading.active_count() == before
