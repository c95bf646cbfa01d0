"""The configuration: what a good file means, and every mistake of a bad one."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from agent.config import (
    Center,
    Component,
    Config,
    ConfigError,
    Device,
    Host,
    Mistake,
    Money,
    Terminal,
    Update,
    check_surroundings,
    load,
)
from agent.config.example import example_text

CONTRACT = """
[host]
id = "pos-1"

[[terminal]]
id = "pos-1"
[terminal.printer]
port = "/dev/serial/by-id/printer"
protocol = "escpos"
baud = 115200
mode = "owned"
[terminal.reader]
port = "/dev/serial/by-path/reader"
protocol = "ccid"
mode = "passive"
[terminal.money]
needs = ["printer", "reader"]

[center]
ddi = "https://centre.example/DEFAULT/controller/v1"
token = "secret"
otlp = "https://centre.example:4318"

[update]
metadata = "https://releases.example/metadata"
targets = "https://releases.example/targets"
trusted_root = "root.json"
labels = ["shop-17", "pilot"]
components = { till-app = { handler = "app_slots", health_check = ["bin/health"] } }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text, "utf-8")
    return path


def mistakes(folder: Path, text: str) -> list[Mistake]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    for mistake in caught.value.mistakes:
        for lang in ("en", "zh_CN"):
            assert all(mistake.say(part, lang) for part in ("what", "why", "remedy"))
    assert str(caught.value).count("\n") == len(caught.value.mistakes) - 1
    return list(caught.value.mistakes)


def test_the_contracts_example(tmp_path: Path) -> None:
    path = write(tmp_path, CONTRACT)
    assert load(path) == Config(
        host=Host("pos-1"),
        terminals=(
            Terminal(
                "pos-1",
                Device("printer", "/dev/serial/by-id/printer", "escpos", 115200, "owned"),
                Device("reader", "/dev/serial/by-path/reader", "ccid", None, "passive"),
                Money(("printer", "reader")),
            ),
        ),
        center=Center("https://centre.example/DEFAULT/controller/v1", "secret", None, "https://centre.example:4318", None),
        update=Update(
            "https://releases.example/metadata",
            "https://releases.example/targets",
            tmp_path / "root.json",
            ("shop-17", "pilot"),
            {"till-app": Component("app_slots", ("bin/health",))},
        ),
        path=path,
    )


def test_all_but_the_host_may_be_left_out(tmp_path: Path) -> None:
    config = load(write(tmp_path, '[host]\nid = "gateway"\n'))
    assert (config.terminals, config.center, config.update) == ((), None, None)


def test_defaults_of_a_bare_terminal(tmp_path: Path) -> None:
    terminal = load(write(tmp_path, '[host]\nid = "p"\n[[terminal]]\n[terminal.printer]\n')).terminals[0]
    assert terminal == Terminal("p", Device("printer", "auto", "escpos", None, "owned"), None, Money(("printer",)))
    assert [device.kind for device in terminal.devices()] == ["printer"]
    reader = load(write(tmp_path, '[host]\nid = "p"\n[[terminal]]\n[terminal.reader]\n')).terminals[0].reader
    assert reader == Device("reader", "auto", "ccid", None, "passive")


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = '[host]\nid="p"\n[[terminal]]\n[terminal.printer]\nport="till/printer"\n[center]\nca="ca.pem"\n[update]\n'
    config = load(write(tmp_path, text))
    assert config.terminals[0].printer is not None
    assert config.terminals[0].printer.port == str(tmp_path / "till/printer")
    assert config.center is not None
    assert config.center.ca == tmp_path / "ca.pem"
    assert config.update is not None
    assert config.update.trusted_root == tmp_path / "root.json"


def test_network_and_addresses(tmp_path: Path) -> None:
    text = (
        '[host]\nid="p"\n[[terminal]]\n[terminal.printer]\nport="socket://10.0.0.2:9100"\n[terminal.money]\n'
        'needs=["network"]\nacquirer=["pay.example:443","[2001:db8::1]:8443"]\n'
        '[center]\nddi="http://127.0.0.1:8080/DEFAULT/controller/v1/"\ngateway_token="t"\n'
    )
    config = load(write(tmp_path, text))
    assert config.terminals[0].money == Money(("network",), (("pay.example", 443), ("2001:db8::1", 8443)))
    assert config.center is not None
    assert config.center.ddi == "http://127.0.0.1:8080/DEFAULT/controller/v1"


