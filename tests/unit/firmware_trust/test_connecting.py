"""A name server that hangs, an address that never answers: connecting ends within its bound, and nothing piles up."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from firmware.connecting import MAX_ADDRESSES, Lookup, UnresolvedError, connect
from firmware.errors import TransportError
from firmware.transport import Transport

from .conftest import Web, answer

GENEROUS_S = 20.0
NAME = "centre.example"
real_lookup = socket.getaddrinfo


@pytest.fixture
def mute() -> Iterator[int]:
    """A port of this machine whose connections are never taken: its queue is full, so the kernel answers nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = []
        for _ in range(16):
            client = socket.socket()
            client.settimeout(0.2)
            waiting.append(client)
            try:
                client.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            pytest.skip("this kernel takes every connection")
        yield port
        for client in waiting:
            client.close()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The system's resolver hangs until this is set; numbers need none."""
    answers = threading.Event()

    def look_up(host: str | bytes, port: int, *, type: int = 0, flags: int = 0) -> Any:  # noqa: A002 (as the original names it)
        if host == NAME.encode() and not flags & socket.AI_NUMERICHOST:
            assert answers.wait(GENEROUS_S)
            host = "127.0.0.1"
        return real_lookup(host, port, type=type, flags=flags)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield answers
    answers.set()


def hanging() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"dns-{NAME}"]


def test_a_server_that_never_answers_a_connect(mute: int) -> None:
    with Transport(timeout_s=0.3) as transport, pytest.raises(TransportError) as caught:
        transport.get_bytes(f"http://127.0.0.1:{mute}/a", 10)
    assert caught.value.code == "timeout"


def test_a_resolver_that_hangs_holds_one_thread_and_nobody_else(resolver: threading.Event, web: Web) -> None:
    port = web.url.rpartition(":")[2]
    web.routes["/a"] = answer(200, b"here")
    with Transport(timeout_s=0.2, allow_http=True) as transport:
        for _ in range(5):
            with pytest.raises(TransportError) as caught:
                transport.get_bytes(f"http://{NAME}:{port}/a", 10)
            assert caught.value.code == "timeout"
            assert "name server" in str(caught.value)
            assert len(hanging()) == 1
        resolver.set()
        for thread in hanging():
            thread.join(GENEROUS_S)
        transport._timeout_s = GENEROUS_S
        assert transport.get_bytes(f"http://{NAME}:{port}/a", 10) == b"here", "what hung is over, and forgotten"


def test_a_dead_address_leaves_time_for_the_next(mute: int, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = int(web.url.rpartition(":")[2])
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (mute, mute, alive)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with connect(NAME, 80, 1.5, Lookup()) as sock:
        assert sock.getpeername()[1] == alive
        assert sock.gettimeout() == 1.5


def test_all_addresses_together_have_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    granted: list[float] = []

    class Dead(socket.socket):
        def settimeout(self, value: float | None) -> None:
            granted.append(value or 0.0)

        def connect(self, address: Any) -> None:
            raise TimeoutError

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))] * 50
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "socket", Dead)
    with pytest.raises(TimeoutError):
        connect(NAME, 80, 8.0, Lookup())
    assert len(granted) == MAX_ADDRESSES
    assert granted[0] <= 8.0 / MAX_ADDRESSES, "the first may not take it all"
    assert all(one <= 8.0 for one in granted)


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 64 + ".example", "xn--\u00e4\u0000"])
def test_a_name_that_does_not_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, *_: Any, flags: int = 0, **__: Any) -> Any:
        if not flags and len(host) > 60:
            raise UnicodeError("label too long")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror):
        Lookup().addresses(name, 80, GENEROUS_S)


def test_the_system_says_that_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with Transport(timeout_s=GENEROUS_S) as transport, pytest.raises(TransportError) as caught:
        transport.get_bytes("https://nowhere.invalid/", 10)
    assert caught.value.code == "unreachable"


def test_a_bound_that_is_over_is_no_permission_to_wait(resolver: threading.Event) -> None:
    with pytest.raises(UnresolvedError):
        connect(NAME, 80, 0.0, Lookup())
