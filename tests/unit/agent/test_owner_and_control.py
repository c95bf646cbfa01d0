"""The owner of the state, its inbox, its lock, its memory and its socket."""

import json
import os
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent import inbox as inbox_module
from agent.clock import ManualClock
from agent.config.model import Device, Money, Terminal
from agent.control import MAX_CLIENTS, MAX_REQUEST, ControlServer, ask_owner
from agent.errors import AgentError, NotAvailable, UsageError
from agent.health.device import DeviceHealth
from agent.health.host import HostHealth
from agent.inbox import Inbox
from agent.lock import OwnerLock
from agent.memory import Memory
from agent.observations import Introduced, LinkChanged, LinkState, Refreshed
from agent.owner import Owner
from agent.reporting import summary
from agent.sinks.base import SinkStatus
from agent.till import Till, WatchedDevice
from protocols.catalogue import find
from protocols.events import Status

Told = list[tuple[str, str, str, Mapping[str, Any]]]


def make_owner(*needs: str) -> tuple[Owner, Till, WatchedDevice, Told]:
    told: Told = []
    config = Device("printer", "/dev/x", "escpos", None, "owned")
    protocol = find("printer", "escpos")
    health = DeviceHealth("printer", protocol.silent_fault, lambda: "incident")
    device = WatchedDevice(config, protocol, health)
    acquirer = (("acquirer.example", 443),)
    till = Till(Terminal("till-1", config, None, Money(needs or ("printer",), acquirer)), {"printer": device})

    return Owner([till], HostHealth(lambda: "host-incident"), told.extend, ManualClock()), till, device, told


def test_what_changes_is_recorded_once() -> None:
    owner, till, device, told = make_owner()
    end = Status("asb", {"online": "no", "cover": "closed", "paper": "end"})
    owner.apply(till, device, [LinkChanged(LinkState.UP), end, end, Introduced({"serial": "A1"})])
    kinds = [(kind, subject) for kind, _, subject, _ in told]
    assert kinds == [
        ("fault.raised", "till-1/printer"),
        ("device.state", "till-1/printer"),
        ("device.identified", "till-1/printer"),
        ("verdict.changed", "till-1"),
    ]
    body = told[0][3]
    assert body["id"] == "printer.paper_end"
    assert body["incident"] == "incident"
    assert (body["terminal"], body["device"], body["severity"]) == ("till-1", "printer", "error")
    assert told[-1][3] == {"can_take_money": "no", "reasons": ["printer.paper_end"], "checked": ["printer"]}


def test_the_hosts_checks_answer_for_network_and_clock() -> None:
    owner, till, device, told = make_owner("printer", "network", "clock")
    owner.apply(till, device, [LinkChanged(LinkState.UP), Status("asb", {"online": "yes", "cover": "closed"})])
    assert till.judge(owner.host_need).answer == "unknown"
    owner.host_checked({"host.network": None, "host.clock": None})
    assert till.judge(owner.host_need).answer == "yes"
    owner.host_checked({"host.network": {"why": "tcp", "detail": "refused", "terminals": "another"}})
    assert till.judge(owner.host_need).answer == "yes", "another till's acquirer"
    owner.host_checked({"host.network": {"why": "tcp", "detail": "refused", "terminals": "another, till-1"}})
    verdict = till.judge(owner.host_need)
    assert (verdict.answer, verdict.reasons) == ("no", ("host.network",))
    owner.host_checked({"host.clock": None})
    assert [f.id for f in owner.host.faults()] == ["host.network"], "one check says nothing of another"
    owner.host_checked({"host.network": None})
    assert owner.host.faults() == []
    assert [k for k, *_ in told].count("fault.raised") == 1


def test_a_task_that_ended_wakes_the_one_who_waits() -> None:
    owner, till, device, _ = make_owner()
    future = owner.expect("token")
    owner.apply(till, device, [Refreshed("other", answered=True), Refreshed("token", answered=True)])
    assert future.result(0) == Refreshed("token", answered=True)
    owner.forget("token")


def test_questions_are_answered_in_the_owners_thread_and_errors_come_back() -> None:
    owner, *_ = make_owner()
    thread = threading.Thread(target=owner.run)
    thread.start()
    try:
        assert owner.inbox.ask(lambda: threading.current_thread() is thread).result(5)
        with pytest.raises(ZeroDivisionError):
            owner.inbox.ask(lambda: 1 // 0).result(5)
    finally:
        owner.stop()
        thread.join(5)
    assert not thread.is_alive()
    owner.inbox.post(lambda: None)


def test_a_full_inbox_slows_its_sender_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MAX_WAITING", 2)
    inbox, done = Inbox(), []
    sender = threading.Thread(target=lambda: [inbox.post(lambda n=n: done.append(n)) for n in range(20)])  # type: ignore[misc]
    sender.start()
    while len(done) < 20:
        work = inbox.take(5)
        assert work is not None
        work()
    sender.join(5)
    assert done == list(range(20))


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path / "var/lock"), OwnerLock(tmp_path / "var/lock")
    first.take()
    with pytest.raises(NotAvailable) as held:
        second.take()
    assert held.value.exit_code == 3
    first.release()
    second.take()
    second.release()
    second.release()
    (tmp_path / "file").touch()
    with pytest.raises(NotAvailable) as broken:
        OwnerLock(tmp_path / "file/lock").take()
    assert (broken.value.code, broken.value.exit_code) == ("state_folder", 3)
    assert broken.value.remedy


