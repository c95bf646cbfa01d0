"""The real port on pseudo-terminals: what a hang-up, a lock, a missing file and a stuck reader become."""

import contextlib
import fcntl
import os
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.observations import LinkState
from agent.ports.errors import LineError, PortDeniedError, PortHeldError, PortLostError, PortMissingError, PortUnusableError
from agent.ports.holders import holders
from agent.ports.serial_port import SerialPort
from protocols.connection import LineSettings

LINE = LineSettings(115200)


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for descriptor in (master, slave):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(descriptor)


def test_bytes_pass_both_ways_and_a_wait_ends(pty: tuple[int, str]) -> None:
    master, path = pty
    port = SerialPort(path, LINE)
    try:
        port.write(bytes(range(256)))
        assert os.read(master, 4096) == bytes(range(256))
        os.write(master, b"\x12\x13\x11\x00\xff")
        assert port.read(1.0) == b"\x12\x13\x11\x00\xff"
        assert port.read(0.01) == b""
    finally:
        port.close()


def test_wake_ends_a_read_that_would_wait_for_ever(pty: tuple[int, str]) -> None:
    port = SerialPort(pty[1], LINE)
    try:
        threading.Timer(0.05, port.wake).start()
        assert port.read(None) == b""
    finally:
        port.close()
        port.close()
        port.wake()


def test_a_hang_up_is_lost_and_not_an_exception_of_pyserial(pty: tuple[int, str]) -> None:
    master, path = pty
    port = SerialPort(path, LINE)
    try:
        os.close(master)
        with pytest.raises(PortLostError) as lost:
            port.read(1.0)
        assert lost.value.state is LinkState.UNPLUGGED
        with pytest.raises(PortLostError):
            port.write(b"x")
        with pytest.raises(PortLostError):
            port.set_baud(9600)
    finally:
        port.close()


def test_a_line_that_takes_nothing_is_lost_within_a_bound(pty: tuple[int, str]) -> None:
    port = SerialPort(pty[1], LINE)
    try:
        with pytest.raises(PortLostError, match="takes no bytes"):
            port.write(b"\0" * 1_000_000)
    finally:
        port.close()


def test_a_held_port_names_its_holder(pty: tuple[int, str]) -> None:
    _, path = pty
    other = os.open(path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(PortHeldError) as held:
            SerialPort(path, LINE)
        assert held.value.state is LinkState.HELD
    finally:
        os.close(other)
    SerialPort(path, LINE).close()


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(PortMissingError):
        SerialPort(str(tmp_path / "nothing"), LINE)
    plain = tmp_path / "file"
    plain.write_text("no terminal")
    with pytest.raises(PortUnusableError):
        SerialPort(str(plain), LINE)
    with pytest.raises(LineError) as refused:
        SerialPort("socket://user:secret@127.0.0.1:1", LINE)
    assert "secret" not in str(refused.value)


@pytest.mark.skipif(os.getuid() == 0, reason="root may open everything")
def test_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.touch(mode=0)
    with pytest.raises(PortDeniedError):
        SerialPort(str(closed), LINE)


def test_holders_leaves_the_other_side_of_a_pty_out(pty: tuple[int, str]) -> None:
    master, path = pty
    assert os.get_inheritable(master) is False
    # This process holds the master and one end: it is the line's device. A second end makes it a user of the line.
    assert holders(path, but=-1) == []
    second = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        found = holders(path, but=-1)
        assert [h.pid for h in found] == [os.getpid()]
        assert str(found[0]).endswith(f"[{os.getpid()}]")
        assert holders(path) == [], "ourselves we do not count"
    finally:
        os.close(second)
