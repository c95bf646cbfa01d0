"""``posagent discover``: port by port, what it is and what answers; the lines for agent.toml; the last line sums up."""

from collections.abc import Mapping
from typing import Any

from agent.cli.screen import Style, neutral, wrap
from agent.cli.views.marks import last_line, sign
from agent.text import Text

Doc = Mapping[str, Any]
_WORDS = {"info": "skip", "warning": "warning", "unknown": "unknown", "fault": "fail"}


def discover(document: Doc, text: Text, style: Style) -> str:
    """Draw the document of `agent.discover.report`."""
    lines: list[str] = []
    for port in document["ports"]:
        lines += [*_port(port, text, style), ""]
    for finding in document["findings"]:
        lines += _finding(finding, style)
    if document["findings"]:
        lines.append("")
    return "\n".join(lines + _last(document, text, style))


def _port(port: Doc, text: Text, style: Style) -> list[str]:
    state = text.word("discover.state", neutral(port["state"]))
    lines = [f"{style.paint(neutral(port['path']), 'head')}  {state}"]
    about = []
    if port["names"]:
        about.append(text.t("discover.names", names=", ".join(map(neutral, port["names"]))))
    if port["driver"]:
        about.append(text.t("discover.driver", driver=neutral(port["driver"])))
    if port["configured"]:
        about.append(text.t("discover.configured", subject=neutral(port["configured"])))
    for note in about:
        lines += [f"  {line}" for line in wrap(note, style.width - 2)]
    if port["device"] is not None:
        lines.append(f"  {sign('ok', style)} {_device(port, text)}")
    for finding in port["findings"]:
        lines += _finding(finding, style)
    if port["snippet"] and not port["configured"]:
        lines.append(f"  {text.t('discover.snippet')}")
        lines += [f"    {neutral(line)}" for line in port["snippet"].splitlines()]
    return lines


def _device(port: Doc, text: Text) -> str:
    identity = port["device"]["identity"]
    name = " ".join(identity[part] for part in ("maker", "model", "firmware", "serial") if identity.get(part))
    settings = port["settings"] or {"baud": "?", "format": ""}
    profile = port["device"].get("profile")
    family = text.t("discover.profile", name=profile) if profile else ""
    return neutral(
        text.t(
            "discover.device",
            kind=text.word("discover.kind", port["device"]["kind"]),
            name=name or text.t("discover.nameless"),
            protocol=port["device"]["protocol"],
            baud=settings["baud"],
            format=settings["format"],
        )
        + family
    )


def _finding(finding: Doc, style: Style) -> list[str]:
    first, *more = wrap(neutral(finding["text"]), style.width - 4)
    lines = [f"  {sign(_WORDS.get(finding['level'], 'unknown'), style)} {first}", *(f"    {line}" for line in more)]
    if finding["remedy"]:
        head, *rest = wrap(neutral(finding["remedy"]), style.width - 6)
        lines += [f"    → {head}", *(f"      {line}" for line in rest)]
    return lines


def _last(document: Doc, text: Text, style: Style) -> list[str]:
    result = document["result"]
    if result == "ok":
        found = sum(port["device"] is not None for port in document["ports"])
        return last_line("ok", text.t("discover.result.ok", found=found, count=len(document["ports"])), style)
    findings = [finding for port in document["ports"] for finding in port["findings"]] + list(document["findings"])
    worst = next(finding for finding in findings if finding["level"] == result)
    what = neutral(worst["text"])
    return last_line(result, text.t(f"discover.result.{result}", what=what), style, neutral(worst["remedy"]))
