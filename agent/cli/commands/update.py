"""``posagent update``: ask now, where it stands, what was; from a stick, going back by hand, holding off, the time by hand."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.cli import views
from agent.cli.commands.journal import record_document
from agent.cli.context import Context
from agent.cli.follow import Ask, follow
from agent.clock import Clock
from agent.config.load import load
from agent.control import ask_owner
from agent.documents import update_document
from agent.errors import AgentError, NotAvailable, UsageError
from agent.hold import Hold, parse_until
from agent.journal.peek import newest
from agent.redact import redact_json
from firmware.flow import BACK_TEXT, State
from firmware.offline import status_from_disk

LIMIT_S = 45.0
LOOK_BACK = 2000
"""Records of updates that the history goes back."""
BAD = ("refused", "rolled_back")
Doc = dict[str, Any]


def run(context: Context, arguments: Namespace) -> int:
    """0 done; 1 the last deployment of a component was refused or rolled back; 3 no centre, no daemon."""
    match arguments.subcommand:
        case "history":
            return _history(context)
        case "rollback":
            return _with_owner(context, lambda ask: _rollback(context, arguments.component, ask), devices=True)
        case "install":
            from agent.cli.install import install

            path = Path(arguments.file).absolute()
            return install(context, path, lambda work: _with_owner(context, work, devices=True))
        case "hold":
            _require_time(arguments.until)
            return _with_owner(context, lambda ask: _hold(context, arguments.until, ask), devices=False)
        case "confirm-time":
            from agent.cli.confirm import confirm_time

            return _with_owner(context, lambda ask: confirm_time(context, ask, yes=arguments.yes), devices=False)
        case "release":
            return _with_owner(context, lambda ask: _release(context, ask), devices=False)
        case "check" if arguments.dry_run:
            return _dry_run(context)
    document = _check(context) if arguments.subcommand == "check" else _status(context)
    context.answer(document, lambda: views.update_status(document, context.text, context.style))
    return exit_code(document) if arguments.subcommand == "status" else 0


def _require_time(words: str) -> None:
    """A slip is told at once; whether that moment is over, the clock of the owner says."""
    try:
        parse_until(words, Clock().wall())
    except UsageError as error:
        if error.code != "until_is_over":
            raise


def exit_code(document: Mapping[str, Any]) -> int:
    """Contract: 1 when an update was refused or rolled back."""
    return 1 if any(c["state"] in BAD for c in document["components"].values()) else 0


def _check(context: Context) -> Doc:
    return ask_owner(context.paths.socket, {"do": "update.check"}, LIMIT_S)


def _dry_run(context: Context) -> int:
    """0 whatever would happen: nothing has."""
    from agent.preview import preview

    plans = preview(load(context.config_path), context.paths, Clock())
    found = _status(context)
    document = {**found, "plans": redact_json(plans)}
    context.answer(document, lambda: views.update_plans(document, context.text, context.style))
    return 0


def _status(context: Context) -> Doc:
    try:
        return ask_owner(context.paths.socket, {"do": "update.status"}, LIMIT_S)
    except NotAvailable as error:
        if error.code != "no_daemon":
            raise
    return update_document(_from_disk(context))


def _from_disk(context: Context) -> Doc:
    from agent.hostwatch import clock_wrong

    clock = Clock()
    hold = Hold(context.paths.state / "hold.json", clock)
    hold.load(heal=False)
    held = hold.until()
    now = None if clock_wrong(context.paths, clock) else clock.wall()
    found = status_from_disk(context.paths.state / "deployment.json", now, context.paths.trust_home)
    return {**found, "hold": {"until": held} if held else None}


def _history(context: Context) -> int:
    path = context.paths.journal
    found = newest(path, LOOK_BACK, "update") if path.exists() else []
    records = [record_document(r) for r in found]
    context.answer({"schema": 1, "records": records}, lambda: views.update_history(records, context.text, context.style))
    return 0


# -- what changes something: through the owner, or as the owner --------------------------------------------------------


def _with_owner(context: Context, work: Callable[[Ask], int], *, devices: bool) -> int:
    """Do ``work`` with the daemon's answers, or with those of an owner that lives in this process meanwhile."""

    def ask(words: str, *, descriptor: int | None = None, **more: str) -> Doc:
        return ask_owner(context.paths.socket, {"do": words, **more}, LIMIT_S, descriptor=descriptor)

    try:
        ask("update.status")
    except NotAvailable as error:
        if error.code != "no_daemon":
            raise
        return _alone(context, work, devices=devices)
    return work(ask)


def _alone(context: Context, work: Callable[[Ask], int], *, devices: bool) -> int:
    from agent.oneupdate import updating_alone
    from agent.ports.serial_port import SerialPort
    from agent.updateasked import answer_update

    config = load(context.config_path)
    running = _from_disk(context)["deployment"]
    if devices and running is not None and not (running["rollback"] or running["stick"]):
        raise NotAvailable("an update was interrupted", code="busy", remedy="start the daemon: it goes on with it")
    with updating_alone(config, context.paths, Clock(), SerialPort, devices=devices) as updating:

        def ask(words: str, **more: Any) -> Doc:
            if words == "update.status":
                return update_document(updating.report() if devices else _from_disk(context))
            return answer_update(updating, words, more)

        return work(ask)


def _rollback(context: Context, component: str, ask: Ask) -> int:
    """0 the predecessor runs and proved itself; 1 it was refused, or was worse and the newer version runs again."""
    name = ask("update.rollback", component=component)["deployment"]
    ended = follow(context, name, ask)
    if ended["state"] != State.COMMITTED:
        text = BACK_TEXT[State(ended["state"])]
        failure = AgentError(f"{text}: {ended['reason']}", code=ended["code"] or ended["state"])
        failure.exit_code = 1
        raise failure
    document = ask("update.status")
    context.answer(document, lambda: views.update_status(document, context.text, context.style))
    return 0


def _hold(context: Context, until: str, ask: Ask) -> int:
    set_ = ask("update.hold", until=until)
    document = {**ask("update.status"), "hold": set_}
    context.answer(document, lambda: views.update_held(document, context.text, context.style))
    return 0


def _release(context: Context, ask: Ask) -> int:
    ask("update.release")
    document = ask("update.status")
    context.answer(document, lambda: views.update_held(document, context.text, context.style))
    return 0
