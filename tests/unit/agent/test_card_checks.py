"""Cards on lines that are ours, and on lines that were borrowed; the check of a test card. All times are virtual seconds."""

import pytest

from agent.observations import CardChecked
from tests.unit.agent.counter import Counter


def counter(*, resets_cards: bool = True, **settings: str) -> Counter:
    """A reader under watch; on a borrowed line cards are not reset by themselves."""
    made = Counter(kind="reader", protocol="ccid", resets_cards=resets_cards)
    for key, value in settings.items():
        made.set(key, value)
    made.run(3)
    return made


def checked(made: Counter, limit_s: float = 20.0) -> CardChecked:
    """The check's end."""
    made.watch.check_card("t1")
    made._turn(made.clock.now)
    made.until(lambda: bool(ends(made)), limit_s)
    (end,) = ends(made)
    return end


def ends(made: Counter) -> list[CardChecked]:
    return [o for _, o in made.seen if isinstance(o, CardChecked)]


def truth(made: Counter, key: str) -> int:
    return int(made.terminal.show()["reader"][key])


def test_on_a_borrowed_line_no_card_gets_power_until_a_person_has_put_a_test_card_in() -> None:
    made = counter(resets_cards=False, card="ok")
    made.set("card", "none")
    made.run(3)
    made.set("card", "ok")
    made.run(10)
    assert (truth(made, "power_ons"), truth(made, "apdus")) == (0, 0)
    assert made.health.readings.value("card") == "present"
    end = checked(made)
    assert (end.card, end.exchange, end.atr.hex()) == ("present", "6107", "3b07504f5353494d31")
    assert end.parameters == "T=0, Fi/Di 372/1, N=0"
    assert (truth(made, "power_ons"), truth(made, "apdus")) == (1, 1)
    made.run(2)
    assert made.health.readings.value("card") == "present", "and is without power again"


def test_troubles_are_not_cured_on_a_borrowed_line() -> None:
    made = counter(resets_cards=False, trouble="busy")
    made.run(30)
    assert "reader.slot_busy" in made.faults()


@pytest.mark.parametrize("model", ["twin", "gemcore"])
@pytest.mark.parametrize(
    ("settings", "card", "exchange"),
    [
        ({"card": "none"}, "absent", ""),
        ({"card": "mute"}, "mute", ""),
        ({"card": "bad_atr"}, "bad_atr", ""),
        ({"card": "short"}, "short", ""),
        ({"card": "ok", "chip": "t1"}, "present", ""),
        ({"card": "ok"}, "present", "6107"),
    ],
)
def test_what_a_check_finds(model: str, settings: dict[str, str], card: str, exchange: str) -> None:
    made = counter(resets_cards=False, model=model, **settings)
    end = checked(made)
    assert (end.card, end.exchange) == (card, exchange)


def test_a_test_card_that_is_pulled_out_meanwhile() -> None:
    made = counter(resets_cards=False, card="ok")
    made.set("trouble", "torn")
    assert checked(made).card == "torn"


def test_a_check_ends_when_the_line_goes() -> None:
    made = counter(resets_cards=False, card="ok", trouble="extension")
    made.watch.check_card("t1")
    made._turn(made.clock.now)
    made.run(5)
    made.set("plugged", "no")
    made.run(0.1)
    assert ends(made) == [CardChecked("t1", "unknown")]


def test_a_check_on_a_silent_line_ends_at_once() -> None:
    made = counter(power="off")
    made.run(10)
    assert checked(made, 1.0).card == "unknown"


def test_a_check_on_our_own_line_leaves_the_reader_as_it_was() -> None:
    made = counter(card="ok")
    assert checked(made).exchange == "6107"
    made.run(5)
    assert made.faults() == []
    assert len(ends(made)) == 1
