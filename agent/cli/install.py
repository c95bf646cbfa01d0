"""``posagent update install FILE``: hands a bundle to the owner, waits for the end, and leaves the receipt beside it."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.cli import views
from agent.cli.context import Context
from agent.cli.follow import Ask, follow
from agent.cli.screen import emit, neutral
from agent.errors import AgentError, UsageError
from firmware.bundle import Bundle
from firmware.errors import FirmwareError, ReleaseRefused
from firmware.files import read_bounded, write_durably
from firmware.flow import MEANING, State

EARLIER_MAX = 200
"""Receipts of other tills and earlier installs that stay in the file."""
RECEIPT_MAX_BYTES = 1 << 20

WithOwner = Callable[[Callable[[Ask], int]], int]


def install(context: Context, path: Path, with_owner: WithOwner) -> int:
    """0 it runs, or ran before; 1 refused, failed or rolled back; 2 a file that cannot be read; 3 another owner or update."""
    with _open(path) as bundle:
        return with_owner(lambda ask: _install(context, path, bundle, ask))


def _open(path: Path) -> Bundle:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is no file", code="bundle_unreadable")
        return Bundle(path)
    except ReleaseRefused as error:
        raise _failed(str(error), error.code) from None
    except FirmwareError as error:
        raise UsageError(str(error), code=error.code) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", code="bundle_unreadable") from None


def _install(context: Context, path: Path, bundle: Bundle, ask: Ask) -> int:
    wanted = {"component": bundle.component, "version": bundle.version, "path": str(path)}
    name = ask("update.install", descriptor=bundle.fileno(), **wanted)["deployment"]
    ended = follow(context, name, ask)
    signed = ask("update.receipt", deployment=name)["receipt"]
    said = _leave(path, signed, context)
    if ended["state"] != State.COMMITTED:
        raise _failed(f"{MEANING[State(ended['state'])].text}: {ended['reason']}", ended["code"] or ended["state"])
    document = {**ask("update.status"), "receipt": str(said) if said else None}
    context.answer(document, lambda: views.update_status(document, context.text, context.style))
    return 0


def _failed(message: str, code: str) -> AgentError:
    failure = AgentError(message, code=code)
    failure.exit_code = 1
    return failure


def receipt_path(path: Path) -> Path:
    """Where the receipt of that bundle lies."""
    return path.with_name(f"{path.name}.receipt.json")


def _leave(path: Path, signed: Mapping[str, Any] | None, context: Context) -> Path | None:
    """Write the receipt. A stick that takes none, or is gone, changes nothing about the update: it is said."""
    target = receipt_path(path)
    if signed is None:
        _note(context, "update.receipt_unsigned")
        return None
    try:
        document = {**signed, "earlier": _earlier(target)}
        write_durably(target, (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode(), 0o644)
    except (FirmwareError, OSError) as error:
        _note(context, "update.receipt_denied", why=neutral(error))
        return None
    _note(context, "update.receipt", file=neutral(target))
    return target


def _note(context: Context, key: str, **words: str) -> None:
    emit(sys.stderr, context.text.t(key, **words))


def _earlier(target: Path) -> list[Any]:
    """What the file holds already: one stick goes from till to till."""
    try:
        found = json.loads(read_bounded(target, RECEIPT_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    before = found.pop("earlier", [])
    return [found, *(before if isinstance(before, list) else [])][:EARLIER_MAX]
