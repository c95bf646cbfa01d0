"""Puts the drawing of the deployment's table into docs/architecture.md anew: ``python -m tests.unit.docs.redraw``."""

import re

from firmware.flow import mermaid
from tests.unit.docs.pages import ROOT


def main() -> None:
    """Replace the page's one Mermaid block."""
    page = ROOT / "docs/architecture.md"
    text = page.read_text(encoding="utf-8")
    fresh, count = re.subn(r"```mermaid\n.*?```", lambda _: f"```mermaid\n{mermaid()}```", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{page} holds {count} drawings, not one")
    page.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
