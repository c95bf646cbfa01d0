"""The signed release manifest, version 1: what a release is, which tills it is for, and whether it fits this one.

It is a TUF target ``<component>-<version>.json`` beside its archive ``<component>-<version>.tar.gz`` or ``.tar.zst``,
or ``.file``, which is no archive but the release's one file itself (a vendor's in ``printer/<vendor>/``): JSON, UTF-8, at
most 64 KiB, keys as in ``Manifest``. A key that is unknown here is ignored, unless the manifest lists it under
``critical`` (as X.509 and JWS do): an old agent then refuses a release that it does not understand, instead of half
obeying it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import quote

from firmware.errors import ReleaseRefused, one_line
from firmware.handlers import COMPONENT, RESERVED

SCHEMA = 1
MANIFEST_MAX_BYTES = 1 << 16
MAX_ARCHIVE_BYTES = 1 << 40
MAX_MEMBERS = 1_000_000
PLAIN = ".file"
FORMATS = (".tar.gz", ".tar.zst", PLAIN)
MAX_HOLD_H = 14 * 24
MAX_COUNTER = 1 << 53
_MAX_LIST = 10_000
_NUMBERS = r"(?:0|[0-9]{1,10})(?:\.[0-9]{1,10}){0,7}"
_VERSION = re.compile(rf"({_NUMBERS})(?:([-+])([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*))?")
_SEGMENT = re.compile(r"[A-Za-z0-9_+-](?:[A-Za-z0-9_+-]|\.(?!\.)){0,126}")
_FILE = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_+. -]{0,126}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class Target:
    """A file that trusted metadata names: its exact length in bytes and SHA-256 (hex).

    ``prefix`` is the hash that stands before the file's name on the server (consistent snapshots), or empty.
    ``algorithm`` is another one (sha512) only where a foreign repository lists no SHA-256: ``sha256`` then holds that hash.
    """

    name: str
    length: int
    sha256: str
    custom: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prefix: str = ""
    algorithm: str = "sha256"

    @property
    def path(self) -> str:
        """Path of its address below that of the targets: ``folder/HASH.name`` under consistent snapshots."""
        folder, slash, base = self.name.rpartition("/")
        path = f"{folder}{slash}{self.prefix}.{base}" if self.prefix else self.name
        # A name is a relative URL by the specification: what is quoted in it stays so, "?" and "#" are part of it.
        return quote(path, safe="/%:@!$&'()*+,;=~")


@dataclass(frozen=True, slots=True)
class Archive:
    """The release's bytes: TUF target name, length in bytes, SHA-256 in hex."""

    name: str
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Need:
    """Another component that must run already, at least at this version."""

    component: str
    min_version: str


@dataclass(frozen=True, slots=True)
class Fit:
    """What a device or the host must say of itself: ``what`` is one of FITS, ``texts`` are whole or end with ``*``."""

    what: str
    texts: tuple[str, ...]


