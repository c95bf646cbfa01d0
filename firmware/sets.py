"""The signed set manifest, version 1: which releases belong together, and in which order they are installed.

A TUF target ``sets/<name>-<version>.json`` of the targets role: ``{"schema": 1, "set", "version", "members":
[{"component", "version"}, …]}``, UTF-8, at most 64 KiB, 1 to 16 members, no component twice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from firmware.errors import ReleaseRefused, one_line
from firmware.manifest import MANIFEST_MAX_BYTES, check_target_name, target_name

SCHEMA = 1
MEMBERS_MAX = 16


@dataclass(frozen=True, slots=True)
class SetManifest:
    """A set: ``members`` are (component, version) pairs in the order of their installation."""

    name: str
    version: str
    members: tuple[tuple[str, str], ...]

    def encode(self) -> bytes:
        """Return the bytes to be signed."""
        members = [{"component": component, "version": version} for component, version in self.members]
        document = {"schema": SCHEMA, "set": self.name, "version": self.version, "members": members}
        return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def set_target_name(name: str, version: str) -> str:
    """TUF target name of a set. Raises ReleaseRefused (bad_name)."""
    return check_target_name("sets/" + target_name(name, version, "json"))


def parse_set(raw: bytes) -> SetManifest:
    """Read a set manifest strictly. Raises ReleaseRefused (bad_manifest, bad_name); the bytes must be verified before."""
    if len(raw) > MANIFEST_MAX_BYTES:
        _bad(f"has {len(raw)} bytes, more than {MANIFEST_MAX_BYTES}")
    try:
        document = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        _bad(f"is no JSON: {one_line(error, 80)}")
    if not isinstance(document, dict) or type(document.get("schema")) is not int or document["schema"] != SCHEMA:
        _bad(f"is not of schema {SCHEMA}: update the agent first")
    name, version, members = _text(document, "set"), _text(document, "version"), document.get("members")
    set_target_name(name, version)
    if not isinstance(members, list) or not 1 <= len(members) <= MEMBERS_MAX:
        _bad(f"has no usable 'members': 1 to {MEMBERS_MAX} are needed")
    pairs = tuple((_text(member, "component"), _text(member, "version")) for member in members)
    for pair in pairs:
        target_name(*pair, "json")
    if len({component for component, _ in pairs}) != len(pairs):
        _bad("names a component twice")
    return SetManifest(name, version, pairs)


def newest_of(members: Iterable[tuple[str, str]], listed: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Name and version of the newest set of exactly ``members``, in any order, by what a targets role says of its files."""
    wanted = sorted(list(pair) for pair in members)
    fitting = []
    for custom in listed:
        told = custom.get("members")
        if isinstance(told, list) and "set" in custom and sorted(list(pair) for pair in told) == wanted:
            fitting.append((int(custom.get("release_counter", 0)), str(custom["set"]), str(custom.get("version"))))
    return max(fitting)[1:] if fitting else None


def _text(document: Any, key: str) -> str:
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str):
        _bad(f"has no usable {key!r}")
    return value


def _bad(message: str) -> NoReturn:
    raise ReleaseRefused(f"the set's manifest {message}", code="bad_manifest")
