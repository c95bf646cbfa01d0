"""What every command is handed: where everything lies, in which language to speak, and how to answer."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.paths import Paths
from agent.text import Text

if TYPE_CHECKING:
    from agent.cli.screen import Style  # loaded by those who draw: the daemon does not


@dataclass(frozen=True, slots=True)
class Context:
    """One call of ``posagent``."""

    paths: Paths
    config_path: Path
    text: Text
    as_json: bool

    @property
    def style(self) -> "Style":
        """How to draw on this stdout."""
        from agent.cli.screen import style_for

        return style_for(sys.stdout, os.environ)

    def answer(self, document: Mapping[str, Any], draw: Callable[[], str]) -> None:
        """Exactly one JSON document on stdout, or the screen that ``draw`` makes of it."""
        from agent.cli.screen import emit

        if self.as_json:
            emit(sys.stdout, json.dumps(document, ensure_ascii=False, indent=2))
        else:
            emit(sys.stdout, draw())
