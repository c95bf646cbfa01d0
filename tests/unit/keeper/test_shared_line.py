"""One line for two, in memory: questions at borders alone, answers to whom they belong, and the till never notices."""

import random

import pytest

from protocols.errors import LocalProtocolError
from protocols.printers._sharing_questions import Question
from protocols.printers.sharing import SharedLine
from simulator.printer.device import EscPosPrinter
from simulator.printer.receipt import draw
from tests.unit.keeper.fixtures import SWEEP, Counter
from tests.unit.keeper.grammar import Grammar, borders, cuts

AUTO = b"\x1da\x0e"


# -- what goes to the printer ------------------------------------------------------------------------------------------


def check_stream(seed: int, size: int, *, most: int = 1 << 20) -> tuple[int, int]:
    """Exactly the till's bytes, and whole sweeps at borders; how many asked, how many pieces."""
    pieces = Grammar(seed).pieces(size)
    data = b"".join(p.data for p in pieces)
    known, loose = borders(pieces)
    counter, chance, parts = Counter(most=most), random.Random(seed), 0
    for cut in cuts(data, seed):
        counter.prints(cut)
        counter.hear(b"\x12" * 4 * (counter.on_wire - len(counter.agent) // 4))
        counter.now += 0.001
        parts += 1
        if not counter.line.asked and not chance.randrange(3):
            counter.line.ask(SWEEP)
    counter.pump()
    between = bytes(counter.wire).split(SWEEP)
    assert b"".join(between) == data
    place, run = 0, 0
    for part in between[:-1]:
        place += len(part)
        while run < len(loose) and loose[run][1] < place:
            run += 1
        assert place in known or (run < len(loose) and loose[run][0] <= place), (seed, place)
    assert not counter.till
    return len(between) - 1, parts


@pytest.mark.parametrize("seed", range(3))
def test_questions_stand_between_whole_commands(seed: int) -> None:
    asked, parts = check_stream(seed, 1 << 18, most=(1 << 20, 64, 1)[seed])
    assert asked > parts / 30


def test_a_question_waits_for_the_end_of_the_command_however_long_it_lasts() -> None:
    counter = Counter(EscPosPrinter())
    counter.prints(b"\x1dv0\x00\x02\x00\x08\x00\x00\x00")
    assert counter.ask()
    for _ in range(100):
        counter.wait(10.0)
    assert counter.line.use(counter.now) == "open"
    assert SWEEP not in counter.wire
    assert counter.line.next_timer(counter.now) is None  # nobody wakes up for it
    counter.prints(bytes(14))
    assert bytes(counter.wire).endswith(bytes(16) + SWEEP)
    assert counter.agent == b"\x12" * 4


def test_an_unknown_command_means_only_after_silence() -> None:
    counter = Counter(EscPosPrinter())
    counter.prints(b"\x1b\xfe\x1b@text\n")
    assert counter.line.use(counter.now + 0.6) == "wire"
    other = Counter()
    other.prints(b"\x1b\xfe")
    other.wait(0.6)
    assert other.line.next_timer(other.now) == other.line.last_till + 1.0
    other.wait(0.4)
    assert (other.line.use(other.now), other.line.follows) == ("idle", True)
    counter.ask()
    counter.wait(0.9)
    assert SWEEP not in counter.wire
    counter.wait(0.2)
    assert bytes(counter.wire).endswith(SWEEP)
    assert counter.line.follows


def test_what_prints_or_clears_is_never_asked() -> None:
    for wire in (b"text", b"\x1b@", b"\x10\x05\x02", b"\x1dV\x00", b"\x1da\x00", b"\x1dI", b"",
                 b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08", SWEEP + b"\n", b"\x1d(A\x02\x00\x00\x02", b"\x1dg0\x00\x14\x00",
                 SWEEP * 6):  # fmt: skip
        assert not Counter().ask(wire)
        with pytest.raises(LocalProtocolError):
            Question(wire)


def test_too_many_questions_are_refused() -> None:
    line = SharedLine()
    line.load(b"\x1d", 0.0)
    assert [line.ask(SWEEP) for _ in range(5)] == [True] * 4 + [False]
    line.forget_questions()
    assert line.asked == 0


# -- what comes back ---------------------------------------------------------------------------------------------------


def test_each_gets_its_own_answers() -> None:
    counter = Counter(EscPosPrinter("S1"))
    counter.prints(b"\x10\x04\x01\x1dI\x43")
    assert (counter.till, counter.agent) == (b"\x12_TM-T88V\x00", b"") or counter.till.startswith(b"\x12_")
    before = bytes(counter.till)
    counter.ask()
    counter.wait(3.0)
    counter.ask(b"\x1dI\x44")
    counter.ask(b"\x1d(H\x06\x0000posa")
    assert counter.agent == b"\x12" * 4 + b"_S1\x00" + b"\x37\x22posa\x00"
    assert counter.till == before
    counter.prints(b"\x1d(H\x06\x0000till\x1dr\x01")
    assert counter.till == before + b"\x37\x22till\x00\x00"


def test_questions_that_wait_in_the_buffer_go_in_only_when_the_till_is_quiet() -> None:
    counter = Counter(EscPosPrinter())
    counter.prints(b"text\n")
    counter.ask(b"\x1dI\x43")
    assert b"\x1dI" not in counter.wire
    counter.wait(1.1)
    assert b"\x1dI" in counter.wire
    assert counter.line.left_late_s == 0.0


def test_a_till_that_never_is_quiet_starves_no_question() -> None:
    counter = Counter(EscPosPrinter())
    counter.ask(b"\x1dI\x43")
    counter.prints(b"text\n")
    counter.ask(b"\x1dI\x44")
    for _ in range(5):
        counter.wait(0.3)
        counter.prints(b"text\n")
    assert b"\x1dI\x44" in counter.wire
    assert counter.line.left_late_s == 2.0
    assert not counter.till


def test_the_tills_answer_is_waited_for_first() -> None:
    counter = Counter()  # a printer that says nothing by itself
    counter.prints(b"\x10\x04\x01")
    counter.ask()
    assert SWEEP not in counter.wire
    counter.hear(b"\x16")
    counter.pump()
    assert counter.till == b"\x16"
    assert bytes(counter.wire).endswith(SWEEP)
    counter.hear(b"\x12\x12\x12\x12\x16")  # and a fifth that nobody is known to have asked for
    assert counter.agent == b"\x12" * 4
    assert counter.till == b"\x16\x16"


def test_a_till_whose_question_is_never_answered_holds_nobody_up_for_long() -> None:
    counter = Counter()
    counter.prints(b"\x10\x04\x01")
    counter.ask()
    counter.wait(2.1)
    assert bytes(counter.wire).endswith(SWEEP)


def test_automatic_status_of_the_agent_is_not_seen_by_the_till() -> None:
    counter = Counter(EscPosPrinter())
    counter.ask(AUTO)
    assert (bytes(counter.agent), bytes(counter.till)) == (b"\x10\x00\x00\x0f", b"")
    counter.set("cover", "open")
    assert bytes(counter.agent).endswith(b"\x38\x00\x00\x0f")
    assert counter.till == b""


@pytest.mark.parametrize("mask", [b"\x02", b"\x08", b"\x0f", b"\xff"])
def test_the_till_sees_the_automatic_status_that_it_asked_for(mask: bytes) -> None:
    alone = EscPosPrinter()
    expected = bytearray()
    counter = Counter(EscPosPrinter())
    counter.ask(AUTO)
    for step in (b"\x1da" + mask, "near_end", "end", "ok", b"\x1da\x00", "end", "ok", b"\x1da" + mask, "near_end", "ok"):
        if isinstance(step, bytes):
            expected += alone.receive(step, counter.now)
            counter.prints(step)
        else:
            expected += alone.change("paper", step, counter.now)
            counter.set("paper", step)
        assert counter.till == expected, step
    asb = [bytes(counter.agent[i : i + 4]) for i in range(0, len(counter.agent), 4)]
    assert {b"\x10\x00\x03\x0f", b"\x10\x00\x00\x0f"} <= set(asb)


def test_the_agent_is_told_of_changes_after_the_till_has_switched_automatic_status_off() -> None:
    counter = Counter(EscPosPrinter())
    counter.ask(AUTO)
    counter.prints(b"\x1da\xff")
    counter.prints(b"\x1da\x00")
    seen = bytes(counter.till)
    counter.agent.clear()
    counter.set("cover", "open")
    assert bytes(counter.agent).endswith(b"\x38\x00\x00\x0f")
    assert counter.till == seen


def test_before_the_agent_asks_the_line_is_a_wire() -> None:
    counter = Counter()
    for said in (b"\x10\x00\x00\x0f", b"\xff\x80", b"_text\x00", b"\x11", b"\x13", b"\x3d12\x00", b"\x37\x5f\x00"):
        counter.hear(said)
    counter.wait(1.0)
    assert bytes(counter.till) == b"\x10\x00\x00\x0f\xff\x80_text\x00\x11\x13\x3d12\x00\x37\x5f\x00"


def test_half_an_answer_goes_to_the_till_after_a_while() -> None:
    counter = Counter()
    counter.ask(AUTO)
    counter.hear(b"\x10\x00")
    assert counter.till == b""
    counter.wait(0.6)
    assert counter.till == b"\x10\x00"


def test_half_an_answer_does_not_keep_the_tills_answers_from_it_for_ever() -> None:
    counter = Counter()
    counter.ask(b"\x1da\x0f")
    counter.hear(b"\x10")  # of four bytes one, the others were lost
    for _ in range(10):
        counter.prints(b"\x10\x04\x01")
        counter.hear(b"\x16")
        counter.wait(0.1)
    assert counter.till.count(b"\x16") == 10


def test_the_order_of_the_tills_bytes_is_kept_when_answers_lie_in_each_other() -> None:
    counter = Counter()
    counter.ask(AUTO)
    counter.hear(b"\x10\x00\x00\x0f")
    counter.prints(b"\x1da\x08\x10\x04\x01")
    counter.hear(b"\x10\x00\x12\x13\x03\x11\x0f")
    assert bytes(counter.till) == b"\x10\x00\x12\x13\x03\x11\x0f"
    counter.prints(b"\x10\x04\x01")
    counter.hear(b"\x14\x00\x16\x03\x0f")  # the drawer, which the till has not asked about
    assert bytes(counter.till)[7:] == b"\x16"
    assert bytes(counter.agent).replace(b"\x11", b"").replace(b"\x13", b"")[-4:] == b"\x14\x00\x03\x0f"


def test_what_the_till_saw_before_the_agent_came_is_no_news() -> None:
    counter = Counter()
    counter.prints(b"\x1da\x08")
    counter.hear(b"\x10\x00")
    counter.hear(b"\x03\x0f")
    counter.ask(AUTO)
    counter.hear(b"\x10\x00\x03\x0f")
    assert bytes(counter.till) == b"\x10\x00\x03\x0f"


# -- flow control, loss, restart ---------------------------------------------------------------------------------------


def test_a_printer_that_says_stop_holds_the_tills_bytes_and_is_asked_why() -> None:
    counter = Counter(most=3)
    counter.line.honours_flow = True
    counter.line.load(b"\x1b@text\ntext\n", counter.now)
    counter.line.wrote(4, counter.now)
    counter.wire += b"\x1b@te"
    counter.hear(b"\x13")
    counter.pump()
    assert bytes(counter.wire) == b"\x1b@te"
    counter.ask()
    assert bytes(counter.wire) == b"\x1b@te" + SWEEP
    counter.hear(b"\x1a\x32\x12\x7e\x11")
    counter.pump()
    assert bytes(counter.wire) == b"\x1b@te" + SWEEP + b"xt\ntext\n"
    assert counter.till == b"\x13\x11"  # the till's own side acts upon them


def test_inside_a_command_even_a_stopped_printer_is_not_asked() -> None:
    counter = Counter()
    counter.line.honours_flow = True
    counter.line.load(b"\x1dv0\x00\x02\x00\x08\x00" + bytes(16), counter.now)
    counter.line.wrote(12, counter.now)
    counter.hear(b"\x13")
    counter.ask()
    assert SWEEP not in counter.wire


def test_a_line_that_was_lost_in_a_picture_asks_only_after_silence() -> None:
    counter = Counter()
    counter.prints(b"\x1dv0\x00\x02\x00\x08\x00\x00\x00")
    counter.line.lose(counter.now)
    assert not counter.line.follows
    counter.ask()
    assert SWEEP not in counter.wire
    counter.wait(1.1)
    assert SWEEP in counter.wire
    assert counter.line.jobs.taken()["unfinished"] == 1


def test_a_successor_goes_on_in_the_middle() -> None:
    pieces = Grammar(9).pieces(60_000)
    data = b"".join(p.data for p in pieces)
    known, loose = borders(pieces)
    counter = Counter()
    chance = random.Random(9)
    for cut in cuts(data, 9, 700):
        counter.line.load(cut, counter.now)
        counter.line.ask(SWEEP)
        piece = counter.line.next_piece(counter.now)
        some = chance.randrange(len(piece) + 1)
        counter.wire += piece[:some]
        counter.line.wrote(some, counter.now)
        saved = counter.line.saved()
        counter.line = SharedLine(counter.now)
        counter.line.load_saved(saved)
        counter.pump()
        counter.hear(b"\x12" * 4)
        counter.now += 0.01
    between = bytes(counter.wire).split(SWEEP)
    assert b"".join(between) == data
    place = 0
    for part in between[:-1]:
        place += len(part)
        assert place in known or any(begin <= place <= end for begin, end in loose)


def test_a_printer_that_stops_a_successor_in_its_predecessors_piece_stops_nothing_else() -> None:
    counter = Counter(most=10)
    counter.line.honours_flow = True
    counter.line.load(b"one line\n" * 9, counter.now)
    counter.line.wrote(len(counter.line.next_piece(counter.now)[:5]), counter.now)
    saved = counter.line.saved()
    counter.line = SharedLine(counter.now)
    counter.line.honours_flow = True
    counter.line.load_saved(saved)
    counter.line.wrote(len(counter.line.next_piece(counter.now)[:5]), counter.now)
    counter.hear(b"\x13")
    assert counter.ask(), "it is asked why"
    assert counter.wire == b""
    counter.hear(b"\x11")
    counter.pump()
    assert bytes(counter.wire) == (b"one line\n" * 9)[10:] + SWEEP


def test_a_mistake_of_our_own_makes_it_a_plain_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()

    def fails(self: object, data: bytes) -> int:
        raise IndexError(len(data))

    monkeypatch.setattr("protocols.printers.tokens.Tokenizer.feed", fails)
    counter.prints(b"text\n")
    counter.prints(b"more\n")
    assert bytes(counter.wire) == b"text\nmore\n"
    assert counter.line.use(counter.now + 10) == "wire"
    assert not counter.ask()
    counter.hear(b"\x10\x00\x00\x0f")
    assert counter.till == b"\x10\x00\x00\x0f"


def test_a_restart_ends_what_a_mistake_of_our_own_has_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    with monkeypatch.context() as patch:
        patch.setattr("protocols.printers.tokens.Tokenizer.feed", lambda *_: 1 // 0)
        counter.prints(b"text\x1d")
    saved = counter.line.saved()
    counter.line = SharedLine(counter.now)
    counter.line.load_saved(saved)
    assert not counter.line.follows
    assert counter.ask()
    assert SWEEP not in counter.wire, "nobody knows where the till stands"
    counter.wait(1.1)
    assert counter.wire.endswith(SWEEP)
    assert counter.line.follows


def test_the_tills_own_question_in_the_rest_of_a_piece_is_answered_to_the_till() -> None:
    counter = Counter()
    counter.line.load(b"text\n\x10\x04\x01", counter.now)
    counter.line.wrote(3, counter.now)
    saved = counter.line.saved()
    counter.line = SharedLine(counter.now)
    counter.line.load_saved(saved)
    counter.pump()
    assert counter.ask(), "it waits until the till has its answer"
    assert counter.wire == b"t\n\x10\x04\x01"
    counter.hear(b"\x16")
    counter.pump()
    counter.hear(b"\x12" * 4)
    assert (counter.till, counter.agent) == (b"\x16", b"\x12" * 4)


# -- what is learnt ----------------------------------------------------------------------------------------------------


def test_jobs_lines_cuts_and_what_never_ended() -> None:
    counter = Counter()
    counter.prints(b"\x1b@one\ntwo\n")
    assert counter.line.use(counter.now) == "printing"
    counter.wait(2.0)
    counter.prints(b"\x1dV\x00")
    counter.wait(1.0)
    assert counter.line.use(counter.now) == "idle"
    assert counter.line.jobs.taken() == {"jobs": 1, "lines": 2, "cuts": 1, "bytes": 13, "unfinished": 0, "seconds": 2}
    counter.prints(b"no cut\n")
    counter.wait(6.0)
    counter.prints(b"\x1b*\x00\xff")
    counter.wait(31.0)
    counter.wait(31.0)
    found = counter.line.jobs.taken()
    assert (found["jobs"], found["unfinished"]) == (1, 1)


# -- the same receipt, with and without --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_receipt_and_answers_are_the_same_with_and_without_an_agent(seed: int) -> None:
    chance = random.Random(seed)
    grammar = Grammar(seed)
    asks = (b"\x10\x04\x01", b"\x10\x04\x04", b"\x1dI\x43", b"\x1dr\x01", b"\x1da\xff", b"\x1da\x00", b"\x1d(H\x06\x0000till")
    stream = [grammar.piece().data if chance.randrange(5) else chance.choice(asks) for _ in range(150)]
    alone, shared = EscPosPrinter(), Counter(EscPosPrinter())
    expected = bytearray()
    shared.ask(AUTO)
    for part in stream:
        for cut in cuts(part, chance.randrange(1000), 300):
            expected += alone.receive(cut, shared.now)
            shared.prints(cut)
            shared.now += 0.002
            shared.ask(chance.choice((SWEEP, AUTO, b"\x10\x04\x01")))
    assert bytes(shared.till) == bytes(expected)
    assert shared.printer is not None
    assert shared.printer.receipt() == alone.receipt()
    assert draw(shared.printer.receipt()).tobytes() == draw(alone.receipt()).tobytes()
    assert shared.on_wire > 50
