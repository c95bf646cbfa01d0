"""The keeper between two pseudo-terminals: bytes as they are, settings carried, nobody waits, nothing is lost."""

import contextlib
import fcntl
import os
import random
import socket
import subprocess
import sys
import termios
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agent.cli.commands import line
from agent.cli.context import Context
from agent.errors import UsageError
from agent.keeper import main
from agent.keeper.keeper import MAX_TO_TILL
from agent.keeper.messages import ASK, HEARD, HELLO, LEFT, LINE, REFUSED, USE, connect, read_words, words
from agent.keeper.store import inherited
from agent.keeper.terminals import READ_SIZE, settings_of
from tests.unit.keeper.bench import Bench, is_locked, set_line

SWEEP = bytes.fromhex("10 04 01 10 04 02 10 04 03 10 04 04")
EVERY = bytes(range(256))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    found.open_till()
    yield found
    found.close()


@pytest.fixture
def daemon(bench: Bench) -> Iterator[socket.socket]:
    link = connect(str(bench.link))
    link.setblocking(False)
    bench.turn(3)
    yield link
    link.close()


def said(link: socket.socket) -> list[tuple[bytes, bytes]]:
    found = []
    while True:
        try:
            packet = link.recv(8192)
        except BlockingIOError:
            return found
        if not packet:
            return found
        found.append((packet[:1], packet[1:]))


# -- the till ----------------------------------------------------------------------------------------------------------


def test_every_byte_passes_both_ways(bench: Bench) -> None:
    assert bench.prints(EVERY * 40) == EVERY * 40
    os.write(bench.printer, EVERY)
    heard = bytearray()

    def all_heard() -> bool:
        bench.skip_s += 0.2  # half an answer is waited for
        heard.extend(bench.heard())
        return len(heard) >= 256

    bench.until(all_heard)
    assert bytes(heard) == EVERY


def test_the_port_is_ours_alone_and_the_link_is_one_step(bench: Bench) -> None:
    assert is_locked(bench.port)
    assert bench.link.is_symlink()
    assert bench.link.resolve().parent == Path("/dev/pts")
    assert (Path(f"{bench.link}.sock").stat().st_mode & 0o777) == 0o660


@pytest.mark.parametrize(("speed", "baud"), [(termios.B9600, 9600), (termios.B38400, 38400)])
def test_the_speed_that_the_till_sets_is_set_on_the_port(bench: Bench, speed: int, baud: int) -> None:
    set_line(bench.till, speed)
    assert bench.prints(b"text\n") == b"text\n"
    assert settings_of(bench.printer).baud == baud


def test_a_till_that_hangs_up_leaves_the_speed_of_the_port_as_it_is(bench: Bench) -> None:
    """B0: no modem line lies behind a pseudo-terminal that could be dropped."""
    set_line(bench.till, termios.B9600)
    assert bench.prints(b"one\n") == b"one\n"
    set_line(bench.till, termios.B0)
    assert bench.prints(b"two\n") == b"two\n"
    assert settings_of(bench.printer).baud == 9600
    set_line(bench.till, termios.B38400)
    assert bench.prints(b"three\n") == b"three\n"
    assert settings_of(bench.printer).baud == 38400


def test_no_core_of_the_keeper_is_left(bench: Bench) -> None:
    """What the till prints passes through its memory."""
    code = "import resource\nfrom agent.keeper import main\nmain.run({'port': '/nowhere', 'link': '/tmp/x'})\n"
    code += "print(resource.getrlimit(resource.RLIMIT_CORE), int(open('/proc/self/coredump_filter').read(), 16))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "(0, 0) 0\n"


def test_a_slow_printer_slows_the_till_and_loses_nothing(bench: Bench) -> None:
    data = random.Random(1).randbytes(200_000)
    left, taken = data, 0
    for _ in range(500):
        try:
            size = os.write(bench.till, left[:4096])
        except BlockingIOError:
            size = 0
        left, taken = left[size:], taken + size
        bench.turn()
    assert taken < 150_000  # the till was stopped
    got = bytearray()

    def all_there() -> bool:
        nonlocal left
        got.extend(bench.printed(3997))
        with contextlib.suppress(BlockingIOError):
            left = left[os.write(bench.till, left[:4096]) :] if left else left
        return len(got) == len(data)

    bench.until(all_there)
    assert bytes(got) == data


