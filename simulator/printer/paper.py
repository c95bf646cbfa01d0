"""What lies on the paper: the elements of a receipt, their plain text, and their JSON form."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class Style:
    """How characters look: multiples of the font's cell, and the usual attributes."""

    small: bool = False
    bold: bool = False
    underline: bool = False
    inverse: bool = False
    wide: int = 1
    high: int = 1


@dataclass(frozen=True)
class Run:
    """Characters of one style, starting `x` dots from the left edge of the print area."""

    text: str
    style: Style
    x: int


@dataclass(frozen=True)
class Line:
    """One printed line of text; `width` dots are used and `height` dots are fed."""

    runs: tuple[Run, ...]
    align: str
    width: int
    height: int
    kind: ClassVar[str] = "line"

    @property
    def text(self) -> str:
        """The characters of the line, without what blank paper follows them."""
        return "".join(run.text for run in self.runs).rstrip()


@dataclass(frozen=True)
class Feed:
    """Blank paper, in dots of 1/8 mm."""

    dots: int
    kind: ClassVar[str] = "feed"


@dataclass(frozen=True)
class Picture:
    """Dots, one bit each, rows of whole bytes, most significant bit left; 1 is black."""

    width: int
    height: int
    dots: bytes
    align: str
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Symbol:
    """A barcode or a two-dimensional code with what it says."""

    system: str
    data: str
    module: int
    height: int
    caption: str
    align: str
    kind: ClassVar[str] = "symbol"


@dataclass(frozen=True)
class Cut:
    """Where the cutter went through, or all but through."""

    partial: bool
    kind: ClassVar[str] = "cut"


Element = Line | Feed | Picture | Symbol | Cut
_KINDS: dict[str, type[Element]] = {one.kind: one for one in (Line, Feed, Picture, Symbol, Cut)}


def plain_text(elements: Iterable[Element]) -> str:
    """The text lines of a receipt, codes and pictures named in brackets."""
    lines: list[str] = []
    for element in elements:
        match element:
            case Line():
                lines.append(element.text)
            case Symbol():
                lines.append(f"[{element.system} {element.data}]")
            case Picture():
                lines.append(f"[picture {element.width} x {element.height}]")
            case _:
                pass
    return "\n".join(lines)


def to_json(elements: Iterable[Element]) -> list[dict[str, Any]]:
    """A form that json.dumps takes."""
    documents = []
    for element in elements:
        document = {"kind": element.kind, **asdict(element)}
        if isinstance(element, Picture):
            document["dots"] = base64.b64encode(element.dots).decode("ascii")
        documents.append(document)
    return documents


def from_json(documents: Iterable[Mapping[str, Any]]) -> tuple[Element, ...]:
    """The elements that `to_json` wrote."""
    return tuple(_element(document) for document in documents)


def _element(document: Mapping[str, Any]) -> Element:
    made = _KINDS[document["kind"]]
    values = {one.name: document[one.name] for one in fields(made)}
    if made is Picture:
        values["dots"] = base64.b64decode(values["dots"])
    if made is Line:
        values["runs"] = tuple(Run(run["text"], Style(**run["style"]), run["x"]) for run in values["runs"])
    return made(**values)
