"""``posagent status``: every till, what is wrong and what to do; the last line answers the one question."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.cli.screen import Style, neutral, paragraph, table, width, wrap
from agent.cli.views.atr import atr_words
from agent.cli.views.enrolment import enrolment_line
from agent.cli.views.marks import last_line, moment, sign, tinted
from agent.cli.views.wear import counted, worn
from agent.health import catalogue
from agent.text import Text

Doc = Mapping[str, Any]

_ALWAYS = ("paper", "cover", "cutter", "card")
_QUIET = {
    "online": "yes",
    "auto_recoverable": "no",
    "unrecoverable": "no",
    "mechanical_error": "no",
    "feed_button": "no",
    "waiting_online": "no",
}
_HIDDEN = ("drawer",)
IDENTITY = ("maker", "model", "serial", "firmware")


def enrich(document: Doc, lang: str) -> dict[str, Any]:
    """Add title, cause, remedy, advice, part and visit to every fault of a status document; the rest stays as it is."""
    host = document["host"]
    terminals = [
        {**till, "devices": {kind: _with_words(device, lang) for kind, device in till["devices"].items()}}
        for till in document["terminals"]
    ]
    return {**document, "host": _with_words(host, lang), "terminals": terminals}


def _with_words(owner: Doc, lang: str) -> dict[str, Any]:
    return {**owner, "faults": [fault | fault_words(fault["id"], lang) for fault in owner.get("faults", ())]}


def fault_words(fault_id: str, lang: str) -> dict[str, str]:
    """What the catalogue says about a fault, as the documents carry it."""
    words = catalogue.text(fault_id, lang)
    return {
        "title": words.title,
        "cause": words.cause,
        "remedy": words.remedy,
        "advice": words.advice,
        "part": words.part,
        "visit": catalogue.severity_of(fault_id).visit,
    }


def status(document: Doc, text: Text, style: Style) -> str:
    """Draw a status document, enriched or not."""
    known = enrich(document, text.lang)
    lines: list[str] = []
    for till in known["terminals"]:
        lines += [*_till(till, text, style), ""]
    lines += [*_host(known["host"], text, style), ""]
    return "\n".join(lines + _answer(known["terminals"], text, style))


def _till(till: Doc, text: Text, style: Style) -> Iterator[str]:
    answer = till["can_take_money"]
    needs = text.t("punctuation.items").join(text.word("noun", neutral(need)) for need in till["checked"]) or text.t(
        "money.nothing"
    )
    head = style.paint(f"{text.t('noun.till')} {neutral(till['id'])}", "head")
    verdict = tinted(text.word("money", answer), answer, style)
    yield f"{head}  {sign(answer, style)} {verdict}  {style.paint(text.t('money.checked', needs=needs), 'dim')}"
    rows = []
    for kind, device in till["devices"].items():
        state = device["state"]
        rows.append(
            (
                f"{sign(state, style)} {text.word('noun', kind)}",
                tinted(text.word("state", state), state, style),
                text.word("mode", neutral(device["mode"])),
                _facts(device, text),
            )
        )
    yield from table(rows, style, indent=2)
    for kind, device in till["devices"].items():
        yield from counted(text.word("noun", kind), device.get("statistics", {}), text, style)
        yield from worn(text.word("noun", kind), device.get("wear", []), text, style)
        yield from fault_lines(device["faults"], text, style)


def _facts(device: Doc, text: Text) -> str:
    """Who it is, then its dials; dials that always say the same are left out until they say something else."""
    identity = device.get("identity", {})
    who = " ".join(neutral(identity[name]) for name in IDENTITY if identity.get(name))
    held = ", ".join(neutral(name) for name in device.get("held_by", ()))
    parts = [who] if who else []
    parts += [text.t("device.profile", name=neutral(device["profile"]["name"]))] if device.get("profile") else []
    parts += [text.t("device.held_by", names=held)] if held else []
    errors = ", ".join(f"{neutral(name)} {int(n)}" for name, n in device.get("line_errors", {}).items() if n)
    parts += [text.t("device.line_errors", counts=errors)] if errors else []
    parts += [_reading(name, reading, text) for name, reading in device["readings"].items() if _speaks(name, reading)]
    return " · ".join(parts) or "–"


def _speaks(name: str, reading: Doc) -> bool:
    if name in _HIDDEN:
        return False
    return name in _ALWAYS or reading["value"] != _QUIET.get(name)


def _reading(name: str, reading: Doc, text: Text) -> str:
    value, quality = neutral(reading["value"]), reading["quality"]
    if name == "atr":
        return f"{text.word('reading', name)}{text.t('punctuation.reading')}{value} ({atr_words(value, text)})"
    word = text.word(f"value.{name}", value)
    if word == value:
        word = text.word("value", value)
    shown = "" if quality == "unknown" else text.t("punctuation.reading") + word
    mark = "" if quality == "known" else text.word("quality", quality)
    return f"{text.word('reading', neutral(name))}{shown}{mark}"


def fault_lines(faults: Iterable[Doc], text: Text, style: Style) -> Iterator[str]:
    """Each fault with what to do about it."""
    for fault in faults:
        severity = fault["severity"]
        notes = [neutral(fault["id"]), text.t("fault.since", time=moment(fault["since"]))]
        if fault.get("times", 1) > 1:
            notes.append(text.t("fault.times", times=fault["times"]))
        if fault.get("quality") == "stale":
            notes.append(text.t("fault.stale"))
        said = " · ".join(notes)
        head = f"    {sign(severity, style)} {tinted(fault['title'], severity, style)}"
        if width(f"    - {fault['title']}  {said}") <= style.width:
            yield f"{head}  {style.paint(said, 'dim')}"
        else:
            yield head
            yield from (f"      {style.paint(line, 'dim')}" for line in wrap(said, style.width - 6))
        evidence = ", ".join(f"{neutral(k)} {neutral(v)}" for k, v in fault.get("evidence", {}).items())
        cause = fault["cause"] + (f" [{evidence}]" if evidence else "")
        for label, words in (("cause", cause), ("remedy", fault["remedy"]), ("advice", fault["advice"])):
            yield from paragraph(text.t(f"fault.{label}"), words, style, indent=6)
        bring = " · ".join(filter(None, (fault["part"], text.word("visit", fault["visit"]))))
        yield from paragraph(text.t("fault.part"), bring, style, indent=6)


def _host(host: Doc, text: Text, style: Style) -> Iterator[str]:
    rows = [(text.t("noun.center"), _center(host.get("center") or {}, text))]
    if host.get("enrolment"):
        rows.append((text.t("noun.enrolment"), enrolment_line(host["enrolment"], text)))
    rows += [(text.t("noun.software"), _software(neutral(name), item, text)) for name, item in host["components"].items()]
    yield style.paint(f"{text.t('noun.host')} {neutral(host['id'])}", "head")
    yield from table(rows, style, indent=2)
    yield from fault_lines(host["faults"], text, style)


def _software(name: str, item: Doc, text: Text) -> str:
    last = text.t("punctuation.colon").join((text.t("update.state"), text.word("update", neutral(item["state"]))))
    return text.t("punctuation.comma").join((f"{name} {neutral(item.get('version') or '–')}", last))


def _center(center: Doc, text: Text) -> str:
    if not center or center.get("configured") is False:
        return text.t("center.none")
    reach = {True: "reachable", False: "unreachable"}.get(center.get("reachable"), "unsaid")  # type: ignore[arg-type]
    parts = [text.t(f"center.{reach}")]
    if center.get("last_report"):
        parts.append(text.t("center.last", time=moment(center["last_report"])))
    if center.get("backlog"):
        parts.append(text.t("center.backlog", count=center["backlog"]))
    return " · ".join(parts)


def _answer(tills: list[dict[str, Any]], text: Text, style: Style) -> list[str]:
    if not tills:
        return last_line("unknown", text.t("verdict.none"), style)
    answers = [till["can_take_money"] for till in tills]
    worst = next((word for word in ("no", "unknown") if word in answers), "yes")
    if worst == "yes":
        sentence = text.t("verdict.yes") if len(tills) == 1 else text.t("verdict.all_yes", count=len(tills))
        return last_line("yes", sentence, style)
    reasons = list(dict.fromkeys(reason for till in tills for reason in till["reasons"]))
    remedy = catalogue.text(reasons[0], text.lang).remedy if reasons else ""
    if len(tills) == 1:
        why = _why(tills[0], text)
        return last_line(worst, text.t(f"verdict.{worst}", why=why), style, remedy)
    told = text.t("punctuation.list").join(
        f"{neutral(till['id'])} {_why(till, text)}" for till in tills if till["can_take_money"] != "yes"
    )
    sentence = text.t("verdict.some", bad=answers.count("no"), unknown=answers.count("unknown"), count=len(tills), why=told)
    return last_line(worst, sentence, style, remedy)


def _why(till: Doc, text: Text) -> str:
    """The faults, or where there is none, what nobody can see (such as a reader that a payment program holds)."""
    if till["reasons"]:
        return why_not(till["reasons"], text)
    devices = till["devices"]
    unseen = [text.word("noun", need) for need in till["checked"] if devices.get(need, {}).get("state") == "unknown"]
    if not unseen:
        return text.t("verdict.nothing_known")
    return text.t("verdict.unseen", what=text.t("punctuation.and").join(unseen))


def why_not(reasons: Iterable[str], text: Text) -> str:
    """The titles of faults as a part of a sentence."""
    titles = [catalogue.text(reason, text.lang).title for reason in reasons]
    lowered = [title[:1].lower() + title[1:] for title in titles]
    return neutral(text.t("punctuation.and").join(lowered))
