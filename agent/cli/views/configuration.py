"""``posagent config check``: every mistake with its line, why it matters, and what to write instead."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.cli.screen import Style, neutral, paragraph
from agent.cli.views.marks import last_line
from agent.config import ConfigError, Mistake
from agent.redact import redact
from agent.text import Text


def config_result(path: Path, mistakes: Sequence[Mistake], text: Text, style: Style) -> str:
    """Draw the mistakes, or that there is none."""
    shown = _shown(path)
    if not mistakes:
        return "\n".join(last_line("ok", text.t("config.good", path=shown), style))
    lines: list[str] = []
    for mistake in mistakes:
        place = style.paint(text.t("config.line", line=mistake.line), "head")
        lines += paragraph(place, _shown(mistake.say("what", text.lang)), style)
        lines += paragraph(text.t("config.why_label"), _shown(mistake.say("why", text.lang)), style, indent=2)
        lines += paragraph(text.t("config.remedy_label"), _shown(mistake.say("remedy", text.lang)), style, indent=2)
    sentence = text.t("config.bad", count=len(mistakes), path=shown)
    return "\n".join([*lines, "", *last_line("fault", sentence, style)])


def mistakes_document(error: ConfigError, lang: str) -> dict[str, Any]:
    """The contract's failure document for a wrong configuration: the message tells the first mistake."""
    first = error.mistakes[0]
    listed = [
        {
            "line": m.line,
            "key": redact(m.key),
            "code": m.code,
            "what": redact(m.say("what", lang)),
            "why": redact(m.say("why", lang)),
            "remedy": redact(m.say("remedy", lang)),
        }
        for m in error.mistakes
    ]
    message = f"{_shown(error.path)}:{first.line}: {redact(first.say('what', lang))}"
    body = {"code": error.code, "message": message, "remedy": redact(first.say("remedy", lang)), "mistakes": listed}
    return {"schema": 1, "error": body}


def _shown(value: object) -> str:
    """One harmless line: a configuration may quote anything, a card number too."""
    return neutral(redact(str(value)))
