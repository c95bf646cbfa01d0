"""The table of faults: when each is there, from readings alone. Small pure functions, one row per fault.

Rules over the table (devices.md section 7): the line before the device, cover before paper, contradiction means the line. A
rule for a device is asked only while its line is up and not noisy: random bytes hold a look-alike of every status, and two of
a kind sooner or later. A rule answers with its evidence, or None when the fault is not there. A query that is not answered
because the model does not know it sets no dial, so it is no evidence.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.health import readerrules
from agent.health.facts import CUTTER_ERRORS, DAY_S, Evidence, Facts
from agent.observations import LinkState

Test = Callable[[Facts], Evidence | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: ``about`` line rules are asked always, device rules only while the line is up and clean.

    ``after_s`` is how long the test has to hold without a break; ``instead_of`` names what this fault explains, and which
    is then not told beside it.
    """

    fault: str
    kinds: tuple[str, ...]
    about: str
    test: Test
    after_s: float = 0.0
    instead_of: tuple[str, ...] = ()


def _reads(name: str, value: str) -> Test:
    def test(facts: Facts) -> Evidence | None:
        return {name: value} if facts.readings.value(name) == value else None

    return test


def _paper(value: str) -> Test:
    # The cover switch lifts the paper from its sensor: with the cover open the paper bits may be wrong (devices.md 1.3).
    def test(facts: Facts) -> Evidence | None:
        if facts.readings.value("cover") == "open":
            return None
        return {"paper": value, "cover": "closed"} if facts.readings.value("paper") == value else None

    return test


SETTLES_S = 2.0
"""A sensor has made up its mind so many seconds after the cover was closed."""


def _no_paper_after_closing(facts: Facts) -> Evidence | None:
    # A person has opened the printer, closed it, and it still sees no paper (devices.md P03); paper that ran out later is P01.
    ended, closed = facts.trail.since("paper"), facts.trail.covered_at
    found = _paper("end")(facts)
    if found is None or ended is None or closed is None or ended > closed + SETTLES_S:
        return None
    return {**found, "cover": "opened and closed"}


def _head_hot(facts: Facts) -> Evidence | None:
    # The same bit says "cover opened while printing" (devices.md 1.2): with the cover open it is not the head's.
    if facts.readings.value("auto_recoverable") == "yes" and facts.readings.value("cover") != "open":
        return {"auto_recoverable": "yes", "cover": "closed"}
    return None


def _opened_while_printing(facts: Facts) -> Evidence | None:
    # The bit that was there before the cover opened is the head's, and says nothing about the cover (devices.md P05).
    if facts.readings.value("auto_recoverable") != "yes" or facts.readings.value("cover") != "open":
        return None
    if not facts.trail.not_before("auto_recoverable", "cover"):
        return None
    return {"auto_recoverable": "yes", "cover": "open"}


def _cutter_weak(facts: Facts) -> Evidence | None:
    errors = [at for at in facts.trail.cutter_errors if facts.now - at < DAY_S]
    return {"cutter_errors_in_24_h": str(len(errors))} if len(errors) >= CUTTER_ERRORS else None


def _says(*causes: str) -> Test:
    # Only GS ( H function 49 names a cause; without it the bit is all that is known (devices.md 1.4).
    def test(facts: Facts) -> Evidence | None:
        cause = facts.readings.value("error_cause")
        if facts.readings.value("unrecoverable") != "yes" or cause not in causes:
            return None
        return {"unrecoverable": "yes", "error_cause": cause}

    return test


NEEDLE_MODELS = ("TM-U", "TM-H", "SRP-27", "CBM-9", "iDP", "DP8", "SP7", "CT-S9")
"""How the names of impact printers begin: their mechanical error is the carriage's, a thermal one's mostly a jam."""


def _mechanism(facts: Facts) -> Evidence | None:
    jam = _reads("mechanical_error", "yes")(facts)
    return {**jam, "model": facts.model} if jam and facts.model.startswith(NEEDLE_MODELS) else None


