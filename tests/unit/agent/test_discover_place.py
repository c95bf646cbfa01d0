"""A port as the system shows it, on a machine of plain files: consoles, gettys, lock files, rights, and the survey over them."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.config.model import Config, Device, Host, Money, Terminal
from agent.discover import place, survey
from agent.discover.place import look, unseen
from agent.discover.report import document
from agent.discover.sign import Level, Sign, result_of
from agent.discover.survey import Surroundings
from agent.doctor.machine import Machine
from agent.ports.errors import PortHeldError
from agent.ports.holders import Holder
from protocols.connection import LineSettings
from tests.unit.agent.memoryport import Bench, MemoryPort


class Till:
    """A machine whose ports are pseudo-terminals under the names of real ones."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine(root, {})
        self._ends: list[int] = []
        (root / "proc").mkdir(parents=True)
        (root / "sys/class/tty").mkdir(parents=True)

    def port(self, name: str) -> str:
        """A free port at ``dev/<name>``, with a chip behind it."""
        self._ends += os.openpty()
        device = os.ttyname(self._ends[-1])
        link = self.machine.root / "dev" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(device)
        real = self.machine.root / "sys/class/tty" / name
        real.mkdir()
        (real / "type").write_text("4\n")
        return str(link)

    def process(self, pid: int, name: str, *words: str) -> None:
        folder = self.machine.root / "proc" / str(pid)
        folder.mkdir()
        (folder / "comm").write_text(name + "\n")
        (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in (name, *words)) + b"\0")
        (folder / "stat").write_text(f"{pid} ({name}) S 1 {pid} {pid} 0 -1 4194560\n")

    def close(self) -> None:
        for descriptor in self._ends:
            os.close(descriptor)


@pytest.fixture
def till(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    made = Till(tmp_path / "machine")
    monkeypatch.setattr(place, "holders", lambda _path: [])
    yield made
    made.close()


def kernel_name(path: str) -> str:
    return Path(os.path.realpath(path)).name


def test_a_free_port_has_its_stable_names(till: Till) -> None:
    path = till.port("ttyUSB0")
    by_id = till.machine.root / "dev/serial/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-FTDI_A1").symlink_to(os.path.realpath(path))
    seen = look(path, till.machine)
    assert (seen.state, seen.signs, seen.names) == ("free", (), (str(by_id / "usb-FTDI_A1"),))


def test_a_getty_is_known_by_its_words(till: Till) -> None:
    path = till.port("ttyS1")
    till.process(31, "agetty", "--keep-baud", "115200", kernel_name(path), "vt220")
    till.process(32, "agetty", "tty1", "linux")
    seen = look(path, till.machine)
    assert (seen.state, seen.holders) == ("held", (Holder(31, "agetty"),))
    assert [(sign.code, sign.fault) for sign in seen.signs] == [("getty", "link.second_process")]


def test_a_lock_file_of_a_living_process_counts_and_one_of_a_dead_does_not(till: Till) -> None:
    path = till.port("ttyUSB0")
    locks = till.machine.root / "run/lock"
    locks.mkdir(parents=True)
    lock = locks / f"LCK..{kernel_name(path)}"
    lock.write_text("        77\n")
    assert look(path, till.machine).state == "free"
    till.process(77, "minicom")
    assert look(path, till.machine).holders == (Holder(77, "minicom"),)
    lock.write_text("nonsense")
    assert look(path, till.machine).state == "free"


