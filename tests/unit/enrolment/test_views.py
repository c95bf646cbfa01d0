"""What a person sees of an enrolment, in both languages."""

from typing import Any

import pytest

from agent.cli import views
from agent.cli.screen import style_for
from agent.text import Text

FOUND: dict[str, Any] = {
    "state": "enrolled",
    "reason": "",
    "until": "2027-02-21T16:39:20.000000Z",
    "renew": "2027-01-24T15:34:38.215148Z",
    "merchants": ["merchant-47"],
    "sites": ["shop-17"],
}


def shown(found: dict[str, Any], lang: str) -> str:
    class Plain:
        def isatty(self) -> bool:
            return False

    style = style_for(Plain(), {})  # type: ignore[arg-type]
    return " ".join(views.enrolled({"id": "pos-1", "enrolment": found}, Text(lang), style).split())


def test_until_when_and_for_whom() -> None:
    assert shown(FOUND, "en") == "Host pos-1 Enrolment enrolled · until 2027-02-21 16:39:20Z · merchant-47, shop-17"
    assert shown(FOUND, "zh_CN") == "主机 pos-1 登记 已登记 · 有效期至 2027-02-21 16:39:20Z · merchant-47, shop-17"


@pytest.mark.parametrize("state", ["none", "asking", "enrolled", "renewing", "expired", "mismatch"])
def test_every_state_has_words(state: str) -> None:
    told = {shown({"state": state, "reason": ""}, lang) for lang in ("en", "zh_CN")}
    assert len(told) == 2
    assert f"主机 pos-1 登记 {state}" not in told


def test_why_not_and_a_token_that_was_left() -> None:
    told = shown({"state": "none", "reason": "token_refused", "token_left": ["/media/stick/t\x1b[31m.toml"]}, "en")
    assert "The centre does not take the token." in told
    assert "/media/stick/t" in told
    assert "\x1b" not in told
