"""``posagent bundle --out FILE``: what the service centre needs to know of this till, without card data or secrets."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from agent.cli import views
from agent.cli.context import Context
from agent.clock import Clock
from agent.control import ask_owner
from agent.redact import redact
from agent.support import bundle, journal_export
from agent.support.bundle import Entry, Written
from agent.support.outfile import new_file
from agent.text import LANGUAGES, Text

LIMIT_S = 10.0


def run(context: Context, arguments: Namespace) -> int:
    """0 written, however much could not be had; 2 there is such a file; 3 it cannot be written."""
    out, clock = Path(arguments.out).absolute(), Clock()
    with new_file(out) as file:
        written = bundle.write(file, _entries(context, clock), _listing, clock.wall().timestamp())
    document = {
        "schema": 1,
        "file": redact(str(out)),
        "bytes": out.stat().st_size,
        "entries": [{"name": w.name, "bytes": w.size, "missing": w.missing} for w in written],
    }
    context.answer(document, lambda: views.bundle_written(document, context.text, context.style))
    return 0


def _entries(context: Context, clock: Clock) -> list[Entry]:
    def owner(words: str) -> str:
        return bundle.document(ask_owner(context.paths.socket, {"do": words}, LIMIT_S))

    return [
        Entry("machine.json", "machine", lambda: bundle.document(bundle.machine())),
        Entry("agent.toml", "configuration", lambda: bundle.configuration(context.config_path)),
        Entry("status.json", "status", lambda: owner("status")),
        Entry("update.json", "update", lambda: owner("update.status")),
        Entry("trace.json", "trace", lambda: owner("trace")),
        Entry("doctor.json", "doctor", lambda: bundle.document(_doctor(context, clock))),
        Entry("verdict.json", "verdict", lambda: bundle.document(_verdict(context))),
        Entry("journal.jsonl", "journal", lambda: bundle.swept_lines(_journal(context))),
    ]


def _doctor(context: Context, clock: Clock) -> dict[str, Any]:
    from agent.doctor.machine import Machine
    from agent.doctor.rounds import document, examine

    return document(examine(context.paths, context.config_path, clock, Machine()), context.text.lang)


def _verdict(context: Context) -> dict[str, Any]:
    from agent.cli.commands.journal import verdict_document

    return verdict_document(context)


def _journal(context: Context) -> Any:
    return journal_export.lines(context.paths.journal, newest=bundle.RECORDS)


def _listing(written: list[Written]) -> str:
    """In both languages: whoever opens the file may read either."""
    return "\n\n".join(views.bundle_listing(written, Text(lang)) for lang in reversed(LANGUAGES)) + "\n"