def test_xoff_stops_a_till_that_heeds_it_and_xon_lets_it_go_on(bench: Bench) -> None:
    set_line(bench.till, xonxoff=True)
    assert bench.prints(b"one\n") == b"one\n"
    os.write(bench.printer, b"\x13")
    written = 0

    def stopped() -> bool:
        nonlocal written
        try:
            written += os.write(bench.till, b"two\n")
        except BlockingIOError:
            return True
        return False

    bench.until(stopped)
    bench.turn(10)
    before = len(bench.printed())  # what was under way when the printer said stop
    bench.turn(10)
    assert bench.printed() == b""
    os.write(bench.printer, b"\x11")
    got = bytearray()
    bench.until(lambda: bool(got.extend(bench.printed()) or before + len(got) == written))
    assert bench.heard() == b""  # the line discipline has taken them


def test_a_till_without_flow_control_sees_xoff_itself(bench: Bench) -> None:
    set_line(bench.till)
    bench.prints(b"one\n")
    os.write(bench.printer, b"\x13")
    bench.until(lambda: bench.heard() == b"\x13")
    assert bench.prints(b"two\n") == b"two\n"


def test_a_till_that_never_reads_stops_nobody(bench: Bench) -> None:
    for _ in range(40):
        with contextlib.suppress(BlockingIOError):
            os.write(bench.printer, b"\xff" * 1000)
        bench.turn(2)
    assert len(bench.keeper._to_till) <= MAX_TO_TILL
    assert bench.prints(b"text\n") == b"text\n"


def test_the_till_opens_twice_with_other_settings(bench: Bench) -> None:
    set_line(bench.till, termios.B9600)
    assert bench.prints(b"first\n") == b"first\n"
    other = bench.open_till()
    set_line(other, termios.B57600)
    os.write(other, b"second\n")
    got = bytearray()
    bench.until(lambda: bool(got.extend(bench.printed()) or bytes(got) == b"second\n"))
    assert settings_of(bench.printer).baud == 57600
    os.close(other)
    assert bench.prints(b"third\n") == b"third\n"


def test_random_bytes_pass_and_nobody_asks_between(bench: Bench, daemon: socket.socket) -> None:
    data = random.Random(2).randbytes(100_000)
    daemon.send(ASK + b"\x01" + SWEEP)
    assert bench.prints(data).replace(SWEEP, b"") == data


def test_unplugged_in_the_middle_of_a_picture(bench: Bench, daemon: socket.socket) -> None:
    picture = b"\x1dv0\x00\x48\x00\x40\x00" + bytes(72 * 64)
    assert bench.prints(picture[:1000]) == picture[:1000]
    bench.unplug()
    bench.until(lambda: bench.keeper.port < 0)
    os.write(bench.till, picture[1000:2000])
    bench.turn(5)
    bench.plug()
    bench.skip_s += 2.0
    got = bytearray()
    bench.until(lambda: bool(got.extend(bench.printed()) or len(got) == 1000))
    assert bytes(got) == picture[1000:2000]
    news = said(daemon)
    assert [read_words(data)["there"] for kind, data in news if kind == LINE] == ["1", "0", "1"]
    counts = [read_words(data) for kind, data in news if kind == USE]
    assert sum(int(c["unfinished"]) for c in counts) == 1
    daemon.send(ASK + b"\x01" + SWEEP)
    bench.turn(5)
    assert bench.printed() == b""  # where the printer stands is not known
    bench.skip_s += 1.1
    bench.until(lambda: bench.printed() == SWEEP)


# -- the daemon --------------------------------------------------------------------------------------------------------


def test_a_question_and_its_answer(bench: Bench, daemon: socket.socket) -> None:
    first = said(daemon)
    assert [kind for kind, _ in first] == [HELLO, LINE, USE]
    assert read_words(first[0][1])["restarted"] == "fresh"
    assert read_words(first[2][1])["state"] == "idle"
    daemon.send(ASK + b"\x07" + SWEEP)
    bench.until(lambda: bench.printed() == SWEEP)
    os.write(bench.printer, b"\x12\x12\x12\x12")
    heard: list[tuple[bytes, bytes]] = []
    bench.until(lambda: bool(heard.extend(said(daemon)) or any(k == HEARD for k, _ in heard)))
    assert (LEFT, b"\x070") in heard
    assert (HEARD, b"\x12\x12\x12\x12") in heard
    assert bench.heard() == b""
    daemon.send(ASK + b"\x08text that would be printed")
    bench.turn(3)
    assert (REFUSED, b"\x08") in said(daemon)
    assert bench.printed() == b""


