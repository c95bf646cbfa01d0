"""The commands of posrelease that change who may sign, gather signatures, and fill USB sticks."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from firmware.errors import UsageError
from firmware.release import access, changes, keys, signing, stick
from firmware.release.repository import Repository
from firmware.release.standing import Standing, require_signable
from firmware.release.text import Text

Outcome = tuple[Mapping[str, Any], list[str]]


def delegate(options: argparse.Namespace, text: Text) -> Outcome:
    """`posrelease delegate`."""
    repo = access.open_repository(options.repo, options.keys, text)
    public = [keys.read_public(path) for path in options.key]
    if bool(public) == bool(options.new_keys):
        raise UsageError("give the vendor's public keys with --key, or --new-keys to make them")
    path = options.path or changes.vendor_path(options.name)
    if options.new_keys:
        changes.require_free(repo, options.name, options.component, path)
        # Whoever may not sign the change must not leave new keys behind.
        require_signable("targets", repo.upcoming("root").roles["targets"].keyids, repo.ring)
        secret = None if options.clear_keys else access.new_passphrase(text)
        public = changes.vendor_keys(options.new_keys, options.name, options.threshold, secret)
    standing = changes.delegate(
        repo, options.name, options.component, public, threshold=options.threshold, path=options.path, now=_now()
    )
    lines = [text.t("done.delegate", name=options.name, path=path, components=", ".join(options.component))]
    return {"name": options.name, "path": path, **_facts(standing)}, lines + standing_lines(standing, text)


def sign(options: argparse.Namespace, text: Text) -> Outcome:
    """`posrelease sign`: --export, --import, --request, or what is staged here."""
    chosen = [options.export, options.take_in, options.request]
    if sum(one is not None for one in chosen) > 1:
        raise UsageError("--export, --import and --request exclude each other")
    if options.request is None and options.repo is None:
        raise UsageError("--repo is needed, or --request with a file to sign")
    if (options.export or options.take_in) is None and options.keys is None:
        raise UsageError("signing needs --keys")
    if options.export:
        told, key, file = signing.export(Repository.open(options.repo), options.export), "done.export", options.export
    elif options.take_in:
        told, key, file = signing.take_in(Repository.open(options.repo), options.take_in), "done.import", options.take_in
    elif options.request:
        secret = access.passphrase(options.keys, text)
        told, key, file = signing.sign_file(options.request, options.keys, secret), "done.request", options.request
    else:
        repo = access.open_repository(options.repo, options.keys, text)
        told, key, file = signing.sign_staged(repo), "done.sign", options.repo
    lines = [text.t(key, file=file)]
    for one in told:
        lines += [text.t("sign.role", role=one.role, version=one.version)]
        lines += [text.t("sign.lists", name=name) for name in one.listed]
        lines += standing_lines(one.standing, text)
    documents = [{"role": one.role, "version": one.version, "listed": list(one.listed), **_facts(one.standing)} for one in told]
    return {"documents": documents}, lines


def rotate(options: argparse.Namespace, text: Text) -> Outcome:
    """`posrelease rotate`: new keys for a role, another threshold, or with --renew new signatures alone."""
    if options.renew and (options.replace or options.key or options.threshold is not None):
        raise UsageError("--renew changes no key: it stands alone")
    if options.renew and options.role in ("snapshot", "timestamp"):
        raise UsageError("snapshot and timestamp are signed anew by `posrelease refresh`")
    repo = access.open_repository(options.repo, options.keys, text)
    public = [keys.read_public(path) for path in options.key]
    gone = list(options.replace)
    if not options.renew and not gone and not public and options.threshold is None:
        gone = changes.keyids_of(repo, options.role)
    made: list[str] = []
    if gone and not public:
        # Whoever may not sign the change must not leave new keys behind.
        require_signable("root", repo.root().signed.roles["root"].keyids, repo.ring)
        made = changes.names_for_new_keys(repo, options.role, gone)
        new = keys.add(options.keys, made, access.passphrase(options.keys, text))
        public = [new.by_holder(name).public_key for name in made]
        repo.ring.take(new)
    standing = changes.rotate(repo, options.role, _now(), replace=gone, new_keys=public, threshold=options.threshold)
    lines = [text.t("done.rotate", role=options.role)]
    lines += [text.t("done.new_key", name=name, keys=options.keys) for name in made]
    return {"role": options.role, "new_keys": made, **_facts(standing)}, lines + standing_lines(standing, text)


def refresh(options: argparse.Namespace, text: Text) -> Outcome:
    """`posrelease refresh`, for cron: online keys alone."""
    repo = access.open_repository(options.repo, options.keys, text)
    if options.expires is not None:
        repo.periods = repo.periods.with_timestamp(options.expires)
    versions = repo.refresh(_now())
    return {"versions": versions}, [text.t("done.refresh", **versions)]


def bundle(options: argparse.Namespace, text: Text) -> Outcome:
    """`posrelease bundle`."""
    repo = Repository.open(options.repo)
    length, until = stick.bundle(repo, options.component, options.version, options.out, _now())
    named = {"component": options.component, "version": options.version, "length": length}
    shown = f"{until:%Y-%m-%dT%H:%M:%SZ}"
    return {**named, "file": str(options.out), "until": shown}, [text.t("done.bundle", **named, file=options.out, until=shown)]


def add_set(options: argparse.Namespace, text: Text) -> Outcome:
    """`posrelease set`."""
    if len(options.component) != len(options.version):
        raise UsageError("each --component needs its --version")
    repo = access.open_repository(options.repo, options.keys, text)
    members = list(zip(options.component, options.version, strict=True))
    standing = stick.add_set(repo, options.set, options.set_version, members, _now())
    order = ", ".join(" ".join(pair) for pair in members)
    lines = [text.t("done.set", name=options.set, version=options.set_version, order=order)]
    named = {"set": options.set, "version": options.set_version, "members": [list(pair) for pair in members]}
    return {**named, **_facts(standing)}, lines + standing_lines(standing, text)


def with_bundle_period(repo: Repository, options: argparse.Namespace) -> Repository:
    """Let what is staged from now on allow bundles for another time than 90 days."""
    if options.bundle_expires is not None:
        repo.periods = replace(repo.periods, bundle=options.bundle_expires)
    return repo


def standing_lines(standings: Sequence[Standing], text: Text) -> list[str]:
    """Who is still to sign, or that all have. A new root needs two counts: by the keys until now, and by the new ones."""
    twice = len(standings) > 1 and standings[0].role == standings[1].role and standings[0] != standings[1]
    told = list(dict.fromkeys(standings))
    lines = []
    for place, one in enumerate(told):
        key = "standing.complete" if one.complete else "standing.missing"
        whose = text.t(("standing.old", "standing.new")[place]) if twice and place < 2 else ""
        may = ", ".join(keyid[:8] for keyid in one.unsigned)
        lines.append(text.t(key, role=one.role + whose, signed=len(one.signed), threshold=one.threshold, may=may))
    return lines


def show_lines(document: Mapping[str, Any], text: Text) -> list[str]:
    """The part of `show` about vendors, keys, what waits, bundles and sets."""
    lines = []
    for name, role in document["vendors"].items():
        listed = {"paths": ", ".join(role["paths"]), "components": ", ".join(role["components"])}
        lines.append(text.t("show.vendor", role=name, **listed))
        mark = text.t("show.expired") if role["expired"] else ""
        facts = {"version": role["version"] or "-", "expires": role["expires"] or text.t("show.never"), "mark": mark}
        lines.append(text.t("show.role", role=name, **facts, threshold=role["threshold"], keys=len(role["keys"])))
    for keyid, key in document["keys"].items():
        may = ", ".join(key["may_sign"]) or text.t("show.nothing")
        if key["will_sign"] != key["may_sign"]:
            may += text.t("show.will", roles=", ".join(key["will_sign"]) or text.t("show.nothing"))
        lines.append(text.t("show.key", keyid=keyid[:8], roles=may, file=f"{key['file']}.pem" if key["file"] else "").rstrip())
    for role, waiting in document["staged"].items():
        lines.append(text.t("show.waiting", role=role, version=waiting["version"]))
        lines += standing_lines([_standing(one) for one in waiting["signatures"]], text)
    if document["bundle"]:
        lines.append(text.t("show.bundle", until=document["bundle"]["until"]))
    return lines + [text.t("show.set", name=name.removeprefix("sets/").removesuffix(".json")) for name in document["sets"]]


def _standing(told: Mapping[str, Any]) -> Standing:
    return Standing(told["role"], told["threshold"], ("",) * told["signed"], tuple(told["may_sign"]))


def _facts(standings: Sequence[Standing]) -> dict[str, Any]:
    return {"signatures": [one.document() for one in standings], "complete": all(one.complete for one in standings)}


def _now() -> datetime:
    return datetime.now(UTC)


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Text], Outcome]] = {
    "delegate": delegate,
    "sign": sign,
    "rotate": rotate,
    "refresh": refresh,
    "bundle": bundle,
    "set": add_set,
}
