"""Getting at the keys: the passphrase from the environment, or from a person who is there."""

import getpass
import os
import sys
from pathlib import Path

from firmware.errors import UsageError
from firmware.files import read_bounded, write_durably
from firmware.release import keys
from firmware.release.repository import Repository
from firmware.release.text import Text

_NOTE = ".keys-folder"


def open_repository(folder: Path, keys_folder: Path, text: Text) -> Repository:
    """A repository that can sign. A folder that is none is named before anybody is asked for a passphrase."""
    Repository.open(folder)
    return Repository.open(folder, keys_folder, passphrase(keys_folder, text))


def remember_keys(repo: Path, folder: Path) -> None:
    """Note beside the served folders where the keys lie: `push` signs a set with them. The note holds a path alone."""
    note, path = repo / _NOTE, str(folder.absolute())
    if not note.exists() or note.read_text(encoding="utf-8", errors="replace") != path:
        write_durably(note, path.encode())


def remembered_keys(repo: Path) -> Path | None:
    """The folder of keys that was used for `publish` last, if it is still there."""
    try:
        folder = Path(read_bounded(repo / _NOTE, 4096).decode())
        return folder if folder.is_dir() else None
    except (OSError, ValueError):
        return None


def passphrase(folder: Path, text: Text) -> str | None:
    """What opens the keys in ``folder``; None where none is encrypted. Raises UsageError (no_passphrase)."""
    if not keys.needs_passphrase(folder):
        return None
    given = os.environ.get("POSRELEASE_PASSPHRASE")
    if given:
        return given
    if not _someone_there():
        raise UsageError("the keys need a passphrase, and there is nobody to ask", code="no_passphrase")
    return getpass.getpass(text.t("ask.old"))


def new_passphrase(text: Text) -> str:
    """One for new keys. Raises UsageError: no_passphrase_new, passphrases_differ."""
    given = os.environ.get("POSRELEASE_PASSPHRASE")
    if given:
        return given
    if not _someone_there():
        raise UsageError("new keys need a passphrase, and there is nobody to ask", code="no_passphrase_new")
    typed = getpass.getpass(text.t("ask.new"))
    if not typed or typed != getpass.getpass(text.t("ask.again")):
        raise UsageError("the two passphrases differ", code="passphrases_differ")
    return typed


def _someone_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