TILL = '[host]\nid = "p"\n[[terminal]]\n'
REPO = 'targets = "https://r/"\nmetadata = "https://r/"\n'
BAD = [
    ("[host]\n", 1, "host.id", "missing"),
    ("", 1, "host", "missing"),
    ("host = 3\n", 1, "host", "wrong_type"),
    ('[host]\nid = "a b"\n', 2, "host.id", "identity"),
    ('[host]\nid = ""\n', 2, "host.id", "empty"),
    ("[host]\nid = true\n", 2, "host.id", "wrong_type"),
    ('[host]\nid = "p"\nname = "x"\n', 3, "host.name", "unknown_key"),
    ('[host]\nid = "p"\n[hots]\n', 3, "hots", "misspelt_key"),
    ('[host]\nid = "p"\n[terminal]\n', 3, "terminal", "wrong_type"),
    ('[host]\nid = "p"\nterminal = 3\n', 3, "host.terminal", "unknown_key"),
    ('terminal = [3]\n[host]\nid = "p"\n', 1, "terminal[1]", "wrong_type"),
    ('[host]\nid = "p"\n[[terminal]]\n[[terminal]]\n', 4, "terminal[2].id", "duplicate_terminal"),
    (TILL + '[terminal.printer]\nport = ""\n', 5, "terminal[1].printer.port", "empty"),
    (TILL + '[terminal.printer]\nport = "sockt://a:1"\n', 5, "terminal[1].printer.port", "unknown_value"),
    (TILL + '[terminal.printer]\nport = "socket://a"\n', 5, "terminal[1].printer.port", "not_a_place"),
    (TILL + '[terminal.printer]\nprotocol = "escp"\n', 5, "terminal[1].printer.protocol", "unknown_value"),
    (TILL + "[terminal.printer]\nbaud = 115201\n", 5, "terminal[1].printer.baud", "baud"),
    (TILL + "[terminal.printer]\nbaud = true\n", 5, "terminal[1].printer.baud", "wrong_type"),
    (TILL + '[terminal.printer]\nmode = "pcsc"\n', 5, "terminal[1].printer.mode", "unknown_value"),
    (TILL + '[terminal.reader]\nmode = "line"\n', 5, "terminal[1].reader.mode", "unknown_value"),
    (TILL + 'printer.port = "/p"\nreader.port = "/p"\n', 5, "terminal[1].reader.port", "duplicate_port"),
    (TILL + 'money.needs = ["printer"]\n', 4, "terminal[1].money.needs", "need_without_device"),
    (TILL + 'money.needs = ["networks"]\n', 4, "terminal[1].money.needs", "unknown_value"),
    (TILL + 'money.needs = ["clock", "clock"]\n', 4, "terminal[1].money.needs", "duplicate"),
    (TILL + 'money.needs = ["network"]\n', 4, "terminal[1].money.needs", "network_without_acquirer"),
    (TILL + 'money.acquirer = ["pay.example"]\n', 4, "terminal[1].money.acquirer", "not_a_place"),
    (TILL + "money.needs = [1]\n", 4, "terminal[1].money.needs", "not_texts"),
    (TILL + '[center]\nddi = "https://c/"\n', 4, "center.token", "no_token"),
    (TILL + '[center]\notlp = "ftp://c/"\n', 5, "center.otlp", "url"),
    (TILL + '[center]\notlp = "https://me:pw@c/"\n', 5, "center.otlp", "url"),
    (TILL + '[center]\notlp = "https://c:99999/"\n', 5, "center.otlp", "url"),
    (TILL + '[center]\notlp = "http://c/"\n', 5, "center.otlp", "plain_http"),
    (TILL + "[center]\nheartbeat_s = 0\n", 5, "center.heartbeat_s", "out_of_range"),
    (TILL + "[center]\nheartbeat_s = nan\n", 5, "center.heartbeat_s", "out_of_range"),
    (TILL + '[update]\ntargets = "https://r/"\n', 4, "update.metadata", "half_repository"),
    (TILL + '[update]\nmirrors = ["https://m/"]\n', 5, "update.mirrors", "mirrors_alone"),
    (TILL + '[update]\nmirrors = ["http://m/"]\n' + REPO, 5, "update.mirrors", "plain_http"),
    (TILL + '[update]\nmirrors = ["https://me:pw@m/"]\n' + REPO, 5, "update.mirrors", "url"),
    (TILL + '[update]\nmirrors = ["ftp://m/"]\n' + REPO, 5, "update.mirrors", "url"),
    (TILL + f"[update]\nmirrors = {[f'https://m{n}/' for n in range(9)]}\n" + REPO, 5, "update.mirrors", "too_many_mirrors"),
    (TILL + '[update]\nwindow = "22-6"\n', 5, "update.window", "window"),
    (TILL + '[update]\nwindow = "22:00-22:00"\n', 5, "update.window", "window"),
    (TILL + "[update]\ncomponents = { a = 1 }\n", 5, "update.components.a", "wrong_type"),
    (TILL + '[update.components."../a"]\n', 4, "update.components.../a", "component_name"),
    (TILL + '[update.components.a]\nhandler = "app_slot"\n', 5, "update.components.a.handler", "unknown_value"),
    (TILL + '[update.components.a]\nhealth_check = ["../x"]\n', 5, "update.components.a.health_check", "climbing"),
    ("[host\n", 1, "file", "syntax"),
    ('[host]\nid = "p"\nid = "q"\n', 3, "file", "syntax"),
]


