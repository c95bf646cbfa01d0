"""The page of the faults of all devices and lines, from the table: ``python -m tests.unit.docs.faults > docs/faults.md``."""

import sys
from collections.abc import Mapping
from typing import Any

from agent.health import catalogue

ROWS = tuple(f"{letter}{number:02}" for letter, last in (("P", 20), ("L", 20), ("C", 28)) for number in range(1, last + 1))
"""The catalogue's rows: printers P01 to P20, lines L01 to L20, card readers C01 to C28."""
NORMAL = {"C05": ("No card in the slot: the normal state", "插槽内无卡：正常状态")}
"""Rows of the catalogue that are no fault."""
NOT_YET: frozenset[str] = frozenset()
"""Rows that no fault of the table answers for yet. Nothing is ever added here."""
VOWED = {
    "person": ("person", "人工"),
    "agent": ("posagent", "程序"),
    "device": ("the device itself", "设备自身"),
}
PROOF = {
    "walk": ("simulated device, from healthy to the fault and back", "模拟设备：正常到故障再到正常"),
    "line": ("a line or port in memory", "内存中的线路或端口"),
    "open": ("**open**: nothing tells of it yet", "**待完成**：目前无法发现"),
    "question": (
        "**not on the wire**: `selftest --level interactive` asks a person",
        "**线路上看不到**：`selftest --level interactive` 询问人",
    ),
}
HEAD = """# Faults of printers, readers and lines / 打印机、读卡器与线路故障

Made by `python -m tests.unit.docs.faults > docs/faults.md` from `agent/health/faults.toml`, where a technician may correct any
word; a test holds this page against it. When a fault is there says `agent/health/rules.py`.

Over all rows: the line before the device; cover before paper; what contradicts itself is the line; a sample that does not vouch
for itself is seen twice; a question that a model does not know is answered by silence, which is no fault.

规则：先线路后设备；先上盖后缺纸；自相矛盾算线路；不能自证的样本须两次一致；机型不支持的询问没有应答，不算故障。
"""


def page() -> str:
    """The whole page."""
    table = {fault: row for fault, row in catalogue.table().items() if "rows" in row}
    parts = [HEAD, _rows(table), *(_words(table, lang, at) for at, lang in enumerate(("en", "zh")))]
    return "\n".join(parts)


def _rows(table: Mapping[str, Any]) -> str:
    lines = ["## Rows of the catalogue / 目录", "", "| row | fault | English | 中文 | cured by |", "|---|---|---|---|---|"]
    for row in ROWS:
        if row in NORMAL:
            lines.append(f"| {row} | - | {' | '.join(NORMAL[row])} | - |")
        elif row in NOT_YET:
            lines.append(f"| {row} | - | not there yet | 尚未支持 | - |")
        for fault in (f for f, entry in table.items() if row in entry["rows"]):
            entry = table[fault]
            cells = (row, f"`{fault}`", entry["en"]["title"], entry["zh"]["title"], " / ".join(VOWED[entry["cure"]]))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _words(table: Mapping[str, Any], lang: str, at: int) -> str:
    english = lang == "en"
    heads = (
        ("fault", "detected how", "cured how", "tested how", "part", "visit")
        if english
        else ("故障", "如何发现", "如何恢复", "如何测试", "携带配件", "上门")
    )
    lines = [
        f"## {'Detected, cured, tested' if english else '如何发现、恢复、测试'}",
        "",
        f"| {' | '.join(heads)} |",
        "|---|---|---|---|---|---|",
    ]
    visits = {"no": ("no", "否"), "maybe": ("maybe", "视情况"), "yes": ("yes", "是")}
    for fault, entry in table.items():
        said = entry[lang]
        cells = (
            f"`{fault}`",
            said["detected"],
            said["cured"],
            PROOF[entry["proof"]][at],
            said["part"] or "-",
            visits[entry["visit"]][at],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
