"""Options of the whole suite; they must be known before a folder's own conftest is read. And what keeps tests apart."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

LONGEST_FIRST = ("packaging", "system", "unit/health/test_false_alarms.py", "peers", "crash", "attacks", "conformance")
"""Folders and files that take minutes: a worker that met one of them last would work alone while the others have ended."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1)

# No test asserts how long it took: a busy machine is no finding. In CI examples are the same each time (hypothesis' own profile).
settings.register_profile(
    "house",
    parent=settings.get_profile("ci" if os.environ.get("CI") else "default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("soak")
    group.addoption("--soak-seconds", type=float, default=1200.0, help="how long the soak troubles its tills (make long)")
    group.addoption("--soak-updates", type=int, default=30, help="how many updates the soak pushes meanwhile")
    group.addoption("--soak-seed", type=int, default=None, help="the soak's dice; printed by each run")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """For .ci/again: a run that did not come to its end has more behind it than the tests that are known to have failed."""
    cache = getattr(session.config, "cache", None)
    if cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("house/exitstatus", int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files keep their own order, and so do the tests in them."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    beginnings = (number for number, name in enumerate(LONGEST_FIRST) if nodeid.startswith(f"tests/{name}"))
    return next(beginnings, len(LONGEST_FIRST))


@pytest.fixture(autouse=True)
def nothing_of_the_process_is_left_changed() -> Iterator[None]:
    """What is the process's, a test that leaves it changed breaks another one by, elsewhere and later.

    Umask and working folder left changed fail it. The root log, the handlers of signals and the environment, which a command
    under test sets up for the rest of its life, are put back without a word.
    """
    before, folder = os.umask(0o022), Path.cwd()
    os.umask(before)
    root, environment = logging.getLogger(), dict(os.environ)
    level, handlers = root.level, _own(root.handlers)
    signals = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    root.setLevel(level)
    root.handlers[:] = [*handlers, *(h for h in root.handlers if h not in _own(root.handlers))]
    for number, handler in signals.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    _put_back(environment)
    after = os.umask(before)
    assert after == before, f"this test left the umask {after:03o} behind"
    assert Path.cwd() == folder, "this test left another working folder behind"


def _own(handlers: list[logging.Handler]) -> list[logging.Handler]:
    """Without pytest's, which come and go with each phase of a test."""
    return [handler for handler in handlers if not type(handler).__module__.startswith("_pytest")]


def _put_back(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    for name, value in environment.items():
        if name != "PYTEST_CURRENT_TEST" and os.environ.get(name) != value:
            os.environ[name] = value