def test_the_till_is_told_of_at_once_and_counted(bench: Bench, daemon: socket.socket) -> None:
    said(daemon)
    bench.prints(b"\x1b@one\n\x1dV\x00")
    assert [read_words(d)["state"] for k, d in said(daemon) if k == USE] == ["printing"]
    bench.skip_s += 1.0
    bench.turn(2)
    news = [read_words(d) for k, d in said(daemon) if k == USE]
    assert [n["state"] for n in news] == ["idle"]
    assert bench.keeper._line.jobs.taken()["bytes"] == 0


def test_another_daemon_waits_and_one_that_hangs_is_dropped(bench: Bench, daemon: socket.socket) -> None:
    other = connect(str(bench.link))
    other.setblocking(False)
    bench.turn(5)
    assert said(other) == []
    daemon.close()
    bench.until(lambda: bool(said(other)))
    other.send(ASK + b"\x01\x1da\x0e")
    bench.until(lambda: bench.printed() == b"\x1da\x0e")
    for _ in range(3000):
        if not bench.keeper._desk.taken():
            break
        os.write(bench.printer, b"\x11")
        bench.turn()
        bench.heard()
    assert not bench.keeper._desk.taken()
    assert bench.prints(b"text\n") == b"text\n"
    other.close()


def test_a_daemon_that_dies_two_hundred_times_while_the_till_prints(bench: Bench) -> None:
    chance = random.Random(5)
    data = random.Random(6).randbytes(40) * 1000
    whole = b"".join(b"\x1b@line %d\n\x1dV\x00" % n for n in range(9000)) + b"".join(
        b"\x1dv0\x00\x04\x00\x0a\x00" + data[n : n + 40] for n in range(900)
    )
    left, got, died = whole, bytearray(), 0
    link: socket.socket | None = None
    while left or len(bytes(got).replace(SWEEP, b"")) < len(whole):
        if left:
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(bench.till, left[: chance.randrange(1, 400)]) :]
        if died < 200:
            if link is None:
                link = connect(str(bench.link))
            elif chance.randrange(2):
                link.send(ASK + b"\x01" + SWEEP)
            if chance.randrange(3) == 0:
                link.close()
                link, died = None, died + 1
        bench.turn()
        part = bench.printed()
        got.extend(part)
        if SWEEP in part:
            os.write(bench.printer, b"\x12" * 4)
    if link is not None:
        link.close()
    assert died == 200
    assert bytes(got).replace(SWEEP, b"") == whole
    assert SWEEP in got


# -- restarts ----------------------------------------------------------------------------------------------------------


def test_an_orderly_restart_loses_no_byte_and_the_till_keeps_its_port(bench: Bench) -> None:
    chance = random.Random(3)
    data = b"".join(b"line %06d\n" % n for n in range(4000))
    left, got = data, bytearray()
    for _ in range(8):
        for _ in range(6):
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(bench.till, left[: chance.randrange(1, 3000)]) :]
            bench.turn()
        os.write(bench.printer, b"\xff\xfe")
        bench.end()
        got.extend(bench.printed())
        bench.keeper = bench.start()
        assert bench.keeper.restarted == "clean"
    bench.until(lambda: bool(got.extend(bench.printed()) or len(got) >= len(data) - len(left)))
    assert bytes(got) == data[: len(got)]
    assert len(got) >= len(data) - len(left)
    heard = bytearray()
    bench.until(lambda: bool(heard.extend(bench.heard()) or len(heard) >= 16))
    assert bytes(heard) == b"\xff\xfe" * 8


def test_a_printer_that_was_plugged_in_anew_between_two_keepers_is_held_by_the_third(bench: Bench) -> None:
    bench.end()
    bench.unplug()
    bench.plug()
    bench.keeper = bench.start()
    assert bench.prints(b"first\n") == b"first\n"
    bench.end()
    bench.keeper = bench.start()
    assert bench.keeper.port >= 0, bench.said
    assert bench.prints(b"second\n") == b"second\n"


def test_of_two_descriptors_of_one_name_one_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = os.pipe()
    out, into = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 700) for descriptor in (first, second))
    monkeypatch.setattr("agent.keeper.store.FIRST", out)
    for name, value in (("FDS", "2"), ("PID", str(os.getpid())), ("FDNAMES", "port:port")):
        monkeypatch.setenv(f"LISTEN_{name}", value)
    assert into == out + 1
    assert inherited() == {"port": into}
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(out)
    for descriptor in (first, second, into):
        os.close(descriptor)


