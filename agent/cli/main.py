"""``posagent``: reads the command line, runs one command, and turns every error into one line and an exit code.

0 done or healthy, 1 fault found or update refused, 2 usage or configuration, 3 not available or unknown, 4 our own error.
"""

import importlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.cli.context import Context
from agent.cli.shortcut import plain_run
from agent.config.mistakes import ConfigError as MistakesError
from agent.errors import AgentError
from agent.paths import Paths
from agent.text import Text, pick_language
from firmware.errors import FirmwareError

EXIT_OWN_ERROR = 4
BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell reports it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is the answer."""
    words = list(sys.argv[1:] if argv is None else argv)
    text = Text(pick_language(_wanted_language(words), os.environ))
    as_json = "--json" in words
    try:
        return _run(plain_run(words) or _parsed(words, text.lang), text)
    except MistakesError as error:
        from agent.cli.views import mistakes_document

        return _fail(mistakes_document(error, text.lang), error.exit_code, text, as_json=as_json)
    except AgentError as error:
        return _fail(_document(error.code, str(error), error.remedy, text), error.exit_code, text, as_json=as_json)
    except FirmwareError as error:
        return _fail(_document(error.code, str(error), "", text), EXIT_OWN_ERROR, text, as_json=as_json)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  (the interpreter flushes it once more at its end)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("POSAGENT_LOG") == "debug":
            logging.getLogger(__name__).exception("own error")
        own = _document("internal", f"{type(error).__name__}: {error}", "", text)
        return _fail(own, EXIT_OWN_ERROR, text, as_json=as_json)


def _parsed(words: Sequence[str], lang: str) -> Any:
    from agent.cli.arguments import parse  # with the help of all commands: the daemon's memory is a goal

    return parse(words, lang)


def _run(arguments: Any, text: Text) -> int:
    root = Path(arguments.root or os.environ.get("POSAGENT_ROOT") or "/").absolute()
    paths = Paths(root)
    config = Path(arguments.config).absolute() if arguments.config else paths.config
    context = Context(paths, config, text, as_json=bool(arguments.json))
    module = importlib.import_module(f"agent.cli.commands.{arguments.command}")
    answer: int = module.run(context, arguments)
    return answer


def _wanted_language(words: Sequence[str]) -> str | None:
    for place, word in enumerate(words):
        if word == "--lang" and place + 1 < len(words):
            return words[place + 1]
        if word.startswith("--lang="):
            return word.partition("=")[2]
    return None


def _document(code: str, message: str, remedy: str, text: Text) -> dict[str, Any]:
    from agent.cli.views import failure_document
    from agent.redact import redact

    return failure_document(code, redact(message), redact(remedy), text)


def _fail(document: Mapping[str, Any], code: int, text: Text, *, as_json: bool) -> int:
    from agent.cli.screen import emit, style_for
    from agent.cli.views import failure

    if as_json:
        emit(sys.stdout, json.dumps(document, ensure_ascii=False, indent=2))
    emit(sys.stderr, failure(dict(document), text, style_for(sys.stderr, os.environ)))
    return code
