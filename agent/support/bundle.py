"""The support bundle: what a service centre needs to know of a till, in one file, swept for card data before it is written.

A gzipped tar of text files. What could not be had is in it as well, as the reason why. Nothing is asked of a device for it.
"""

import io
import json
import logging
import platform
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from agent import __version__
from agent.errors import AgentError
from agent.redact import redact, redact_json

log = logging.getLogger(__name__)

RECORDS: Final = 5000
"""The newest records of the journal that go along."""
ENTRY_MAX: Final = 16 << 20
"""Characters of one entry; the end of a longer one is kept, for the newest stands there."""
_SECRET: Final = re.compile(
    r"""(?ix) \b ([\w-]*(?:token|password|passphrase|secret|pin)[\w-]*["']?\s*[=:]\s*)
        (?: (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*' ) (?=[^\S\n]*(?:[,}\#\n]|\Z)) | [^\n]+ )""",
    re.DOTALL,
)
"""A value that does not end where TOML ends one (a typing error, a list) is hidden to the end of its line."""
_USERINFO: Final = re.compile(r"(://)[^\s\"']+@")
SECRET: Final = "[secret]"  # noqa: S105  (what stands there instead)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the bundle; ``what`` is the key of its words under ``bundle.``; ``read`` may raise an AgentError or OSError."""

    name: str
    what: str
    read: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Written:
    """What lies in the bundle: ``size`` in bytes; ``missing`` says why there is nothing but that reason."""

    name: str
    what: str
    size: int
    missing: str


def write(file: IO[bytes], entries: Iterable[Entry], listing: Callable[[list[Written]], str], now_s: float) -> list[Written]:
    """Write the bundle and, as its last member, ``LISTING.txt``. ``now_s`` (seconds since the epoch) dates the members."""
    written = []
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as bundle:
        for entry in entries:
            text, missing = _read(entry)
            written.append(Written(entry.name, entry.what, _add(bundle, entry.name, text, now_s), missing))
        _add(bundle, "LISTING.txt", redact(listing(written)), now_s)
    return written


def _read(entry: Entry) -> tuple[str, str]:
    try:
        return entry.read()[-ENTRY_MAX:], ""
    except (AgentError, OSError) as error:
        why = redact(f"{getattr(error, 'strerror', None) or error}")
        return f"{why}\n", why
    except Exception as error:  # our own mistake in one part: the others are needed all the more
        log.exception("bundle: %s", entry.name)
        why = f"own error: {type(error).__name__}"
        return f"{why}\n", why


def _add(bundle: tarfile.TarFile, name: str, text: str, now_s: float) -> int:
    data = text.encode("utf-8", "backslashreplace")
    member = tarfile.TarInfo(f"posagent-bundle/{name}")
    member.size, member.mtime, member.mode = len(data), int(now_s), 0o600
    bundle.addfile(member, io.BytesIO(data))
    return len(data)


def document(value: Mapping[str, Any]) -> str:
    """A JSON document as text, every string and number of it swept."""
    return json.dumps(redact_json(dict(value)), ensure_ascii=False, indent=1) + "\n"


def swept_lines(lines: Iterable[str]) -> str:
    """Lines of JSON, each swept as a document, so that hashes stay what they are."""
    return "".join(f"{json.dumps(redact_json(json.loads(line)), ensure_ascii=False, separators=(',', ':'))}\n" for line in lines)


def configuration(path: Path) -> str:
    """The configuration file without its secrets: tokens, passwords, what stands before an ``@`` of an address."""
    text = path.read_text("utf-8", "replace")
    return redact(_USERINFO.sub(rf"\1{SECRET}@", _SECRET.sub(rf'\1"{SECRET}"', text)))


def machine() -> dict[str, Any]:
    """Versions, and what the kernel says of load, memory and time since its start."""
    found: dict[str, Any] = {
        "schema": 1,
        "posagent": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "system": {},
    }
    with suppress(OSError):
        found["system"] = platform.freedesktop_os_release()
    for name in ("uptime", "loadavg", "meminfo"):
        with suppress(OSError):
            found[name] = Path("/proc", name).read_text("ascii", "replace").splitlines()[:8]
    return found
