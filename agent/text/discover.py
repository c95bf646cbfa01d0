"""What ``posagent discover`` says: for each code a sentence, and a remedy where there is something to do."""

_PLACE = {
    "discover.elsewhere": (
        "Not a port of this machine; it is not searched.",
        "不是本机的串口，不作查找。",
    ),
    "discover.missing": ("There is no such port: {port}.", "没有这个串口：{port}。"),
    "discover.missing.remedy": (
        "Check the cable or the USB adapter; posagent discover without --port lists what there is.",
        "请检查线缆或 USB 转换器；不带 --port 执行 posagent discover 可列出现有串口。",
    ),
    "discover.not_serial": ("{port} is no serial line.", "{port} 不是串口设备。"),
    "discover.not_serial.remedy": (
        "Name another path; ls -l /dev/serial/by-id/ shows the lines.",
        "请换一个路径；ls -l /dev/serial/by-id/ 可查看串口。",
    ),
    "discover.denied": ("{user} may not open {port} (group {group}).", "{user} 没有打开 {port} 的权限（所属组 {group}）。"),
    "discover.denied.remedy": (
        "usermod -aG {group} {user}, then log in again; or use sudo.",
        "执行 usermod -aG {group} {user} 后重新登录；或使用 sudo。",
    ),
    "discover.console": ("The kernel uses {name} as its console; it is left alone.", "内核把 {name} 用作控制台，不作触碰。"),
    "discover.console.remedy": (
        "Take console={name} out of the kernel's command line, or use another port.",
        "请从内核启动参数中去掉 console={name}，或换一个串口。",
    ),
    "discover.held": ("In use by {names}: nothing was sent.", "正被 {names} 使用：未发送任何数据。"),
    "discover.held.remedy": (
        'End that program, or leave the port to it (mode = "passive").',
        '请结束该程序，或把串口留给它（mode = "passive"）。',
    ),
    "discover.getty": ("A login prompt has it: {names}. Nothing was sent.", "登录终端占用了它：{names}。未发送任何数据。"),
    "discover.getty.remedy": (
        "systemctl disable --now serial-getty@….service for this port.",
        "请对该串口执行 systemctl disable --now serial-getty@….service。",
    ),
    "discover.probed": (
        "A program that looks for modems or braille displays has it: {names}. Nothing was sent.",
        "查找调制解调器或盲文显示器的程序占用了它：{names}。未发送任何数据。",
    ),
    "discover.probed.remedy": (
        "Wait half a minute and look again; then keep it away by a udev rule (ID_MM_DEVICE_IGNORE), or remove the program.",
        "请等半分钟后再试；然后用 udev 规则（ID_MM_DEVICE_IGNORE）排除该串口，或卸载该程序。",
    ),
    "discover.passive": (
        "Configured as another program's ({names}): it is left alone.",
        "配置为其他程序使用（{names}），不作触碰。",
    ),
    "discover.passive.remedy": (
        "While that program is stopped, name the port with --port to have it searched.",
        "停止该程序后，用 --port 指定该串口即可查找。",
    ),
    "discover.unnamed": (
        "A pseudo-terminal: it is searched only where it is named with --port.",
        "伪终端：仅在用 --port 指定时才查找。",
    ),
    "discover.cannot_open": ("It cannot be opened: {why}.", "无法打开：{why}。"),
    "discover.cannot_open.remedy": (
        "posagent doctor says more about rights and holders.",
        "执行 posagent doctor 可查看权限和占用情况。",
    ),
    "discover.lost": ("It went away while it was being searched: {why}.", "查找过程中串口断开：{why}。"),
    "discover.lost.remedy": ("Check the cable and the USB adapter, then try again.", "请检查线缆和 USB 转换器后重试。"),
}
_LINE = {
    "discover.silent": (
        "Nobody answers, at {settings} settings.",
        "试了 {settings} 种参数，均无应答。",
    ),
    "discover.silent.remedy": (
        "Check power, cable and pinout. If it prints but never answers, the wire from the device to this machine is missing.",
        "请检查电源、线缆和线序。若能打印却从不应答，说明设备到本机的接收线不通。",
    ),
    "discover.garbled": (
        "Bytes come ({bytes}) that make no sense at any of {settings} settings.",
        "收到 {bytes} 个字节，但 {settings} 种参数下都无法识别。",
    ),
    "discover.garbled.remedy": (
        "Check the cable and its shield, and the ground; or the device speaks another protocol.",
        "请检查线缆、屏蔽和接地；也可能设备使用其他协议。",
    ),
    "discover.modem_talk": (
        "Modem commands (AT) come in on this line: some program takes it for a modem.",
        "线路上出现调制解调器命令（AT）：有程序把它当作调制解调器。",
    ),
    "discover.modem_talk.remedy": (
        "Keep ModemManager away by a udev rule (ID_MM_DEVICE_IGNORE), or remove it.",
        "请用 udev 规则（ID_MM_DEVICE_IGNORE）排除 ModemManager，或将其卸载。",
    ),
    "discover.loop": (
        "Our own bytes come back and nothing else: a loop-back plug, or sender and receiver are bridged.",
        "只收到自己发出的数据：插了回环头，或收发线短接。",
    ),
    "discover.loop.remedy": ("Take the plug out; check the cable between pins 2 and 3.", "请取下回环头；检查线缆 2、3 脚。"),
    "discover.half_duplex": (
        "Our own bytes come back before the answer: a two-wire (half-duplex) adapter, or an echoing device.",
        "应答前先收到自己发出的数据：两线（半双工）转换器，或设备有回显。",
    ),
    "discover.half_duplex.remedy": (
        "Switch the adapter's echo off, or use a full-duplex RS-232 adapter.",
        "请关闭转换器回显，或改用全双工 RS-232 转换器。",
    ),
    "discover.other_baud": (
        "It answers at {found_baud} baud; {configured_baud} is configured.",
        "设备在 {found_baud} 波特应答，而配置为 {configured_baud}。",
    ),
    "discover.other_baud.remedy": (
        "Write baud = {found_baud} into agent.toml, or set the device's switches to {configured_baud}.",
        "请在 agent.toml 中写 baud = {found_baud}，或把设备开关设为 {configured_baud}。",
    ),
    "discover.other_format": ("It answers with {format}; posagent works with 8N1.", "设备使用 {format}，而 posagent 使用 8N1。"),
    "discover.other_format.remedy": (
        "Set the device's switches to 8 data bits and no parity.",
        "请把设备开关设为 8 位数据、无校验。",
    ),
    "discover.stuck_xoff": (
        "It has said stop (XOFF) and is on-line all the same: it holds the printing software off.",
        "设备发出了停止（XOFF），但自身在线：打印软件会一直等待。",
    ),
    "discover.stuck_xoff.remedy": (
        "Switch it off and on. If it comes back: its busy switch (DIP, Msw) and the line's noise.",
        "请关机再开机。若再次出现，检查忙信号开关（DIP、Msw）和线路干扰。",
    ),
    "discover.takes_no_data": (
        "It answers real-time questions and takes no data ({unanswered} unanswered): wrong flow control, or it waits.",
        "能应答实时查询但不处理数据（{unanswered} 无应答）：流控设置不符，或设备在等待。",
    ),
    "discover.takes_no_data.remedy": (
        "With DTR/DSR handshake its DSR needs this machine's DTR: check the cable; else set it to XON/XOFF. Press FEED once.",
        "DTR/DSR 握手时设备的 DSR 需接本机 DTR：检查线缆，或改为 XON/XOFF；再按一次走纸键。",
    ),
    "discover.modem_lines_low": (
        "It answers with CTS and DSR low: a three-wire cable, or it says busy by wire.",
        "应答正常但 CTS、DSR 为低：三线线缆，或设备以硬件信号表示忙。",
    ),
    "discover.swapped": ("Another device than before: {now} instead of {before}.", "设备已更换：现为 {now}，原为 {before}。"),
    "discover.swapped.remedy": (
        "If nobody exchanged it on purpose, ask who did; then correct the inventory.",
        "若非有意更换，请查明原因；并更正资产登记。",
    ),
}
_MACHINE = {
    "discover.no_ports": ("No serial port was found.", "没有找到串口。"),
    "discover.no_ports.remedy": (
        "Plug the adapter in; dmesg shows whether the kernel sees it. A pseudo-terminal is named with --port.",
        "请插上转换器；用 dmesg 查看内核是否识别。伪终端须用 --port 指定。",
    ),
    "discover.prober_runs": (
        "{name} [{pid}] runs and writes to new serial adapters.",
        "{name} [{pid}] 正在运行，会向新接入的串口写数据。",
    ),
    "discover.prober_runs.remedy": (
        "Install posagent's udev rule (the package brings it), or remove {name}.",
        "请安装 posagent 的 udev 规则（软件包自带），或卸载 {name}。",
    ),
    "discover.holders_unseen": (
        "{user} cannot see the open files of all programs: one that locks nothing may have been missed.",
        "{user} 看不到所有程序打开的文件，可能漏掉未加锁的程序。",
    ),
    "discover.holders_unseen.remedy": ("sudo posagent discover sees them all.", "使用 sudo posagent discover 可全部看到。"),
    "discover.config_unread": ("The configuration was left out: {why}", "未使用配置文件：{why}"),
    "discover.config_unread.remedy": ("Name its mistakes: posagent config check.", "请执行 posagent config check 查看错误。"),
}
_SCREEN = {
    "discover.state.free": ("free", "空闲"),
    "discover.state.held": ("in use", "被占用"),
    "discover.state.daemon": ("looked after by posagent", "由 posagent 监测"),
    "discover.state.passive": ("another program's", "其他程序使用"),
    "discover.state.missing": ("missing", "不存在"),
    "discover.state.denied": ("no permission", "无权限"),
    "discover.state.not_serial": ("no serial line", "非串口"),
    "discover.state.console": ("kernel console", "内核控制台"),
    "discover.state.elsewhere": ("elsewhere", "不在本机"),
    "discover.state.unnamed": ("not searched", "未查找"),
    "discover.state.unplugged": ("missing", "不存在"),
    "discover.state.unusable": ("unusable", "不可用"),
    "discover.kind.printer": ("printer", "打印机"),
    "discover.kind.reader": ("card reader", "读卡器"),
    "discover.profile": (" · profile {name}", " · 机型 {name}"),
    "discover.device": ("{kind}: {name}, {protocol}, {baud} baud {format}", "{kind}：{name}，{protocol}，{baud} 波特 {format}"),
    "discover.nameless": ("did not say its name", "未报名称"),
    "discover.names": ("also {names}", "又名 {names}"),
    "discover.driver": ("driver {driver}", "驱动 {driver}"),
    "discover.configured": ("configured as {subject}", "配置为 {subject}"),
    "discover.snippet": ("For agent.toml:", "可写入 agent.toml："),
    "discover.result.ok": ("{found} device(s) on {count} port(s).", "{count} 个串口，找到 {found} 个设备。"),
    "discover.result.fault": ("Something is wrong on a line: {what}", "线路有故障：{what}"),
    "discover.result.unknown": ("Not every port could be asked: {what}", "部分串口无法查询：{what}"),
}

TEXTS: dict[str, tuple[str, str]] = _PLACE | _LINE | _MACHINE | _SCREEN