CAUSES = {
    "cover": "open",
    "paper": "end",
    "cutter": "error",
    "auto_recoverable": "yes",
    "unrecoverable": "yes",
    "mechanical_error": "yes",
    "feed_button": "yes",
    "waiting_online": "yes",
}


def _offline(facts: Facts) -> Evidence | None:
    # Off-line with a cause is the cause's fault; off-line without one is all that can be said.
    if facts.readings.value("online") != "no":
        return None
    if any(facts.readings.value(name) == value for name, value in CAUSES.items()):
        return None
    return {"online": "no"}


def _link(*states: LinkState, fault: str | None = None) -> Test:
    def test(facts: Facts) -> Evidence | None:
        if fault is not None and facts.silent_fault != fault:
            return None
        return {"link": facts.link.value, **facts.link_detail} if facts.link in states else None

    return test


SPOILT_BY = {"bad_checksum": "reader.bad_checksum", "nak": "reader.nak_storm", "echo_mismatch": "reader.echo_mismatch"}
"""Kind of damage on a reader's line to its name."""
NOISE = ("link.noise", *SPOILT_BY.values())
"""What a line is told of that spoils bytes."""


def _damage_of(facts: Facts) -> str | None:
    """NAKs and wrong echoes have a name of their own where nothing else is damaged: noise makes them, too."""
    counts = {kind: int(facts.damage.get(kind, "0")) for kind in (*SPOILT_BY, "garbage")}
    garbled = facts.link is LinkState.GARBLED
    if counts["bad_checksum"] or counts["garbage"]:
        return "bad_checksum" if counts["bad_checksum"] or garbled else None
    most = max(("nak", "echo_mismatch"), key=lambda kind: counts[kind])
    return most if counts[most] else "bad_checksum" if garbled else None


def _spoilt(fault: str) -> Test:
    def test(facts: Facts) -> Evidence | None:
        if facts.link is not LinkState.GARBLED and not facts.noisy:
            return None
        kind = _damage_of(facts)
        return {"link": facts.link.value, **facts.damage} if kind is not None and SPOILT_BY[kind] == fault else None

    return test


def _noise(facts: Facts) -> Evidence | None:
    if facts.kind == "reader" and any(_spoilt(fault)(facts) for fault in SPOILT_BY.values()):
        return None
    if facts.link is LinkState.GARBLED or (facts.noisy and facts.line_is_up):
        return {"link": facts.link.value, **facts.damage, **facts.link_detail}
    return None


def _faulty_card(reason: str) -> Test:
    def test(facts: Facts) -> Evidence | None:
        return {"card": reason, "code": facts.card_code} if facts.readings.value("card") == reason else None

    return test


def _hardware(facts: Facts) -> Evidence | None:
    found = facts.readings.value("hardware")
    return {"hardware": found} if found in ("error", "overrun") else None


def _bouncing(facts: Facts) -> Evidence | None:
    return facts.slot.bouncing(facts.now)


def _never_empty(facts: Facts) -> Evidence | None:
    card = facts.readings.value("card")
    return {"card": card, "for": "24 h"} if card not in (None, "absent") else None


def _contacts_dirty(facts: Facts) -> Evidence | None:
    return facts.slot.dirty()


def _stuck_xoff(facts: Facts) -> Evidence | None:
    # A printer that is on-line and wants no data contradicts itself: that is the line's (devices.md L09).
    return {"flow": "XOFF", "online": "yes"} if facts.stopped and facts.readings.value("online") == "yes" else None


def _noticed(fault: str) -> Test:
    def test(facts: Facts) -> Evidence | None:
        until, evidence = facts.notices.get(fault, (0.0, {}))
        return evidence if facts.now < until else None

    return test


def _found(fault: str) -> Test:
    def test(facts: Facts) -> Evidence | None:
        return facts.findings.get(fault)

    return test


