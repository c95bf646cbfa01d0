"""Why, and what for: the words of an update that come from other parts of the program, in the language of the person."""

from collections.abc import Mapping
from typing import Any

from agent.cli.screen import neutral
from agent.text import Text

Doc = Mapping[str, Any]
_UNITS = ("B", "KiB", "MiB", "GiB")


def why(told: Doc, text: Text) -> str:
    """The reason in a deployment, a plan or a record: ``code`` and ``reason``.

    In Chinese the sentence for the code comes first, and what only the place of the error knew behind it; where there is no
    code it is one of the table's own sentences.
    """
    code, reason = neutral(told.get("code") or ""), neutral(told.get("reason") or told.get("text") or "")
    known = text.word("error", code)
    if not code or known == code:
        return text.retold("story.back" if told.get("rollback") else "story", reason)
    return with_detail(code, reason, text)


def with_detail(code: str, message: str, text: Text) -> str:
    """The sentence for a known ``code`` and what only the place of the error knew, in English always the latter alone."""
    known = text.word("error", code)
    if text.lang == "en" or not message:
        return message or known
    for table in ("detail", "story"):
        told = text.retold(table, message)
        if told != message:
            return told
    said = Text("en").word("error", code)
    return known if message.strip(" .").lower() == said.strip(" .").lower() else f"{known}（{message}）"


def waiting_for(said: object, text: Text) -> str:
    """What an update waits for: ``<till>/<device>: <phrase>``, or a phrase alone."""
    subject, colon, phrase = neutral(said).rpartition(": ")
    word = text.word("waiting", phrase)
    word = text.retold("waiting.told", phrase) if word == phrase else word
    return f"{subject}{text.t('punctuation.colon')}{word}" if colon else word


def named(told: Doc) -> str:
    """``till-app 1.2``; the members of a set one by one: ``price-list 7 + till-app 1.2``."""
    component, version = neutral(told.get("component") or "–"), neutral(told.get("version") or "–")
    names, versions = component.split("+"), version.split("+")
    if len(names) == 1 or len(names) != len(versions):  # a version may hold a plus of its own
        return f"{component} {version}"
    return " + ".join(f"{name} {number}" for name, number in zip(names, versions, strict=True))


def step_word(running: Doc, text: Text) -> str:
    """Where a deployment is: its step, or the contract's coarser word where a daemon tells no step."""
    return text.word("update", neutral(running.get("step") or running.get("state") or ""))


def size(count: float) -> str:
    """Bytes as people read them."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
