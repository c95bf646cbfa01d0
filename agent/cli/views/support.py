"""``posagent bundle`` and ``journal export``: what was written, and where."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli.screen import Style, neutral, table
from agent.cli.views.marks import last_line
from agent.support.bundle import Written
from agent.text import Text

Doc = Mapping[str, Any]


def bundle_written(document: Doc, text: Text, style: Style) -> str:
    """The parts of the bundle with their sizes; what is missing says why."""
    rows = [
        (
            neutral(entry["name"]),
            text.t("bundle.bytes", bytes=entry["bytes"]) if not entry["missing"] else text.t("bundle.missing"),
            neutral(entry["missing"]) or text.word("bundle.what", neutral(entry["name"].partition(".")[0])),
        )
        for entry in document["entries"]
    ]
    last = last_line("ok", text.t("bundle.done", file=neutral(document["file"]), bytes=document["bytes"]), style)
    return "\n".join([*table(rows, style), "", *last])


def bundle_listing(written: Sequence[Written], text: Text) -> str:
    """The bundle's own table of contents."""
    lines = [text.t("bundle.title"), ""]
    for part in written:
        said = text.t("bundle.missing_why", why=part.missing) if part.missing else text.t("bundle.bytes", bytes=part.size)
        lines.append(f"{part.name}: {text.word('bundle.what', part.name.partition('.')[0])} ({said})")
    return "\n".join([*lines, "", text.t("bundle.swept")])


def journal_exported(document: Doc, text: Text, style: Style) -> str:
    """How many records went into which file."""
    sentence = text.t("journal.exported", count=document["records"], file=neutral(document["file"]))
    return "\n".join(last_line("ok", sentence, style))