def _print_unseen(facts: Facts) -> Evidence | None:
    # One status byte without redundancy, and no word about what was printed: a person has to vouch (devices.md 1.7).
    return facts.prints.missing(facts.now)


PRINTER, READER, ANY = ("printer",), ("reader",), ("printer", "reader")

FOUND = (
    "link.renamed",
    "link.parity_mismatch",
    "link.overrun",
    "link.stuck_busy",
    "link.flow_mismatch",
    "link.half_duplex",
    "link.echo",
    "link.modem_probe",
    "link.stale_answers",
    "link.reset_on_open",
    "link.server_down",
    "link.flapping",
)
PCSC = ("reader.pcscd_down", "reader.pcscd_stuck", "reader.pcsc_refused", "reader.pcsc_reader_lost")
"""Faults of the line that no reading shows: whoever looks at the line says that they are there (LineFinding)."""

RULES: tuple[Rule, ...] = (
    Rule("link.unplugged", ANY, "line", _link(LinkState.UNPLUGGED)),
    Rule("link.not_serial", ANY, "line", _link(LinkState.UNUSABLE)),
    Rule("link.permission", ANY, "line", _link(LinkState.DENIED)),
    Rule("link.second_process", ANY, "line", _link(LinkState.HELD)),
    Rule("link.second_process", ANY, "line", _found("link.second_process")),  # one that came later and locks nothing
    Rule("link.silent", ANY, "line", _link(LinkState.SILENT, fault="link.silent")),
    Rule("reader.silent", READER, "line", _link(LinkState.SILENT, fault="reader.silent")),
    Rule("reader.daily_restart", READER, "line", readerrules.restarting, instead_of=("reader.silent", "link.unplugged")),
    Rule("link.baud_mismatch", ANY, "line", _link(LinkState.BAUD_MISMATCH)),
    *(Rule(fault, READER, "line", _spoilt(fault)) for fault in SPOILT_BY.values()),
    Rule("link.noise", ANY, "line", _noise),
    Rule("link.device_swapped", ANY, "line", _noticed("link.device_swapped")),
    *(Rule(fault, ANY, "line", _found(fault)) for fault in FOUND),
    *(Rule(fault, READER, "line", _found(fault)) for fault in PCSC),
    Rule("link.stuck_xoff", PRINTER, "device", _stuck_xoff, after_s=30.0),
    Rule("printer.cover_open", PRINTER, "device", _reads("cover", "open")),
    Rule("printer.cover_opened_printing", PRINTER, "device", _opened_while_printing),
    Rule("printer.paper_end", PRINTER, "device", _paper("end")),
    Rule("printer.paper_sensor", PRINTER, "device", _no_paper_after_closing, after_s=60.0),
    Rule("printer.paper_near_end", PRINTER, "device", _paper("near_end")),
    Rule("printer.cutter_jam", PRINTER, "device", _reads("cutter", "error")),
    Rule("printer.cutter_weak", PRINTER, "device", _cutter_weak),
    Rule("printer.head_hot", PRINTER, "device", _head_hot),
    Rule("printer.head_failed", PRINTER, "device", _head_hot, after_s=600.0, instead_of=("printer.head_hot",)),
    Rule("printer.head_failed", PRINTER, "device", _says("thermistor"), instead_of=("printer.unrecoverable",)),
    Rule(
        "printer.supply_voltage",
        PRINTER,
        "device",
        _says("low_voltage", "high_voltage", "over_current"),
        instead_of=("printer.unrecoverable",),
    ),
    Rule("printer.unrecoverable", PRINTER, "device", _reads("unrecoverable", "yes")),
    Rule("printer.mechanism", PRINTER, "device", _mechanism, instead_of=("printer.paper_jam",)),
    Rule("printer.paper_jam", PRINTER, "device", _reads("mechanical_error", "yes")),
    Rule("printer.feed_button", PRINTER, "device", _reads("feed_button", "yes"), after_s=10.0),
    Rule("printer.waiting_online", PRINTER, "device", _reads("waiting_online", "yes")),
    Rule("printer.print_unseen", PRINTER, "device", _print_unseen),
    Rule("printer.reset", PRINTER, "device", _noticed("printer.reset")),
    # No second bit speaks for it: two polls in a row that noise has spoilt alike are seldom followed by a third.
    Rule("printer.offline", PRINTER, "device", _offline, after_s=4.0),
    Rule("reader.card_mute", READER, "device", _reads("card", "mute")),
    Rule("reader.tamper", READER, "device", _reads("tamper", "yes")),
    Rule("reader.keys_missing", READER, "device", readerrules.no_keys),
    Rule("reader.boot_loader", READER, "device", readerrules.in_boot_loader),
    Rule("reader.clock_drift", READER, "device", readerrules.clock_off),
    Rule("reader.battery_low", READER, "device", readerrules.battery_low),
    Rule("reader.firmware", READER, "device", readerrules.other_firmware),
    Rule("reader.msr_head", READER, "device", lambda facts: facts.swipes.head()),
    Rule("reader.msr_track", READER, "device", lambda facts: facts.swipes.track()),
    Rule("reader.swipe_bad", READER, "device", _noticed("reader.swipe_bad")),
    Rule("reader.swipe_speed", READER, "device", _noticed("reader.swipe_speed")),
    Rule("reader.bad_atr", READER, "device", _faulty_card("bad_atr")),
    Rule("reader.short_circuit", READER, "device", _faulty_card("short")),
    Rule("reader.time_runaway", READER, "device", _faulty_card("runaway")),
    Rule("reader.hardware", READER, "device", _hardware),
    Rule("reader.slot_busy", READER, "device", _reads("slot", "busy"), after_s=3.0),
    Rule("reader.card_torn", READER, "device", _noticed("reader.card_torn")),
    Rule("reader.card_switch", READER, "device", _bouncing, instead_of=("reader.card_torn", "reader.card_mute")),
    Rule("reader.card_switch", READER, "device", _never_empty, after_s=DAY_S),
    Rule("reader.contacts_dirty", READER, "device", _contacts_dirty),
)


