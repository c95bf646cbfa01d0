"""Assigning releases through hawkBit's Management API (``/rest/v1``, HTTP Basic; facts/updates.md section 2).

hawkBit says when and to whom. It carries a software module for each component and a small copy of the manifest, so that
an operator sees what is assigned; tills never trust or need those bytes. Everything may be repeated: what exists is
used.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from firmware.errors import HttpStatusError, TransportError, UsageError, one_line
from firmware.manifest import Manifest
from firmware.transport import Transport

KINDS = ("forced", "soft", "downloadonly")
AHEAD = "_download"
"""How the name of a set ends that is only downloaded: hawkBit assigns no set twice, and it is to be installed later."""
_NAME_MAX, _VERSION_MAX = 128, 64
_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Assigned:
    """One till's assignment: the action that carries it, None where hawkBit saw nothing to do and none is open."""

    terminal: str
    action: int | None
    new: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A published release to be assigned: its manifest and the signed bytes of that."""

    manifest: Manifest
    raw: bytes


def base_url(management: str) -> str:
    """The address of the API, given with or without ``/rest/v1``."""
    plain = management.rstrip("/")
    return plain if plain.endswith("/rest/v1") else f"{plain}/rest/v1"


def set_name(items: Sequence[Item]) -> tuple[str, str]:
    """Name and version of the distribution set of ``items``; a long one is cut and told apart by a hash."""
    components = [item.manifest.component for item in items]
    versions = [item.manifest.version for item in items]
    version = versions[0] if len(set(versions)) == 1 else "_".join(versions)
    return _cut("_".join(components), _NAME_MAX), _cut(version, _VERSION_MAX)


def signed_set_name(items: Sequence[Item]) -> tuple[str, str]:
    """Name and version under which a set of ``items`` is signed where nobody gave it one: other versions, another one."""
    name, version = set_name(items)
    if len({item.manifest.version for item in items}) > 1:
        told = hashlib.sha256(version.encode()).hexdigest()[:8]
        version = f"{re.split('[-+]', items[0].manifest.version)[0]}+{told}"
    return name, version


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 9] + "_" + hashlib.sha256(text.encode()).hexdigest()[:8]


class Management:
    """The API behind ``url``, spoken through ``transport`` (which carries the user's name and password).

    Raises TransportError and HttpStatusError; UsageError where hawkBit holds something else under the same name.
    """

    def __init__(self, transport: Transport, url: str) -> None:
        self._transport, self._base = transport, base_url(url)

    def push(
        self,
        items: Sequence[Item],
        terminals: Sequence[str],
        kind: str = "forced",
        named: tuple[str, str] | None = None,
    ) -> list[Assigned]:
        """Make what is missing (targets, modules, their manifest, the set) and assign the set to every terminal."""
        name, version = named or set_name(items)
        if kind == "downloadonly":
            name = _cut(name, _NAME_MAX - len(AHEAD)) + AHEAD
        for terminal in terminals:
            self._target(terminal)
        modules = [self._module(item) for item in items]
        ds = self._set(name, version, modules)
        return [self._assign(ds, terminal, kind) for terminal in terminals]

    def _target(self, terminal: str) -> None:
        try:
            self._transport.get_json(f"{self._base}/targets/{quote(terminal, safe='')}")
        except HttpStatusError as error:
            if error.status != 404:
                raise
            wanted = [{"controllerId": terminal, "name": terminal}]
            self._unless_there(lambda: self._transport.post_json(f"{self._base}/targets", wanted))

    def _module(self, item: Item) -> int:
        manifest = item.manifest
        wanted = {"name": manifest.component, "version": manifest.version, "type": "application"}
        number = self._find_or_make("softwaremodules", wanted)
        self._manifest_copy(number, item)
        known = {entry.get("key") for entry in self._entries(f"softwaremodules/{number}/metadata")}
        facts = {
            "posagent.manifest": manifest.name,
            "posagent.release_counter": str(manifest.release_counter),
            "posagent.handler": manifest.handler,
        }
        missing = [{"key": key, "value": facts[key], "targetVisible": True} for key in facts if key not in known]
        if missing:
            url = f"{self._base}/softwaremodules/{number}/metadata"
            self._unless_there(lambda: self._transport.post_json(url, missing))
        return number

    def _manifest_copy(self, module: int, item: Item) -> None:
        name = item.manifest.name
        for entry in self._entries(f"softwaremodules/{module}/artifacts"):
            if entry.get("providedFilename") != name:
                continue
            hashes = entry.get("hashes")
            if isinstance(hashes, dict) and hashes.get("sha256") not in (None, hashlib.sha256(item.raw).hexdigest()):
                raise UsageError(
                    f"hawkBit holds another {item.manifest.component} {item.manifest.version}: give it a new version, "
                    "or remove that module there",
                    code="module_differs",
                )
            return
        kind, body = _multipart("file", name, item.raw)
        url = f"{self._base}/softwaremodules/{module}/artifacts?{urlencode({'filename': name})}"
        headers = {"Content-Type": kind, "Accept": "application/hal+json, application/json"}
        self._unless_there(lambda: self._transport.post_bytes(url, body, headers))

    def _set(self, name: str, version: str, modules: Sequence[int]) -> int:
        wanted = {"name": name, "version": version, "type": "app", "modules": [{"id": number} for number in modules]}
        number = self._find_or_make("distributionsets", wanted)
        there = {entry.get("id") for entry in self._entries(f"distributionsets/{number}/assignedSM")}
        if there != set(modules):
            raise UsageError(
                f"hawkBit holds a set {name} {version} with other modules: name it anew with --set and --set-version",
                code="set_differs",
            )
        return number

    def _assign(self, ds: int, terminal: str, kind: str) -> Assigned:
        url = f"{self._base}/distributionsets/{ds}/assignedTargets"
        answer = self._transport.post_json(url, [{"id": terminal, "type": kind}])
        made = _entries_of(answer.get("assignedActions") if isinstance(answer, dict) else None)
        if made:
            return Assigned(terminal, _number(made[0], url), new=True)
        query = urlencode({"limit": 50, "sort": "id:DESC"})
        actions = self._entries(f"targets/{quote(terminal, safe='')}/actions?{query}")
        # Servers differ in how they tell an open action: by a field of its own, or by its status.
        pending = [entry for entry in actions if entry.get("active", entry.get("status") == "pending") is True]
        open_ones = [_number(entry, url) for entry in pending]
        return Assigned(terminal, max(open_ones, default=None), new=False)

    def _find_or_make(self, what: str, wanted: dict[str, Any]) -> int:
        """The id of the module or set with this name and version; two operators may make it at the same time."""
        found = self._find(what, wanted["name"], wanted["version"])
        if found is None:
            url = f"{self._base}/{what}"
            answer = self._unless_there(lambda: self._transport.post_json(url, [wanted]))
            entries = _entries_of(answer)
            found = _number(entries[0], url) if entries else self._find(what, wanted["name"], wanted["version"])
        if found is None:
            raise TransportError(f"hawkBit neither makes nor finds {wanted['name']} {wanted['version']}", code="hawkbit")
        return found

    def _find(self, what: str, name: str, version: str) -> int | None:
        query = urlencode({"q": f'name=="{name}";version=="{version}"', "limit": _LIMIT})
        for entry in self._entries(f"{what}?{query}"):
            # The query may match more than it says (wildcards, case); only the exact one is ours.
            if (entry.get("name"), entry.get("version")) == (name, version) and not entry.get("deleted"):
                return _number(entry, what)
        return None

    def _entries(self, path: str) -> list[dict[str, Any]]:
        return _entries_of(self._transport.get_json(f"{self._base}/{path}"))

    def _unless_there(self, make: Any) -> Any:
        """Run ``make``; that it exists already (409) or is in use and locked (423) is not an error here."""
        try:
            return make()
        except HttpStatusError as error:
            if error.status in (409, 423):
                return None
            raise


def _entries_of(document: object) -> list[dict[str, Any]]:
    """A list of objects, given as such or as hawkBit's page."""
    content = document.get("content") if isinstance(document, dict) else document
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _number(entry: dict[str, Any], where: str) -> int:
    number = entry.get("id")
    if type(number) is not int:
        raise TransportError(f"{one_line(where)} answers without an id", code="hawkbit")
    return number


def _multipart(field: str, filename: str, data: bytes) -> tuple[str, bytes]:
    """Content type and body of a form with one file (RFC 7578). Names here are plain ASCII (see manifest)."""
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n'
        "Content-Type: application/json\r\n\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
