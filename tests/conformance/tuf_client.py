"""Our trust and fetch code behind the command line of the public TUF client conformance suite (tuf-conformance).

    tuf_client.py --metadata-dir D init ROOT_FILE
    tuf_client.py --metadata-url U --metadata-dir D refresh
    tuf_client.py --metadata-url U --metadata-dir D --target-name T [--target-name T2 …] \\
                  --target-dir TD --target-base-url TU download

Exit 0: done; 1: refused or failed, with one line on stderr. Runs the classes that the agent runs, in one thread, and
reads the clock once. D holds the trusted metadata and nothing else of ours: the installed root, which is where trust
begins each time, and the floor of versions lie beside it in ``.D.posagent``.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from firmware.errors import FirmwareError, StateError
from firmware.fetch import fetch
from firmware.files import make_folder, read_bounded, write_durably
from firmware.floor import Floor
from firmware.transport import Transport
from firmware.trust import Trust

_ROOT_MAX_BYTES = 512_000
_NAME_MAX_BYTES = 200


def main(argv: Sequence[str] | None = None, now: datetime | None = None) -> int:
    """Run one command at ``now`` (default: the system's clock); returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        with Transport() as transport:
            _COMMANDS[options.command](options, transport, now or datetime.now(UTC))
    except (FirmwareError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _init(options: argparse.Namespace, transport: Transport, now: datetime) -> None:
    """Trust begins anew with ROOT_FILE, as when a technician installs a root by hand."""
    root = read_bounded(options.root_file, _ROOT_MAX_BYTES)
    beside = _beside(options.metadata_dir)
    shutil.rmtree(beside, ignore_errors=True)
    make_folder(beside)
    for path in options.metadata_dir.glob("*.json"):
        path.unlink()
    shutil.rmtree(options.metadata_dir / "root_history", ignore_errors=True)
    Trust(options.metadata_dir, root, "http://127.0.0.1", transport, Floor(beside / "floor"), now)
    write_durably(beside / "root.json", root)


def _refresh(options: argparse.Namespace, transport: Transport, now: datetime) -> None:
    _trust(options, transport, now).refresh()


def _download(options: argparse.Namespace, transport: Transport, now: datetime) -> None:
    trust = _trust(options, transport, now)
    trust.refresh()
    for name in options.target_name:
        target = trust.lookup(name)
        fetch(target, options.target_base_url, options.target_dir / local_name(name), transport, lambda done, of: None)


def _trust(options: argparse.Namespace, transport: Transport, now: datetime) -> Trust:
    beside = _beside(options.metadata_dir)
    try:
        root = read_bounded(beside / "root.json", _ROOT_MAX_BYTES)
    except FileNotFoundError as error:
        raise StateError(f"{options.metadata_dir}: no root was installed: init first", code="no_root") from error
    return Trust(options.metadata_dir, root, options.metadata_url, transport, Floor(beside / "floor"), now)


def _beside(folder: Path) -> Path:
    resolved = folder.resolve()
    return resolved.with_name(f".{resolved.name}.posagent")


def local_name(name: str) -> str:
    """A file name for any target name: one segment, visible, no longer than a file system allows, no two alike."""
    encoded = quote(name, safe="")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _NAME_MAX_BYTES:
        encoded = f"{encoded[: _NAME_MAX_BYTES - 65]}%{sha256(name.encode()).hexdigest()}"
    return encoded


_COMMANDS = {"init": _init, "refresh": _refresh, "download": _download}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tuf_client.py", description=__doc__)
    parser.add_argument("--metadata-url")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-dir", type=Path)
    parser.add_argument("--target-base-url")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root_file", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser


if __name__ == "__main__":
    sys.exit(main())