@dataclass(slots=True)
class Judge:
    """Asks the table about one device; remembers since when a rule holds that has to hold for a while."""

    _holds: dict[Rule, float] = field(default_factory=dict)

    def present(self, facts: Facts) -> dict[str, Evidence]:
        """Fault id to evidence, for every rule that can be asked now."""
        found: dict[str, Evidence] = {}
        explained: set[str] = set()
        for rule in RULES:
            evidence = rule.test(facts) if _askable(rule, facts) else None
            if rule.after_s and not self._lasts(rule, facts, there=evidence is not None):
                continue
            if evidence is not None:
                found[rule.fault] = evidence
                explained.update(rule.instead_of)
        return {fault: evidence for fault, evidence in found.items() if fault not in explained}

    def next_timer(self, facts: Facts) -> float | None:
        """When a rule will have held long enough, or time alone changes the facts."""
        due = [since + rule.after_s for rule, since in self._holds.items()]
        change = facts.next_change()
        return min([at for at in due if at > facts.now] + ([change] if change is not None else []), default=None)

    def _lasts(self, rule: Rule, facts: Facts, *, there: bool) -> bool:
        if facts.line_is_up and facts.noisy:
            return there  # nothing is known meanwhile, neither that it lasts nor that it has ended
        if not there:
            self._holds.pop(rule, None)
            return False
        return facts.now >= self._holds.setdefault(rule, facts.now) + rule.after_s


def _askable(rule: Rule, facts: Facts) -> bool:
    return facts.kind in rule.kinds and (rule.about == "line" or facts.device_is_believed)


def asked(facts: Facts) -> set[str]:
    """The faults that ``present`` could have answered about now; of the others nothing new is known."""
    return {rule.fault for rule in RULES if _askable(rule, facts)}
