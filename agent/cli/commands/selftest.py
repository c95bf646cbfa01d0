"""``posagent selftest``: through the daemon if one runs, else by itself."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from agent.cli import views
from agent.cli.context import Context
from agent.cli.interview import CardOf, Interview, PrintSeen, SwipeOf
from agent.clock import Clock
from agent.config.load import load
from agent.control import ask_owner
from agent.errors import NotAvailable

LIMIT_S = 60.0
CARD_LIMIT_S = 90.0
"""Borrowing the line, and a card that asks for time for a minute."""
EXIT = {"ok": 0, "fault": 1, "unknown": 3}


def run(context: Context, arguments: Namespace) -> int:
    """0 healthy, 1 a fault, 3 unknown."""
    level: str = arguments.level
    interview = Interview(context.text) if level == "interactive" else None
    try:
        found: Mapping[str, Any] = ask_owner(context.paths.socket, {"do": "selftest", "level": level}, LIMIT_S)
        if interview is not None:
            found = interview.add_to(
                found,
                lambda terminal: daemons_card(context, terminal),
                daemons_readers(context),
                lambda terminal: dict(ask_owner(context.paths.socket, {"do": "swipe", "terminal": terminal}, LIMIT_S)),
                lambda terminal: ask_owner(context.paths.socket, {"do": "print.seen", "terminal": terminal}, LIMIT_S),
            )
    except NotAvailable as error:
        if error.code != "no_daemon":
            raise
        found = alone(context, level, interview)
    document = views.enrich_selftest(found, context.text.lang)
    context.answer(document, lambda: views.selftest(document, context.text, context.style))
    return EXIT.get(document["result"], 3)


def daemons_card(context: Context, terminal: str) -> Mapping[str, str]:
    """What the running daemon finds of the test card in that till's reader."""
    found = ask_owner(context.paths.socket, {"do": "check_card", "terminal": terminal}, CARD_LIMIT_S)
    return {name: str(value) for name, value in found.items()}


def daemons_readers(context: Context) -> Mapping[str, str]:
    """Terminal id to the protocol of its reader, as the running daemon has it."""
    tills = ask_owner(context.paths.socket, {"do": "status"}, LIMIT_S)["terminals"]
    return {till["id"]: till["devices"]["reader"]["protocol"] for till in tills if "reader" in till["devices"]}


def alone(context: Context, level: str, interview: Interview | None) -> Mapping[str, Any]:
    """Take the lock, put the same house up for the time of the test, and take it down again."""
    from agent.onetime import run_selftest
    from agent.ports.serial_port import SerialPort

    config = load(context.config_path)
    readers = {terminal.id: terminal.reader.protocol for terminal in config.terminals if terminal.reader is not None}

    def ask(document: Mapping[str, Any], card: CardOf, swipe: SwipeOf, seen: PrintSeen) -> dict[str, Any]:
        return interview.add_to(document, card, readers, swipe, seen) if interview is not None else dict(document)

    person = ask if interview is not None else None
    return run_selftest(config, context.paths, Clock(), SerialPort, level, person)
