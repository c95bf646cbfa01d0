"""Reading our own pages: code blocks, tables, links."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_BLOCK = re.compile(r"^([ ]*)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(page: str, info: str) -> list[str]:
    """The code blocks whose fence says ``info``, without the indentation of a list."""
    found = []
    for indent, said, body in _BLOCK.findall(page):
        if said.strip() == info:
            found.append("".join(line.removeprefix(indent) for line in body.splitlines(keepends=True)))
    return found


def rows(page: str, first_heading: str) -> list[list[str]]:
    """The cells of the one table whose first column is headed ``first_heading``."""
    tables = []
    lines = page.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(f"| {first_heading} |") and lines[number + 1].startswith("|-"):
            body = []
            for row in lines[number + 2 :]:
                if not row.startswith("|"):
                    break
                body.append([cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]])
            tables.append(body)
    assert len(tables) == 1, f"{len(tables)} tables are headed {first_heading!r}"
    return tables[0]


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return _CODE.findall(cell)


def code(cell: str) -> str:
    """The one thing in backticks."""
    (found,) = codes(cell)
    return found


def links(page: str) -> list[str]:
    """The targets of all links and pictures."""
    return _LINK.findall(page)


def anchors(page: str) -> set[str]:
    """What a link may name after ``#``."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
