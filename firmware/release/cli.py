"""posrelease, the command of the service centre: init, add, publish, push, show, and the commands of ``commands``.

Exit codes: 0 done; 2 wrong usage, or an order that cannot be carried out; 3 the network or hawkBit; 4 an error of this
machine or of ours. With --json stdout is one document, on failure ``{"error": {"code", "message", "remedy"}}``; without
it results go to stdout and everything else to stderr. No traceback reaches a user.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from firmware.errors import FirmwareError, InstallFailed, ReleaseRefused, TransportError, UsageError, one_line
from firmware.release import access, commands, overview, stick
from firmware.release.choices import DEFAULT_PERIODS, Options, hours, read_fits, read_needs
from firmware.release.hawkbit import Item, Management, signed_set_name
from firmware.release.options import parse
from firmware.release.repository import Repository
from firmware.release.text import Text, pick_language
from firmware.transport import Transport, basic_token

SCHEMA = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    text = Text(pick_language(_early(words, "--lang"), os.environ))
    try:
        options = parse(words, text)
        document, lines = _COMMANDS[options.command](options, text)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except FirmwareError as error:
        return _fail(error, text, as_json="--json" in words)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 (the last line of defence: a person never sees a traceback)
        return _fail(FirmwareError(f"{type(error).__name__}: {error}", code="internal"), text, as_json="--json" in words)
    if options.json:
        print(json.dumps({"schema": SCHEMA, **document}, ensure_ascii=False))
    else:
        print("\n".join(lines))
    return 0


Outcome = tuple[Mapping[str, Any], list[str]]


def _init(options: argparse.Namespace, text: Text) -> Outcome:
    holders = options.threshold if options.holders is None else options.holders
    passphrase = None if options.clear_keys else access.new_passphrase(text)
    repo = Repository.create(options.repo, options.keys, options.threshold, holders, passphrase, now=_now())
    root = repo.metadata / "1.root.json"
    lines = [
        text.t("done.init", repo=options.repo, threshold=options.threshold, holders=holders, root=root),
        text.t("done.init_keys", keys=options.keys),
    ]
    if options.clear_keys:
        _note(text.t("warn.clear"))
    return {"root": str(root), "threshold": options.threshold, "holders": holders}, lines


def _add(options: argparse.Namespace, text: Text) -> Outcome:
    repo = commands.with_bundle_period(_open(options, text), options)
    chosen = Options(
        archive=f".{options.archive}",
        handler=options.handler,
        labels=tuple(options.label),
        terminals=tuple(options.terminal),
        hardware=tuple(options.hardware),
        fits=read_fits(options.fits),
        needs=read_needs(options.needs),
        not_before=options.not_before,
        not_after=options.not_after,
        deadline=options.deadline,
        may_wait=not options.may_not_wait,
        max_hold_h=hours(options.max_hold),
        health_check=options.health_check,
        revoked=tuple(options.revoke),
    )
    added = repo.add_release(options.component, options.version, options.path, options=chosen, now=_now(), role=options.role)
    for name in added.warnings:
        _note(text.t("warn.member", name=name))
    manifest = added.manifest
    named = {"component": manifest.component, "version": manifest.version}
    missing = [one for one in added.standing if not one.complete]
    line = text.t(
        "done.add_waits" if missing else "done.add", **named, counter=manifest.release_counter, length=manifest.archive.length
    )
    facts = {"release_counter": manifest.release_counter, "length": manifest.archive.length}
    signatures = [one.document() for one in added.standing]
    document = {**named, **facts, "sha256": manifest.archive.sha256, "warnings": list(added.warnings), "signatures": signatures}
    return document, [line, *commands.standing_lines(missing, text)]


def _publish(options: argparse.Namespace, text: Text) -> Outcome:
    repo = _open(options, text)
    if options.expires is not None:
        repo.periods = DEFAULT_PERIODS.with_timestamp(options.expires)
    versions = repo.publish(_now())
    access.remember_keys(options.repo, options.keys)
    return {"versions": versions}, [text.t("done.publish", **versions)]


def _push(options: argparse.Namespace, text: Text) -> Outcome:
    if len(options.component) != len(options.version):
        raise UsageError("each --component needs its --version")
    if len(set(options.component)) != len(options.component):
        raise UsageError("a component stands there twice")
    if (options.set is None) != (options.set_version is None):
        raise UsageError("--set and --set-version belong together")
    password = options.password or os.environ.get("POSRELEASE_PASSWORD")
    if password is None:
        raise UsageError("--password or $POSRELEASE_PASSWORD is needed")
    repo = Repository.open(options.repo)
    items = [Item(repo.manifest(*pair), repo.manifest_bytes(*pair)) for pair in _pairs(options)]
    token = basic_token(options.user, password)
    given = (options.set, options.set_version) if options.set else None
    signed = _signed_set(repo, items, given, options, text) if len(items) > 1 else None
    named = given or signed
    with Transport(
        ca=options.ca, token=token, token_for=options.management, allow_http=options.allow_http, user_agent="posrelease"
    ) as transport:
        terminals = list(dict.fromkeys(options.terminal))
        assigned = Management(transport, options.management).push(items, terminals, options.type, named)
    lines = []
    for one in assigned:
        key = "done.push" if one.new else "done.push_open" if one.action is not None else "done.push_none"
        lines.append(text.t(key, terminal=one.terminal, action=one.action))
    return {"assigned": [asdict(one) for one in assigned]}, lines


def _signed_set(
    repo: Repository, items: Sequence[Item], given: tuple[str, str] | None, options: argparse.Namespace, text: Text
) -> tuple[str, str]:
    """The signed set of these releases, without which tills refuse them; made and published here where keys are at hand.

    The order is that of the command line. Raises UsageError (no_set) where it cannot be made in one go.
    """
    pairs = _pairs(options)
    found = stick.signed_set(repo, pairs)
    if found is not None:
        return found
    folder = options.keys or access.remembered_keys(options.repo)
    if folder is None:
        raise UsageError("no signed set names these releases and their order", code="no_set")
    signer = access.open_repository(options.repo, folder, text)
    if waiting := signer.staged_roles():
        raise UsageError(f"no signed set names these releases, and {', '.join(waiting)} waits for publish", code="no_set")
    name, version = given or signed_set_name(items)
    if not all(one.complete for one in stick.add_set(signer, name, version, pairs, _now())):
        raise UsageError(f"the set {name} {version} is staged: its other holders must sign it", code="no_set")
    signer.publish(_now())
    _note(text.t("done.set", name=name, version=version, order=", ".join(" ".join(pair) for pair in pairs)))
    return name, version


def _pairs(options: argparse.Namespace) -> list[tuple[str, str]]:
    return list(zip(options.component, options.version, strict=True))


def _show(options: argparse.Namespace, text: Text) -> Outcome:
    repo = _open(options, text) if options.keys else Repository.open(options.repo)
    document = overview.show(repo, _now())
    lines = [
        text.t(
            "show.role",
            role=name,
            version=role["version"],
            expires=role["expires"],
            threshold=role["threshold"],
            keys=len(role["keys"]),
            mark=text.t("show.expired") if role["expired"] else "",
        )
        for name, role in document["roles"].items()
    ]
    lines += commands.show_lines(document, text)
    for component, releases in document["components"].items():
        for release in releases:
            mark = "" if release["published"] else text.t("show.staged")
            facts = {"component": component, "version": release["version"], "counter": release["release_counter"]}
            lines.append(text.t("show.release", **facts, mark=mark))
    return document, lines


_COMMANDS: Mapping[str, Callable[[argparse.Namespace, Text], Outcome]] = {
    "init": _init,
    "add": _add,
    "publish": _publish,
    "push": _push,
    "show": _show,
    **commands.COMMANDS,
}


def _open(options: argparse.Namespace, text: Text) -> Repository:
    return access.open_repository(options.repo, options.keys, text)


def _fail(error: FirmwareError, text: Text, *, as_json: bool) -> int:
    network = isinstance(error, TransportError)
    code = "network" if network else error.code
    detail = one_line(error, 400)
    message = text.t(f"say.{code}" if text.has(f"say.{code}") else "say.other", detail=detail)
    remedy = text.t(f"do.{code}") if text.has(f"do.{code}") else ""
    if as_json:
        told = {"code": error.code, "message": message, "remedy": remedy}
        print(json.dumps({"schema": SCHEMA, "error": told}, ensure_ascii=False))
    else:
        _note(text.t("error", message=message))
        if remedy:
            _note(text.t("remedy", remedy=remedy))
    if network:
        return 3
    usage = isinstance(error, (UsageError, ReleaseRefused)) or (isinstance(error, InstallFailed) and error.code == "disk_denied")
    return 2 if usage else 4


def _note(line: str) -> None:
    print(line, file=sys.stderr)


def _early(words: Sequence[str], option: str) -> str | None:
    """The value of ``option`` before the command line is parsed: help must already be in the right language."""
    for place, word in enumerate(words):
        if word == option and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
