"""possim as a person or a script calls it: exit codes, one line for every mistake, one JSON document."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.pytest_plugin import SimulatedTerminal
from simulator.settings import SETTINGS, BadSettingError, read_setting

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("printer.papr", "ok", "printer.paper"),
        ("printer.paper", "gone", "near_end"),
        ("printer.baud", "fast", "4000000"),
        ("printer.baud", "0", "50"),
        ("printer.noise", "1.5", "0 to 1"),
        ("printer.noise", "nan", "0 to 1"),
        ("printer.serial", "", "printable"),
        ("printer.serial", "中文", "printable"),
        ("reader.card", "Ok", "bad_atr"),
    ],
)
def test_wrong_keys_and_values_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, names: str
) -> None:
    assert main(["set", "--dir", str(tmp_path), key, value]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert names in output.err


def test_every_valid_value_of_the_contract_is_taken(terminal: SimulatedTerminal) -> None:
    for key, setting in SETTINGS.items():
        if " | " in setting.valid and key != "till.printing":
            for value in setting.valid.split(" | "):
                terminal.set(key, value)
                device, name = key.split(".")
                assert terminal.show()[device]["state"][name] == value
                terminal.set(key, setting.valid.split(" | ")[0])
    for key, text, value in (("printer.noise", "0.25", 0.25), ("printer.baud", "9600", 9600), ("reader.noise", "0", 0)):
        terminal.set(key, text)
        device, name = key.split(".")
        assert terminal.show()[device]["state"][name] == value


def test_numbers_are_read_as_numbers() -> None:
    assert read_setting("printer.baud", "9600") == 9600
    assert read_setting("printer.noise", "1e-3") == 0.001
    with pytest.raises(BadSettingError):
        read_setting("printer.baud", "٩٦٠٠")


def test_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "--dir", str(tmp_path), "printer.paper", "ok"]) == 3
    assert main(["show", "--dir", str(tmp_path / "nowhere"), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_available"


def test_show_and_set(terminal: SimulatedTerminal, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(terminal.dir)
    assert main(["set", "--dir", folder, "reader.card", "ok"]) == 0
    assert main(["show", "--dir", folder, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"printer", "reader"}
    assert set(document["printer"]) == {"state", "bytes_in", "bytes_out", "receipts", "cuts"}
    assert set(document["reader"]) == {"state", "bytes_in", "bytes_out", "power_ons", "apdus"}
    assert document["reader"]["state"]["card"] == document["reader"]["state"]["reader.card"] == "ok"
    assert main(["show", "--dir", folder]) == 0
    assert "reader.card ok\n" in capsys.readouterr().out


def test_receipt(terminal: SimulatedTerminal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "receipt.png"
    assert main(["receipt", "--dir", str(terminal.dir), "--out", str(picture)]) == 3
    assert "nothing was printed" in capsys.readouterr().err
    port = os.open(terminal.printer_path, os.O_RDWR | os.O_NOCTTY)
    os.write(port, b"hello\n\x1dV\x00")
    os.close(port)
    assert main(["receipt", "--dir", str(terminal.dir), "--out", str(picture)]) == 0
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert terminal.show()["printer"]["receipts"] == 1
    assert terminal.receipt_text() == "hello"


def test_terminal_says_ready_in_one_line_and_leaves_cleanly(tmp_path: Path) -> None:
    folder = tmp_path / "till"
    command = [sys.executable, "-m", "simulator.cli", "terminal", "--dir", str(folder), "--baud", "9600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        assert (ready["printer"], ready["reader"]) == (str(folder / "printer"), str(folder / "reader"))
        assert main(["terminal", "--dir", str(folder)]) == 3
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, b"", b"")
    assert [path.name for path in folder.iterdir()] == [".lock"]
