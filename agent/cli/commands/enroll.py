"""``posagent enroll``: a one-time token becomes this host's certificate."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from agent.cli import views
from agent.cli.context import Context
from agent.clock import Clock
from agent.config.load import load
from agent.control import ask_owner
from agent.enrolment.request import MAX_BYTES, MAX_TOKEN, ca_text
from agent.errors import NotAvailable, UsageError
from firmware.files import read_bounded

LIMIT_S = 180.0


def run(context: Context, arguments: Namespace) -> int:
    """0 enrolled; 1 the centre says no; 2 typed wrongly; 3 no centre, no token, or the clock is wrong."""
    wish = _wish(arguments)
    config = load(context.config_path)
    try:
        document = ask_owner(context.paths.socket, {"do": "enroll", **wish}, LIMIT_S)
    except NotAvailable as error:
        if error.code != "no_daemon":
            raise
        from agent.enrolment.once import enroll_alone

        document = enroll_alone(config, context.paths, Clock(), wish)
    host: dict[str, Any] = {"id": config.host.id, **document}
    context.answer(document, lambda: views.enrolled(host, context.text, context.style))
    return 0


def _wish(arguments: Namespace) -> dict[str, str]:
    token = arguments.token or (_token(arguments.token_file) if arguments.token_file else "")
    if bool(arguments.url) != bool(token) or (arguments.token and arguments.token_file):
        raise UsageError("--url and one of --token and --token-file belong together", code="half_request")
    if not arguments.url:
        return {}
    ca = ca_text(Path(arguments.ca).absolute()) if arguments.ca else ""
    return {"url": arguments.url, "token": token, "ca": ca, "fingerprint": arguments.fingerprint or ""}


def _token(name: str) -> str:
    """The first line of a file, or of stdin for ``-``: what stands in the arguments everybody can see (ps)."""
    try:
        text = sys.stdin.read(MAX_TOKEN + 2) if name == "-" else read_bounded(Path(name).absolute(), MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise UsageError(f"the token cannot be read from {name}: {why}", code="token_unreadable") from None
    lines = text.strip().splitlines()
    if not lines:
        raise UsageError("there is no token", code="bad_token")
    return lines[0].strip()
