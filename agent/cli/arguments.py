"""What may be typed: commands, options and their help. Options may stand before or after the command."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from agent import __version__
from agent.cli.screen import width, wrap
from agent.errors import UsageError
from agent.text import LANGUAGES, Text
from agent.text.help import gettext_for

LEVELS = ("internal", "external", "interactive")


class _Help(argparse.HelpFormatter):
    """argparse counts characters; a Chinese one takes two columns."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in wrap(" ".join(text.split()), width - len(indent)))

    def _format_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None) -> str:
        heading = prefix if prefix is not None else argparse._("usage: ")  # type: ignore[attr-defined]
        drawn = super()._format_usage(usage, actions, groups, "u" * width(heading))
        return heading + drawn[width(heading) :]


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving the process, so that a wrong call answers in JSON too."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Help, **more})

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=self.format_usage().strip())


def parse(argv: Sequence[str], lang: str) -> argparse.Namespace:
    """Raises UsageError; ``--help`` and ``--version`` print and raise SystemExit(0)."""
    return build(lang).parse_args(argv)


def build(lang: str) -> argparse.ArgumentParser:
    """The whole tree of commands, with help in ``lang``."""
    argparse._ = gettext_for(lang)  # type: ignore[attr-defined]
    text = Text(lang)
    top = _Parser(prog="posagent", description=text.t("help.posagent"), epilog=text.t("help.epilog"), add_help=False)
    _help(top, text)
    top.add_argument("--version", action="version", version=f"posagent {__version__}", help=text.t("help.option.version"))
    _common(top, text, again=False)
    commands = top.add_subparsers(dest="command", metavar=text.t("help.argument.command"), required=True)
    for name in ("run", "status", "doctor"):
        _command(commands, name, text)
    selftest = _command(commands, "selftest", text)
    selftest.add_argument("--level", choices=LEVELS, default="internal", help=text.t("help.option.level"))
    discover = _command(commands, "discover", text)
    discover.add_argument("--port", action="append", metavar="PATH", help=text.t("help.option.port"))
    update = _group(
        commands, "update", ("check", "status", "install", "rollback", "history", "hold", "release", "confirm-time"), text
    )
    update["check"].add_argument("--dry-run", action="store_true", help=text.t("help.option.dry_run"))
    update["install"].add_argument("file", metavar="FILE", help=text.t("help.argument.file"))
    update["rollback"].add_argument("component", metavar="COMPONENT", help=text.t("help.argument.component"))
    update["confirm-time"].add_argument("--yes", action="store_true", help=text.t("help.option.yes"))
    update["hold"].add_argument("until", metavar="UNTIL", help=text.t("help.argument.until"))
    journal = _group(commands, "journal", ("show", "verify", "export"), text)
    journal["show"].add_argument("--limit", type=int, default=20, metavar="N", help=text.t("help.option.limit"))
    journal["export"].add_argument("file", metavar="FILE", help=text.t("help.argument.file"))
    bundle = _command(commands, "bundle", text)
    bundle.add_argument("--out", required=True, metavar="FILE", help=text.t("help.option.out"))
    line = _command(commands, "line", text)
    line.add_argument("--port", required=True, metavar="PATH", help=text.t("help.option.shared_port"))
    line.add_argument("--link", required=True, metavar="LINK", help=text.t("help.option.link"))
    line.add_argument("--baud", type=int, metavar="N", help=text.t("help.option.baud"))
    enroll = _command(commands, "enroll", text)
    for option, shown in (("url", "URL"), ("token", "TOKEN"), ("token-file", "FILE"), ("ca", "FILE"), ("fingerprint", "SHA256")):
        enroll.add_argument(f"--{option}", metavar=shown, help=text.t(f"help.option.{option.replace('-', '_')}"))
    _group(commands, "config", ("check", "example"), text)
    return top


def _command(commands: Any, name: str, text: Text, key: str | None = None) -> argparse.ArgumentParser:
    words = text.t(f"help.{key or name}")
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words, add_help=False)
    _help(parser, text)
    _common(parser, text, again=True)
    return parser


def _group(commands: Any, name: str, members: Sequence[str], text: Text) -> dict[str, argparse.ArgumentParser]:
    group = _command(commands, name, text)
    inner = group.add_subparsers(dest="subcommand", metavar=text.t("help.argument.command"), required=True)
    return {member: _command(inner, member, text, f"{name}.{member}") for member in members}


def _help(parser: argparse.ArgumentParser, text: Text) -> None:
    parser.add_argument("-h", "--help", action="help", help=text.t("help.option.help"))


def _common(parser: argparse.ArgumentParser, text: Text, *, again: bool) -> None:
    # A default in a subcommand would overwrite what was given before the command.
    nothing = argparse.SUPPRESS if again else None
    parser.add_argument("--root", metavar="DIR", default=nothing, help=text.t("help.option.root"))
    parser.add_argument("--config", metavar="FILE", default=nothing, help=text.t("help.option.config"))
    parser.add_argument("--lang", choices=LANGUAGES, default=nothing, help=text.t("help.option.lang"))
    no = argparse.SUPPRESS if again else False
    parser.add_argument("--json", action="store_true", default=no, help=text.t("help.option.json"))
