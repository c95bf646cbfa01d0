"""What `posagent doctor` says: for each code a sentence, and a remedy where there is something to do."""

_CONFIGURATION = {
    "doctor.config_none": ("There is no configuration yet: {path}.", "还没有配置文件：{path}。"),
    "doctor.config_none.remedy": (
        "posagent config example writes one: put it there, fill it in, then posagent config check.",
        "用 posagent config example 生成，填写后执行 posagent config check。",
    ),
    "doctor.config_unsupported": ("The configuration asks for what is not there: {why}", "配置要求了不支持的内容：{why}"),
    "doctor.config_unsupported.remedy": ("Change it, then: posagent config check.", "修改后执行 posagent config check。"),
    "doctor.config_good": ("It is without a mistake; {tills} till(s).", "配置正确，共 {tills} 台终端。"),
    "doctor.config_open_to_all": (
        "Everybody on this machine can read it, and it may hold a token.",
        "本机所有用户都能读取该文件，其中可能有令牌。",
    ),
    "doctor.config_open_to_all.remedy": ("chmod 640 {path}", "chmod 640 {path}"),
    "doctor.updates_off": ("No [update] section: nothing is updated.", "没有 [update] 段：不会更新。"),
    "doctor.center_off": ("No [center] section: nothing is reported.", "没有 [center] 段：不会上报。"),
}
_SERVICE = {
    "doctor.daemon_answers": ("The daemon runs and answers; {tills} till(s).", "守护进程运行正常，共 {tills} 台终端。"),
    "doctor.daemon_none": ("The daemon does not run.", "守护进程没有运行。"),
    "doctor.daemon_none.remedy": (
        "systemctl start posagent (or, by hand: posagent run).",
        "systemctl start posagent（或手动执行 posagent run）。",
    ),
    "doctor.daemon_stuck": ("The daemon runs and does not answer.", "守护进程在运行，但没有应答。"),
    "doctor.daemon_stuck.remedy": (
        "journalctl -u posagent shows its log; then systemctl restart posagent.",
        "用 journalctl -u posagent 查看日志，然后 systemctl restart posagent。",
    ),
    "doctor.daemon_forbidden": ("You may not ask the daemon: {path}.", "没有权限访问守护进程：{path}。"),
    "doctor.daemon_forbidden.remedy": ("Join the group posagent, or use sudo.", "请加入 posagent 组，或使用 sudo。"),
    "doctor.daemon_refuses": ("The daemon answers with an error: {why}", "守护进程返回错误：{why}"),
    "doctor.daemon_refuses.remedy": ("journalctl -u posagent shows its log.", "用 journalctl -u posagent 查看日志。"),
    "doctor.unit_unseen": ("systemd could not be asked about the service.", "无法向 systemd 查询服务状态。"),
    "doctor.unit_unseen.remedy": (
        "Run it on the till itself: systemctl status posagent.",
        "请在终端本机执行 systemctl status posagent。",
    ),
    "doctor.unit_missing": ("The service is not installed; nothing starts posagent at boot.", "服务没有安装，开机不会自动启动。"),
    "doctor.unit_missing.remedy": (
        "Install the Debian package (docs/deployment.md).",
        "请安装 Debian 软件包（见 docs/deployment.md）。",
    ),
    "doctor.unit_failed": (
        "The service has failed ({result}), after {restarts} restarts.",
        "服务已失败（{result}），重启过 {restarts} 次。",
    ),
    "doctor.unit_failed.remedy": (
        "journalctl -u posagent -n 50 says why; then systemctl restart posagent.",
        "用 journalctl -u posagent -n 50 查看原因，然后 systemctl restart posagent。",
    ),
    "doctor.unit_disabled": ("The service does not start at boot.", "服务没有设为开机启动。"),
    "doctor.unit_disabled.remedy": ("systemctl enable --now posagent", "systemctl enable --now posagent"),
    "doctor.unit_restarts": ("The service runs; it was restarted {restarts} time(s).", "服务在运行，重启过 {restarts} 次。"),
    "doctor.unit_restarts.remedy": ("journalctl -u posagent says why.", "用 journalctl -u posagent 查看原因。"),
    "doctor.unit_good": ("The service is enabled and {state}.", "服务已启用，状态：{state}。"),
}
_RIGHTS = {
    "doctor.state_none": ("There is no state folder yet: {path}.", "还没有数据目录：{path}。"),
    "doctor.state_forbidden": ("The user {user} may not look into {path}.", "用户 {user} 无权访问 {path}。"),
    "doctor.state_forbidden.remedy": ("Ask with sudo to have it looked at.", "请用 sudo 重新执行，以便检查。"),
    "doctor.open_to_all": ("Everybody may change {path} (and {more} more).", "所有用户都能修改 {path}（另有 {more} 个）。"),
    "doctor.open_to_all.remedy": ("chmod o-w {path}; then look who wrote there.", "chmod o-w {path}，并查清谁写入过。"),
    "doctor.key_open": ("A private key can be read by others: {path}.", "私钥可被其他用户读取：{path}。"),
    "doctor.key_open.remedy": (
        "chmod 600 {path}; if others use this machine, enrol anew.",
        "chmod 600 {path}；若本机有其他用户，请重新注册。",
    ),
    "doctor.rights_good": (
        "Nobody else may change the state; {keys} private key(s), closed.",
        "其他用户无法修改数据；私钥 {keys} 个，权限正确。",
    ),
}
_LINES = {
    "doctor.port_elsewhere": ("{port} is no path on this machine.", "{port} 不是本机路径。"),
    "doctor.port_missing": ("{port} is not there. Serial ports here: {there}.", "{port} 不存在。本机串口：{there}。"),
    "doctor.port_missing.remedy": (
        "Plug the adapter in, or correct the port in agent.toml; names under /dev/serial/by-id do not move.",
        "请插好适配器，或改正 agent.toml 中的端口；/dev/serial/by-id 下的名称不会变。",
    ),
    "doctor.port_unseen": ("{port} could not be looked at: {why}.", "无法查看 {port}：{why}。"),
    "doctor.port_unseen.remedy": ("Ask with sudo.", "请用 sudo 重新执行。"),
    "doctor.port_not_serial": ("{port} is no serial line.", "{port} 不是串口。"),
    "doctor.port_not_serial.remedy": (
        "Correct the port in agent.toml: ls -l /dev/serial/by-id/",
        "请改正 agent.toml 中的端口：ls -l /dev/serial/by-id/",
    ),
    "doctor.port_forbidden": (
        "The user {user} may not open {port}; the group {group} may.",
        "用户 {user} 无权打开 {port}，需要 {group} 组权限。",
    ),
    "doctor.port_forbidden.remedy": (
        "usermod -aG {group} {user}, then restart posagent.",
        "usermod -aG {group} {user}，然后重启 posagent。",
    ),
    "doctor.port_in_use": ("{port} is held by {names}.", "{port} 被 {names} 占用。"),
    "doctor.port_in_use.remedy": (
        "One program at a time: end the other one, or set this device's mode to passive.",
        "同一时间只能有一个程序使用：请关闭它，或把该设备的 mode 设为 passive。",
    ),
    "doctor.port_in_use_passive": (
        "{port} belongs to {names}; posagent only looks on.",
        "{port} 由 {names} 使用，posagent 只旁观。",
    ),
    "doctor.port_is_console": ("{port} is the kernel's console ({name}).", "{port} 是内核控制台（{name}）。"),
    "doctor.port_is_console.remedy": (
        "Take console={name} out of the kernel's command line, mask serial-getty@{name}.service, and restart the machine.",
        "请从内核参数中去掉 console={name}，屏蔽 serial-getty@{name}.service，然后重启机器。",
    ),
    "doctor.port_name_moves": ("{port} may be another device after a restart.", "重启后 {port} 可能变成另一个设备。"),
    "doctor.port_name_moves.remedy": ("Write {better} in agent.toml.", "请在 agent.toml 中改用 {better}。"),
    "doctor.port_good": ("{port} is there and may be opened (driver {driver}).", "{port} 存在且可以打开（驱动 {driver}）。"),
    "doctor.ports_spare": ("Serial ports that nobody configured: {ports}.", "未配置的串口：{ports}。"),
    "doctor.ports_none": ("No serial port was found on this machine.", "本机没有找到串口。"),
    "doctor.ports_none.remedy": (
        "Plug the adapter in; dmesg | tail shows whether the kernel has a driver for it.",
        "请插上适配器；用 dmesg | tail 查看内核是否有驱动。",
    ),
    "doctor.meddler": (
        "{name} (process {pid}) may write to the till's lines.",
        "{name}（进程 {pid}）可能向收银设备的串口写数据。",
    ),
    "doctor.meddler.remedy": (
        "Install the udev rules of the package, or: systemctl mask --now {name}.",
        "请安装软件包中的 udev 规则，或执行 systemctl mask --now {name}。",
    ),
}
_MACHINE = {
    "doctor.clock_plausible": ("The clock is plausible: {detail}.", "时间合理：{detail}。"),
    "doctor.clock_before_build": ("The clock is wrong: {detail}.", "时间错误：{detail}。"),
    "doctor.clock_before_build.remedy": (
        "Set the clock (timedatectl set-time …) and look after its battery; without a right clock nothing is installed.",
        "请校准时间（timedatectl set-time …）并检查电池；时间不对不会安装更新。",
    ),
    "doctor.clock_before_signed": (
        "The clock is behind what the centre has signed: {detail}.",
        "时间早于服务中心的签名时间：{detail}。",
    ),
    "doctor.clock_before_signed.remedy": (
        "Set the clock and look after its battery; without a right clock nothing is installed.",
        "请校准时间并检查电池；时间不对不会安装更新。",
    ),
    "doctor.clock_jumped": ("The clock jumped: {detail}.", "时间发生跳变：{detail}。"),
    "doctor.clock_jumped.remedy": ("Look who sets the clock: timedatectl status.", "请查看由谁校时：timedatectl status。"),
    "doctor.clock_synchronised": ("systemd-timesyncd has set the clock.", "时间已由 systemd-timesyncd 同步。"),
    "doctor.clock_unset": ("No program sets the clock.", "没有程序校准时间。"),
    "doctor.clock_unset.remedy": ("timedatectl set-ntp true, or install chrony.", "timedatectl set-ntp true，或安装 chrony。"),
    "doctor.disk_enough": ("{free} MiB are free.", "剩余 {free} MiB。"),
    "doctor.disk_low": ("Only {free} MiB are free; {least} are needed.", "仅剩 {free} MiB，至少需要 {least} MiB。"),
    "doctor.disk_low.remedy": (
        "Free some: journalctl --vacuum-size=50M, apt clean.",
        "请清理：journalctl --vacuum-size=50M、apt clean。",
    ),
    "doctor.disk_read_only": ("The disk of {folder} is read-only.", "{folder} 所在磁盘为只读。"),
    "doctor.disk_read_only.remedy": (
        "dmesg shows whether it is failing; a disk that the kernel made read-only wants to be replaced.",
        "用 dmesg 查看是否损坏；被内核改为只读的磁盘应更换。",
    ),
    "doctor.disk_no_inodes": ("No more files can be made in {folder}.", "{folder} 无法新建文件（inode 用尽）。"),
    "doctor.disk_no_inodes.remedy": ("Delete what made so many small files (df -i).", "请删除大量小文件（df -i）。"),
    "doctor.disk_unreadable": ("{folder} could not be looked at.", "无法检查 {folder}。"),
    "doctor.disk_unreadable.remedy": ("Ask with sudo.", "请用 sudo 重新执行。"),
    "doctor.package_missing": ("The installation is not whole; missing: {names}.", "安装不完整，缺少：{names}。"),
    "doctor.package_missing.remedy": ("Install posagent anew.", "请重新安装 posagent。"),
    "doctor.versions": (
        "posagent {posagent}, Python {python}, SQLite {sqlite}, {openssl}, {system}, {kernel}",
        "posagent {posagent}，Python {python}，SQLite {sqlite}，{openssl}，{system}，{kernel}",
    ),
}
_NETWORK = {
    "doctor.proxy_unused": ("{name} is set; posagent goes without a proxy.", "设置了 {name}，但 posagent 不使用代理。"),
    "doctor.proxy_unused.remedy": (
        "Let the firewall pass the centre's addresses, or put a reverse proxy at an address of the configuration.",
        "请在防火墙放行服务中心地址，或在配置中改用反向代理的地址。",
    ),
    "doctor.way_reachable": ("It can be reached: {detail}.", "可以连接：{detail}。"),
    "doctor.way_not_configured": ("Nothing is configured.", "没有配置。"),
    "doctor.way_bad_address": ("This is no address: {detail}.", "地址格式错误：{detail}。"),
    "doctor.way_bad_address.remedy": ("Correct it in agent.toml.", "请在 agent.toml 中改正。"),
    "doctor.way_dns": ("The name has no address: {detail}.", "域名解析失败：{detail}。"),
    "doctor.way_dns.remedy": (
        "Check the name in agent.toml and the name server (resolvectl status).",
        "请检查 agent.toml 中的域名和 DNS（resolvectl status）。",
    ),
    "doctor.way_dns_timeout": ("The name server does not answer: {detail}.", "域名服务器没有应答：{detail}。"),
    "doctor.way_dns_timeout.remedy": (
        "Check the network cable and the name server (resolvectl status).",
        "请检查网线和 DNS（resolvectl status）。",
    ),
    "doctor.way_tcp": ("The connection fails: {detail}.", "连接失败：{detail}。"),
    "doctor.way_tcp.remedy": (
        "Check port and firewall; ask the service centre whether it is up.",
        "请检查端口和防火墙，并向服务中心确认。",
    ),
    "doctor.way_tcp_timeout": ("It does not answer: {detail}.", "没有应答：{detail}。"),
    "doctor.way_tcp_timeout.remedy": ("Check cable, gateway and firewall.", "请检查网线、网关和防火墙。"),
    "doctor.way_tls": ("No TLS there: {detail}.", "对方不支持 TLS：{detail}。"),
    "doctor.way_tls.remedy": (
        "Check the port; something between may answer instead (a captive portal).",
        "请检查端口；可能被中间设备（如认证门户）拦截。",
    ),
    "doctor.way_tls_timeout": ("The TLS handshake gets no answer: {detail}.", "TLS 握手没有应答：{detail}。"),
    "doctor.way_tls_timeout.remedy": ("Check the firewall; it may hold up what it does not know.", "请检查防火墙是否拦截。"),
    "doctor.way_tls_certificate": ("Its certificate is not trusted: {detail}.", "对方证书不可信：{detail}。"),
    "doctor.way_tls_certificate.remedy": (
        "Set the clock right; give the centre's CA as [center] ca; never switch the check off.",
        "请先校准时间；用 [center] ca 指定服务中心的 CA；不要关闭校验。",
    ),
    "doctor.answers": ("{name} answers.", "{name} 应答正常。"),
    "doctor.token_wrong": ("{name} refuses this host: {why}", "{name} 拒绝本机：{why}"),
    "doctor.token_wrong.remedy": (
        "The token is wrong or used up: have the centre give a new one, put it into [center], or enrol anew.",
        "令牌错误或已失效：请向服务中心索取新令牌填入 [center]，或重新注册。",
    ),
    "doctor.enrolled": ("Enrolled at {url}, until {until}.", "已在 {url} 登记，有效期至 {until}。"),
    "doctor.certificate_over": ("The certificate ended on {until}: nothing is reported.", "证书已于 {until} 过期：不再上报。"),
    "doctor.certificate_over.remedy": (
        "Check this machine's date; then ask the service centre for a new token and enrol anew (posagent enroll).",
        "请先检查本机日期；然后向服务中心索取新令牌，重新登记（posagent enroll）。",
    ),
    "doctor.token_none": ("This host is not enrolled, and there is no token.", "本机尚未登记，也没有令牌。"),
    "doctor.token_none.remedy": (
        "Ask the service centre for a token of this host; write it with the address to {path}, or run posagent enroll.",
        "请向服务中心索取本机的令牌，连同地址写入 {path}，或运行 posagent enroll。",
    ),
    "doctor.token_waits": (
        "A token waits in {path}; it was not used yet.",
        "{path} 中有令牌，守护进程尚未用它登记。",
    ),
    "doctor.token_waits.remedy": (
        "Look at posagent status: it says why. If it is used or expired, write a new one there.",
        "请运行 posagent status 查看原因；令牌已使用或过期时，请写入新令牌。",
    ),
    "doctor.token_left": (
        "Enrolled until {until}; in {path} lies a used token, or the next one with a slip.",
        "已登记至 {until}；{path} 中仍有用过的令牌，或写错的新令牌。",
    ),
    "doctor.token_left.remedy": (
        "If it is the next token, correct the file and run posagent enroll; else remove it.",
        "如果是新令牌，请改正该文件后运行 posagent enroll；否则请删除该文件。",
    ),
    "doctor.enrolment_unseen": ("The enrolment cannot be looked at: {why}.", "无法查看登记状态：{why}。"),
    "doctor.enrolment_unseen.remedy": (
        "Run it as root or as the user posagent; if the state is damaged, enrol anew.",
        "请以 root 或 posagent 用户运行；若状态文件损坏，请重新登记。",
    ),
    "doctor.key_store": ("What a key in a token needs is here.", "令牌密钥所需的程序和文件齐全。"),
    "doctor.key_store_lacks": ("For a key in a token this is missing: {missing}.", "令牌密钥缺少：{missing}。"),
    "doctor.key_store_lacks.remedy": (
        "apt install opensc openssl libengine-pkcs11-openssl; correct [enrolment] key.",
        "请运行 apt install opensc openssl libengine-pkcs11-openssl，并检查 [enrolment] key。",
    ),
    "doctor.host_unknown": ("The centre does not know the host {host}.", "服务中心没有主机 {host}。"),
    "doctor.host_unknown.remedy": ("Correct [host] id, or have the centre add it.", "请改正 [host] id，或让服务中心添加。"),
    "doctor.metadata_none": ("There is no signed metadata at this address.", "该地址没有签名元数据。"),
    "doctor.metadata_none.remedy": (
        "Correct [update] metadata, or have the centre publish (posrelease publish).",
        "请改正 [update] metadata，或让服务中心发布（posrelease publish）。",
    ),
    "doctor.answer_odd": ("{name} does not answer as it should: {why}", "{name} 应答异常：{why}"),
    "doctor.answer_odd.remedy": (
        "Correct the address in agent.toml; something between may answer instead.",
        "请改正 agent.toml 中的地址；可能被中间设备拦截。",
    ),
}
_SCREEN = {
    "doctor.topic.configuration": ("Configuration", "配置"),
    "doctor.topic.versions": ("Versions", "版本"),
    "doctor.topic.rights": ("Rights", "权限"),
    "doctor.topic.disk": ("Disk", "磁盘"),
    "doctor.topic.clock": ("Clock", "时钟"),
    "doctor.topic.service": ("Service", "服务"),
    "doctor.topic.lines": ("Serial lines", "串口"),
    "doctor.topic.network": ("Network", "网络"),
    "doctor.topic.enrolment": ("Enrolment", "登记"),
    "doctor.result.ok": ("Nothing stands in the way.", "未发现问题。"),
    "doctor.result.warned": ("It works; {count} thing(s) want to be looked at.", "可以工作；有 {count} 处需留意。"),
    "doctor.result.fault": (
        "It cannot work as it is: {count} problem(s). The first: {what}",
        "无法正常工作：共 {count} 处问题。首先：{what}",
    ),
    "doctor.result.unknown": ("Not everything could be looked at.", "有些项目无法检查。"),
}

TEXTS: dict[str, tuple[str, str]] = _CONFIGURATION | _SERVICE | _RIGHTS | _LINES | _MACHINE | _NETWORK | _SCREEN
