"""``posagent update status`` and ``update history``."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.cli.screen import Style, neutral, table, wrap
from agent.cli.views.marks import last_line, moment, sign, tinted
from agent.cli.views.reasons import named, size, step_word, waiting_for, why
from agent.hold import UNKNOWN
from agent.text import Text

Doc = Mapping[str, Any]
BAD = ("refused", "failed", "rolled_back")


def update_status(document: Doc, text: Text, style: Style) -> str:
    """Draw what runs, and where the current deployment is."""
    heads = [text.t(f"update.{name}") for name in ("component", "version", "previous", "state")]
    rows = [
        (
            neutral(name),
            neutral(item.get("version") or "–"),
            neutral(item.get("previous") or "–"),
            f"{sign(item['state'], style)} {tinted(text.word('update', neutral(item['state'])), item['state'], style)}",
        )
        for name, item in document["components"].items()
    ]
    lines = table(rows, style, heads=heads) if rows else [text.t("update.no_components")]
    held = [part for line in _held(document, text) for part in wrap(line, style.width)]
    ready = [part for line in _ready(document, text) for part in wrap(line, style.width)]
    lines += [*_behind(document, text, style), "", *ready, *held]
    return "\n".join([*lines, *_deployment(document, text, style)])


def update_plans(document: Doc, text: Text, style: Style) -> str:
    """Draw what ``update check --dry-run`` found."""
    marks = {"install": "ok", "download": "ok", "nothing": "ok", "wait": "waiting", "refuse": "refused"}
    lines: list[str] = []
    for plan in document["plans"]:
        said = {name: neutral(plan[name] or "–") for name in ("component", "version", "runs")}
        lines += last_line(marks[plan["would"]], text.t(f"update.would.{plan['would']}", **said), style, why(plan, text))
    if any(plan["would"] == "install" for plan in document["plans"]):
        lines += [part for line in _held(document, text) for part in wrap(line, style.width)]
    return "\n".join(lines or last_line("ok", text.t("update.would.none"), style))


def update_held(document: Doc, text: Text, style: Style) -> str:
    """Draw what ``update hold`` and ``update release`` did."""
    lines = _held(document, text) or [text.t("update.not_held")]
    if (document.get("hold") or {}).get("capped"):
        lines.append(text.t("update.hold_capped"))
    return "\n".join(last_line("ok", lines[0], style, *lines[1:]))


def _held(document: Doc, text: Text) -> list[str]:
    hold = document.get("hold")
    if not hold:
        return []
    known = hold["until"] != UNKNOWN
    return [text.t("update.held", until=moment(hold["until"])) if known else text.t("update.held_unknown")]


def _ready(document: Doc, text: Text) -> list[str]:
    """What was brought ahead of time."""
    found = [(name, item["ready"]) for name, item in document["components"].items() if item.get("ready")]
    return [text.t("update.ready", component=neutral(name), version=neutral(version)) for name, version in found]


def _behind(document: Doc, text: Text, style: Style) -> list[str]:
    """One line for each component, and how old that knowledge is."""
    told = document.get("behind") or {}
    lines = [_behind_one(neutral(name), one, document["components"].get(name, {}), text) for name, one in told.items()]
    dated = [one for one in told.values() if one["quality"] != "unknown"]
    if dated:
        stale = any(one["quality"] == "stale" for one in dated)
        when = next((moment(one["as_of"]) for one in dated if one["as_of"]), "")
        key = "update.behind.stale" if stale else "update.behind.as_of"
        if when:
            lines.append(text.t(key, when=when))
        elif stale:
            lines.append(text.t("update.behind.stale_undated"))
    return ["", *(part for line in lines for part in wrap(line, style.width))] if lines else []


def _behind_one(name: str, one: Doc, seen: Doc, text: Text) -> str:
    newest, count, days = neutral(one["newest"] or "–"), one["versions"], one["days"]
    if one["quality"] == "unknown":
        return text.t("update.behind.unknown", component=name)
    if one["newest"] is None:
        return text.t("update.behind.nothing", component=name)
    if count is None:
        return text.t("update.behind.absent", component=name, newest=newest)
    if count == 0:
        return text.t("update.behind.none", component=name, version=neutral(seen.get("version") or "–"))
    versions = text.t("update.behind.one") if count == 1 else text.t("update.behind.many", count=count)
    since = "" if days is None else text.t(f"update.behind.{'today' if days == 0 else 'day' if days == 1 else 'days'}", days=days)
    return text.t("update.behind.some", component=name, count=versions, newest=newest, since=since)


def _deployment(document: Doc, text: Text, style: Style) -> list[str]:
    running, last = document["deployment"], document.get("last")
    if running is None and last and last["state"] in BAD:
        said = text.t("update.last", what=named(last), state=text.word("update", neutral(last["state"])))
        return last_line(last["state"], said, style, why(last, text))
    if running is None:
        return last_line("ok", text.t("update.idle"), style)
    sentence = text.t("update.running", what=named(running), state=step_word(running, text))
    notes = [text.t("update.by_hand")] if running.get("stick") else []
    notes += [text.t("update.going_back")] if running.get("rollback") else []
    notes += [text.t("update.download_only")] if running.get("download_only") else []
    if running.get("waiting_for"):
        notes.append(text.t("update.waiting_for", what=waiting_for(running["waiting_for"], text)))
    if running.get("bytes_missing"):
        notes.append(text.t("update.missing", size=size(running["bytes_missing"])))
    if running.get("reason"):
        notes.append(why(running, text))
    return last_line(neutral(running["state"]), sentence, style, " · ".join(notes))


def _history_detail(body: Doc, text: Text) -> str:
    return moment(body["until"]) if isinstance(body.get("until"), str) else why(body, text)


def _history_word(state: str, body: Doc, text: Text) -> str:
    unheard = state == "notice" and body.get("told") is False
    return text.t("update.notice_untold") if unheard else text.word("update", neutral(state))


def update_history(records: Sequence[Doc], text: Text, style: Style) -> str:
    """Draw the journal's ``update.*`` records, newest last."""
    rows = []
    last: tuple[str, str] | None = None
    for record in records:
        area, _, state = str(record["kind"]).partition(".")
        if area != "update":
            continue
        body = record["body"]
        component, version = neutral(body.get("component") or "–"), neutral(body.get("version") or "–")
        word = _history_word(state, body, text)
        last = (named(body), state)
        rows.append((moment(record["wall"]), component, version, f"{sign(state, style)} {word}", _history_detail(body, text)))
    if last is None:
        return "\n".join(last_line("unknown", text.t("update.no_history"), style))
    heads = [text.t(f"update.{name}") for name in ("time", "component", "version", "state", "reason")]
    sentence = text.t("update.last", what=last[0], state=text.word("update", neutral(last[1])))
    return "\n".join([*table(rows, style, heads=heads), "", *last_line(last[1], sentence, style)])
