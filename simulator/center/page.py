"""The page that a technician shows at the centre: its tills, their faults, their updates. HTML without scripts."""

from html import escape

from simulator.center.intake import Event, Intake
from simulator.center.model import Action
from simulator.center.store import Store
from simulator.center.web import Json, Reply, Request

TEXTS = {
    "en": {
        "title": "Service centre",
        "note": "Simulated. This page renews itself every five seconds.",
        "host": "Host",
        "state": "State",
        "report": "Last report",
        "faults": "Open faults",
        "version": "Installed",
        "update": "Last update",
        "none": "none",
        "never": "never",
        "ago": "{} s ago",
        "silent": "silent",
        "ok": "well",
        "fault": "fault",
        "unknown": "no report yet",
        "hosts": "Tills",
        "actions": "Updates",
        "empty": "No till has called yet.",
        "complaints": "Contradictions in the journal's chain",
        "set": "Release",
        "kind": "Kind",
        "message": "Last message",
        "other": "中文",
    },
    "zh": {
        "title": "服务中心",
        "note": "模拟环境。本页每五秒自动更新。",
        "host": "主机",
        "state": "状态",
        "report": "最近上报",
        "faults": "未清除故障",
        "version": "已安装",
        "update": "最近更新",
        "none": "无",
        "never": "从未",
        "ago": "{} 秒前",
        "silent": "失联",
        "ok": "正常",
        "fault": "故障",
        "unknown": "尚未上报",
        "hosts": "终端",
        "actions": "更新任务",
        "empty": "还没有终端接入。",
        "complaints": "日志链矛盾",
        "set": "版本",
        "kind": "方式",
        "message": "最新消息",
        "other": "English",
    },
}

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f4f6f8;color:#1c2733;font:15px/1.5 system-ui,"Noto Sans CJK SC","PingFang SC",sans-serif}
header{background:#fff;border-bottom:1px solid #dde3e9;padding:18px 28px;display:flex;align-items:baseline;gap:18px}
h1{font-size:20px;margin:0}h2{font-size:15px;margin:28px 0 8px;color:#4a5a6a}
header p{margin:0;color:#6b7a89;flex:1}a{color:#0b62c4}main{max-width:1180px;margin:0 auto;padding:4px 28px 40px}
.wide{overflow-x:auto;background:#fff;border:1px solid #dde3e9;border-radius:8px}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-size:13px;font-weight:600;color:#6b7a89;padding:9px 14px;border-bottom:1px solid #dde3e9}
td{padding:10px 14px;border-top:1px solid #eef1f4;vertical-align:top}tr:first-child td{border-top:0}
.s{display:inline-block;border-radius:10px;padding:1px 10px;font-size:13px;white-space:nowrap}
.ok{background:#e2f4e8;color:#14673a}.bad{background:#fde7e5;color:#a1241a}.mid{background:#fff2d6;color:#7a5200}
.dim{background:#e9edf1;color:#52616f}small{color:#6b7a89}
"""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}
_ACTION_CLASS = {"finished": "ok", "downloaded": "ok", "error": "bad", "canceled": "dim", "canceling": "mid"}


class Page:
    """``GET /``; the language from ``?lang=zh|en``, else from Accept-Language, else English."""

    def __init__(self, store: Store, intake: Intake) -> None:
        self._store = store
        self._intake = intake

    def handle(self, request: Request) -> Reply | None:
        """The page; None for another path."""
        if request.path != "/" or request.method not in ("GET", "HEAD"):
            return None
        lang = (request.first("lang") or request.headers.get("accept-language", "en"))[:2].lower()  # zh_CN and zh-CN as well
        lang = lang if lang in TEXTS else "en"
        return Reply(200, self._html(lang).encode("utf-8", "replace"), dict(_HEADERS))

    def _html(self, lang: str) -> str:
        text = TEXTS[lang]
        with self._store.lock:
            hosts, actions = self._hosts(text), self._actions(text)
        other = "en" if lang == "zh" else "zh"
        complaints = [[escape(c.host), escape(c.kind), escape(c.text)] for c in list(self._intake.complaints)[-20:]]
        return (
            f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
            f'<meta name="viewport" content="width=device-width"><title>{text["title"]}</title>'
            f"<style>{_STYLE}</style></head><body><header><h1>{text['title']}</h1><p>{text['note']}</p>"
            f'<a href="/?lang={other}">{text["other"]}</a></header><main>'
            + _section(text, "hosts", ["host", "state", "report", "faults", "version", "update"], hosts)
            + (_section(text, "actions", ["host", "set", "kind", "state", "message"], actions) if actions else "")
            + (_section(text, "complaints", ["host", "kind", "message"], complaints) if complaints else "")
            + "</main></body></html>"
        )

    def _hosts(self, text: dict[str, str]) -> list[list[str]]:
        reported: dict[str, dict[str, Json]] = self._intake.records(1 << 62)["hosts"]
        silent = set(self._intake.silent())
        names = sorted(set(reported) | set(self._store.targets))
        return [self._host(text, name, reported.get(name), name in silent) for name in names]

    def _host(self, text: dict[str, str], name: str, report: dict[str, Json] | None, silent: bool) -> list[str]:
        faults = self._intake.open_faults(name)
        word, kind = ("fault", "bad") if faults else ("ok", "ok")
        if report is None or silent:
            word, kind = ("unknown", "dim") if report is None else ("silent", "mid")
        age = text["never"]
        if report is not None:
            age = text["ago"].format(round(report["last_report"]["age_s"]))
        target = self._store.targets.get(name)
        installed = target.installed if target else None
        actions = self._store.of_target(target) if target else []
        return [
            f"<b>{escape(name)}</b>",
            f'<span class="s {kind}">{text[word]}</span>',
            age,
            "<br>".join(_fault(event) for event in faults) or text["none"],
            escape(f"{installed.name} {installed.version}") if installed else text["none"],
            _badge(actions[-1]) if actions else text["none"],
        ]

    def _actions(self, text: dict[str, str]) -> list[list[str]]:
        latest = list(self._store.actions.values())[-50:]
        return [self._action(text, action) for action in reversed(latest)]

    @staticmethod
    def _action(text: dict[str, str], action: Action) -> list[str]:
        said = [message for row in action.rows for message in row.messages]
        return [
            escape(action.target.controller_id),
            escape(f"{action.ds.name} {action.ds.version}"),
            escape(action.type),
            _badge(action),
            f"<small>{escape(said[-1][:200])}</small>" if said else text["none"],
        ]


def _badge(action: Action) -> str:
    kind = _ACTION_CLASS.get(action.status, "mid")
    return f'<span class="s {kind}">{escape(action.status)}</span>'


def _fault(event: Event) -> str:
    body = event.body if isinstance(event.body, dict) else {}
    fault = body.get("id") or event.attributes.get("posagent.fault.id") or event.kind
    return f"{escape(str(fault))} <small>{escape(event.subject)}</small>"


def _section(text: dict[str, str], title: str, columns: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{text[column]}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    body = body or f'<tr><td colspan="{len(columns)}">{text["empty"]}</td></tr>'
    return f'<h2>{text[title]}</h2><div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
