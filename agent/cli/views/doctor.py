"""``posagent doctor``: topic by topic; the last lines say the first thing to mend."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from agent.cli.screen import Style, neutral, wrap
from agent.cli.views.marks import last_line, sign
from agent.text import Text

Doc = Mapping[str, Any]
_WORDS = {"pass": "ok", "warn": "warning", "fail": "fail", "unknown": "unknown", "skip": "skip"}


def doctor(document: Doc, text: Text, style: Style) -> str:
    """Draw the document of `agent.doctor.rounds`."""
    lines: list[str] = []
    for topic, checks in groupby(document["checks"], key=lambda check: str(check["topic"])):
        lines.append(style.paint(text.word("doctor.topic", neutral(topic)), "head"))
        for check in checks:
            lines += _drawn(check, style)
        lines.append("")
    return "\n".join(lines + _last(document, text, style))


def _drawn(check: Doc, style: Style) -> list[str]:
    subject = neutral(check["subject"])
    sentence = neutral(check["text"])
    said = sentence if not subject or subject in sentence else f"{subject}: {sentence}"
    first, *more = wrap(said, style.width - 4)
    lines = [f"  {sign(_WORDS.get(check['outcome'], 'unknown'), style)} {first}", *(f"    {line}" for line in more)]
    if check["remedy"] and check["outcome"] != "pass":
        head, *rest = wrap(neutral(check["remedy"]), style.width - 6)
        lines += [f"    → {head}", *(f"      {line}" for line in rest)]
    return lines


def _last(document: Doc, text: Text, style: Style) -> list[str]:
    failed = [check for check in document["checks"] if check["outcome"] == "fail"]
    warned = [check for check in document["checks"] if check["outcome"] == "warn"]
    if failed:
        what = neutral(failed[0]["text"])
        return last_line(
            "fault", text.t("doctor.result.fault", count=len(failed), what=what), style, neutral(failed[0]["remedy"])
        )
    if document["result"] == "unknown":
        return last_line("unknown", text.t("doctor.result.unknown"), style)
    if warned:
        return last_line("warning", text.t("doctor.result.warned", count=len(warned)), style)
    return last_line("ok", text.t("doctor.result.ok"), style)
