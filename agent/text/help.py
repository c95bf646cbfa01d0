"""The help of ``posagent``: what argparse prints, in both languages.

Keys: ``help.<command>`` and ``help.<command>.<subcommand>``, ``help.option.<name>``, ``help.argument.<name>``, and
argparse's own headings and complaints under ``argparse.<English text>`` (see :func:`gettext_for`).
"""

from collections.abc import Callable

_COMMANDS = {
    "help.posagent": (
        "Watches the devices of a POS terminal, finds faults, and applies signed updates.",
        "监测 POS 终端的设备，查找故障，并安装经签名的更新。",
    ),
    "help.epilog": (
        "Exit codes: 0 healthy or done, 1 fault found or update refused, 2 usage or configuration, "
        "3 not available or unknown, 4 own error.",
        "退出码：0 正常或完成，1 有故障或更新被拒，2 用法或配置有误，3 暂不可用或未知，4 程序自身出错。",
    ),
    "help.run": ("run the daemon", "运行守护进程"),
    "help.doctor": ("why does it not work here: look at everything it needs", "排查本机无法工作的原因"),
    "help.status": ("what is known now: devices, faults, can money be taken", "当前状态：设备、故障、能否收款"),
    "help.selftest": ("run the health checks", "运行自检"),
    "help.discover": ("find ports, line settings and devices", "查找串口、线路参数和设备"),
    "help.update": ("software updates", "软件更新"),
    "help.update.check": ("ask the centre for updates now", "立即向服务中心查询更新"),
    "help.update.status": ("what runs, and where the update is", "当前版本和更新进度"),
    "help.update.install": ("install a bundle, as from a USB stick", "安装离线更新包（U 盘）"),
    "help.update.rollback": ("go back to the kept predecessor", "回退到保留的上一版本"),
    "help.update.history": ("past updates", "更新历史"),
    "help.update.hold": ("let no update in until then", "在此之前不安装更新"),
    "help.update.confirm-time": ("say that this clock is right", "确认本机时间准确"),
    "help.update.release": ("end a hold", "解除暂停"),
    "help.journal": ("the durable record", "持久日志"),
    "help.journal.show": ("show the newest records", "显示最新记录"),
    "help.journal.verify": ("prove that no record was changed", "校验日志未被改动"),
    "help.journal.export": ("write all records to a file", "导出全部记录到文件"),
    "help.bundle": ("support bundle for the service centre, free of card data", "生成支持包（不含卡数据）"),
    "help.line": ("share one printer port with the till software", "与收银软件共用一个打印机串口"),
    "help.enroll": ("join the service centre with a one-time token", "用一次性令牌加入服务中心"),
    "help.config": ("the configuration file", "配置文件"),
    "help.config.check": ("name every mistake, with line and remedy", "列出每处错误及改法"),
    "help.config.example": ("print a whole file with comments", "打印带注释的完整示例"),
}
_OPTIONS = {
    "help.option.root": (
        "folder that holds etc/posagent, var/lib/posagent and run/posagent (default: $POSAGENT_ROOT, then /)",
        "etc/posagent、var/lib/posagent、run/posagent 所在的根目录（默认 $POSAGENT_ROOT，否则 /）",
    ),
    "help.option.config": (
        "configuration file (default: <root>/etc/posagent/agent.toml)",
        "配置文件（默认 <root>/etc/posagent/agent.toml）",
    ),
    "help.option.lang": ("language: zh_CN or en (default: from the locale)", "语言：zh_CN 或 en（默认随系统语言）"),
    "help.option.json": ("print exactly one JSON document", "只输出一个 JSON 文档"),
    "help.option.url": ("address of the enrolment (EST), https://…", "登记地址（EST），https://…"),
    "help.option.token": (
        "the one-time token; other users of this machine can see it: --token-file hides it",
        "一次性令牌；本机其他用户看得到，建议改用 --token-file",
    ),
    "help.option.token_file": ("file with the token on its first line; - reads stdin", "首行为令牌的文件，- 表示标准输入"),
    "help.option.ca": ("the centre's own CA (PEM), instead of the system's", "服务中心自建 CA（PEM），代替系统 CA"),
    "help.option.fingerprint": ("SHA-256 of the centre's CA certificate", "服务中心 CA 证书的 SHA-256 指纹"),
    "help.option.level": (
        "internal changes nothing, external prints a slip, interactive asks a person",
        "internal 不改变状态，external 打印小票，interactive 需人员配合",
    ),
    "help.option.port": ("port to look at; may be repeated", "要检查的串口，可重复给出"),
    "help.option.shared_port": ("the printer's port", "打印机所在的串口"),
    "help.option.baud": ("speed until the till sets its own (default: 115200)", "收银软件设置速率之前的波特率（默认 115200）"),
    "help.option.link": ("path that the till software opens as its printer", "收银软件当作打印机打开的路径"),
    "help.option.limit": ("how many records at most", "最多显示多少条"),
    "help.option.dry_run": ("say what would happen, change nothing", "只说明将会怎样，不做任何改动"),
    "help.option.yes": ("do not ask: somebody has looked", "不再询问：已有人核对"),
    "help.option.out": ("file to write", "输出文件"),
    "help.option.help": ("show this help and exit", "显示帮助并退出"),
    "help.option.version": ("show the version and exit", "显示版本并退出"),
    "help.argument.file": ("file", "文件"),
    "help.argument.component": ("component", "组件"),
    "help.argument.until": (
        "until when: 30m, 2h, 3d, or RFC 3339, e.g. 2026-12-24T22:00:00Z; at most 14 days",
        "截止时间：30m、2h、3d，或 RFC 3339（如 2026-12-24T22:00:00Z），最长 14 天",
    ),
    "help.argument.command": ("command", "命令"),
}
_ARGPARSE = {
    "usage: ": "用法：",
    "options": "选项",
    "positional arguments": "参数",
    "show this help message and exit": "显示帮助并退出",
    "show program's version number and exit": "显示版本并退出",
    "%(prog)s: error: %(message)s\n": "%(prog)s：错误：%(message)s\n",
    "argument %(argument_name)s: %(message)s": "参数 %(argument_name)s：%(message)s",
    "expected one argument": "需要一个值",
    "expected at least one argument": "至少需要一个值",
    "expected at most one argument": "最多一个值",
    "the following arguments are required: %s": "缺少参数：%s",
    "unrecognized arguments: %s": "不认识的参数：%s",
    "not allowed with argument %s": "不能与 %s 同时使用",
    "invalid choice: %(value)r (choose from %(choices)s)": "无效的选择：%(value)r（可选：%(choices)s）",
    "invalid %(type)s value: %(value)r": "无效的 %(type)s 值：%(value)r",
    "ambiguous option: %(option)s could match %(matches)s": "选项 %(option)s 不明确，可能是 %(matches)s",
    "ignored explicit argument %r": "多余的值 %r",
    "unknown parser %(parser_name)r (choices: %(choices)s)": "没有命令 %(parser_name)r（可用：%(choices)s）",
}

TEXTS: dict[str, tuple[str, str]] = (
    _COMMANDS | _OPTIONS | {f"argparse.{english}": (english, chinese) for english, chinese in _ARGPARSE.items()}
)


def gettext_for(lang: str) -> Callable[[str], str]:
    """A translation for ``argparse._``: argparse asks it for every heading and complaint when it needs one.

    Bind it with ``argparse._ = gettext_for(lang)``; what we have no words for stays English.
    """
    return lambda english: _ARGPARSE.get(english, english) if lang == "zh_CN" else english
