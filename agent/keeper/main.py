"""``posagent line --port PATH --link LINK``: reads its few words by itself, since argparse and the rest cost memory."""

import errno
import os
import signal
import sys
from time import monotonic

from agent.keeper.keeper import Keeper
from agent.keeper.store import Store, inherited
from agent.nocore import leave_no_core

DONE, USAGE, NOT_NOW = 0, 2, 3
DEFAULT_BAUD = 115200
MAX_BAUD = 0xFFFF_FFFF
"""struct termios2 holds no more"""
_WITH_VALUE = ("--port", "--link", "--baud", "--root", "--config", "--lang")


def words_of(argv: list[str]) -> dict[str, str] | None:
    """The options of a ``posagent line``; None where it is another command, asks for help, or is wrong: argparse tells then."""
    found: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE:
            given = value if equals else next(rest, None)
            if given is None:
                return None
            found[name[2:]] = given
        elif word == "--json":
            found["json"] = "1"
        elif word == "line" and "command" not in found:
            found["command"] = "line"
        else:
            return None
    right = "command" in found and found.get("port") and found.get("link") and _is_speed(found.get("baud", "1"))
    return found if right else None


def _is_speed(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= MAX_BAUD


def run(options: dict[str, str]) -> int:
    """Keep the line until SIGTERM; the exit code."""
    leave_no_core()  # what the till prints passes through here
    store = Store()
    baud = int(options.get("baud", DEFAULT_BAUD))
    port, link = options["port"], os.path.abspath(options["link"])  # noqa: PTH100
    try:
        keeper = Keeper(port, link, baud, now=monotonic, store=store, kept=inherited(), say=_say)
    except OSError as error:
        return _failed(port, link, error, as_json="json" in options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stop())
    store.say("READY=1")
    _say(f"keeps {port} for {link} ({keeper.restarted})")
    if "json" in options:
        sys.stdout.write(f'{{"ready": true, "pid": {os.getpid()}}}\n')
        sys.stdout.flush()
    keeper.run()
    return DONE


def _say(text: str) -> None:
    sys.stderr.write(f"posagent line: {text}\n")
    sys.stderr.flush()


def _failed(port: str, link: str, error: OSError, *, as_json: bool) -> int:
    held = error.errno in (errno.EAGAIN, errno.EBUSY)
    where = error.filename or port
    why = (
        "held by another process"
        if held
        else "not a serial line"
        if error.errno == errno.ENOTTY
        else os.strerror(error.errno or 0)
    )
    message = f"{where}: {why}"
    remedy = "end the program that holds it" if held else f"check {port} and the folder of {link}"
    if as_json:
        import json

        sys.stdout.write(json.dumps({"error": {"code": "port", "message": message, "remedy": remedy}}) + "\n")
    _say(f"{message}; {remedy}")
    return NOT_NOW
