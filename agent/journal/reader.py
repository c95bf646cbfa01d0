"""Reads beside the writer, on a connection of its own that the receivers share."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from agent.journal.record import Record
from agent.journal.store import connect, is_damage, records


class Reader:
    """One read-only connection under a lock, opened at first use. After an error there is nothing to read, for now."""

    def __init__(self, path: Path, suspect: Callable[[], None]) -> None:
        self._path = path
        self._suspect = suspect
        self._lock = threading.Lock()
        self._link: sqlite3.Connection | None = None

    def read(self, after: int, limit: int) -> list[Record]:
        """Records after ``after``, at most ``limit``."""
        with self._lock:
            try:
                if self._link is None:
                    self._link = connect(self._path, read_only=True)
                return records(self._link, after, limit)
            except sqlite3.Error as error:
                self._drop()
                if is_damage(error):  # the writer, with its warm cache, would not notice for a long time
                    self._suspect()
                return []

    def reset(self) -> None:
        """Forget the connection: the file behind it may be another one now."""
        with self._lock:
            self._drop()

    close = reset

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