@pytest.mark.parametrize(("text", "line", "key", "code"), BAD, ids=[f"{code}-{key}" for _, _, key, code in BAD])
def test_one_mistake(tmp_path: Path, text: str, line: int, key: str, code: str) -> None:
    assert [(m.line, m.key, m.code) for m in mistakes(tmp_path, text)] == [(line, key, code)]


def test_all_mistakes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = mistakes(tmp_path, CONTRACT.replace("baud = 115200", 'bauds = "x"').replace("token", "tokn") + "x = 1\n")
    assert [(m.line, m.code) for m in found] == [
        (10, "misspelt_key"),
        (19, "no_token"),
        (21, "misspelt_key"),
        (30, "unknown_key"),
    ]
    assert found[0].values["nearest"] == "baud"
    assert "did you mean «baud»" in found[0].what
    assert "是否想写 baud" in found[0].say("what", "zh_CN")


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"\xff\xfe[", "not_utf8"), (b"#" * (1 << 18) + b"#", "too_large"), (b"a=" + b"[" * 5000, "syntax")],
)
def test_files_that_are_none(tmp_path: Path, raw: bytes, code: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [m.code for m in caught.value.mistakes] == [code]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load(tmp_path / "none.toml")
    assert [m.code for m in caught.value.mistakes] == ["unreadable"]


def test_messages_carry_no_secret_no_card_number_and_no_control_character(tmp_path: Path) -> None:
    text = (
        '[host]\nid = "4111 1111 1111 1111"\n[center]\ntoken = ["s3cret"]\n"k\\u001b[2J" = 1\n'
        '[[terminal]]\nid="4111111111111111"\n[[terminal]]\nid="4111111111111111"\n'
    )
    found = mistakes(tmp_path, text)
    said = "".join(part for m in found for part in (m.key, m.what, m.remedy))
    assert {m.code for m in found} >= {"identity", "wrong_type", "duplicate_terminal", "unknown_key"}
    assert "s3cret" not in said
    assert "\x1b" not in said
    assert "1111111" not in said.replace(" ", "")


def test_tokens_stay_out_of_repr(tmp_path: Path) -> None:
    assert "secret" not in repr(load(write(tmp_path, CONTRACT)))


def test_the_example_loads_and_names_every_key(tmp_path: Path) -> None:
    config = load(write(tmp_path, example_text()))
    assert check_surroundings(config)
    models = (Host, Terminal, Device, Money, Center, Update, Component)
    keys = {field.name for model in models for field in fields(model)} - {"kind"}
    written = set(re.findall(r"^(?:# )?(\w+) = ", example_text(), re.M))
    headed = set(re.findall(r"^\[\[?(?:\w+\.)?(\w+)", example_text(), re.M))
    assert keys - written - headed == set()


def test_check_surroundings_names_what_is_not_there(tmp_path: Path) -> None:
    config = load(write(tmp_path, CONTRACT))
    found = {(m.key, m.code) for m in check_surroundings(config)}
    assert found == {
        ("terminal[1].printer.port", "no_port"),
        ("terminal[1].reader.port", "no_port"),
        ("update.trusted_root", "no_file"),
    }
    (tmp_path / "root.json").write_text("{}")
    assert "update.trusted_root" not in {m.key for m in check_surroundings(config)}
