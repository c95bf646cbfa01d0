"""The daemon's own command line, read without the tree of all commands and its help in two languages.

``posagent run`` lives for months: what argparse and the texts take (1.5 MiB) would be held for nothing. Whatever is not
plainly ``run`` with its options goes the long way, which knows how to say what is wrong.
"""

from collections.abc import Sequence
from types import SimpleNamespace

from agent.text import LANGUAGES

_TAKING = ("--root", "--config", "--lang")


def plain_run(words: Sequence[str]) -> SimpleNamespace | None:
    """What ``agent.cli.arguments.parse`` would make of ``words``; None: let it."""
    found = SimpleNamespace(command=None, root=None, config=None, lang=None, json=False)
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if name in _TAKING and (equals or left):
            value = value if equals else left.pop(0)
            if not value or value.startswith("-") or (name == "--lang" and value not in LANGUAGES):
                return None
            setattr(found, name[2:], value)
        elif word == "--json":
            found.json = True
        elif word == "run" and found.command is None:
            found.command = word
        else:
            return None
    return found if found.command else None
