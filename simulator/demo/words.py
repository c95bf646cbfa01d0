"""What the demonstration says, in English and in Chinese. Fault titles and remedies come from `posagent --lang`."""

from __future__ import annotations

import math
from collections.abc import Mapping

EN, ZH = "en", "zh_CN"

_WORDS: Mapping[str, tuple[str, str]] = {
    "title": (
        "posagent demo: two simulated tills, a service centre and one agent, at most {seconds} s",
        "posagent 演示：两台模拟终端、一个服务中心、一个代理程序，最长 {seconds} 秒",
    ),
    "folder": ("everything lives in {folder} and goes with it", "所有文件都在 {folder}，结束后一并删除"),
    # 1
    "tills": ("Two tills come up", "两台终端上线"),
    "tills.center": ("service centre at {url}", "服务中心地址 {url}"),
    "tills.device": ("{till} {kind}: {identity}", "{till} {kind}：{identity}"),
    "kind.printer": ("printer", "打印机"),
    "kind.reader": ("card reader", "读卡器"),
    "tills.up": (
        "four devices identified, both tills can take money {time} after the agent started",
        "四台设备全部识别，两台终端都可以收款：代理程序启动后 {time}",
    ),
    "tills.first": (
        "till-app 1.0 came from the centre, its health check passed, it runs",
        "till-app 1.0 由服务中心下发，健康检查通过，正在运行",
    ),
    # 2
    "paper": ("Paper runs out on pos-1", "pos-1 打印纸用完"),
    "paper.out": ("the roll of pos-1 is at its end", "pos-1 的纸卷用完"),
    "times": ("in the journal after {journal}, at the centre after {center}", "{journal} 后记入日志，{center} 后到达中心"),
    "paper.no": ("pos-1 cannot take money: {title} ({fault})", "pos-1 不能收款：{title}（{fault}）"),
    "paper.remedy": ("what the technician reads: {remedy}", "给技术员的提示：{remedy}"),
    "paper.other": ("pos-2 beside it can still take money", "旁边的 pos-2 照常收款"),
    "paper.refilled": ("a new roll: pos-1 can take money again", "换上新纸卷：pos-1 恢复收款"),
    # 3
    "card": ("A card is inserted on pos-2", "pos-2 插入卡片"),
    "card.in": ("the card reader of pos-2 sees a card, and it answers", "pos-2 的读卡器检测到卡片，卡片有应答"),
    "card.out": ("the card is taken out", "卡片被取走"),
    # 4
    "update": ("Update of the till application from 1.0 to 1.1", "收款程序从 1.0 更新到 1.1"),
    "update.sale": ("a card is in pos-2 again: a customer is paying", "pos-2 又插入卡片：顾客正在付款"),
    "update.pushed": (
        "till-app {version} is signed, published and pushed to both tills' host",
        "till-app {version} 已签名、发布，并推送到两台终端的主机",
    ),
    "update.waits": (
        "verified and unpacked; now it waits for the card in pos-2: a sale comes first",
        "已验证并解包；现在等待 pos-2 的卡片取走：收款优先",
    ),
    "update.gone": ("the customer has paid, the card is out", "顾客付款完毕，卡片取走"),
    "update.committed": (
        "till-app {version} proved itself and was committed, {time} after the card was out",
        "till-app {version} 通过观察期并生效，距卡片取走 {time}",
    ),
    "update.closed": ("the centre's roll-out says: {status}", "服务中心的发布状态：{status}"),
    # 5
    "forged": ("Two forged updates", "两个伪造的更新"),
    "forged.byte": (
        "till-app 1.2 was signed; then one bit of its archive was changed on the server",
        "till-app 1.2 签名之后，服务器上的归档文件被改动了一个比特",
    ),
    "forged.key": (
        "till-app 9.9: the server is taken over, all its metadata signed with a thief's keys",
        "till-app 9.9：服务器被攻占，全部元数据改用窃贼的密钥签名",
    ),
    "refused": (
        "refused after {time}: {code}; {runs} runs on untouched",
        "{time} 后拒绝：{code}；{runs} 照常运行",
    ),
    "code.bad_hash": ("not the bytes that were signed (bad_hash)", "文件内容与签名不符（bad_hash）"),
    "code.bad_signature": (
        "not signed by trusted keys (bad_signature)",
        "签名密钥不受信任（bad_signature）",
    ),
    # 6
    "broken": ("A broken update", "一个有缺陷的更新"),
    "broken.what": (
        "till-app 1.3 is signed well, but its health check fails on the till",
        "till-app 1.3 签名无误，但在终端上健康检查失败",
    ),
    "broken.on": ("it is switched on, and its health check is asked", "新版本启用，开始健康检查"),
    "broken.back": (
        "rolled back {time} after the push, and reported as such: till-app {runs} runs again",
        "推送 {time} 后回退，并如实上报：till-app {runs} 恢复运行",
    ),
    # 7
    "outage": ("The service centre goes away", "服务中心中断"),
    "outage.down": ("the centre refuses every connection", "服务中心拒绝一切连接"),
    "outage.fault": (
        "pos-2: {title} ({fault}), in the journal after {journal}",
        "pos-2：{title}（{fault}），{journal} 后记入日志",
    ),
    "outage.cleared": ("cover closed again, pos-2 can take money", "上盖已合好，pos-2 恢复收款"),
    "outage.backlog": (
        "the agent says: centre not reachable, {count} records wait in the journal",
        "代理程序显示：中心不可达，日志中有 {count} 条记录待发送",
    ),
    "outage.back": ("the centre is back after {time}", "服务中心中断 {time} 后恢复"),
    "outage.caught": (
        "all {count} records of that time are there {time} later",
        "中断期间的 {count} 条记录在恢复后 {time} 全部到达",
    ),
    # 8
    "proof": ("Was anything lost?", "有没有丢失？"),
    "proof.equal": (
        "journal {journal} records, centre {center}: same ids, same order, missing {missing}, twice {twice}",
        "日志 {journal} 条，中心 {center} 条：编号相同、顺序相同，遗漏 {missing}，重复 {twice}",
    ),
    "proof.chain": (
        "the hash chain of the journal is whole; the centre holds the same head {hash}…",
        "日志哈希链完整，中心保存的链头一致：{hash}…",
    ),
    "proof.stopped": ("everything stopped, {folder} removed", "全部程序已停止，{folder} 已删除"),
    # table
    "table.what": ("measured in this run", "本次实测"),
    "table.journal": ("in the journal", "记入日志"),
    "table.center": ("at the centre", "到达中心"),
    "figure.up": ("agent started, both tills ready", "启动到两台终端就绪"),
    "figure.paper_end": ("paper out", "缺纸"),
    "figure.paper_back": ("paper refilled", "换纸恢复"),
    "figure.card_in": ("card inserted", "插卡"),
    "figure.card_out": ("card removed", "取卡"),
    "figure.committed": ("1.1: till idle, committed", "1.1：终端空闲到生效"),
    "figure.bad_hash": ("1.2 changed after signing: refused", "1.2 签名后被改动：拒绝"),
    "figure.bad_signature": ("9.9 signed with a wrong key: refused", "9.9 密钥不对：拒绝"),
    "figure.rolled_back": ("1.3 fails its health check: rolled back", "1.3 健康检查失败：回退"),
    "figure.cover": ("cover open, centre away for {time}", "上盖打开（中心中断 {time}）"),
    "figure.caught": ("centre back, nothing owed any more", "中心恢复到补报完毕"),
    "figure.records": ("records (missing {missing}, twice {twice})", "记录数（遗漏 {missing}，重复 {twice}）"),
    "figure.daemon": ("the agent's process: memory, processor time", "代理程序进程：内存、处理器时间"),
    "end.good": ("Done in {time}: all of it happened as told.", "演示完成，用时 {time}：一切如上所述。"),
    # trouble
    "wait": ("waiting for: {what}", "等待：{what}"),
    "wait.start": ("the programs to start", "程序启动"),
    "wait.sign": ("the release to be signed", "版本签名"),
    "wait.update": ("till-app {version}: {state}", "till-app {version}：{state}"),
    "wait.center": ("the centre to come back", "服务中心恢复"),
    "wait.records": ("all records at the centre", "全部记录到达中心"),
    "wait.stop": ("everything to stop", "全部程序停止"),
    "failed": ("The demonstration failed in scene “{scene}”: {why}", "演示在“{scene}”一幕失败：{why}"),
    "failed.time": ("not seen within {time}: {what}", "{time} 内未发生：{what}"),
    "failed.limit": ("the limit of {seconds} s was reached while waiting for: {what}", "已到 {seconds} 秒上限，仍在等待：{what}"),
    "failed.log": ("the last lines of {name}:", "{name} 的最后几行："),
    "stopped": ("Stopped by signal {signal}; everything that was started has been ended.", "收到信号 {signal}，已停止全部程序。"),
    "state.received": ("received", "已收到"),
    "state.fetching": ("downloading", "下载中"),
    "state.waiting": ("waiting until the till is idle", "等待终端空闲"),
    "state.switching": ("switching", "切换中"),
    "state.probation": ("on probation", "观察期"),
    "state.rolling_back": ("going back", "回退中"),
}


class Words:
    """One language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def __call__(self, key: str, **values: object) -> str:
        """The text of ``key``; KeyError for one that does not exist."""
        return _WORDS[key][self.lang == ZH].format(**values)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in _WORDS

    def time(self, seconds: float) -> str:
        """A measured time with as many digits as matter."""
        if not math.isfinite(seconds):
            return "-"
        if seconds < 0.9995:
            return f"{seconds * 1000:.1f} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"
        return f"{seconds:.1f} s"


def language(env: Mapping[str, str]) -> str:
    """The locale's language: LC_ALL before LC_MESSAGES before LANG (POSIX XBD 8.2); what is not Chinese is English."""
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    return ZH if locale.lower().startswith("zh") else EN
