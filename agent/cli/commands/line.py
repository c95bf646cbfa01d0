"""``posagent line``, where its words were not plain enough for the keeper's own reading of them."""

from argparse import Namespace

from agent.cli.context import Context
from agent.errors import UsageError
from agent.keeper import main as keeper


def run(context: Context, arguments: Namespace) -> int:
    """Until SIGTERM."""
    if arguments.baud is not None and not 0 < arguments.baud <= keeper.MAX_BAUD:
        raise UsageError(f"--baud {arguments.baud}", remedy=f"a speed is a number from 1 to {keeper.MAX_BAUD}")
    options = {"port": arguments.port, "link": arguments.link, "baud": str(arguments.baud or keeper.DEFAULT_BAUD)}
    return keeper.run(options | ({"json": "1"} if context.as_json else {}))
