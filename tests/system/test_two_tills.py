"""A gateway PC with two tills: what happens to the first leaves the second, and the host's update, alone."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.harness import Host, fault_ids, host_table, reading, report, till_of, till_table, verdict_of, well
from tests.system.releases import COMPONENT, Releases, configure

pytestmark = pytest.mark.slow


@pytest.fixture
def first(terminals: Callable[..., Any]) -> Any:
    return terminals(name="a", seed=1)


@pytest.fixture
def second(terminals: Callable[..., Any]) -> Any:
    return terminals(name="b", seed=2)


@pytest.mark.parametrize(
    ("setting", "value"), [("noise", "0.3"), ("plugged", "no")], ids=["noise on both lines", "both unplugged"]
)
def test_trouble_at_the_first_till(
    host: Host, first: Any, second: Any, service_center: Any, releases: Releases, setting: str, value: str
) -> None:
    tills = till_table("till-a", first.dir), till_table("till-b", second.dir)
    configure(host, service_center, releases, *tills, probation_s=1)
    host.start()
    host.until(well("till-a", "till-b"), 15)
    for device in ("printer", "reader"):
        first.set(f"{device}.{setting}", value)
    seen_s = host.until(lambda d: verdict_of(d, "till-a") != "yes", 30)
    releases.release("1.0")
    releases.push("1.0", terminal="pos-1")
    assert host.command("update", "check").code == 0
    begun = time.monotonic()
    components: list[dict[str, Any]] = []

    def committed(document: dict[str, Any]) -> bool:
        assert verdict_of(document, "till-b") == "yes"
        assert fault_ids(document, "till-b") == fault_ids(document, "till-b", "reader") == []
        components[:] = [document["host"]["components"].get(COMPONENT, {})]
        assert components[0].get("state") not in ("rolled_back", "refused"), host.log_text()[-3000:]
        return bool(components[0].get("state") == "committed")

    host.until(committed, 60)
    took_s = time.monotonic() - begun
    if value == "no":  # a noisy line may have a good moment
        assert verdict_of(host.ask("status"), "till-a") == "no", "the trouble lasted all the while"
    second.set("printer.paper", "end")
    fault_s = host.until(lambda d: fault_ids(d, "till-b") == ["printer.paper_end"], 6)
    second.set("printer.paper", "ok")
    second.set("reader.card", "ok")
    host.until(lambda d: bool(reading(d, "reader", "atr", "till-b")), 6)
    other = [r["body"]["id"] for r in host.journal("fault.raised") if r["subject"].startswith("till-b")]
    assert other == ["printer.paper_end"]
    first_s = [r["body"]["id"] for r in host.journal("fault.raised") if r["subject"].startswith("till-a")]
    assert set(first_s) <= {"link.noise", "link.silent", "link.unplugged", "reader.bad_checksum", "reader.silent"}
    report(setting, [("seen", f"{seen_s:.2f} s", "update", f"{took_s:.2f} s", "second's fault", f"{fault_s:.2f} s")])


def test_each_till_has_its_own_identity_and_selftest(host: Host, first: Any, second: Any) -> None:
    host.configure(host_table() + till_table("till-a", first.dir) + till_table("till-b", second.dir))
    host.start()
    host.until(well("till-a", "till-b"), 15)
    first.set("printer.cover", "open")
    host.until(lambda d: verdict_of(d, "till-a") == "no", 6)
    done = host.command("selftest")
    assert done.code == 1
    failed = {t["id"]: [c["fault"] for c in t["checks"] if c["outcome"] == "fail"] for t in done.document["terminals"]}
    assert failed == {"till-a": ["printer.cover_open"], "till-b": []}
    serials = [till_of(host.ask("status"), n)["devices"]["printer"]["identity"]["serial"] for n in ("till-a", "till-b")]
    assert serials == [t.show()["printer"]["state"]["serial"] for t in (first, second)]
    assert serials[0] != serials[1]
