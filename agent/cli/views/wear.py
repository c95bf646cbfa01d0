"""What a device has counted and how long its parts will last, as a person reads it."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.screen import Style, neutral, paragraph
from agent.text import Text

Doc = Mapping[str, Any]


def counted(device: str, statistics: Mapping[str, int], text: Text, style: Style) -> list[str]:
    """What has been counted so far; what never happened is left out."""
    told = [f"{text.word('statistic', neutral(name))} {count}" for name, count in statistics.items() if count]
    return paragraph(text.t("device.counted", device=device), " · ".join(told), style, indent=4) if told else []


def worn(device: str, parts: list[Doc], text: Text, style: Style) -> Iterator[str]:
    """One paragraph for each part that is rated."""
    for part in parts:
        label = text.t("wear.part", device=device, part=text.word("part", neutral(part["part"])))
        yield from paragraph(label, " · ".join(_facts(part, text)), style, indent=4)


def _facts(part: Doc, text: Text) -> Iterator[str]:
    state = neutral(part["state"])
    if state != "ok":
        yield text.word("condition", state)
    unit = text.word("unit", neutral(part["unit"]))
    used, rated = (f"{part[name]:,.10g}" for name in ("used", "rated"))
    yield text.t("wear.used", used=used, rated=rated, unit=unit, left=f"{100 * part['left']:.0f}")
    if part["assumed"]:
        yield text.t("wear.assumed")
    if part["due"]:
        yield text.t("wear.due", **{name: neutral(day) if day else text.t("wear.open") for name, day in part["due"].items()})
    elif part["why_no_date"]:
        yield text.word("wear.no_date", neutral(part["why_no_date"]))
    bring = f"wear.bring.{part['part']}.{state}"
    if text.has(bring):
        yield text.t(bring)
