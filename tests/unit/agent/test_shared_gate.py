"""The gate on a shared line: no install step overlaps an open sale, whatever the till, cards, deadlines and people do."""

from hypothesis import given
from hypothesis import strategies as st

from agent.gate import Evidence, Use, _shared, weigh, with_site
from agent.observations import LineUse
from protocols.printers.sharing import SharedLine

IDLE_S = 3.0
STEP_S = 0.25
SALE = (b"\x1b@\x1ba\x01SHOP\n", b"item 1.00\n", b"\x1dv0\x00\x02\x00\x02\x00", b"\xff\x1b@\x1d", b"TOTAL\n\x1dV\x00")
"""One sale in its pieces; a raster is cut in two."""


def test_each_word_of_the_keeper() -> None:
    assert _shared("p", None, 0.0, IDLE_S).use is Use.UNKNOWN
    for state, age, use in (
        ("unknown", 99, Use.UNKNOWN), ("wire", 99, Use.UNKNOWN), ("open", 99, Use.BUSY), ("printing", 99, Use.BUSY),
        ("idle", 1, Use.BUSY), ("idle", 3, Use.IDLE), ("wire", 1, Use.BUSY),
        ("unknown", 1, Use.BUSY), ("unknown", 3, Use.UNKNOWN),
    ):  # fmt: skip
        assert _shared("p", LineUse(state, 100.0), 100.0 + age, IDLE_S).use is use, state
    busy = _shared("p", LineUse("printing", 100.0), 100.0, IDLE_S)
    assert not weigh([busy], insist=True).open
    assert weigh([busy], insist=True).waiting_for == "p: the till prints"
    assert with_site([busy], Evidence(Use.IDLE, "site's idle check"))[0].use is Use.BUSY


actions = st.lists(
    st.sampled_from(["sale", "wait", "wait", "wait", "card_in", "card_out", "unknown", "forced", "deadline", "keeper_dies"]),
    min_size=5,
    max_size=120,
)


@given(actions, st.integers(1, 4), st.randoms())
def test_no_install_step_overlaps_an_open_sale(schedule: list[str], pieces: int, chance: "st.random.Random") -> None:  # type: ignore[name-defined]
    now, line, card, insist, use = 100.0, SharedLine(0.0), "absent", False, LineUse("unknown", 0.0)
    sale: list[bytes] = []
    sale_until = 0.0
    for action in schedule:
        match action:
            case "sale" if not sale:
                sale = list(SALE)
            case "card_in" | "card_out":
                card = "present" if action == "card_in" else "absent"
            case "forced" | "deadline":
                insist = True
            case "keeper_dies":
                use = LineUse("unknown", use.last)
        for _ in range(pieces):
            if sale and chance.random() < 0.8:
                line.load(sale.pop(0), now)
                while piece := line.next_piece(now):
                    line.wrote(chance.randrange(1, len(piece) + 1), now)
                sale_until = now
        if action != "keeper_dies":
            use = LineUse(line.use(now), line.last_till)
        word = "unknown" if action == "unknown" else card
        reader = Evidence({"present": Use.BUSY, "absent": Use.IDLE, "unknown": Use.UNKNOWN}[word], "card")
        evidence = [_shared("p", use, now, IDLE_S), reader]
        answer = weigh(evidence, insist=insist)
        assert not answer.open or now - use.last >= IDLE_S, "a byte that was told of is known, whatever became of its keeper"
        if answer.open and use.state != "unknown":
            # A till that pauses longer than idle_s between two whole commands looks idle; these never do.
            assert now - sale_until >= IDLE_S
            assert not line.tokens.inside
            assert word != "present"
        if use.state == "unknown" and not insist:
            assert not answer.open
        now += STEP_S if sale else STEP_S * chance.randrange(1, 30)
