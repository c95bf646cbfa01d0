"""The line scanner against tomllib: it names every key that tomllib reads, and at the right place."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.config.lines import Path, key_lines

TRICKY = '''\
# "[comment]" = 1
a = "x # [no] = \\" y" # c
"b.c".d = 'lit\\'
e . f = """
g = 1
"quoted"" still"""""
h = \'\'\'
[not] = "a"
\'\'\'
i = [ 1, "]", # ]
  { k = [ {l = 1} ] }, [ "m", ],
]
n = { o.p = 1979-05-27 07:32:00, q = "}" }
[r."s\\u0074"]
u = -1.5e3
[[v]]
w = 1
[v.x]
y = 2
[[v.z]]
[[v]]
[v.x]
[[v.z]]
[[v.z]]
aa = true'''


def test_every_form_that_toml_has() -> None:
    lines = key_lines(TRICKY)
    assert _paths(tomllib.loads(TRICKY)) <= set(lines)
    wanted: dict[Path, int] = {
        ("a",): 2,
        ("b.c", "d"): 3,
        ("e", "f"): 4,
        ("h",): 7,
        ("i", 1): 10,
        ("i", 2, "k", 0, "l"): 11,
        ("i", 3, 0): 11,
        ("n", "o", "p"): 13,
        ("n", "q"): 13,
        ("r", "st", "u"): 15,
        ("v", 0): 16,
        ("v", 0, "x", "y"): 19,
        ("v", 1): 21,
        ("v", 1, "z", 1, "aa"): 25,
    }
    assert {path: lines.get(path) for path in wanted} == wanted


def _paths(value: Any, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found |= _paths(inner, (*path, key))
    return found


_key = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=32), max_size=5)
_scalar = st.one_of(st.integers(-9, 9).map(str), st.just("true"), _key.map(lambda text: _quoted(text)))
_value = st.recursive(
    _scalar,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n ".join(items) + "]"),
        st.dictionaries(_key, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f"{_quoted(k)} = {v}" for k, v in d.items()) + "}"
        ),
    ),
    max_leaves=6,
)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(_key, _value, min_size=1, max_size=5))
def test_every_key_of_a_random_text_is_found_in_order(values: dict[str, str]) -> None:
    text, starts = "", {}
    for key, value in values.items():
        starts[(key,)] = text.count("\n") + 1
        text += f"{_quoted(key)} = {value}\n"
    lines = key_lines(text)
    assert _paths(tomllib.loads(text)) <= set(lines)
    assert {path: lines[path] for path in starts} == starts


@given(st.lists(st.tuples(st.integers(0, len(TRICKY) - 1), st.sampled_from("\"'[]{}=.,#\\\n ab1")), min_size=1, max_size=3))
def test_whatever_tomllib_accepts_is_scanned(changes: list[tuple[int, str]]) -> None:
    text = list(TRICKY)
    for place, char in changes:
        text[place] = char
    source = "".join(text)
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError:
        return
    assert _paths(values) <= set(key_lines(source))
