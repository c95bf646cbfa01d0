"""The command line of posrelease: its commands, flags and how each is read."""

import argparse
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from firmware.errors import UsageError
from firmware.release.hawkbit import KINDS
from firmware.release.text import LANGUAGES, Text

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Parser(argparse.ArgumentParser):
    """argparse that raises our error instead of leaving the program, so that --json holds on mistakes too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} ({self.prog} --help)")


def parse(argv: Sequence[str], text: Text) -> argparse.Namespace:
    """Read the command line. Raises UsageError; leaves with SystemExit(0) after --help."""
    parser = _Parser(prog="posrelease", description=text.t("about"), allow_abbrev=False)
    _common(parser, text, first=True)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for name, fill in _COMMANDS:
        command = commands.add_parser(name, help=text.t(name), description=text.t(name), allow_abbrev=False)
        _common(command, text, first=False)
        command.add_argument("--repo", type=Path, required=name != "sign", default=None, metavar="DIR", help=text.t("opt.repo"))
        fill(command, text)
    return parser.parse_args(argv)


def _common(parser: argparse.ArgumentParser, text: Text, *, first: bool) -> None:
    """--lang and --json may stand before or after the command; the later one must not reset the earlier one."""
    parser.add_argument("--lang", choices=LANGUAGES, default=None if first else argparse.SUPPRESS, help=text.t("opt.lang"))
    parser.add_argument("--json", action="store_true", default=False if first else argparse.SUPPRESS, help=text.t("opt.json"))


def _keys(parser: argparse.ArgumentParser, text: Text, *, required: bool = True) -> None:
    parser.add_argument("--keys", type=Path, required=required, metavar="DIR", help=text.t("opt.keys"))


def _init(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text)
    parser.add_argument("--threshold", type=int, default=1, metavar="N", help=text.t("opt.threshold"))
    parser.add_argument("--holders", type=int, default=None, metavar="M", help=text.t("opt.holders"))
    parser.add_argument("--clear-keys", action="store_true", help=text.t("opt.clear"))


def _add(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text)
    parser.add_argument("--component", required=True, metavar="NAME", help=text.t("opt.component"))
    parser.add_argument("--version", required=True, metavar="V", help=text.t("opt.version"))
    parser.add_argument("--handler", default="app_slots", metavar="NAME", help=text.t("opt.handler"))
    for flag, metavar, key in (
        ("--label", "LABEL", "opt.label"),
        ("--terminal", "ID", "opt.only"),
        ("--hardware", "NAME", "opt.hardware"),
        ("--revoke", "V", "opt.revoke"),
        ("--fits", "WHAT=TEXT", "opt.fits"),
        ("--needs", "NAME=V", "opt.needs"),
    ):
        parser.add_argument(flag, action="append", default=[], metavar=metavar, help=text.t(key))
    for flag, key in (("--not-before", "opt.not_before"), ("--not-after", "opt.not_after"), ("--deadline", "opt.deadline")):
        parser.add_argument(flag, type=_time, default=None, metavar="TIME", help=text.t(key))
    parser.add_argument("--max-hold", type=_period, default=None, metavar="TIME", help=text.t("opt.max_hold"))
    parser.add_argument("--may-not-wait", action="store_true", help=text.t("opt.may_not_wait"))
    parser.add_argument("--archive", choices=("tar.gz", "tar.zst", "file"), default="tar.gz", help=text.t("opt.archive"))
    parser.add_argument("--role", default="targets", metavar="NAME", help=text.t("opt.role"))
    parser.add_argument("--bundle-expires", type=_period, default=None, metavar="TIME", help=text.t("opt.bundle_expires"))
    parser.add_argument("--health-check", type=_command, default=(), metavar="CMD", help=text.t("opt.health"))
    parser.add_argument("path", type=Path, metavar="PATH", help=text.t("opt.path"))


def _publish(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text)
    parser.add_argument("--expires", type=_period, default=None, metavar="TIME", help=text.t("opt.expires"))


def _push(parser: argparse.ArgumentParser, text: Text) -> None:
    parser.add_argument("--keys", type=Path, default=None, metavar="DIR", help=text.t("opt.push_keys"))
    parser.add_argument("--management", required=True, metavar="URL", help=text.t("opt.management"))
    parser.add_argument("--user", required=True, metavar="U", help=text.t("opt.user"))
    parser.add_argument("--password", default=None, metavar="P", help=text.t("opt.password"))
    parser.add_argument("--component", action="append", required=True, metavar="NAME", help=text.t("opt.component"))
    parser.add_argument("--version", action="append", required=True, metavar="V", help=text.t("opt.version"))
    parser.add_argument("--terminal", action="extend", nargs="+", required=True, metavar="ID", help=text.t("opt.terminal"))
    parser.add_argument("--type", choices=KINDS, default="forced", help=text.t("opt.type"))
    parser.add_argument("--set", default=None, metavar="NAME", help=text.t("opt.set"))
    parser.add_argument("--set-version", default=None, metavar="V", help=text.t("opt.set_version"))
    parser.add_argument("--ca", type=Path, default=None, metavar="FILE", help=text.t("opt.ca"))
    parser.add_argument("--allow-http", action="store_true", help=text.t("opt.http"))


def _show(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text, required=False)


def _delegate(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text)
    parser.add_argument("--name", required=True, metavar="NAME", help=text.t("opt.vendor"))
    parser.add_argument("--component", action="append", required=True, metavar="NAME", help=text.t("opt.vendor_component"))
    parser.add_argument("--path", default=None, metavar="PATH", help=text.t("opt.vendor_path"))
    parser.add_argument("--key", type=Path, action="append", default=[], metavar="FILE", help=text.t("opt.public"))
    parser.add_argument("--new-keys", type=Path, default=None, metavar="DIR", help=text.t("opt.new_keys"))
    parser.add_argument("--threshold", type=int, default=1, metavar="N", help=text.t("opt.vendor_threshold"))
    parser.add_argument("--clear-keys", action="store_true", help=text.t("opt.clear"))


def _sign(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text, required=False)
    parser.add_argument("--export", type=Path, default=None, metavar="FILE", help=text.t("opt.export"))
    parser.add_argument("--request", type=Path, default=None, metavar="FILE", help=text.t("opt.request"))
    parser.add_argument("--import", dest="take_in", type=Path, default=None, metavar="FILE", help=text.t("opt.import"))


def _rotate(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text)
    parser.add_argument("--role", required=True, choices=("root", "targets", "snapshot", "timestamp"), help=text.t("opt.rotate"))
    parser.add_argument("--replace", action="append", default=[], metavar="KEY", help=text.t("opt.replace"))
    parser.add_argument("--key", type=Path, action="append", default=[], metavar="FILE", help=text.t("opt.public"))
    parser.add_argument("--threshold", type=int, default=None, metavar="N", help=text.t("opt.new_threshold"))
    parser.add_argument("--renew", action="store_true", help=text.t("opt.renew"))


def _bundle(parser: argparse.ArgumentParser, text: Text) -> None:
    parser.add_argument("--component", required=True, metavar="NAME", help=text.t("opt.component"))
    parser.add_argument("--version", required=True, metavar="V", help=text.t("opt.version"))
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=text.t("opt.out"))


def _set(parser: argparse.ArgumentParser, text: Text) -> None:
    _keys(parser, text)
    parser.add_argument("--set", required=True, metavar="NAME", help=text.t("opt.set"))
    parser.add_argument("--set-version", required=True, metavar="V", help=text.t("opt.set_version"))
    parser.add_argument("--component", action="append", required=True, metavar="NAME", help=text.t("opt.component"))
    parser.add_argument("--version", action="append", required=True, metavar="V", help=text.t("opt.version"))


_COMMANDS = (
    ("init", _init),
    ("add", _add),
    ("set", _set),
    ("sign", _sign),
    ("publish", _publish),
    ("refresh", _publish),
    ("push", _push),
    ("bundle", _bundle),
    ("delegate", _delegate),
    ("rotate", _rotate),
    ("show", _show),
)


def _period(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None or int(match[1]) * _UNITS[match[2]] > 3650 * 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no period like 90s, 12h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-12-24T22:00:00Z")
    return moment.astimezone(UTC).replace(microsecond=0)


def _command(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no command: {error}") from error
