"""A new release's look at this machine, where it lies and before it is switched to: ``python -m agent.selfupdate_check``.

Run by the release that is to be replaced, with the daemon's own rights: can all of me be imported, can I read the configuration,
the journal and the state that are here? Nothing is written. The words and the exit code are a contract between any two releases
(agent.selfupdate.CHECK): 0 is yes; else the last line of the output says why not.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PACKAGES = ("agent", "firmware", "protocols")
RECORDS = 200


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 fit, 1 not."""
    parser = argparse.ArgumentParser(prog="posagent-check", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--version", required=True)
    words = parser.parse_args(argv)
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("version", lambda: _version(words.version)),
        ("modules", _modules),
        ("configuration", lambda: _configuration(words.root)),
        ("state", lambda: _state(words.root)),
        ("journal", lambda: _journal(words.root)),
    )
    for name, step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 (whatever it is: this release must not run here)
            sys.stdout.write(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}\n")
            return 1
    sys.stdout.write(f"posagent {words.version} can run here\n")
    return 0


def _version(expected: str) -> None:
    told = json.loads((Path(sys.prefix) / "release.json").read_text("utf-8"))["version"]
    if told != expected:
        raise ValueError(f"the release calls itself {told}, and was deployed as {expected}")


def _modules() -> None:
    for name in _names():
        importlib.import_module(name)


def _names() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        folder = importlib.import_module(package).__path__
        for found in pkgutil.walk_packages(folder, f"{package}.", onerror=_raise):
            if not found.name.endswith(".__main__"):
                yield found.name


def _raise(name: str) -> None:
    raise ImportError(f"{name} cannot be imported")


def _configuration(root: Path) -> None:
    from agent.config.load import load
    from agent.house import check_supported
    from agent.paths import Paths

    check_supported(load(Paths(root).config))


def _state(root: Path) -> None:
    from agent.paths import Paths
    from firmware.state import StateFile

    StateFile(Paths(root).state / "deployment.json").look()


def _journal(root: Path) -> None:
    from agent.journal.peek import newest
    from agent.paths import Paths

    journal = Paths(root).journal
    if journal.exists():
        newest(journal, RECORDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
