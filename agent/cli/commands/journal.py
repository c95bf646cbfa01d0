"""``posagent journal``: read the record, prove it, hand it on. Reads beside a running daemon, and without one."""

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.cli import views
from agent.cli.context import Context
from agent.errors import NotAvailable, UsageError
from agent.journal import verify
from agent.journal.peek import newest
from agent.journal.tail import read_kept
from agent.redact import redact
from agent.signer import checker
from firmware.errors import StateError

MAX_SHOWN = 10_000


def run(context: Context, arguments: Namespace) -> int:
    """0 done; 1 the chain is broken; 3 there is no journal."""
    path = context.paths.journal
    if not path.exists() and not (arguments.subcommand == "verify" and _was_there(path)):
        raise NotAvailable(f"{path}: no journal yet", code="no_journal", remedy="start the daemon: posagent run")
    match arguments.subcommand:
        case "verify":
            return _verify(context)
        case "export":
            return _export(context, Path(arguments.file).absolute())
    return _show(context, arguments.limit)


def _was_there(path: Path) -> bool:
    """Whether something tells of a journal that is gone."""
    try:
        return read_kept(path) is not None
    except StateError:
        return True


def _show(context: Context, limit: int) -> int:
    if not 1 <= limit <= MAX_SHOWN:
        raise UsageError(f"--limit {limit}", remedy=f"choose 1 to {MAX_SHOWN}")
    records = [record_document(r) for r in newest(context.paths.journal, limit)]
    context.answer({"schema": 1, "records": records}, lambda: views.journal_records(records, context.text, context.style))
    return 0


def _verify(context: Context) -> int:
    document = verdict_document(context)
    context.answer(document, lambda: views.journal_verdict(document, context.text, context.style))
    return 0 if document["ok"] else 1


def verdict_document(context: Context) -> dict[str, Any]:
    """What ``journal verify`` finds. Raises NotAvailable where the journal may not be read."""
    keys = context.paths.state / "keys"
    found = verify(context.paths.journal, check=checker(keys) if keys.exists() else None)
    return {"schema": 1, **asdict(found), "problems": list(found.problems)}


def _export(context: Context, out: Path) -> int:
    from agent.support.journal_export import lines
    from agent.support.outfile import new_file

    found = lines(context.paths.journal)
    header = next(found)
    count = 0
    with new_file(out) as file:
        file.write(f"{header}\n".encode())
        for line in found:
            file.write(f"{line}\n".encode("utf-8", "backslashreplace"))
            count += 1
    document = {"schema": 1, "chain": json.loads(header)["chain"], "file": redact(str(out)), "records": count}
    context.answer(document, lambda: views.journal_exported(document, context.text, context.style))
    return 0


def record_document(record: Any) -> dict[str, Any]:
    """One record as ``journal show --json`` prints it."""
    return asdict(record)
