"""Where the life of one line is (watch.py).

opened ─▶ GREETING ─answers─▶ WATCHING ─two questions unanswered─▶ SILENT ─▶ SWEEPING ─▶ SILENT …
              ▲                                                      │answers
              └──────────────────────────────────────────────────────┘
"""

from enum import StrEnum


class Stage(StrEnum):
    """Where a line is; what follows when stands above and in Watch._on_outcome."""

    CLOSED = "closed"
    GREETING = "greeting"
    WATCHING = "watching"
    SILENT = "silent"
    SWEEPING = "sweeping"
