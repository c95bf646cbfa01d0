"""Several components that belong together, pushed in one go: the signed order, all or nothing."""

from typing import Any

import pytest

from firmware.release.hawkbit import Item, Management
from firmware.release.repository import Repository
from firmware.transport import Transport, basic_token
from tests.system.harness import Doc, Host, till_table, well
from tests.system.releases import BROKEN, COMPONENT, Releases, configure

pytestmark = pytest.mark.slow

OTHER = "price-list"
DEPLOY_S = 60.0


@pytest.fixture
def till(host: Host, terminal: Any, service_center: Any, releases: Releases) -> Host:
    configure(host, service_center, releases, till_table("pos-1", terminal.dir))
    text = (host.etc / "agent.toml").read_text()
    first = f"components = {{ {COMPONENT} = "
    assert first in text
    host.configure(text.replace(first, f'components = {{ {OTHER} = {{ handler = "app_slots" }}, {COMPONENT} = '))
    host.start()
    host.until(well(), 15)
    return host


def push(releases: Releases, *pairs: tuple[str, str], code: int = 0) -> Doc:
    center = releases.center
    who = ["--management", center.management, "--user", center.user, "--password", center.password]
    what = [word for component, version in pairs for word in ("--component", component, "--version", version)]
    return releases.tool("push", *who, *what, "--terminal", "pos-1", code=code).document


def finals(host: Host) -> list[Doc]:
    return [r for r in host.journal("update.") if r["body"].get("final")]


def deployed(host: Host, count: int) -> Doc:
    assert host.command("update", "check").code == 0
    host.until(lambda _: len(finals(host)) == count, DEPLOY_S)
    return finals(host)[-1]


def versions(host: Host) -> list[str]:
    folder = host.state / "releases"
    return [(folder / name / "current" / "VERSION").read_text() for name in (OTHER, COMPONENT)]


def test_a_set_is_installed_whole_or_goes_back_whole(till: Host, releases: Releases) -> None:
    releases.release("1.0")
    releases.release("7", component=OTHER)
    push(releases, (OTHER, "7"), (COMPONENT, "1.0"))
    last = deployed(till, 1)
    assert (last["kind"], last["body"]["component"]) == ("update.committed", f"{OTHER}+{COMPONENT}"), last
    assert versions(till) == ["7", "1.0"]
    releases.release("1.1", BROKEN)
    releases.release("8", component=OTHER)
    push(releases, (COMPONENT, "1.1"), (OTHER, "8"))
    last = deployed(till, 2)
    assert (last["kind"], last["body"]["component"]) == ("update.rolled_back", f"{COMPONENT}+{OTHER}"), last
    assert versions(till) == ["7", "1.0"]
    till.verified()


def test_what_nobody_signed_as_a_set_is_refused_by_the_tool_and_by_the_till(till: Host, releases: Releases) -> None:
    releases.release("1.0")
    releases.release("7", component=OTHER)
    away = releases.keys.with_name("in-the-safe")
    releases.keys.rename(away)
    assert push(releases, (OTHER, "7"), (COMPONENT, "1.0"), code=2)["error"]["code"] == "no_set"
    repo, center = Repository.open(releases.repo), releases.center
    items = [Item(repo.manifest(*pair), repo.manifest_bytes(*pair)) for pair in ((OTHER, "7"), (COMPONENT, "1.0"))]
    with Transport(token=basic_token(center.user, center.password), token_for=center.management) as transport:
        Management(transport, center.management).push(items, ["pos-1"])
    last = deployed(till, 1)
    assert (last["kind"], last["body"]["code"]) == ("update.refused", "no_set")
    assert not (till.state / "releases" / OTHER / "current").exists()
    plans = till.command("update", "check", "--dry-run")
    assert plans.code == 0
    till.verified()
