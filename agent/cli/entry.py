"""Where the program ``posagent`` begins. Ctrl-C while the rest is still being loaded ends it quietly, as it does any command."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Load the commands and run one; the line keeper alone, which must stay small."""
    if "line" in sys.argv[1:]:
        from agent.keeper import main as keeper

        if (options := keeper.words_of(sys.argv[1:])) is not None:
            return keeper.run(options)
    from agent.cli.main import main as run
    from agent.confined import confine

    confine()
    return run(sys.argv[1:])
