"""What a person or a machine gives us to come in with: an address, a token, and whom to trust.

As a file (``enroll.toml``), on a stick, by cloud-init, or typed. The token stays out of ``repr``, logs, records and state.
"""

import errno
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.enrolment.errors import EnrolmentRefused
from firmware.errors import InstallFailed
from firmware.files import disk_failure, read_bounded, write_durably
from protocols.center.est import base_url
from protocols.errors import LocalProtocolError

NAME = "enroll.toml"
STICK_NAMES = ("posagent-enroll-{host}.toml", "posagent-enroll.toml")
MAX_BYTES = 1 << 16
MAX_TOKEN = 4096
MAX_FOLDERS = 64
"""Mount folders that are looked at."""
_KEYS = frozenset({"url", "token", "ca", "fingerprint"})
_OVERWRITTEN = b"#" * 8
"""Where it stands at the very beginning or end of a token's file, an erasing has begun."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_NOTE = """\
# 令牌已使用并清除 / The one-time token was used and erased ({when}).
# 重新登记：写入新的 url 与 token / To enrol anew: write url and token of a new token here.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """``url`` is where EST lies (RFC 7030 3.2.2), ``ca`` PEM text, ``fingerprint`` the hex SHA-256 of a CA's certificate."""

    url: str
    token: str = field(repr=False)
    ca: str = ""
    fingerprint: str = ""
    source: Path | None = None


def made(url: str, token: str, *, ca: str = "", fingerprint: str = "", source: Path | None = None) -> Request:
    """A checked request. Raises EnrolmentRefused (bad_url, bad_token, bad_fingerprint, bad_ca); no text repeats the token."""
    try:
        base = base_url(url)
    except LocalProtocolError as error:
        raise _bad("bad_url", f"the address of the enrolment: {error}") from None
    if not 0 < len(token) <= MAX_TOKEN or not token.isprintable() or token != token.strip():
        raise _bad("bad_token", "the token is empty, too long, or holds characters that no token has")
    mark = fingerprint.lower().replace(":", "").removeprefix("sha256/").strip()
    if mark and not _FINGERPRINT.fullmatch(mark):
        raise _bad("bad_fingerprint", "the fingerprint must be a SHA-256: 64 hex digits")
    if ca and "-----BEGIN CERTIFICATE-----" not in ca:
        raise _bad("bad_ca", "the CA is no certificate in PEM")
    return Request(base, token, ca, mark, source)


def read(path: Path) -> Request | None:
    """The request in a file; None where there is no file, or where its token has been erased.

    Raises EnrolmentRefused for a file that says something else than a request may.
    """
    try:
        values = tomllib.loads(read_bounded(path, MAX_BYTES).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _bad("unreadable_request", f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _bad("bad_request_file", f"{path} is no TOML") from None
    if "token" not in values:
        return None
    strange = sorted(set(values) - _KEYS)
    if strange or not all(isinstance(value, str) for value in values.values()) or "url" not in values:
        raise _bad("bad_request_file", f"{path} must hold url and token, and may hold ca and fingerprint, all of them texts")
    return made(
        values["url"],
        values["token"].strip(),
        ca=_ca(values, path.parent),
        fingerprint=values.get("fingerprint", ""),
        source=path,
    )


def find(etc: Path, host: str, sticks: Sequence[str]) -> Request | None:
    """The first request: ``etc``'s file, then a stick that is mounted in one of ``sticks`` (folders or patterns).

    Raises EnrolmentRefused for the first file that is wrong.
    """
    found = read(etc / NAME)
    if found is not None:
        return found
    for folder in _mounted(sticks):
        for name in STICK_NAMES:
            found = read(folder / name.format(host=host))
            if found is not None:
                return found
    return None


def erase(path: Path, when: str) -> None:
    """Overwrite the token, then leave a note in the file's place; durable on return, and harmless when done again.

    Raises InstallFailed (disk) where the file cannot be written. Where only its folder cannot, a line of ``#`` stays in place of
    the note. On flash the old bytes may survive in a cell; the token is worth nothing any more.
    """
    try:
        size = path.stat().st_size
        with open(path, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            file.write(b"#" * size)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_failure(error, path) from error
    try:
        write_durably(path, _NOTE.format(when=when).encode(), 0o600)
    except InstallFailed as error:
        if error.code not in ("disk_denied", "disk_read_only"):
            raise
        # The file was given to us, its folder was not: nothing but "#" lies there now, and asks for nothing.


def holds_another(path: Path, used: Callable[[str], bool]) -> bool:
    """Whether somebody has put other words in the place of a used token: they are not ours to erase.

    Where an erasing has begun, nothing may stay of what is no request: a power cut leaves a used token half overwritten. A file
    that is not there holds nothing. Raises InstallFailed (token_left) for words that nobody can read (another encoding, no TOML,
    far too long): a used token may lie among them, and so may the next one, with a slip in its file.
    """
    try:
        data = read_bounded(path, MAX_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _unclear(path) from None
        return False
    begun = data.startswith(_OVERWRITTEN) or data.endswith(_OVERWRITTEN)
    try:
        token = tomllib.loads(data.decode("utf-8-sig")).get("token")
    except (ValueError, RecursionError):
        if begun:
            return False
        raise _unclear(path) from None
    return not used(token.strip()) if isinstance(token, str) else not begun


def _unclear(path: Path) -> InstallFailed:
    return InstallFailed(f"{path} cannot be read as a request: a used token may lie there, or the next one", code="token_left")


def holds_token(path: Path) -> bool:
    """Whether the file still says something that could be a token."""
    try:
        return "token" in tomllib.loads(read_bounded(path, MAX_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False


def _mounted(patterns: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        try:
            found += [p for p in sorted(Path("/").glob(pattern.lstrip("/"))) if p.is_dir()] if pattern.startswith("/") else []
        except (OSError, ValueError):
            continue
    return found[:MAX_FOLDERS]


def _ca(values: dict[str, Any], folder: Path) -> str:
    """PEM itself, or a file beside the request."""
    given = str(values.get("ca", ""))
    return given if not given or "-----BEGIN" in given else ca_text(folder / given)


def ca_text(path: Path) -> str:
    """The PEM text of a CA file. Raises EnrolmentRefused (bad_ca)."""
    try:
        return read_bounded(path, MAX_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no PEM"
        raise _bad("bad_ca", f"the CA {path} cannot be read: {why}") from None


def _bad(code: str, message: str) -> EnrolmentRefused:
    refused = EnrolmentRefused(message, code=code)
    refused.exit_code = 2
    return refused