FITS = ("host.arch", *(f"{kind}.{noun}" for kind in ("printer", "reader") for noun in ("maker", "model", "firmware")))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One component version. Empty ``labels``, ``terminals``, ``hardware`` and ``fits`` mean: for every till.

    ``file`` is how the one file of a ``.file`` is called in the release; empty for archives.
    ``max_hold_h``: a hold that is so many hours old does not stop this release any more (security); None: every hold does.
    """

    component: str
    version: str
    release_counter: int
    handler: str
    archive: Archive
    size_unpacked: int
    members: int
    labels: tuple[str, ...] = ()
    terminals: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    fits: tuple[Fit, ...] = ()
    health_check: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    deadline: datetime | None = None
    may_wait: bool = True
    max_hold_h: int | None = None
    needs: tuple[Need, ...] = ()
    revoked: tuple[str, ...] = ()
    file: str = ""

    @property
    def name(self) -> str:
        """TUF target name of the manifest itself; it lies in the folder of its archive."""
        folder, slash, _ = self.archive.name.rpartition("/")
        return folder + slash + target_name(self.component, self.version, "json")

    def encode(self) -> bytes:
        """Return the bytes to be signed: sorted keys, empty options left out."""
        document: dict[str, Any] = {"schema": SCHEMA}
        for key in self.__slots__:
            value = getattr(self, key)
            if value not in ((), None, ""):
                document[key] = _plain(value)
        if self.fits:
            document["fits"] = {fit.what: list(fit.texts) for fit in self.fits}
            document["critical"] = ["fits"]
        return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def target_name(component: str, version: str, extension: str) -> str:
    """Name of a target in the repository. Raises ReleaseRefused (bad_name) for what is no component or no version."""
    if component in RESERVED:
        raise ReleaseRefused(f"{component!r} names a pointer or a folder: no component may be called so", code="bad_name")
    if not COMPONENT.fullmatch(component):
        raise ReleaseRefused(f"{one_line(component, 80)!r} is no component name (a-z 0-9 . _ -)", code="bad_name")
    if not _VERSION.fullmatch(version):
        raise ReleaseRefused(f"{one_line(version, 80)!r} is no version (like 1.10.2, 2.0-rc1, 2.0+hotfix1)", code="bad_name")
    return check_target_name(f"{component}-{version}.{extension}")


def check_target_name(name: str) -> str:
    """Return ``name`` if it may become a path: plain ASCII segments, no ``..``, no leading dot or slash, ≤ 200 bytes.

    Raises ReleaseRefused (bad_name). The public conformance suite does not test this; names are the sender's choice.
    """
    segments = name.split("/")
    if len(name) > 200 or len(segments) > 4 or not all(_SEGMENT.fullmatch(part) for part in segments):
        raise ReleaseRefused(f"the target name {one_line(name, 80)!r} is not allowed: it is never used", code="bad_name")
    return name


def compare_versions(left: str, right: str) -> int:
    """Return -1, 0 or 1. Raises ReleaseRefused (bad_name) for what is no version.

    Dotted numbers compare as numbers, missing ones are 0: ``1.9 < 1.10``, ``1.0 = 1.0.0``. A suffix after ``-`` comes
    before the plain version (``2.0-rc1 < 2.0``), one after ``+`` behind it (``2.0 < 2.0+hotfix1``). Two suffixes of the
    same kind compare part by part, split at dots and between letters and digits: numbers as numbers and below letters,
    letters as ASCII, and the shorter one first (``rc2 < rc10``, ``rc1 < rc1.1``).
    """
    first, second = _version_key(left), _version_key(right)
    return (first > second) - (first < second)


def _version_key(version: str) -> tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]:
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ReleaseRefused(f"{one_line(version, 80)!r} is no version (like 1.10.2, 2.0-rc1, 2.0+hotfix1)", code="bad_name")
    numbers = [int(part) for part in match[1].split(".")]
    padded = tuple(number for number, _ in zip_longest(numbers, range(8), fillvalue=0))
    rank = {None: 0, "-": -1, "+": 1}[match[2]]
    parts = re.findall(r"[0-9]+|[A-Za-z]+", match[3] or "")
    return padded, rank, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def parse(raw: bytes) -> Manifest:
    """Read a manifest strictly. Raises ReleaseRefused (bad_manifest); the bytes must be verified before."""
    if len(raw) > MANIFEST_MAX_BYTES:
        _bad(f"has {len(raw)} bytes, more than {MANIFEST_MAX_BYTES}")
    try:
        document = json.loads(raw.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _bad(f"is no JSON: {one_line(error, 80)}")
    if not isinstance(document, dict):
        _bad("is no JSON object")
    if type(document.get("schema")) is not int or document["schema"] != SCHEMA:
        _bad(f"has schema {one_line(document.get('schema'), 20)}, this agent knows {SCHEMA}: update the agent first")
    known = set(Manifest.__slots__) | {"schema", "critical"}
    strange = sorted(set(_strings(document, "critical")) - known)
    if strange:
        _bad(f"demands {one_line(', '.join(strange), 80)}, which this agent does not know: update the agent first")
    return _build(document)


def _build(document: dict[str, Any]) -> Manifest:
    component, version = _string(document, "component"), _string(document, "version")
    target_name(component, version, "json")
    manifest = Manifest(
        component=component,
        version=version,
        release_counter=_integer(document, "release_counter", 1, MAX_COUNTER),
        handler=_matching(document, "handler", COMPONENT),
        archive=_archive(document, f"{component}-{version}."),
        size_unpacked=_integer(document, "size_unpacked", 0, MAX_ARCHIVE_BYTES),
        members=_integer(document, "members", 0, MAX_MEMBERS),
        labels=_strings(document, "labels"),
        terminals=_strings(document, "terminals"),
        hardware=_strings(document, "hardware"),
        fits=_fits(document),
        health_check=_health_check(document),
        not_before=_time(document, "not_before"),
        not_after=_time(document, "not_after"),
        deadline=_time(document, "deadline"),
        may_wait=_boolean(document, "may_wait", default=True),
        max_hold_h=_integer(document, "max_hold_h", 0, MAX_HOLD_H) if "max_hold_h" in document else None,
        needs=tuple(_need(entry) for entry in _list(document, "needs")),
        revoked=_strings(document, "revoked"),
        file=_matching(document, "file", _FILE) if "file" in document else "",
    )
    _fits_file(manifest)
    for revoked in manifest.revoked:
        _version_key(revoked)
    return manifest


def _fits_file(manifest: Manifest) -> None:
    plain = manifest.archive.name.endswith(PLAIN)
    if plain != bool(manifest.file):
        _bad(f"names a file without {PLAIN}, or {PLAIN} without a file")
    if plain and (manifest.members, manifest.size_unpacked) != (1, manifest.archive.length):
        _bad("says of its one file that it is not one, or has another size")


def _bad(message: str) -> NoReturn:
    raise ReleaseRefused(f"the release's manifest {message}", code="bad_manifest")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands there twice")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")


def _string(document: Mapping[str, Any], key: str) -> str:
    return _matching(document, key, _NAME)


def _matching(document: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        _bad(f"has no usable {key!r}")
    return value


def _integer(document: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = document.get(key)
    if type(value) is not int or not low <= value <= high:
        _bad(f"has no usable {key!r}: a whole number from {low} to {high} is needed")
    return value


def _boolean(document: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = document.get(key, default)
    if type(value) is not bool:
        _bad(f"has no usable {key!r}: true or false is needed")
    return value


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, list) or len(value) > _MAX_LIST:
        _bad(f"has no usable {key!r}: a list is needed")
    return value


def _strings(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _list(document, key)
    if not all(isinstance(value, str) and _NAME.fullmatch(value) for value in values):
        _bad(f"has no usable {key!r}: short texts are needed")
    return tuple(values)


def _object(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _bad(f"has no usable {key!r}: an object is needed")
    return value


def _archive(document: Mapping[str, Any], stem: str) -> Archive:
    entry = _object(document.get("archive"), "archive")
    name = check_target_name(_string(entry, "name"))
    if not name.rpartition("/")[2].startswith(stem):
        _bad(f"names an archive that is not called {stem}…")
    if not name.endswith(FORMATS):
        _bad(f"names an archive that is neither {' nor '.join(FORMATS)}: update the agent first")
    return Archive(name, _integer(entry, "length", 0, MAX_ARCHIVE_BYTES), _matching(entry, "sha256", _SHA256))


def _fits(document: Mapping[str, Any]) -> tuple[Fit, ...]:
    """What this agent cannot look at is refused: a condition that nobody checks is none."""
    found = []
    for what, texts in sorted(_object(document.get("fits", {}), "fits").items()):
        if what not in FITS:
            _bad(f"asks for {one_line(what, 40)}, which this agent cannot see ({', '.join(FITS)}): update the agent first")
        if not (chosen := _strings({"fits": texts}, "fits")):
            _bad("has no usable 'fits': short texts are needed")
        found.append(Fit(what, chosen))
    return tuple(found)


def _health_check(document: Mapping[str, Any]) -> tuple[str, ...]:
    """One command: its program is a path inside the release, the rest is passed as it is."""
    argv = _strings(document, "health_check")
    if argv and not all(_SEGMENT.fullmatch(part) for part in argv[0].split("/")):
        _bad("has a 'health_check' that is not a path inside the release")
    return argv


def _need(value: object) -> Need:
    entry = _object(value, "needs")
    need = Need(_matching(entry, "component", COMPONENT), _matching(entry, "min_version", _VERSION))
    target_name(need.component, need.min_version, "json")
    return need


def _time(document: Mapping[str, Any], key: str) -> datetime | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        _bad(f"has no usable {key!r}: a time like 2026-01-31T22:00:00Z is needed")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        _bad(f"has no usable {key!r}: there is no such time")


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (datetime, time_text),
    (tuple, lambda values: [_plain(value) for value in values]),
    (Archive, lambda archive: {"name": archive.name, "length": archive.length, "sha256": archive.sha256}),
    (Need, lambda need: {"component": need.component, "min_version": need.min_version}),
)


def _plain(value: object) -> object:
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    return value