def test_memory_outlives_a_run_and_survives_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "statistics.json"
    memory = Memory(path)
    assert memory.load() == {}
    known = {"t/printer": {"identity": {"serial": "A"}, "statistics": {"ReceiptCoverOpenCount": 3}}}
    memory.store(known)
    assert Memory(path).load() == known
    for copy in tmp_path.glob("statistics.json*"):
        copy.write_text("{nonsense")
    assert Memory(path).load() == {}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, ControlServer]]:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    path = deep / "control.sock"

    def handle(request: Mapping[str, Any]) -> Mapping[str, Any]:
        match request.get("do"):
            case "echo":
                return {"you": request}
            case "no":
                raise UsageError("not like that", remedy="like this")
        raise RuntimeError("4111111111111111")

    server = ControlServer(path, handle)
    server.start()
    yield path, server
    server.stop()


def test_a_question_and_its_answer_through_a_path_longer_than_a_socket_may_have(server: tuple[Path, ControlServer]) -> None:
    path, _ = server
    assert ask_owner(path, {"do": "echo", "n": 1}) == {"you": {"do": "echo", "n": 1}}
    assert oct(path.stat().st_mode & 0o777) == "0o660"


def test_errors_come_back_with_their_exit_code_and_no_detail_of_ours(server: tuple[Path, ControlServer]) -> None:
    with pytest.raises(AgentError) as usage:
        ask_owner(server[0], {"do": "no"})
    assert (usage.value.code, usage.value.exit_code, usage.value.remedy) == ("usage", 2, "like this")
    with pytest.raises(AgentError) as own:
        ask_owner(server[0], {"do": "crash"})
    assert own.value.exit_code == 4
    assert "4111" not in str(own.value)


@pytest.mark.parametrize("sent", [b"", b"\n", b"[]\n", b"{\n", b"\xff\xfe\n", b"x" * (MAX_REQUEST + 10) + b"\n"])
def test_garbage_on_the_socket_harms_nobody(server: tuple[Path, ControlServer], sent: bytes) -> None:
    path, _ = server
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(f"/proc/self/fd/{folder}/{path.name}")
            try:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
    finally:
        os.close(folder)
    assert not answer or "error" in json.loads(answer)
    assert ask_owner(path, {"do": "echo"})


def test_an_answer_that_is_quicker_than_the_rest_of_the_question_counts(
    server: tuple[Path, ControlServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner refuses and leaves while the command still is where it handed its open file over."""
    handed_over = socket.send_fds

    def held_up(client: socket.socket, *more: Any) -> int:
        sent = handed_over(client, *more)
        poll = select.poll()
        poll.register(client, select.POLLRDHUP)
        assert poll.poll(20_000), "the owner has not left"
        return sent

    monkeypatch.setattr(socket, "send_fds", held_up)
    with Path(os.devnull).open("rb") as file, pytest.raises(AgentError) as refused:
        ask_owner(server[0], {"do": "no"}, 20.0, descriptor=file.fileno())
    assert refused.value.code == "usage"


def test_more_questions_than_are_answered_at_once_wait_their_turn(tmp_path: Path) -> None:
    go = threading.Event()

    def handle(request: Mapping[str, Any]) -> Mapping[str, Any]:
        go.wait(20)
        return {"n": request["n"]}

    path, many = tmp_path / "run" / "control.sock", 4 * MAX_CLIENTS
    server = ControlServer(path, handle)
    server.start()
    try:
        with ThreadPoolExecutor(many) as pool:
            asked = [pool.submit(ask_owner, path, {"n": n}, 20.0) for n in range(many)]
            go.wait(0.3)  # in this time those that the backlog has no room for would have been sent away
            go.set()
            assert [answer.result(20)["n"] for answer in asked] == list(range(many))
    finally:
        go.set()
        server.stop()


def test_nobody_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none/control.sock", tmp_path / "control.sock"):
        with pytest.raises(NotAvailable) as nobody:
            ask_owner(path, {"do": "status"})
        assert nobody.value.code == "no_daemon"


def test_the_centre_is_reached_only_when_every_receiver_is() -> None:
    def one(reachable: bool | None, backlog: int = 0, last: str | None = None, reason: str = "") -> SinkStatus:
        return SinkStatus(reachable, last, backlog, reason)

    assert summary({})["reachable"] is None
    assert summary({"a": one(None), "b": one(True)})["reachable"] is None
    both = summary({"a": one(True, 1, "2026-01-01T00:00:00Z"), "b": one(False, 7, None, "refused")})
    assert both == {
        "configured": True,
        "reachable": False,
        "last_report": "2026-01-01T00:00:00Z",
        "backlog": 7,
        "reasons": {"b": "refused"},
    }
