"""``posagent selftest``: every check with its outcome; the last line says what came of it."""

from collections.abc import Mapping
from typing import Any

from agent.cli.screen import Style, neutral, table
from agent.cli.views.atr import atr_words
from agent.cli.views.marks import last_line, sign, tinted
from agent.cli.views.status import why_not
from agent.health import catalogue
from agent.text import Text

Doc = Mapping[str, Any]
_LAST = {"ok": "ok", "fault": "fault", "unknown": "unknown"}


def enrich_selftest(document: Doc, lang: str) -> dict[str, Any]:
    """Turn the codes that the checks carry (``selftest.…``, ``fault.<id>``, the host checks') into sentences."""
    text = Text(lang)
    terminals = [
        {**till, "checks": [{**check, "text": _sentence(check, text)} for check in till["checks"]]}
        for till in document["terminals"]
    ]
    return {**document, "terminals": terminals}


def _sentence(check: Doc, text: Text) -> str:
    detail, said = _in_words(str(check.get("detail") or ""), text), str(check.get("text") or "")
    words = _words(said, text)
    # What is a sentence already has its detail, too: a document may be enriched twice.
    return f"{words} [{detail}]" if detail and words != said else words


def _in_words(detail: str, text: Text) -> str:
    """An ATR in a detail is followed by what it says."""
    head, mark, rest = detail.partition(";")
    if not head.startswith("ATR "):
        return detail
    return f"{head}: {atr_words(head.removeprefix('ATR '), text)}{mark}{rest}"


def _words(said: str, text: Text) -> str:
    if said.startswith("fault."):
        words = catalogue.text(said.removeprefix("fault."), text.lang)
        return f"{words.title}{text.t('punctuation.colon')}{words.remedy}"
    if said.startswith("selftest."):
        return text.word("selftest", said.removeprefix("selftest."))
    return text.word("hostcheck", said)


def selftest(document: Doc, text: Text, style: Style) -> str:
    """Draw a self-test document, enriched or not."""
    known = enrich_selftest(document, text.lang)
    lines = [style.paint(text.word("selftest.level", neutral(known["level"])), "dim")]
    faults: list[str] = []
    unsure: list[str] = []
    for till in known["terminals"]:
        lines.append(style.paint(f"{text.t('noun.till')} {neutral(till['id'])}", "head"))
        lines += table([_row(check, text, style) for check in till["checks"]], style, indent=2)
        lines.append("")
        faults += [check["fault"] for check in till["checks"] if check["fault"] and check["outcome"] == "fail"]
        unsure += [_where(check, text) for check in till["checks"] if check["outcome"] == "unknown"]
    result = _LAST.get(known["result"], "unknown")
    if result == "ok":
        return "\n".join(lines + last_line("ok", text.t("selftest.result.ok"), style))
    listed = list(dict.fromkeys(faults if result == "fault" else unsure))
    if result == "fault":
        failed = [_where(c, text) for t in known["terminals"] for c in t["checks"] if c["outcome"] == "fail"]
        why = why_not(listed, text) if listed else text.t("punctuation.list").join(failed)
        remedy = catalogue.text(listed[0], text.lang).remedy if listed else ""
    else:
        why, remedy = text.t("punctuation.list").join(listed) or text.t("selftest.nothing"), ""
    return "\n".join(lines + last_line(result, text.t(f"selftest.result.{result}", why=why), style, remedy))


def _row(check: Doc, text: Text, style: Style) -> tuple[str, ...]:
    outcome = check["outcome"]
    return (
        f"{sign(outcome, style)} {_where(check, text)}",
        tinted(text.word("outcome", outcome), outcome, style),
        f"{float(check['took_s']):.1f} s",
        neutral(check["text"]),
    )


def _where(check: Doc, text: Text) -> str:
    name = neutral(check["id"])
    word = text.word("check", name)
    return f"{text.word('noun', neutral(check['device']))} {word if word != name else name.rpartition('.')[2]}"
