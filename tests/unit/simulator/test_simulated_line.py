"""The line: damage, rates, plugging, in memory and on a pty; and the terminal with its socket on ptys."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from simulator.control import NoTerminalError, RefusedError, call
from simulator.line import MemoryLine, PtyLine, VirtualClock, Wire, line_speed, set_line_speed
from simulator.pytest_plugin import SimulatedTerminal
from simulator.settings import BadSettingError
from simulator.terminal import Kinds, TerminalServer, in_memory

ANSWERS_WITHIN = 5.0
"""Seconds; an upper limit for a busy machine, nothing waits for it when all is well."""


def printer_line(**kinds: int) -> MemoryLine:
    till = in_memory(VirtualClock(), Kinds(**kinds))  # type: ignore[arg-type]
    assert till.printer is not None
    return till.printer.line


def test_noise_flips_one_bit_in_about_as_many_bytes_as_it_says() -> None:
    wire = Wire(seed=1)
    wire.noise = 0.1
    heard = wire.carry(bytes(10_000), 9600, 9600)
    flipped = [byte for byte in heard if byte]
    assert len(heard) == 10_000
    assert all(byte.bit_count() == 1 for byte in flipped)
    assert 800 < len(flipped) < 1200


def test_a_clean_wire_changes_nothing() -> None:
    data = bytes(range(256))
    assert Wire().carry(data, 9600, 9600) == data


def test_a_wrong_rate_gives_garbage_that_is_the_same_for_the_same_seed() -> None:
    data = b"\x12" * 40_000
    heard = Wire(seed=3).carry(data, 9600, 115200)
    assert heard == Wire(seed=3).carry(data, 9600, 115200)
    assert heard != Wire(seed=4).carry(data, 9600, 115200)
    assert 0.7 < len(heard) / len(data) < 0.8
    valid = sum(byte & 0x93 == 0x12 for byte in heard) / len(heard)
    assert valid < 1.2 * 16 / 256  # by chance 16 of 256 bytes look like an answer to DLE EOT


def test_a_wrong_rate_in_memory_goes_both_ways() -> None:
    line = printer_line()
    line.host.write(b"\x1da\x0e")
    assert line.host.read() == b"\x10\x00\x00\x0f"
    line.host.set_baud(9600)
    for _ in range(20):
        line.host.write(b"\x10\x04\x01")
    assert b"\x12" * 20 not in line.host.read()
    line.host.set_baud(115200)
    line.host.write(b"\x10\x04\x01")
    assert line.host.read()[-1:] == b"\x12"


def test_unplugging_in_memory_fails_the_host_until_it_opens_the_line_again() -> None:
    line = printer_line()
    line.unplug()
    for attempt in (lambda: line.host.read(), lambda: line.host.write(b"x")):
        with pytest.raises(OSError, match="unplugged") as caught:
            attempt()
        assert caught.value.errno == errno.EIO
    with pytest.raises(OSError, match="unplugged"):
        line.open()
    line.plug()
    host = line.open()
    host.write(b"\x10\x04\x01")
    assert host.read() == b"\x12"
    host.close()
    with pytest.raises(OSError, match="closed"):
        host.read()


def test_what_nobody_reads_is_lost_beyond_the_buffer() -> None:
    line = printer_line()
    for _ in range(5000):
        line.host.write(b"\x10\x04\x01")
    assert len(line.host.read()) == 4096


def test_the_virtual_clock_fires_timers_in_their_order() -> None:
    clock = VirtualClock()
    fired: list[tuple[str, float]] = []
    due: dict[str, list[float]] = {"a": [2.0, 3.0], "b": [1.0, 2.5]}

    def timer(name: str) -> Callable[[], float | None]:
        return lambda: due[name][0] if due[name] else None

    def fire(name: str) -> Callable[[float], None]:
        return lambda now: fired.append((name, due[name].pop(0))) if now == due[name][0] else None

    for name in due:
        clock.register(timer(name), fire(name))
    clock.advance(2.6)
    assert fired == [("b", 1.0), ("a", 2.0), ("b", 2.5)]
    assert clock() == 2.6


def test_a_timer_that_never_moves_is_told_and_not_waited_for() -> None:
    clock = VirtualClock()
    clock.register(lambda: 1.0, lambda now: None)
    with pytest.raises(RuntimeError, match="does not move on"):
        clock.advance(2.0)


# --- ptys


@pytest.mark.parametrize("baud", [1200, 9600, 115200, 250_000, 12_345])
def test_any_rate_is_seen_from_the_master(tmp_path: Path, baud: int) -> None:
    line = PtyLine(tmp_path / "port")
    try:
        slave = os.open(tmp_path / "port", os.O_RDWR | os.O_NOCTTY)
        set_line_speed(slave, baud)
        assert line.host_baud() == line_speed(slave) == baud
        os.close(slave)
    finally:
        line.unplug()


def test_a_host_may_come_and_go(terminal: SimulatedTerminal) -> None:
    for _ in range(3):
        with serial.Serial(str(terminal.printer_path), 115200, timeout=ANSWERS_WITHIN) as port:
            port.write(b"\x10\x04\x01")
            assert port.read(1) == b"\x12"
    with serial.Serial(str(terminal.reader_path), 115200, timeout=ANSWERS_WITHIN) as port:
        question = bytes.fromhex("03 06 65 00 00 00 00 00 02 00 00 00 62")
        port.write(question)
        assert port.read(26) == question + bytes.fromhex("03 06 81 00 00 00 00 00 02 02 00 01 85")


def test_printer_at_another_rate_is_found_there(terminal: SimulatedTerminal) -> None:
    terminal.set("printer.baud", 19200)
    assert terminal.show()["printer"]["state"]["baud"] == 19200
    with serial.Serial(str(terminal.printer_path), 19200, timeout=ANSWERS_WITHIN) as port:
        port.write(b"\x10\x04\x01")
        assert port.read(1) == b"\x12"


def test_unplug_hangs_up_and_replug_is_a_new_pty_behind_the_same_link(terminal: SimulatedTerminal) -> None:
    port = os.open(terminal.printer_path, os.O_RDWR | os.O_NOCTTY)
    other = os.open(terminal.reader_path, os.O_RDWR | os.O_NOCTTY)
    before = terminal.printer_path.readlink()
    terminal.set("printer.plugged", "no")
    assert not terminal.printer_path.is_symlink()
    poll = select.poll()
    poll.register(port, select.POLLIN)
    assert poll.poll(ANSWERS_WITHIN * 1000)[0][1] & select.POLLHUP
    with pytest.raises(OSError, match="Input/output"):
        os.write(port, b"x")
    os.write(other, b"still there")
    terminal.set("printer.plugged", "yes")
    assert terminal.printer_path.readlink() != before
    assert terminal.show()["printer"]["state"]["plugged"] == "yes"
    with serial.Serial(str(terminal.printer_path), 115200, timeout=ANSWERS_WITHIN) as again:
        again.write(b"\x10\x04\x01")
        assert again.read(1) == b"\x12"
    os.close(port)
    os.close(other)


def test_a_change_goes_out_unasked(terminal: SimulatedTerminal) -> None:
    with serial.Serial(str(terminal.printer_path), 115200, timeout=ANSWERS_WITHIN) as port:
        port.write(b"\x1da\x0e")
        assert port.read(4) == b"\x10\x00\x00\x0f"
        terminal.set("printer.paper", "end")
        assert port.read(4) == b"\x18\x00\x0f\x0f"


def test_a_mute_card_answers_late_and_by_itself(terminal: SimulatedTerminal) -> None:
    terminal.set("reader.card", "mute")
    with serial.Serial(str(terminal.reader_path), 115200, timeout=ANSWERS_WITHIN) as port:
        port.write(bytes.fromhex("03 06 62 00 00 00 00 00 08 01 00 00 6e"))
        assert port.read(26)[13:] == bytes.fromhex("03 06 80 00 00 00 00 00 08 41 fe 00 32")


def test_two_tills_have_nothing_to_do_with_each_other(terminals: Callable[..., SimulatedTerminal]) -> None:
    first, second = terminals(), terminals(reader="none", seed=2)
    first.set("printer.cover", "open")
    assert second.show()["printer"]["state"]["cover"] == "closed"
    assert second.show()["reader"] is None
    assert not second.reader_path.is_symlink()
    with pytest.raises(RefusedError, match="no reader"):
        second.set("reader.card", "ok")


def test_a_second_terminal_in_the_same_folder_is_refused(terminal: SimulatedTerminal) -> None:
    with pytest.raises(RefusedError, match="another terminal"):
        TerminalServer(terminal.dir)
    assert terminal.printer_path.is_symlink()


def test_a_file_in_the_way_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "reader").write_text("mine")
    with pytest.raises(FileExistsError):
        TerminalServer(tmp_path)
    assert (tmp_path / "reader").read_text() == "mine"
    assert not (tmp_path / "printer").is_symlink()
    (tmp_path / "reader").unlink()
    TerminalServer(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_stopping_takes_links_and_socket_away(terminals: Callable[..., SimulatedTerminal]) -> None:
    terminal = terminals()
    terminal.stop()
    assert [path.name for path in terminal.dir.iterdir()] == [".lock"]
    with pytest.raises(NoTerminalError):
        terminal.show()
    again = terminals(name=terminal.dir.name)
    assert again.show()["printer"]["state"]["paper"] == "ok"
    assert threading.active_count() > 1


def test_a_long_folder_name_is_no_obstacle(tmp_path: Path, terminals: Callable[..., SimulatedTerminal]) -> None:
    terminal = terminals(name="n" * 120)
    terminal.set("printer.paper", "near_end")
    assert terminal.show()["printer"]["state"]["paper"] == "near_end"


def test_the_socket_refuses_nonsense(terminal: SimulatedTerminal) -> None:
    with pytest.raises(BadSettingError, match="valid: ok"):
        terminal.set("printer.paper", "wet")
    with pytest.raises(RefusedError, match="does not know"):
        call(terminal.dir, {"dance": True})
    terminal.set("till.printing", "yes")
    terminal.set("till.printing", "no")


def test_the_socket_outlives_clients_that_misbehave(terminal: SimulatedTerminal) -> None:
    clients = []
    for _ in range(20):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(terminal.dir / "control.sock"))
        clients.append(client)
    clients[0].sendall(b"x" * 5000)  # longer than any request: dropped
    assert clients[0].recv(10) == b""
    clients[1].sendall(b"{half")
    clients[2].sendall(b"not json\n")
    assert b"refused" in clients[2].recv(1000)
    for client in clients:
        client.close()
    assert terminal.show()["printer"]["state"]["paper"] == "ok"
