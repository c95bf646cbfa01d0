"""Whatever the file holds, the answer is a configuration or a list of mistakes that can be said."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import ConfigError, load

SHAPE = {
    "[host]": "id",
    "[[terminal]]": "id",
    "[terminal.printer]": "port protocol baud mode",
    "[terminal.reader]": "port protocol baud mode",
    "[terminal.money]": "needs acquirer",
    "[center]": "ddi token gateway_token otlp ca heartbeat_s",
    "[update]": "metadata targets mirrors trusted_root labels probation_s idle_s idle_check window "
    "notice_command notice_s notice_lang",
    "[update.components.a]": "handler health_check validate tills",
}
WORDS = [
    "",
    "pos-1",
    "auto",
    "socket://[::1",
    "http://[",
    "https://a:x",
    "h:1",
    "[::1]:99999",
    "..",
    "network",
    "\\u0000",
]
PLAIN = ["1", "-1", "nan", "inf", "true", "1979-05-27", "9600", "{}", "{ port = 1 }", "[[]]"]

_scalar = st.one_of(st.sampled_from([f'"{word}"' for word in WORDS]), st.sampled_from(PLAIN))
_value = st.one_of(_scalar, st.lists(_scalar, max_size=3).map(lambda items: f"[{', '.join(items)}]"))
_pairs = st.fixed_dictionaries(
    {header: st.fixed_dictionaries({}, optional=dict.fromkeys([*keys.split(), "zz"], _value)) for header, keys in SHAPE.items()}
)


def said(path: Path) -> list[tuple[int, str]]:
    """Line and words of every mistake; a good file has none."""
    try:
        load(path)
    except ConfigError as error:
        words = [
            (m.line, m.say(part, lang)) for m in error.mistakes for part in ("what", "why", "remedy") for lang in ("en", "zh_CN")
        ]
        return words or [(0, "")]
    return []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_pairs)
def test_any_value_under_any_known_key(tmp_path: Path, tables: dict[str, dict[str, str]]) -> None:
    lines = []
    for header in SHAPE:
        lines += [header, *(f"{key} = {value}" for key, value in tables[header].items())]
    path = tmp_path / "agent.toml"
    path.write_text("\n".join(lines), "utf-8")
    found = said(path)
    assert all(1 <= line <= len(lines) and words.isprintable() and words for line, words in found)
    strange = {number for number, line in enumerate(lines, 1) if line.startswith("zz")}
    assert strange <= {line for line, _ in found}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(raw)
    assert all(line and words for line, words in said(path))
