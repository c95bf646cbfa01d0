"""Keys that are made in a PKCS#11 token (TPM through tpm2-pkcs11, smart card, SoftHSM) and never leave it. Worker only.

OpenSC's ``pkcs11-tool`` makes and removes them, the program ``openssl`` with its engine ``pkcs11`` (libengine-pkcs11-openssl)
signs with them; TLS uses them by `firmware.token_key`. Why so: docs/decisions/0014-enrolment-over-est.md.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firmware.errors import InstallFailed, one_line
from firmware.files import PKCS11, read_bounded, write_durably
from firmware.token_key import MAX_BYTES, attributes, for_engine

LIMIT_S: Final = 30.0
"""One program; a token may be slow."""
PIN_VARIABLE: Final = "POSAGENT_TOKEN_PIN"
"""A PIN among a program's words could be read by every user (ps)."""
_NUMBER: Final = re.compile(r"key-(\d+)")
_TOKEN: Final = re.compile(r"(?:^|;)token=([^;]+)")


class TokenKeys:
    """The keys ``posagent-1``, ``posagent-2``, … in the token of ``uri``; the file of a key says which is meant."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def request(self, path: Path, name: str, uris: Sequence[str]) -> bytes:
        """See KeyStore."""
        if not path.exists():
            self._make(path)
        more = ["-addext", "subjectAltName=" + ",".join(f"URI:{uri}" for uri in uris)] if uris else []
        subject = "/CN=" + re.sub(r"([/+\\=])", r"\\\1", name)
        return self._openssl(path, ["req", "-new", "-sha256", "-outform", "DER", "-subj", subject, *more], "-key")

    def public(self, path: Path) -> bytes:
        """See KeyStore."""
        return self._openssl(path, ["pkey", "-pubout", "-outform", "DER"], "-in")

    def forget(self, path: Path) -> None:
        """See KeyStore."""
        uri = self._of(path)
        for kind in ("privkey", "pubkey"):
            if self._is_there(uri, kind):
                self._tool(uri, "--delete-object", "--type", kind, "--label", _label(path))

    def _make(self, path: Path) -> None:
        """A key that a power cut left in the token, without its file, is taken up again."""
        if not self._is_there(self._uri, "privkey", _label(path)):
            self._tool(self._uri, "--keypairgen", "--key-type", "EC:prime256v1", "--label", _label(path), "--id", _id(path))
        named, _, query = self._uri.partition("?")
        line = f"{named};object={_label(path)};type=private?{query}\n"
        write_durably(path, line.encode("ascii", "replace"), 0o600)

    def _is_there(self, uri: str, kind: str, label: str = "") -> bool:
        label = label or _object(uri)
        return f"label:      {label}\n" in self._tool(uri, "--list-objects", "--type", kind, "--label", label)

    def _of(self, path: Path) -> str:
        try:
            uri = read_bounded(path, MAX_BYTES).decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise InstallFailed(f"the key {path} cannot be used: {type(error).__name__}", code="key_unusable") from error
        if not uri.startswith(PKCS11):
            raise InstallFailed(f"the key {path} lies in no token", code="key_unusable")
        return uri

    def _openssl(self, path: Path, words: Sequence[str], key: str) -> bytes:
        uri = self._of(path)
        _, query = attributes(uri)
        _pin(query.get("pin-source", ""))
        form = "-keyform" if key == "-key" else "-inform"
        command = ["openssl", words[0], "-engine", "pkcs11", form, "engine", key, for_engine(uri), *words[1:]]
        return _run(command, {"PKCS11_MODULE_PATH": query.get("module-path", "")})

    def _tool(self, uri: str, *words: str) -> str:
        path, query = attributes(uri)
        token = _TOKEN.search(path)
        where = ["--token-label", token[1]] if token else []
        login = ["--login", "--pin", f"env:{PIN_VARIABLE}"] if "pin-source" in query else []
        command = ["pkcs11-tool", "--module", query.get("module-path", ""), *where, *login, *words]
        return _run(command, {PIN_VARIABLE: _pin(query.get("pin-source", ""))}).decode("utf-8", "replace")


def _label(path: Path) -> str:
    found = _NUMBER.search(path.name)
    if found is None:
        raise InstallFailed(f"{path.name} is no name of a key", code="key_unusable")
    return f"posagent-{found[1]}"


def _id(path: Path) -> str:
    return f"{int(_label(path).rpartition('-')[2]):08x}"


def _object(uri: str) -> str:
    found = re.search(r"object=([^;?]+)", uri)
    return found[1] if found else ""


def _pin(source: str) -> str:
    if not source:
        return ""
    try:
        pin = read_bounded(Path(source.removeprefix("file:")), MAX_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        raise InstallFailed(f"the token's PIN cannot be read: {type(error).__name__}", code="no_key_store") from error
    if pin != pin.strip():  # the engine would take the line end for a part of it, and the token would count a wrong PIN
        raise InstallFailed("the file of the token's PIN must hold the PIN and no line end: use printf", code="no_key_store")
    return pin


def _run(command: Sequence[str], more: dict[str, str]) -> bytes:
    """What it said. An exit that comes after the work is done (libraries of tokens crash there) counts by what was said."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C", **_kept(), **more}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=LIMIT_S, check=False)
    except FileNotFoundError:
        raise InstallFailed(f"the program {command[0]} is not here: a key in a token needs it", code="no_key_store") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(f"{command[0]} does not answer: {type(error).__name__}", code="no_key_store") from error
    if done.returncode > 0 or (done.returncode < 0 and not done.stdout):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in said if "error" in line.lower()), said[-1] if said else "")
        raise InstallFailed(f"the token refuses: {one_line(why)}", code="no_key_store")
    return done.stdout


def _kept() -> dict[str, str]:
    """Where a token's library looks for its own settings."""
    names = ("SOFTHSM2_CONF", "TPM2_PKCS11_STORE", "HOME")
    return {name: os.environ[name] for name in names if name in os.environ}
