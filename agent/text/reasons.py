"""Why an update waits, was refused or went back; what each of its steps says; and what ``journal verify`` found.

``error.<code>`` is one sentence for each code that an update can end with (what only the place of the error knew follows it
in parentheses). ``story.<state>`` and ``story.back.<state>`` are the table's own words (firmware.flow), ``waiting.<phrase>``
and ``problem.<name>`` are sentences that other parts say in English: ``Text.retold`` finds them by their English form.
"""

_TRUST = {
    "error.bad_hash": ("The bytes are not those that were signed.", "内容与签名不符。"),
    "error.weak_hash": ("The signed list gives no strong hash for the file.", "签名清单没有给出足够强的哈希值。"),
    "error.wrong_hash": ("The archive is not the one that was signed.", "安装包不是签名的那一个。"),
    "error.wrong_length": ("The archive has not the length that was signed.", "安装包长度与签名不符。"),
    "error.malformed": ("The signed files cannot be read.", "签名文件无法解析。"),
    "error.bad_root": ("The trusted root on this machine is not usable.", "本机的可信根文件无法使用。"),
    "error.remedy.bad_root": ("Install the right root.json by hand.", "请手动安装正确的 root.json。"),
    "error.no_root": ("The trusted root cannot be read.", "无法读取可信根文件。"),
    "error.remedy.no_root": ("Check [update] trusted_root.", "请检查 [update] trusted_root。"),
    "error.floor_missing": ("What this till must not fall below is gone.", "本机的版本下限记录丢失。"),
    "error.remedy.floor_missing": ("Ask the service centre before anything is removed.", "删除任何文件前请先联系服务中心。"),
    "error.no_targets_url": ("No address for releases is configured.", "没有配置版本下载地址。"),
    "error.bad_name": ("A name in the release is not allowed.", "版本中有不允许的名称。"),
    "error.clock_wrong": ("This machine's clock cannot be right.", "本机时间不可信。"),
    "error.remedy.clock_wrong": ("Set date and time; it goes on by itself then.", "请校准日期和时间，之后会自动继续。"),
    "error.unsafe_mode": ("Every user of this machine may write a file that must be safe.", "关键文件可被任何用户改写。"),
}
_FIT = {
    "error.downgrade": ("The release is older than what runs here.", "该版本比本机运行的更旧。"),
    "error.remedy.downgrade": ("Going back is done by posagent update rollback.", "要回退请用 posagent update rollback。"),
    "error.wrong_till": ("The release is signed for other tills.", "该版本是签给其他终端的。"),
    "error.wrong_hardware": ("The release is made for other hardware.", "该版本适用于其他硬件。"),
    "error.hardware_unknown": ("A device has not said whether the release fits it.", "设备未报出型号，无法确认是否适用。"),
    "error.remedy.hardware_unknown": ("Switch the device on and push again.", "请打开设备电源，再重新推送。"),
    "error.wrong_handler": ("The release is of another kind than this component.", "该版本的类型与本组件不符。"),
    "error.no_handler": ("No part of posagent can install this component.", "没有可安装该组件的处理程序。"),
    "error.too_early": ("The release may not be installed yet.", "该版本还没到可安装的时间。"),
    "error.not_now": (
        "The centre lets nobody install it now: it is outside of its maintenance window.",
        "服务中心目前不允许安装：不在其维护时段内。",
    ),
    "error.too_late": ("The time in which the release could be installed is over.", "该版本的可安装期已过。"),
    "error.needs_other": ("The release needs another component to be updated first.", "须先更新该版本依赖的其他组件。"),
    "error.card_data": ("A name in it looks like a card number.", "其中的名称疑似卡号。"),
    "error.not_configured": ("No update is configured on this machine.", "本机没有配置更新。"),
    "error.all_tills": ("It would take all tills of this host at once.", "这会同时占用本机的所有终端。"),
    "error.remedy.all_tills": ("Push it till by till.", "请逐台终端推送。"),
    "error.state_lost": (
        "What was known of the update was taken away while it was under way.",
        "更新进行中，其状态记录已丢失。",
    ),
    "error.remedy.state_lost": (
        "Look who removed deployment.json, then push again.",
        "请查明谁删除了 deployment.json，再重新推送。",
    ),
    "error.canceled": ("The centre took the update back.", "服务中心取消了更新。"),
}
_ARCHIVE = {
    "error.archive_damaged": ("The archive is damaged.", "安装包已损坏。"),
    "error.archive_link": ("The archive holds a link.", "安装包含有链接文件。"),
    "error.archive_device": ("The archive holds a device.", "安装包含有设备文件。"),
    "error.archive_type": ("The archive holds a file of an unknown kind.", "安装包含有未知类型的文件。"),
    "error.archive_setuid": ("The archive holds a file with a right to be another user.", "安装包含有提权（setuid）文件。"),
    "error.archive_name": ("The archive holds a name that is not allowed.", "安装包含有不允许的文件名。"),
    "error.archive_too_many": ("The archive holds more files than were signed.", "安装包文件数超过签名数量。"),
    "error.archive_too_big": ("The archive unpacks to more than was signed.", "安装包解压后超过签名大小。"),
    "error.archive_too_deep": ("The archive's folders lie too deep.", "安装包目录层次过深。"),
    "error.archive_duplicate": ("The archive holds a file twice.", "安装包含有重复文件。"),
    "error.archive_collision": ("Two names in the archive look the same.", "安装包含有外观相同的文件名。"),
    "error.archive_absolute": ("The archive holds an absolute path.", "安装包含有绝对路径。"),
    "error.archive_climbs": ("The archive reaches out of its folder.", "安装包含有越出目录的路径。"),
    "error.file_count": ("This component takes a release of exactly one file.", "该组件的版本只能含一个文件。"),
    "error.file_too_big": ("The file is too large for this component.", "文件超过该组件的大小限制。"),
    "error.file_invalid": ("The file is not valid for this component.", "文件对该组件无效。"),
    "error.validation_failed": ("The site's own check refused the release.", "本店的校验程序拒绝了该版本。"),
    "error.validator_missing": ("The site's own check cannot be started.", "无法启动本店的校验程序。"),
}
_MACHINE = {
    "error.no_installer": ("The installer does not answer.", "安装服务没有应答。"),
    "error.remedy.no_installer": (
        "Start it: systemctl start posagent-installer.socket",
        "请启动：systemctl start posagent-installer.socket",
    ),
    "error.bad_config": ("The installer cannot use the configuration.", "安装服务无法使用该配置。"),
    "error.unsafe_owner": ("A file that says whom to trust may be changed by others.", "决定信任对象的文件可被他人改写。"),
    "error.not_current": ("What does not run is not made final.", "未在运行的版本不会生效。"),
    "error.not_verified": ("The release has not been verified here.", "该版本未在本机验证。"),
    "error.not_staged": ("The release is not unpacked here.", "该版本未在本机解包。"),
    "error.pointer_damaged": ("Which version runs cannot be told.", "无法判断当前运行的版本。"),
    "error.pointer_moved": ("Somebody else switched the version.", "版本被其他程序切换。"),
    "error.worker_failed": ("A helper process of the update failed.", "更新的辅助进程出错。"),
    "error.stopped": ("The work was stopped; it goes on later.", "工作已停止，稍后继续。"),
    "error.loop": ("The update went round in circles and was ended.", "更新反复重试，已强制结束。"),
    "error.commit_failed": ("The update could not be completed; the version before runs.", "更新未能完成，运行的是上一版本。"),
    "error.rollback_failed": ("The version before could not be brought back.", "未能恢复上一版本。"),
    "error.remedy.rollback_failed": ("Call the service centre.", "请联系服务中心。"),
    "error.state_unreadable": ("The update's state cannot be read.", "无法读取更新状态。"),
    "error.state_not_json": ("The update's state cannot be stored.", "无法保存更新状态。"),
    "error.state_too_big": ("The update's state is too large to be stored.", "更新状态过大，无法保存。"),
    "error.firmware_error": ("The update failed.", "更新失败。"),
    "error.bad_url": ("An address is not usable.", "地址无法使用。"),
    "error.bad_range": ("The server sends another part of the file than was asked for.", "服务器发送的文件片段不对。"),
    "error.bad_json": ("The server's answer cannot be read.", "服务器的应答无法解析。"),
    "error.redirects": ("The server redirects without end.", "服务器重定向次数过多。"),
    "error.encoding": ("The server sends the file in another form than asked for.", "服务器以不支持的编码发送文件。"),
}
_HEALTH = {
    "error.health_check_exit": ("The new version's own check failed.", "新版本的自检未通过。"),
    "error.health_check_killed": ("The new version's own check crashed.", "新版本的自检程序崩溃。"),
    "error.health_check_timeout": ("The new version's own check hung.", "新版本的自检超时未结束。"),
    "error.health_check_missing": ("The new version's own check cannot be started.", "新版本的自检程序无法启动。"),
    "error.health_check_not_allowed": ("The release names a check outside of itself.", "该版本指定了自身以外的自检程序。"),
    "error.device_silent": ("A device fell silent under the new version.", "换上新版本后有设备不再应答。"),
    "error.probation_extended": (
        "Watched for longer, until a device is well again; that is no fault of the release.",
        "延长观察，等待设备恢复正常（与版本无关）。",
    ),
    "error.unsettled": ("Kept: what a device lacks is no fault of the release.", "版本保留：设备的问题与版本无关。"),
}
_ITSELF = {
    "error.self_test_failed": ("The new posagent cannot run on this machine.", "新版 posagent 无法在本机运行。"),
    "error.not_alive": (
        "The new posagent did not stay alive; the one before runs.",
        "新版未能持续运行，已恢复上一版本。",
    ),
    "error.health_check_limits": ("The new version uses too much of this machine.", "新版本占用的资源过多。"),
    "error.main_loop": ("The main loop of posagent does not answer.", "posagent 主循环没有应答。"),
    "error.center_lost": ("The new posagent does not reach the service centre.", "新版 posagent 连不上服务中心。"),
    "error.device_lost": ("The new posagent does not read a device any more.", "新版 posagent 读不到某个设备。"),
    "error.not_an_agent": ("The archive holds no release of posagent.", "安装包不是 posagent 的版本。"),
    "error.wrong_python": ("The release is made for another Python.", "该版本适用于其他版本的 Python。"),
    "error.remedy.wrong_python": ("Install the package for this system.", "请安装适用于本系统的软件包。"),
    "error.no_launcher": ("posagent was not started by its launcher.", "posagent 不是由启动程序启动的。"),
    "error.remedy.no_launcher": ("Install the package; its service starts it.", "请安装软件包，由系统服务启动。"),
    "error.no_service": ("posagent updates itself only while its service runs.", "posagent 只能在其服务运行时更新自身。"),
    "error.remedy.no_service": ("systemctl start posagent, then again.", "请先执行 systemctl start posagent，然后重试。"),
}
_STORY = {
    "story.received": ("deployment received", "收到更新任务"),
    "story.fetching": ("release verified, downloading", "版本已验证，开始下载"),
    "story.waiting": ("ready, waiting for the till to be idle", "准备就绪，等待终端空闲"),
    "story.switching": ("installing", "开始安装"),
    "story.probation": ("installed, on probation", "已安装，进入观察期"),
    "story.rolling_back": ("going back to the previous version", "正在恢复上一版本"),
    "story.committed": ("the new version proved itself", "新版本通过观察，已生效"),
    "story.downloaded": (
        "downloaded and verified; installed only when the centre asks",
        "已下载并验证，服务中心下达指令后才安装",
    ),
    "story.rolled_back": ("the previous version runs again", "已恢复上一版本"),
    "story.refused": ("the release was refused", "已拒绝该版本"),
    "story.failed": ("the update could not be done", "更新未能完成"),
    "story.canceled": ("canceled by the centre, nothing was changed", "服务中心已取消，没有任何改动"),
    "story.back.received": ("rollback asked for", "收到回退请求"),
    "story.back.waiting": ("the kept version is as it was installed", "保留的版本与安装时一致"),
    "story.back.switching": ("going back to the kept version", "正在回退到保留的版本"),
    "story.back.probation": ("the kept version runs, on probation", "保留的版本已运行，进入观察期"),
    "story.back.rolling_back": ("the kept version is worse: returning to the newer one", "保留的版本更差，正在恢复较新版本"),
    "story.back.committed": ("the kept version runs again, as asked", "已按要求回退"),
    "story.back.rolled_back": ("the newer version runs again", "已恢复较新版本"),
    "story.back.refused": ("the rollback was refused", "回退被拒绝"),
    "story.back.failed": ("the rollback could not be done", "回退未能完成"),
    "story.back.canceled": ("the rollback was taken back, nothing was changed", "回退已取消，没有任何改动"),
}
_WAITING = {
    "waiting.idle": ("an idle till", "终端空闲"),
    "waiting.proof of idle": ("proof that the till is idle", "终端空闲的证据"),
    "waiting.card in the reader": ("a card is in the reader", "读卡器中有卡"),
    "waiting.device not seen": ("the device does not answer", "设备无应答"),
    "waiting.another program's line": ("another program has the line", "线路归其他程序使用"),
    "waiting.in use a moment ago": ("in use a moment ago", "刚刚使用过"),
    "waiting.the till prints": ("the till prints", "收银软件正在打印"),
    "waiting.the till has stopped inside a command": (
        "the till has stopped in the middle of a print command",
        "收银软件的打印命令只发了一半",
    ),
    "waiting.the line keeper tells nothing": ("the line keeper tells nothing", "线路共用程序没有消息"),
    "waiting.what the till prints cannot be followed": (
        "what the till prints cannot be followed",
        "无法解析收银软件的打印数据",
    ),
    "waiting.site's idle check": ("the site's idle check", "本店的空闲检查"),
    "waiting.who the devices are": ("the devices to say who they are", "设备报出自己的型号"),
    "waiting.the centre's maintenance window": ("the centre's maintenance window", "服务中心规定的维护时段"),
    "waiting.network": ("the network; it tries again by itself", "网络恢复，会自动重试"),
    "waiting.clock": ("the right time: this clock cannot be right", "时间校准：本机时间不可信"),
    "waiting.restart": ("posagent to start anew as the new version", "posagent 以新版本重新启动"),
    "waiting.posagent run": ("the daemon; start it: posagent run", "守护进程，请启动：posagent run"),
    "waiting.hold until unknown": (
        "somebody to end the hold (posagent update release): its end is not known",
        "解除暂停（posagent update release）：暂停到何时未知",
    ),
    "waiting.told.warning": ("the time after the warning, {left} s left", "提醒后的等候时间，还剩 {left} 秒"),
    "waiting.told.hold": ("hold until {until}", "暂停期结束（{until}）"),
    "waiting.told.notice": ("the time after the warning, {left} s left", "预告后的等待，剩余 {left} 秒"),
    "waiting.told.window": ("window {window}", "维护时段 {window}"),
}
_DETAILS = {
    "detail.check_failed": (
        "{name}: the health check ended with exit code {number}: {said}",
        "{name} 的自检未通过，退出码 {number}：{said}",
    ),
    "detail.check_failed_silently": (
        "{name}: the health check ended with exit code {number}",
        "{name} 的自检未通过，退出码 {number}",
    ),
    "detail.check_hung_saying": (
        "{name}: the health check did not end within {seconds} s: {said}",
        "{name} 的自检 {seconds} 秒内未结束：{said}",
    ),
    "detail.check_killed_saying": (
        "{name}: the health check died of signal {number}: {said}",
        "{name} 的自检程序崩溃（信号 {number}）：{said}",
    ),
    "detail.check_killed": ("{name}: the health check died of signal {number}", "{name} 的自检程序崩溃（信号 {number}）"),
    "detail.check_hung": ("{name}: the health check did not end within {seconds} s", "{name} 的自检 {seconds} 秒内未结束"),
    "detail.silent": ("{subject} answered before and is silent now", "{subject} 之前有应答，现在没有应答"),
    "detail.not_alive": (
        "{name} did not stay alive: the launcher runs {old} again",
        "{name} 未能持续运行，启动程序已改回 {old}",
    ),
    "detail.cannot_run": ("{name} cannot run here: {said}", "{name} 无法在本机运行：{said}"),
    "detail.lost": ("{subject} was well before and has not been once in {seconds} s", "{subject} 之前正常，{seconds} 秒内未恢复"),
    "detail.waits": ("waits for {subject}", "延长观察，等待 {subject} 恢复正常（与版本无关）"),
    "detail.held": ("updates are held until {until}", "更新暂停至 {until}"),
    "detail.other_tills": ("{label} is signed for other tills than {tills}", "{label} 是签给其他终端的，不含 {tills}"),
    "detail.older": (
        "{label} is older than {version}, which runs: go back with `update rollback`",
        "{label} 比正在运行的 {version} 旧；要回退请用 posagent update rollback",
    ),
    "detail.counter": (
        "{name}: release counter {counter} lies below {floor}, which ran here already: "
        "older releases come back only through `update rollback`",
        "{name}：发布序号 {counter} 低于本机已运行过的 {floor}；要回退请用 posagent update rollback",
    ),
    "detail.revoked": (
        "{label} has been taken back by its maker: ask for a newer release",
        "{label} 已被发布方撤回，请索取更新的版本",
    ),
    "detail.too_early": ("{label} may be installed from {when} on: wait", "{label} 在 {when} 之后才可安装，请等待"),
    "detail.too_late": (
        "{label} could be installed until {when}: ask for a newer release",
        "{label} 的可安装期到 {when} 为止，请索取更新的版本",
    ),
    "detail.clock": (
        "the clock shows {shown}, but the centre signed at {signed}",
        "本机时间为 {shown}，但服务中心已在 {signed} 签名",
    ),
}
_PROBLEMS = {
    "problem.missing": ("records {first} to {last} are missing", "缺少第 {first} 至 {last} 条记录"),
    "problem.missing_at_the_end": ("records {first} to {last} are missing at the end", "末尾缺少第 {first} 至 {last} 条记录"),
    "problem.order": ("record {seq} does not follow record {before}", "第 {seq} 条与第 {before} 条不衔接"),
    "problem.changed": ("record {seq} was changed", "第 {seq} 条记录被改动"),
    "problem.not_signed": (
        "record {seq} is not the one whose hash was signed or reported",
        "第 {seq} 条与已签名或已上报的哈希不符",
    ),
    "problem.signed_missing": ("record {seq}, signed or reported, is missing", "已签名或已上报的第 {seq} 条记录缺失"),
    "problem.kept": ("record {seq} is not the one that was written", "第 {seq} 条不是当初写入的记录"),
    "problem.unsigned_pruning": (
        "records up to {seq} are gone, and no signature says that they were pruned",
        "第 {seq} 条及以前已不存在，且没有签名证明是正常清理",
    ),
    "problem.bad_pruning": (
        "records up to {seq} are gone, and the signature of that pruning is not good",
        "第 {seq} 条及以前已不存在，其清理签名无效",
    ),
    "problem.bad_signature": ("the signature of record {seq} is not good", "第 {seq} 条记录的签名无效"),
    "problem.chain": ("it is not the chain {chain} that was kept here", "不是本机另存的链 {chain}"),
    "problem.gone": ("it is gone, though record {seq} was written", "日志文件已不存在，但曾写到第 {seq} 条"),
    "problem.head": ("the head that is kept beside it cannot be read: {error}", "另存的链头无法读取：{error}"),
    "problem.opened": ("cannot be opened: {error}", "无法打开：{error}"),
    "problem.read": ("cannot be read: {error}", "无法读取：{error}"),
}

TEXTS: dict[str, tuple[str, str]] = (
    _TRUST | _FIT | _ARCHIVE | _MACHINE | _HEALTH | _ITSELF | _STORY | _WAITING | _DETAILS | _PROBLEMS
)
