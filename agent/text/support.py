"""What is said of files that are made for the service centre: the support bundle, the exported journal."""

TEXTS = {
    "bundle.title": ("posagent support bundle", "posagent 支持包"),
    "bundle.swept": (
        "Card data, tokens and passwords are masked. What was printed and what was on a card is not recorded at all.",
        "卡数据、令牌和密码均已屏蔽。打印内容和卡内数据从不记录。",
    ),
    "bundle.done": (
        "Written: {file}, {bytes} bytes. Send it to the service centre.",
        "已生成：{file}，{bytes} 字节。请发给服务中心。",
    ),
    "bundle.bytes": ("{bytes} bytes", "{bytes} 字节"),
    "bundle.missing": ("not to be had", "无法取得"),
    "bundle.missing_why": ("not to be had: {why}", "无法取得：{why}"),
    "bundle.what.machine": ("versions, memory, load", "版本、内存、负载"),
    "bundle.what.agent": ("the configuration without its secrets", "配置（不含密钥和令牌）"),
    "bundle.what.status": ("what the daemon knows now", "守护进程当前状态"),
    "bundle.what.update": ("where updates are", "更新状态"),
    "bundle.what.trace": (
        "the last minutes on each line, frozen at each fault: of readers only direction, type, length and time",
        "各串口最近几分钟的收发记录（故障时冻结）；读卡器只记方向、类型、长度和时间",
    ),
    "bundle.what.doctor": ("why it may not work here", "本机检查结果"),
    "bundle.what.verdict": ("whether the journal is whole", "日志是否完整"),
    "bundle.what.journal": ("the newest records of the journal", "日志的最新记录"),
    "journal.exported": ("{count} records written to {file}.", "已将 {count} 条记录写入 {file}。"),
}
