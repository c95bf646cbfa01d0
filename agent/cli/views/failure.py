"""A command that could not do its work: one clear line, and what to do."""

from typing import Any

from agent.cli.screen import Style, neutral
from agent.cli.views.marks import last_line
from agent.cli.views.reasons import with_detail
from agent.text import Text


def failure_document(code: str, message: str, remedy: str, text: Text) -> dict[str, Any]:
    """The contract's ``{"error": {"code", "message", "remedy"}}``, in the language of ``text`` where it knows the code.

    A message of its own stays behind the sentence in parentheses: it names what only the place of the error knew.
    """
    known = text.word("error", code)
    said = message if known == code else with_detail(code, message, text)
    advice = text.word("error.remedy", code)
    return {
        "schema": 1,
        "error": {"code": code, "message": neutral(said), "remedy": neutral(remedy if advice == code else advice)},
    }


def failure(document: dict[str, Any], text: Text, style: Style) -> str:
    """Draw a failure document."""
    error = document["error"]
    sentence = neutral(error["message"]) or text.word("error", neutral(error["code"]))
    return "\n".join(last_line("error", sentence, style, neutral(error.get("remedy") or "")))
