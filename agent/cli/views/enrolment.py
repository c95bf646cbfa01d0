"""What a person sees of an enrolment: one line in ``posagent status``, a few after ``posagent enroll``."""

from collections.abc import Mapping
from typing import Any

from agent.cli.screen import Style, neutral, table
from agent.cli.views.marks import moment
from agent.text import Text

Doc = Mapping[str, Any]


def enrolment_line(found: Doc, text: Text) -> str:
    """State, until when, for whom, and why it goes no further."""
    state = neutral(found["state"])
    parts = [text.word("enrolment", state)]
    if found.get("until"):
        parts.append(text.t("enrolment.until", time=moment(found["until"])))
    who = [neutral(name) for name in (*found.get("merchants", ()), *found.get("sites", ()))]
    if who:
        parts.append(", ".join(who))
    if found.get("reason"):
        parts.append(text.word("error", neutral(found["reason"])))
    if found.get("token_left"):
        parts.append(text.t("enrolment.token_left", path=neutral(found["token_left"][0])))
    return " · ".join(parts)


def enrolled(document: Doc, text: Text, style: Style) -> str:
    """After ``posagent enroll``."""
    rows = [(text.t("noun.enrolment"), enrolment_line(document["enrolment"], text))]
    head = style.paint(f"{text.t('noun.host')} {neutral(document['id'])}", "head")
    return "\n".join([head, *table(rows, style, indent=2)])