def test_a_program_that_probes_adapters_is_named_as_such(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    path = till.port("ttyACM0")
    monkeypatch.setattr(place, "holders", lambda _path: [Holder(5, "ModemManager")])
    assert [sign.code for sign in look(path, till.machine).signs] == ["probed"]


def test_the_kernels_console_is_left_alone(till: Till) -> None:
    path = till.port("ttyS0")
    (till.machine.root / "proc/cmdline").write_text(f"quiet console={kernel_name(path)},115200\n")
    assert look(path, till.machine).state == "console"


def test_a_port_without_permission_says_whose_group_is_missing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    path = till.port("ttyUSB0")
    monkeypatch.setattr(Machine, "may_open", lambda *_: (False, "dialout"))
    monkeypatch.setattr(Machine, "user", lambda _: "cashier")
    seen = look(path, till.machine)
    assert (seen.state, seen.signs[0].fault) == ("denied", "link.permission")
    assert (seen.signs[0].values["user"], seen.signs[0].values["group"]) == ("cashier", "dialout")


def test_processes_that_hide_their_files_are_noticed(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.process(9, "cupsd")
    assert not unseen(till.machine), "it has no folder of descriptors: it is ending"
    listed = os.listdir

    def refuse(path: str | Path) -> list[str]:
        if str(path).endswith("/9/fd"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert unseen(till.machine)


# -- the survey ----------------------------------------------------------------------------------------------------


def around(till: Till, bench: Bench, config: Config | None = None, **more: object) -> Surroundings:
    def opener(path: str, settings: LineSettings) -> MemoryPort:
        return bench.port

    given = {"machine": till.machine, "opener": opener, "now": lambda: bench.clock.now, "config": config}
    return Surroundings(**{**given, **more})  # type: ignore[arg-type]


def configured(port: str, mode: str = "owned", baud: int | None = None) -> Config:
    device = Device("printer", port, "escpos", baud, mode)
    terminal = Terminal("pos-1", device, None, Money(("printer",)))
    return SimpleNamespace(host=Host("pos-1"), terminals=(terminal,))  # type: ignore[return-value]


def test_somebody_who_opens_the_port_behind_our_look_still_gets_no_byte_between_his(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, bench = till.port("ttyUSB0"), Bench()
    monkeypatch.setattr(survey, "claimants", lambda *_: [Holder(8, "pcscd")])
    (port,), _ = survey.survey([path], around(till, bench))
    assert (port.state, [sign.code for sign in port.signs]) == ("held", ["held"])
    assert not bench.port.written
    assert bench.port.closed


def test_a_port_that_is_locked_at_the_last_moment_is_told_so(till: Till) -> None:
    path, bench = till.port("ttyUSB0"), Bench()

    def locked(path: str, settings: LineSettings) -> MemoryPort:
        raise PortHeldError(path, "held by cu[4]")

    (port,), _ = survey.survey([path], around(till, bench, opener=locked))
    assert (port.state, port.signs[0].fault) == ("held", "link.second_process")


def test_a_login_prompt_on_a_port_that_nobody_asked_about_is_no_trouble(till: Till) -> None:
    path, bench = till.port("ttyS1"), Bench()
    till.process(31, "agetty", kernel_name(path))
    ports, machine = survey.survey([], around(till, bench))
    assert [sign.level for sign in ports[0].signs] == [Level.INFO]
    assert document(ports, machine, "en", "pos-1")["result"] == "ok"
    ports, _ = survey.survey([path], around(till, bench))
    assert [sign.level for sign in ports[0].signs] == [Level.UNKNOWN]


@pytest.mark.parametrize(("mode", "state"), [("owned", "unnamed"), ("passive", "passive")])
def test_a_pseudo_terminal_and_a_passive_port_are_searched_only_where_they_are_named(till: Till, mode: str, state: str) -> None:
    path, bench = till.port("ttyUSB0"), Bench()
    ports, _ = survey.survey([], around(till, bench, configured(path, mode)))
    assert [(port.place.path, port.state) for port in ports] == [(path, state)]
    assert not bench.port.written
    (port,), _ = survey.survey([path], around(till, bench, configured(path, mode)))
    assert port.found is not None
    assert port.found.protocol is not None


def test_a_passive_port_in_use_gets_no_byte_even_where_it_is_named(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    path, bench = till.port("ttyUSB0"), Bench()
    monkeypatch.setattr(place, "holders", lambda _path: [Holder(5, "till")])
    (port,), _ = survey.survey([path], around(till, bench, configured(path, "passive")))
    assert (port.state, [sign.level for sign in port.signs]) == ("passive", [Level.UNKNOWN])
    assert not bench.port.written


def test_another_device_than_the_daemon_remembers_is_told(till: Till) -> None:
    path, bench = till.port("ttyUSB0"), Bench()
    before = {"pos-1/printer": {"identity": {"serial": "A-1", "model": "PS-80"}}}
    (port,), _ = survey.survey([path], around(till, bench, configured(path), remembered=before))
    assert [sign.code for sign in port.signs] == ["swapped"]
    assert port.owner is not None
    assert port.owner.subject == "pos-1/printer"


def test_a_printers_port_is_not_asked_with_a_readers_frames_where_the_configuration_says_printer(till: Till) -> None:
    path, bench = till.port("ttyUSB0"), Bench()
    bench.set("power", "off")
    survey.survey([path], around(till, bench, configured(path)))
    assert not bench.port.written.replace(bytes.fromhex("10 04 01"), b"")


def test_a_printer_under_sweep_is_found_at_the_speed_that_stands_in_the_snippet(till: Till) -> None:
    path, bench = till.port("ttyUSB0"), Bench(baud=2400)
    ports, machine = survey.survey([path], around(till, bench))
    (port,) = document(ports, machine, "en", "pos-7")["ports"]
    assert port["settings"] == {"baud": 2400, "format": "8N1"}
    assert 'id = "pos-7"' in port["snippet"]
    assert "baud = 2400" in port["snippet"]


def test_the_answer_is_the_worst_sign() -> None:
    assert result_of([]) == result_of([Level.INFO, Level.WARNING]) == "ok"
    assert result_of([Level.UNKNOWN, Level.WARNING]) == "unknown"
    assert result_of([Level.FAULT, Level.UNKNOWN]) == "fault"


def test_what_a_device_says_cannot_carry_a_card_number(till: Till) -> None:
    path, bench = till.port("ttyUSB0"), Bench()
    bench.set("serial", "4111111111111111")
    ports, machine = survey.survey([path], around(till, bench))
    shown = document(ports, [*machine, Sign("no_ports", Level.INFO)], "zh_CN", "pos-1")
    assert "4111111111111111" not in str(shown)
