"""What only a person can tell (CheckHealth level interactive): is the slip readable, does a test card answer, what does a
silent printer print, does the drawer open?

Questions go to stderr, so that stdout stays one document. Where nobody sits at the terminal they are skipped and say so.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from agent.cli.screen import emit
from agent.documents import selftest_document
from agent.text import Text

YES, NO = ("y", "yes", "是", "1"), ("n", "no", "否", "0")
SEEN_ON_PAPER = {"l": "printer.print_faded", "p": "printer.wrong_paper"}
SEEN_WHEN_SILENT = {"h": "printer.test_mode", "r": "link.half_duplex"}
"""Letter to the fault that only a person can see (docs/faults.md)."""
CardOf = Callable[[str], Mapping[str, str]]
"""Terminal id to what a check of the test card in its reader has found: ``card``, and ``atr``, ``exchange``, ``parameters``."""
CARDS = {
    "present": ("pass", "selftest.card_answers"),
    "mute": ("fail", "selftest.card_mute"),
    "bad_atr": ("fail", "fault.reader.bad_atr"),
    "short": ("fail", "fault.reader.short_circuit"),
    "runaway": ("fail", "fault.reader.time_runaway"),
    "torn": ("skip", "fault.reader.card_torn"),
    "absent": ("skip", "selftest.card_none"),
    "in_use": ("skip", "selftest.card_in_use"),
    "held": ("skip", "selftest.held"),
}
"""What was found to outcome and sentence."""
Protocols = Mapping[str, str]
"""Terminal id to the protocol of its reader."""
SwipeOf = Callable[[str], Mapping[str, Any]]
"""Terminal id to what came of a test card that is swiped now (agent.swipecheck)."""
PrintSeen = Callable[[str], object]
"""Told the id of the terminal whose slip a person has seen and found right."""
UNTOLD = "selftest.print_untold"
"""The printer cannot say that it printed."""
UNSEEN = "printer.print_unseen"


class Interview:
    """Asks through ``source``; ``None`` or a source that is no terminal means that nobody can be asked."""

    def __init__(self, text: Text, source: TextIO | None = None, screen: TextIO | None = None) -> None:
        self._text = text
        self._source = source if source is not None else sys.stdin
        self._screen = screen if screen is not None else sys.stderr

    def add_to(
        self,
        document: Mapping[str, Any],
        card_of: CardOf,
        protocols: Protocols | None = None,
        swipe_of: SwipeOf | None = None,
        print_seen: PrintSeen | None = None,
    ) -> dict[str, Any]:
        """The document with the person's answers as further checks, and its result judged anew."""
        terminals = []
        for till in document["terminals"]:
            checks = list(till["checks"])
            if any(c["id"] == "printer.slip" and (c["outcome"] == "pass" or c["text"] == UNTOLD) for c in checks):
                readable = self._readable()
                if readable["outcome"] == "pass":
                    checks = [_vouched(check) for check in checks]
                    if print_seen is not None:
                        print_seen(till["id"])
                checks.append(readable)
            if any(c["id"] == "reader.line" and c["outcome"] == "pass" for c in checks):
                checks.append(self._reader(till["id"], (protocols or {}).get(till["id"], ""), card_of, swipe_of))
            if any(c["id"] == "printer.line" and c["fault"] == "link.silent" for c in checks):
                checks.append(self._prints())
            if any(c["id"] == "printer.line" and c["outcome"] == "pass" for c in checks):
                checks.append(self._drawer())
            terminals.append({**till, "checks": checks})
        return selftest_document(str(document["level"]), terminals)

    def _readable(self) -> dict[str, Any]:
        answer = self._ask("selftest.ask_readable")
        if answer in SEEN_ON_PAPER:
            return _seen("printer.readable", SEEN_ON_PAPER[answer])
        outcome = "pass" if answer in YES else "fail" if answer in NO else "skip"
        text = {"pass": "selftest.readable", "fail": "selftest.unreadable"}.get(outcome, "selftest.no_person")
        return _check("printer.readable", "printer", outcome, text)

    def _prints(self) -> dict[str, Any]:
        answer = self._ask("selftest.ask_prints")
        if answer in SEEN_WHEN_SILENT:
            return _seen("printer.prints", SEEN_WHEN_SILENT[answer])
        return _check("printer.prints", "printer", "skip", "selftest.no_person" if answer is None else "selftest.prints_nothing")

    def _drawer(self) -> dict[str, Any]:
        answer = self._ask("selftest.ask_drawer")
        if answer in NO:
            return _seen("printer.drawer", "printer.drawer_line")
        if answer in YES:
            return _check("printer.drawer", "printer", "pass", "selftest.drawer_opens")
        return _check("printer.drawer", "printer", "skip", "selftest.no_person" if answer is None else "selftest.no_drawer")

    def _reader(self, terminal: str, protocol: str, card_of: CardOf, swipe_of: SwipeOf | None) -> dict[str, Any]:
        from protocols.catalogue import find

        reader = find("reader", protocol) if protocol else None
        if reader is not None and reader.swipe is not None and swipe_of is not None:
            return self._swipe(terminal, swipe_of)
        return self._contactless() if reader is not None and reader.contactless else self._card(terminal, card_of)

    def _swipe(self, terminal: str, swipe_of: SwipeOf) -> dict[str, Any]:
        if self._ask("selftest.ask_swipe") is None:
            return _check("reader.swipe", "reader", "skip", "selftest.no_person")
        emit(self._screen, self._text.t("selftest.swipe_now"))
        found = swipe_of(terminal)
        tracks = [track for track in found["tracks"] if track["present"]]
        if not found.get("answers", True):
            return _check("reader.swipe", "reader", "unknown", "selftest.reader_silent")
        if not found["swiped"]:
            return _check("reader.swipe", "reader", "skip", "selftest.no_swipe")
        good = bool(tracks) and all(track["good"] for track in tracks)
        check = _check("reader.swipe", "reader", "pass" if good else "fail", f"selftest.swipe_{'good' if good else 'bad'}")
        return {**check, "detail": "; ".join(self._track(track) for track in tracks)}

    def _track(self, track: Mapping[str, Any]) -> str:
        said = {name: self._text.t(f"selftest.check_{track[name]}") for name in ("lrc", "luhn")}
        return self._text.t("selftest.track", track=str(track["track"]), length=str(track["length"]), **said)

    def _contactless(self) -> dict[str, Any]:
        answer = self._ask("selftest.ask_contactless")
        if answer in NO:
            return _seen("reader.contactless", "reader.contactless")
        if answer in YES:
            return _check("reader.contactless", "reader", "pass", "selftest.contactless_reads")
        return _check(
            "reader.contactless", "reader", "skip", "selftest.no_person" if answer is None else "selftest.no_contactless"
        )

    def _card(self, terminal: str, card_of: CardOf) -> dict[str, Any]:
        if self._ask("selftest.ask_card") is None:
            return _check("reader.card", "reader", "skip", "selftest.no_person")
        found = card_of(terminal)
        outcome, text = CARDS.get(found["card"], ("unknown", "selftest.card_unknown"))
        fault = text.removeprefix("fault.") if outcome == "fail" and text.startswith("fault.") else None
        return {**_check("reader.card", "reader", outcome, text), "fault": fault, "detail": _card_detail(found)}

    def _ask(self, key: str) -> str | None:
        if not self._source.isatty():
            return None
        emit(self._screen, self._text.t(key))
        line = self._source.readline()
        return line.strip().lower() if line else None


def _check(ident: str, device: str, outcome: str, text: str) -> dict[str, Any]:
    return {"id": ident, "device": device, "outcome": outcome, "fault": None, "text": text, "took_s": 0.0}


def _card_detail(found: Mapping[str, str]) -> str:
    """ATR (said in words by the view), then how they talk and what came of the test command."""
    parts = [f"ATR {found['atr']}"] if found.get("atr") else []
    parts += [found["parameters"]] if found.get("parameters") else []
    parts += [f"SELECT MF {found['exchange']}"] if found.get("exchange") else []
    return "; ".join(parts)


def _vouched(check: Mapping[str, Any]) -> dict[str, Any]:
    """What nobody but a person could tell, now that one has."""
    if check["id"] == "printer.slip" and check["text"] == UNTOLD:
        return {**check, "outcome": "pass", "text": "selftest.printed_seen"}
    if check["fault"] == UNSEEN:
        return {**check, "outcome": "pass", "fault": None, "text": "selftest.state_by_person"}
    return dict(check)


def _seen(ident: str, fault: str) -> dict[str, Any]:
    """A fault that a person has seen."""
    return {**_check(ident, ident.partition(".")[0], "fail", f"fault.{fault}"), "fault": fault}