def test_an_orderly_restart_in_the_middle_of_a_command_asks_nothing_inside_it(bench: Bench) -> None:
    bench.prints(b"\x1dv0\x00\x04\x00\x0a\x00" + bytes(20))
    bench.end()
    bench.keeper = bench.start()
    daemon = connect(str(bench.link))
    daemon.send(ASK + b"\x01" + SWEEP)
    bench.skip_s += 100.0
    bench.turn(10)
    assert bench.printed() == b""
    os.write(bench.till, bytes(20))
    bench.until(lambda: bench.printed() == bytes(20) + SWEEP)
    daemon.close()


def test_the_state_of_another_version_costs_neither_the_start_nor_a_byte(bench: Bench) -> None:
    set_line(bench.till, xonxoff=True)
    data, sent = b"line of a receipt\n" * 5000, 0
    for _ in range(40):
        with contextlib.suppress(BlockingIOError):
            sent += os.write(bench.till, data[sent : sent + 4000])
        bench.turn()
    memory = bench.keeper._memory
    write, unsent = memory.write, []

    def other(clean: bool, *rest: Any) -> None:
        if clean:
            unsent.append(rest[0][0])
            rest = ((*rest[0][:4], {"unheard": 1}, *rest[0][5:]), *rest[1:])
        write(clean, *rest)

    memory.write = other  # type: ignore[method-assign]
    bench.end()
    assert unsent[0], "something was left over"
    bench.keeper = bench.start()
    assert bench.keeper.restarted == "killed"
    assert bench.keeper._line.honours_flow, "the till has it on"
    got = bytearray()
    bench.until(lambda: bool(got.extend(bench.printed()) or len(got) >= sent))
    assert bytes(got) == data[:sent]


def test_after_a_kill_at_most_one_piece_is_in_doubt_and_it_is_said(bench: Bench) -> None:
    bench.prints(b"\x1da\x0f\x1b@text\n")
    os.write(bench.till, b"x" * 3000)
    bench.kill()
    bench.keeper = bench.start()
    assert bench.keeper.restarted == "killed"
    daemon = connect(str(bench.link))
    daemon.setblocking(False)
    got = bytearray()
    bench.until(lambda: bool(got.extend(bench.printed()) or len(got) == 3000))
    hello = next(read_words(data) for kind, data in said(daemon) if kind == HELLO)
    assert hello["restarted"] == "killed"
    assert int(hello["in_doubt"]) == READ_SIZE - 1
    assert bench.keeper._line.answers.till_mask == 0x0F
    assert not bench.keeper._line.follows
    daemon.close()


def test_without_a_service_manager_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    monkeypatch.setattr(type(bench.kept), "there", property(lambda _: False))
    bench.end()
    assert not bench.link.is_symlink()
    assert not (tmp_path / "printer.sock").exists()
    bench.keeper = bench.start()
    bench.close()


# -- what can be wrong at the start ------------------------------------------------------------------------------------


def test_a_port_that_another_holds_is_told(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run({"port": str(bench.port), "link": str(bench.folder / "other"), "json": "1"}) == 3
    told = capsys.readouterr()
    assert '"code": "port"' in told.out
    assert "held by another process" in told.err


@pytest.mark.parametrize("port", ["/nowhere", "/dev/null"])
def test_a_port_that_is_none(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run({"port": port, "link": str(tmp_path / "printer")}) == 3
    assert port in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_links_place_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    bench.end()
    (tmp_path / "file").write_text("mine")
    assert main.run({"port": str(bench.port), "link": str(tmp_path / "file")}) == 3
    assert (tmp_path / "file").read_text() == "mine"
    bench.keeper = bench.start()


def test_its_words() -> None:
    assert main.words_of(["--root", "/x", "line", "--port", "/p", "--link=/l"]) == {
        "root": "/x", "command": "line", "port": "/p", "link": "/l",
    }  # fmt: skip
    for wrong in (
        ["line"],
        ["line", "--help"],
        ["status", "--lang", "line"],
        ["line", "--port"],
        *(["line", "--port", "/p", "--link", "/l", "--baud", speed] for speed in ("x", "0", "\N{SUPERSCRIPT TWO}", "4294967296")),
    ):
        assert main.words_of(wrong) is None
    assert main.words_of(["line", "--port", "/p", "--link", "/l", "--baud", "9600"])
    assert read_words(words(a=1, b="x y")) == {"a": "1", "b": "x_y"}


@pytest.mark.parametrize("speed", [0, -1, 1 << 32])
def test_a_speed_that_is_none_is_told(speed: int) -> None:
    with pytest.raises(UsageError):
        line.run(cast(Context, None), Namespace(port="/p", link="/l", baud=speed))
