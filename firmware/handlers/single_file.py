"""One file, or a small set of parameters: versions side by side as a till application's, and looked into before the switch.

The till reads ``releases/<component>/current/<file>``; replacing the link replaces all files of a set at once. Before a
version may ever run, every ``.json`` and ``.toml`` in it must parse, and the site's own ``validate`` command must agree.
"""

import contextlib
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from firmware.errors import InstallFailed, ReleaseRefused, one_line
from firmware.files import make_folder, read_bounded
from firmware.handlers.app_slots import AppSlots

FILES_MAX: Final = 64
PARSED_MAX_BYTES: Final = 16 << 20


class SingleFile(AppSlots):
    """The versions of one file or set in its folder."""

    def check(self, folder: Path, validate: Sequence[str]) -> None:
        """See Handler. Codes: file_count, file_too_big, file_invalid, and those of AppSlots."""
        files = sorted(_files(folder))
        if not 1 <= len(files) <= FILES_MAX:
            raise ReleaseRefused(f"the release holds {len(files)} files: 1 to {FILES_MAX} make a set", code="file_count")
        for path in files:
            parse = _PARSERS.get(path.suffix.lower())
            if parse is not None:
                _parse(path, str(path.relative_to(folder)), parse)
        super().check(folder, validate)


def _files(folder: Path) -> Iterator[Path]:
    for base, _, names in os.walk(folder):
        yield from (Path(base, name) for name in names)


def _parse(path: Path, name: str, parse: Callable[[str], object]) -> None:
    if path.stat().st_size > PARSED_MAX_BYTES:
        raise ReleaseRefused(f"{one_line(name, 80)} is too big to be looked into", code="file_too_big")
    try:
        parse(read_bounded(path, PARSED_MAX_BYTES).decode())
    except (ValueError, RecursionError) as error:
        kind = path.suffix[1:].upper()
        raise ReleaseRefused(f"{one_line(name, 80)} is no {kind}: {one_line(error, 100)}", code="file_invalid") from error


def _json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {".json": _json, ".toml": tomllib.loads}


def open_handler(folder: Path) -> SingleFile:
    """Open the component's folder, and make it where we may: a daemon that has an installer only looks."""
    with contextlib.suppress(InstallFailed):
        make_folder(folder, 0o755)
    return SingleFile(folder)
