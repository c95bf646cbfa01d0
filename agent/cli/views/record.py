"""``posagent journal show`` and ``journal verify``."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli.screen import Style, neutral, table
from agent.cli.views.marks import last_line, moment, tinted
from agent.cli.views.reasons import named, why
from agent.cli.views.status import IDENTITY, why_not
from agent.health import catalogue
from agent.text import Text

Doc = Mapping[str, Any]
_TOLD = ("component", "version", "reason", "what", *IDENTITY)


def journal_records(records: Sequence[Doc], text: Text, style: Style) -> str:
    """Draw records in the order given."""
    if not records:
        return "\n".join(last_line("unknown", text.t("journal.empty"), style))
    heads = [text.t(f"journal.{name}") for name in ("seq", "time", "event", "subject", "detail")]
    rows = [
        (
            neutral(record["seq"]),
            moment(record["wall"])[5:19],
            tinted(_event(neutral(record["kind"]), text), _word(record), style),
            text.word("subject", neutral(record["subject"])),
            _detail(record, text),
        )
        for record in records
    ]
    shown = style.paint(text.t("journal.shown", count=len(rows)), "dim")
    return "\n".join([*table(rows, style, heads=heads), "", shown])


def _word(record: Doc) -> str:
    return "ok" if record["kind"] == "fault.cleared" else str(record["severity"])


def _event(kind: str, text: Text) -> str:
    area, _, step = kind.partition(".")
    if area == "update":
        return f"{text.t('event.update')} {text.word('update', step)}"
    return text.word("event", kind)


def _detail(record: Doc, text: Text) -> str:
    kind, body = str(record["kind"]), record["body"]
    if kind.startswith("fault."):
        fault_id = str(body.get("id", ""))
        return neutral(f"{catalogue.text(fault_id, text.lang).title} ({fault_id})")
    if kind == "verdict.changed":
        reasons = body.get("reasons") or []
        words = [text.word("money", neutral(body.get("can_take_money")))]
        return text.t("punctuation.colon").join(words + ([why_not(reasons, text)] if reasons else []))
    if kind == "device.state":
        return " → ".join(text.word("state", neutral(body.get(name))) for name in ("before", "after"))
    if kind == "selftest.done":
        words = [text.word(f"value.{name}", neutral(body[name])) for name in ("level", "result") if body.get(name)]
        return text.t("punctuation.colon").join(words) or "–"
    if kind.startswith("enrolment."):
        until, code = neutral(body.get("until", "")), neutral(body.get("code", ""))
        return text.t("enrolment.until", time=moment(until)) if until else text.word("error", code)
    if kind.startswith("journal."):
        return _of_the_journal(kind, body, text)
    if kind.startswith("update.") and isinstance(body.get("component"), str):
        return text.t("punctuation.colon").join(part for part in (named(body), why(body, text)) if part)
    told = [text.word("value", neutral(body[name])) for name in _TOLD if isinstance(body.get(name), str)]
    return " ".join(told).strip() or "–"


def _of_the_journal(kind: str, body: Doc, text: Text) -> str:
    """How much was dropped or lost, or where the chain before this one ended; numbers alone, for a body may be anything."""
    if kind == "journal.dropped" and isinstance(kinds := body.get("kinds"), Mapping):
        return text.t("journal.counted", count=sum(n for n in kinds.values() if isinstance(n, int)))
    for name, key in (("upto", "journal.lost_to"), ("last_seq", "journal.ended_at")):
        if isinstance(body.get(name), int):
            return text.t(key, seq=body[name])
    return "–"


def journal_verdict(document: Doc, text: Text, style: Style) -> str:
    """Draw what ``journal verify`` found: the fields of ``agent.journal.verify.Verdict``."""
    head = document["head"]
    word = text.word("journal.signature", neutral(document["signature"]))
    lines = [
        text.t("journal.head", hash=neutral(f"{head['seq']} {head['hash']}")),
        text.t("journal.signature", word=word),
    ]
    if document.get("pruned_to"):
        told = "journal.pruned" if document["ok"] else "journal.gone"  # what is not whole may be no pruning at all
        lines.append(text.t(told, seq=neutral(document["pruned_to"])))
    if 0 < document["proven_to"] < head["seq"]:
        lines.append(text.t("journal.proven", seq=neutral(document["proven_to"])))
    if document["ok"]:
        sentence = text.t("journal.sound", count=document["records"])
        return "\n".join([*lines, *last_line("ok", sentence, style)])
    problems = [text.retold("problem", neutral(problem)) for problem in document["problems"]] or [word]
    lines += [f"  {problem}" for problem in problems[1:]]
    return "\n".join([*lines, *last_line("fault", text.t("journal.broken", why=problems[0]), style)])
