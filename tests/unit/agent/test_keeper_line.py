"""The daemon's end of a shared line: its clock stands still while a question waits, and what the keeper tells becomes news."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.keeper.messages import HEARD, HELLO, LEFT, LINE, REFUSED, USE, words
from agent.observations import LineNote, LineUse, LinkState
from agent.ports.errors import PortDeniedError, PortHeldError, PortLostError, PortMissingError, PortWaitingError
from agent.ports.keeper_line import HELD_S, HELLO_S, KeeperLine, KeeperPort
from protocols.connection import LineSettings

SETTINGS = LineSettings(115200)
LIMIT_S = 30.0


class Hands:
    """A keeper's words, said by hand. The clock moves only when told to."""

    def __init__(self, folder: Path) -> None:
        self.time = 1000.0
        self.line = KeeperLine(lambda: self.time)
        self.link = folder / "printer"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(f"{self.link}.sock")
        self._listener.listen(4)
        self.peer: socket.socket | None = None

    def opened(self, *said: bytes) -> KeeperPort:
        thread = threading.Thread(target=self._serve, args=(said,), daemon=True)
        thread.start()
        try:
            return self.line.open(str(self.link), SETTINGS)  # type: ignore[return-value]
        finally:
            thread.join(LIMIT_S)

    def _serve(self, said: tuple[bytes, ...]) -> None:
        if self.peer is not None:
            self.peer.close()
        self.peer, _ = self._listener.accept()
        for packet in said:
            self.peer.send(packet)

    def say(self, packet: bytes) -> None:
        assert self.peer is not None
        self.peer.send(packet)

    def heard(self) -> bytes:
        assert self.peer is not None
        self.peer.settimeout(LIMIT_S)
        return self.peer.recv(8192)

    def close(self) -> None:
        self._listener.close()
        if self.peer is not None:
            self.peer.close()


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Hands]:
    found = Hands(tmp_path)
    yield found
    found.close()


def use(state: str, quiet: int = 0, follows: int = 1, **counts: int) -> bytes:
    return USE + words(state=state, quiet=quiet, follows=follows, broken=0, **counts)


FIRST = (HELLO + words(restarted="fresh", in_doubt=0), LINE + words(there=1, why=""))


def test_time_stands_still_while_a_question_waits(hands: Hands) -> None:
    port = hands.opened(*FIRST, use("idle", 5000))
    before = hands.line.now()
    hands.time += 3.0
    assert hands.line.now() == before + 3.0
    port.write(b"\x10\x04\x01")
    assert hands.heard() == b"?\x01\x10\x04\x01"
    hands.time += 7.0
    assert hands.line.now() == before + 3.0
    hands.say(LEFT + b"\x01200")
    assert port.read(0.5) == b""
    hands.time += 0.1
    assert hands.line.now() == before + 3.0  # it is on the wire in a fifth of a second
    hands.time += 0.2
    assert hands.line.now() == pytest.approx(before + 3.1)
    hands.say(HEARD + b"\x12")
    assert port.read(0.5) == b"\x12"
    port.write(b"text")
    hands.heard()
    hands.say(REFUSED + b"\x02")
    port.read(0.5)
    assert not hands.line.holds
    port.close()
    port.close()


def test_what_the_till_does_is_news(hands: Hands) -> None:
    port = hands.opened(*FIRST, use("idle", 1500))
    assert hands.line.news() == [LineUse("idle", 998.5, dict.fromkeys(LineUse.COUNTED, 0))]
    hands.say(use("printing", 0, bytes=12, jobs=1))
    port.read(0.5)
    (news,) = hands.line.news()
    assert isinstance(news, LineUse)
    assert (news.state, news.last, news.counts["bytes"], news.counts["jobs"]) == ("printing", 1000.0, 12, 1)
    hands.say(use("wire", 0, follows=0))
    hands.say(use("idle", 0))
    port.read(0.5)
    assert [n.kind for n in hands.line.news() if isinstance(n, LineNote)] == ["line.wire", "line.followed"]
    port.close()
    assert [n.state for n in hands.line.news() if isinstance(n, LineUse)] == ["unknown"]


@pytest.mark.parametrize(("how", "severity"), [("killed", "warning"), ("clean", "info")])
def test_a_keeper_that_began_anew_is_recorded(hands: Hands, how: str, severity: str) -> None:
    port = hands.opened(HELLO + words(restarted=how, in_doubt=4095), *FIRST[1:], use("idle"))
    note = next(n for n in hands.line.news() if isinstance(n, LineNote))
    assert (note.kind, note.severity, note.body["bytes_in_doubt"]) == ("line.restarted", severity, "4095")
    port.close()


def test_a_question_that_waits_too_long_makes_the_line_unknown(hands: Hands) -> None:
    port = hands.opened(*FIRST, use("printing", 0))
    port.write(b"\x10\x04\x01")
    hands.time += HELD_S - 1
    hands.say(use("printing", 0))  # the till goes on: nothing is wrong
    hands.time += 2.0
    port.read(0.5)
    hands.say(use("open", 1000))
    port.read(0.5)
    hands.time += HELD_S
    with pytest.raises(PortWaitingError) as caught:
        port.read(0.5)
    assert caught.value.state is LinkState.CONNECTING
    port.close()
    assert not hands.line.holds
    with pytest.raises(PortWaitingError):
        hands.opened(*FIRST, use("open", 60_000))
    assert hands.line.use == "open"  # which is known, and keeps updates away


def test_a_keeper_that_asks_nothing_any_more_is_no_silence_of_the_printer(hands: Hands) -> None:
    broken = USE + words(state="wire", quiet=500, follows=0, broken=1)
    port = hands.opened(*FIRST, use("idle", 5000))
    port.write(b"\x10\x04\x01")
    hands.say(REFUSED + b"\x01")
    hands.say(broken)
    with pytest.raises(PortWaitingError, match="restarted"):
        port.read(0.5)
    port.close()
    with pytest.raises(PortWaitingError, match="restarted"):
        hands.opened(*FIRST, broken)
    assert [n.body["why"] for n in hands.line.news() if isinstance(n, LineNote)] == ["own mistake, until the keeper is restarted"]
    hands.opened(*FIRST, use("idle", 5000)).close()


def test_ports_that_the_keeper_has_not(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.ports.keeper_line.HELLO_S", HELLO_S)
    for why, error in (("lost", PortLostError), ("held", PortHeldError), ("denied", PortDeniedError)):
        port = hands.opened(*FIRST, use("idle"))
        hands.say(LINE + words(there=0, why=why))
        with pytest.raises(error):
            port.read(0.5)
        port.close()
    port = hands.opened(*FIRST, use("idle"))
    assert hands.peer is not None
    hands.peer.close()
    with pytest.raises(PortLostError, match="gone"):
        port.read(0.5)
    port.close()


def test_no_keeper_is_no_fault_of_the_printer(hands: Hands, tmp_path: Path) -> None:
    with pytest.raises(PortMissingError):
        hands.line.open(str(tmp_path / "nothing"), SETTINGS)
    (tmp_path / "port").touch()
    with pytest.raises(PortWaitingError, match="no line keeper"):
        hands.line.open(str(tmp_path / "port"), SETTINGS)
    assert [n.state for n in hands.line.news() if isinstance(n, LineUse)] == ["unknown"] * 2
