"""A file that a command writes for somebody else: whole or not there, for its owner alone, and never over another one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from agent.errors import NotAvailable, UsageError


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open ``path`` for writing; at the end it is on the disk, after an error nothing of it is left.

    Under its own name from the beginning: a stick's file system knows neither links nor a rename that replaces nothing.
    Raises UsageError where there is something already or no such folder, NotAvailable where it cannot be written.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", code="file_exists") from None
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{path.parent} is no folder", code="no_folder") from None
    except OSError as error:
        raise NotAvailable(f"{path}: {error.strerror}", code="not_written") from None
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        with contextlib.suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise NotAvailable(f"{path}: {error.strerror}", code="not_written") from None
        raise
