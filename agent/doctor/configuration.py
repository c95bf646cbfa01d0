"""The configuration file: there, readable, without a mistake, and not open to everybody."""

from collections.abc import Iterator
from pathlib import Path

from agent.config.load import check_surroundings, load
from agent.config.mistakes import ConfigError, Mistake
from agent.config.model import Config
from agent.doctor.finding import Finding, Outcome
from agent.doctor.machine import mode_of
from agent.errors import AgentError
from agent.house import check_supported
from agent.text import LANGUAGES

TOPIC = "configuration"


def read(path: Path) -> tuple[Config | None, list[Finding]]:
    """The configuration, where it can be used, and what is to be said about the file."""
    if not path.exists():
        return None, [Finding(TOPIC, str(path), Outcome.FAIL, "config_none", {"path": str(path)})]
    try:
        config = load(path)
        check_supported(config)
    except ConfigError as error:
        return None, [_mistake(path, mistake) for mistake in error.mistakes]
    except AgentError as error:
        return None, [Finding(TOPIC, str(path), Outcome.FAIL, "config_unsupported", {"why": str(error)})]
    return config, list(_surroundings(config))


def _surroundings(config: Config) -> Iterator[Finding]:
    path = config.path
    yield Finding(TOPIC, str(path), Outcome.PASS, "config_good", {"tills": str(len(config.terminals))})
    if (mode_of(path) or 0) & 0o004:
        yield Finding(TOPIC, str(path), Outcome.WARN, "config_open_to_all", {"path": str(path)})
    # Ports have a topic of their own, where more can be said than that the name is missing.
    yield from (_mistake(path, mistake) for mistake in check_surroundings(config) if not mistake.key.endswith(".port"))
    if config.update is None:
        yield Finding(TOPIC, "update", Outcome.SKIP, "updates_off")
    if config.center is None:
        yield Finding(TOPIC, "center", Outcome.SKIP, "center_off")


def _mistake(path: Path, mistake: Mistake) -> Finding:
    said = {lang: (f"{mistake.say('what', lang)} {mistake.say('why', lang)}", mistake.say("remedy", lang)) for lang in LANGUAGES}
    return Finding(TOPIC, f"{path}:{mistake.line} {mistake.key}", Outcome.FAIL, "config_mistake", {"mistake": mistake.code}, said)
