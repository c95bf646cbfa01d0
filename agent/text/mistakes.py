"""Mistakes of a configuration file (codes of ``agent/config``): what, why, remedy."""

_MISTAKES: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "unreadable": (
        ("The file {path} cannot be read: {reason}.", "无法读取文件 {path}：{reason}。"),
        ("Without it nobody knows which devices this machine has.", "没有它就不知道本机接了哪些设备。"),
        (
            "Write one with «posagent config example», or name another with --config.",
            "用 posagent config example 生成一份，或用 --config 指定其他文件。",
        ),
    ),
    "too_large": (
        ("The file is larger than {limit} bytes.", "文件超过 {limit} 字节。"),
        ("No configuration is that large; this is probably another file.", "配置文件不会这么大，很可能指错了文件。"),
        ("Check the path.", "请检查路径。"),
    ),
    "not_utf8": (
        ("The file is not UTF-8 text.", "文件不是 UTF-8 编码。"),
        ("TOML is UTF-8; some editors save Chinese text as GBK.", "TOML 只用 UTF-8；有的编辑器会存成 GBK。"),
        ("Save it again as UTF-8.", "请用 UTF-8 编码重新保存。"),
    ),
    "syntax": (
        ("This is not TOML: {reason}.", "不符合 TOML 语法：{reason}。"),
        ("Nothing after this place can be understood.", "此处之后的内容无法解析。"),
        (
            "Check quotes, brackets and equals signs on this line and the one before.",
            "请检查本行及上一行的引号、括号和等号。",
        ),
    ),
    "missing": (
        ("{key} is missing.", "缺少 {key}。"),
        ("The service centre knows this machine by it.", "服务中心靠它识别本机。"),
        ('Add it: [host] id = "pos-1".', '请补上：[host] id = "pos-1"。'),
    ),
    "misspelt_key": (
        ("There is no key {key}; did you mean «{nearest}»?", "没有 {key} 这个键，是否想写 {nearest}？"),
        ("A misspelt key would silently do nothing.", "写错的键会悄悄地不起作用。"),
        ("Write {nearest} (known here: {known}).", "请改为 {nearest}（此处可用：{known}）。"),
    ),
    "unknown_key": (
        ("There is no key {key}.", "没有 {key} 这个键。"),
        ("An unknown key would silently do nothing.", "不认识的键会悄悄地不起作用。"),
        ("Remove it (known here: {known}).", "请删除（此处可用：{known}）。"),
    ),
    "wrong_type": (
        ("{key} must be of type {wanted}, not {found}.", "{key} 应为 {wanted} 类型，现在是 {found}。"),
        ("The value cannot be used as it stands.", "这个值无法使用。"),
        (
            "Strings need quotes; numbers and true/false have none.",
            "字符串要加引号；数字和 true/false 不加引号。",
        ),
    ),
    "empty": (
        ("{key} is empty or holds unprintable characters.", "{key} 为空或含有不可见字符。"),
        ("The value cannot be used as it stands.", "这个值无法使用。"),
        ("Give it a value, or leave the key out.", "请填写，或删除这个键。"),
    ),
    "not_texts": (
        ("{key} must hold non-empty strings only.", "{key} 中只能是非空字符串。"),
        ("The value cannot be used as it stands.", "这个值无法使用。"),
        ('Write it as ["one", "two"].', '请写成 ["一", "二"] 这样的形式。'),
    ),
    "duplicate": (
        ("{key} holds «{value}» twice.", "{key} 中 {value} 重复。"),
        ("Probably one of them was meant to be another.", "很可能其中一个想写别的。"),
        ("Remove one.", "请删除一个。"),
    ),
    "unknown_value": (
        ("{key} cannot be «{value}»; did you mean «{nearest}»?", "{key} 不能是 {value}，是否想写 {nearest}？"),
        ("Only known values have a meaning.", "只有已知的值才有意义。"),
        ("Use one of: {known}.", "可用的值：{known}。"),
    ),
    "out_of_range": (
        ("{key} = {value} is out of range.", "{key} = {value} 超出范围。"),
        ("Such a value would stall the agent or flood the centre.", "这样的值会拖住程序或淹没服务中心。"),
        ("Use a number from {low} to {high}.", "请用 {low} 到 {high} 之间的数。"),
    ),
    "identity": (
        ("{key} = «{value}» holds a space or a slash, or is too long.", "{key} = {value} 含有空格或斜杠，或过长。"),
        ("It becomes a part of addresses and of records.", "它会用在网址和记录里。"),
        ("Use at most 128 letters, digits, «-», «_», «.».", "请用不超过 128 个的字母、数字、- _ .。"),
    ),
    "card_data": (
        ("{key} looks like a card number.", "{key} 看起来像银行卡号。"),
        ("Names go into records and reports, and card data may not.", "名称会写入记录和上报，卡号不得出现在其中。"),
        ("Choose another name; a number of fewer than 12 digits is fine.", "请换一个名称；少于 12 位的数字没有问题。"),
    ),
    "duplicate_terminal": (
        ("Till «{value}» is already {other}.", "终端 {value} 已在 {other} 中使用。"),
        ("Two tills with one id cannot be told apart in reports.", "两台终端同一个编号，上报时无法区分。"),
        ("Give every [[terminal]] an id of its own.", "请给每个 [[terminal]] 不同的 id。"),
    ),
    "duplicate_port": (
        ("Port {value} already belongs to {other}.", "串口 {value} 已分配给 {other}。"),
        ("Two devices on one port take each other's bytes.", "两个设备用同一串口会互抢数据。"),
        (
            "Give each device its own port; «posagent discover» finds them.",
            "请给每个设备不同的串口；可用 posagent discover 查找。",
        ),
    ),
    "baud": (
        ("{value} is no usual line speed; did you mean {nearest}?", "{value} 不是常用波特率，是否想写 {nearest}？"),
        ("At a wrong speed the device answers garbage, or nothing.", "波特率不对，设备回乱码或不应答。"),
        ("Use one of: {known}.", "可用的值：{known}。"),
    ),
    "not_a_place": (
        ("{key}: «{value}» is not host:port.", "{key}：{value} 不是 host:port 的形式。"),
        ("Without a port there is nothing to connect to.", "没有端口号就无法连接。"),
        ('Write it as "pay.example:443".', '请写成 "pay.example:443"。'),
    ),
    "url": (
        ("{key} is no usable http(s) address.", "{key} 不是可用的 http(s) 网址。"),
        ("Names, passwords and queries do not belong into it.", "网址里不能带用户名、密码或查询参数。"),
        ('Write it as "https://centre.example/…".', '请写成 "https://centre.example/…"。'),
    ),
    "plain_http": (
        ("{key} goes to {value} without TLS.", "{key} 未加密地连接 {value}。"),
        ("Anybody on the way could read the token.", "途中任何人都能读到令牌。"),
        ("Use https:// (http:// is for this machine alone).", "请用 https://（http:// 只能用于本机）。"),
    ),
    "no_token": (
        ("[center] ddi is set, but there is no token.", "[center] 配了 ddi，却没有 token。"),
        ("The centre would answer 401 to every request.", "服务中心对每次请求都会回 401。"),
        (
            'Add token = "…" from the centre (gateway_token is for development).',
            '请填服务中心给的 token = "…"（gateway_token 仅供开发）。',
        ),
    ),
    "half_repository": (
        ("{key} is missing beside {other}.", "配了 {other}，却缺少 {key}。"),
        ("Signed metadata and the files it names are fetched from both.", "签名元数据和安装文件分别从两处下载。"),
        ("Give both, or neither (then only a USB stick updates).", "两个都填，或都不填（那就只能用 U 盘更新）。"),
    ),
    "mirrors_alone": (
        ("{key} is given, but no targets.", "配了 {key}，却没有 targets。"),
        ("A mirror holds a copy of what lies there.", "镜像只是 targets 处文件的副本。"),
        ("Add targets (and metadata), or take the mirrors out.", "请添加 targets（和 metadata），或删去镜像。"),
    ),
    "too_many_mirrors": (
        ("{key} names more than {value} addresses.", "{key} 中的地址多于 {value} 个。"),
        ("Each one that is dead costs its time at every download.", "每个失效的镜像在每次下载时都要耗费时间。"),
        ("Keep those that are near.", "请只保留较近的镜像。"),
    ),
    "need_without_device": (
        ("{key} names the {value}, but this till has none.", "{key} 里有 {value}，但这台终端没有配置它。"),
        ("The till could never take money.", "这台终端会永远不能收款。"),
        ("Add [terminal.{value}], or take it out of needs.", "请添加 [terminal.{value}]，或从 needs 中去掉。"),
    ),
    "network_without_acquirer": (
        ("{key} names the network, but no acquirer is given.", "{key} 里有 network，但没有配置 acquirer。"),
        ("There is nothing to check the network against.", "不知道该检查到哪里的网络。"),
        ('Add acquirer = ["pay.example:443"].', '请添加 acquirer = ["pay.example:443"]。'),
    ),
    "component_name": (
        ("«{value}» cannot be a component's name.", "{value} 不能用作组件名。"),
        ("The name becomes a folder.", "组件名会成为文件夹名。"),
        ("Use small letters, digits, «-», «_», «.».", "请用小写字母、数字、- _ .。"),
    ),
    "climbing": (
        ("{key}: «{value}» leaves the release's folder.", "{key}：{value} 跳出了版本目录。"),
        ("A release is judged by its own check only.", "版本只能用它自己的检查程序。"),
        ('Write a path inside the release: ["bin/health"].', '请写版本目录内的路径：["bin/health"]。'),
    ),
    "not_absolute": (
        ("{key}: every path must be absolute.", "{key}：必须使用绝对路径。"),
        ("The daemon stands in no folder of its own.", "守护进程没有自己的工作目录。"),
        ('Begin it with a slash: ["/media/*"].', '请以斜杠开头：["/media/*"]。'),
    ),
    "key_store": (
        ("{key}: «{value}» says no place for a key.", "{key}：{value} 不是有效的密钥位置。"),
        (
            "A key lies in a file, or in a token whose library and PIN are named.",
            "密钥存放在文件中，或存放在指明驱动库和 PIN 的令牌中。",
        ),
        (
            'Write "file", or "pkcs11:token=NAME?module-path=/usr/lib/…so&pin-source=file:/etc/posagent/pin".',
            '请写 "file"，或 "pkcs11:token=NAME?module-path=/usr/lib/…so&pin-source=file:/etc/posagent/pin"。',
        ),
    ),
    "window": (
        ("{key}: «{value}» is no time of day.", "{key}：{value} 不是有效时段。"),
        ("It is from when to when, in this till's local time.", "应为本机当地时间的起止。"),
        ('Write it like "22:00-06:00".', '请写成 "22:00-06:00"。'),
    ),
    "no_such_till": (
        ("{key}: there is no [[terminal]] with the id «{value}».", "{key}：没有 id 为 {value} 的 [[terminal]]。"),
        ("An update of this component waits until its tills are idle.", "更新该组件前须等它服务的终端空闲。"),
        ("Name tills of this file, or leave the key out for all of them.", "请填写本文件中的终端；所有终端则删去此键。"),
    ),
    "no_file": (
        ("{key}: there is no file {path}.", "{key}：文件 {path} 不存在。"),
        ("Without it nothing that is offered can be trusted.", "没有它，收到的东西都无法信任。"),
        ("Copy it there; the service centre has it.", "请向服务中心索取并放到此处。"),
    ),
    "no_port": (
        ("{key}: there is no port {path} now.", "{key}：现在没有串口 {path}。"),
        ("The device is unplugged, or has another name.", "设备没插好，或名称变了。"),
        ("Check the cable; «posagent discover» finds ports.", "请检查线缆；可用 posagent discover 查找串口。"),
    ),
}

TEXTS: dict[str, tuple[str, str]] = {
    f"config.{code}.{part}": pair
    for code, parts in _MISTAKES.items()
    for part, pair in zip(("what", "why", "remedy"), parts, strict=True)
}
