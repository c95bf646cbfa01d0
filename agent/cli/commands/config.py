"""``posagent config``: check the file, or print an example of it."""

import sys
from argparse import Namespace

from agent.cli import views
from agent.cli.context import Context
from agent.cli.screen import emit
from agent.config.example import example_text
from agent.config.load import check_surroundings, load
from agent.config.mistakes import ConfigError
from agent.house import check_supported
from agent.redact import redact


def run(context: Context, arguments: Namespace) -> int:
    """0 good, 2 mistakes."""
    if arguments.subcommand == "example":
        text = example_text()
        context.answer({"schema": 1, "text": text}, lambda: text)
        return 0
    path = context.config_path
    try:
        config = load(path)
        mistakes = check_surroundings(config)
        if mistakes:
            raise ConfigError(path, mistakes)
        check_supported(config)
    except ConfigError as error:
        document = views.mistakes_document(error, context.text.lang)
        screen = views.config_result(path, error.mistakes, context.text, context.style)
        context.answer(document, lambda: screen)
        if context.as_json:
            emit(sys.stderr, screen)
        return error.exit_code
    done = {"schema": 1, "path": redact(str(path)), "mistakes": []}
    context.answer(done, lambda: views.config_result(path, (), context.text, context.style))
    return 0
