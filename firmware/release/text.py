"""Every sentence that posrelease says, as key → (English, Chinese)."""

from collections.abc import Mapping

LANGUAGES = ("en", "zh_CN")
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")

TEXTS: dict[str, tuple[str, str]] = {
    "about": (
        "The service centre's release tool: keys, a signed repository, and assignment to tills.",
        "服务中心的发布工具：密钥、签名仓库，以及向终端派发。",
    ),
    "init": ("make keys and a first signed repository", "生成密钥和首个签名仓库"),
    "add": ("add a file or folder as a component's release", "把文件或文件夹加为某组件的新版本"),
    "publish": (
        "sign snapshot and timestamp, make what was added visible",
        "签署 snapshot 和 timestamp，使新增内容生效",
    ),
    "push": ("assign releases to tills through hawkBit", "通过 hawkBit 把版本派发给终端"),
    "set": ("sign which releases belong together, in the order of installation", "签署一组版本及其安装顺序"),
    "sign": ("add signatures: here, or through a file for another holder", "补充签名：在本机，或通过文件交由其他持钥人"),
    "refresh": ("sign snapshot and timestamp anew (for cron)", "重新签署 snapshot 和 timestamp（供 cron 使用）"),
    "bundle": ("one file for a USB stick", "制作 U 盘升级包（单个文件）"),
    "delegate": ("let a vendor sign components of its own", "授权厂商签署自己的组件"),
    "rotate": ("new keys, another threshold, or longer validity", "更换密钥、改变签名数或延长有效期"),
    "show": ("roles, keys, expiry and releases", "角色、密钥、到期时间和版本"),
    "opt.lang": ("language of the output", "输出语言"),
    "opt.json": ("one JSON document on stdout", "在标准输出给出一个 JSON 文档"),
    "opt.repo": ("folder of the repository", "仓库文件夹"),
    "opt.push_keys": (
        "keys that sign a missing set of several components (default: those of the last publish)",
        "用于签署缺少的组件集合的密钥（默认为上次 publish 所用）",
    ),
    "opt.keys": ("folder of the signing keys", "签名密钥文件夹"),
    "opt.threshold": ("signatures that root and targets need (1)", "root 和 targets 所需的签名数（默认 1）"),
    "opt.holders": (
        "people who hold a key of root and of targets (as many as the threshold)",
        "持有 root 和 targets 密钥的人数（默认同签名数）",
    ),
    "opt.clear": ("leave the keys unencrypted (tests and demos only)", "密钥不加密（仅用于测试和演示）"),
    "opt.component": ("name of the component (may be repeated for push)", "组件名（push 可重复）"),
    "opt.version": ("version of the component, one for each --component", "组件版本，与 --component 一一对应"),
    "opt.handler": ("what installs it on the till (app_slots)", "终端上的安装方式（默认 app_slots）"),
    "opt.label": ("only for tills with this label (may be repeated)", "仅限带此标签的终端（可重复）"),
    "opt.only": ("only for this till (may be repeated)", "仅限此终端（可重复）"),
    "opt.hardware": (
        "only for machines with this architecture, product or board name (may be repeated)",
        "仅限此架构、产品名或主板名的主机（可重复）",
    ),
    "opt.fits": (
        "only where the devices say so: printer.model=TM-T88*, reader.firmware=, host.arch= … (may be repeated)",
        "仅限设备自报符合者：printer.model=TM-T88*、printer.firmware=、reader.firmware=、host.arch= 等（可重复）",
    ),
    "opt.needs": (
        "another component that must run, at least at this version (may be repeated)",
        "所依赖的组件及最低版本（可重复）",
    ),
    "opt.not_before": ("not to be installed before this time", "此时间之前不得安装"),
    "opt.not_after": ("not to be installed after this time", "此时间之后不得安装"),
    "opt.deadline": (
        "from this time on a till that cannot prove to be idle is updated too; a busy one never",
        "自此时间起，无法证明空闲的终端也更新；忙碌的终端除外",
    ),
    "opt.max_hold": (
        "a hold at the till stops this release for so long at most, in hours: 24h (security releases)",
        "终端的暂停对本版本最多有效多久，整小时，如 24h（用于安全更新）",
    ),
    "opt.may_not_wait": (
        "as if forced: a till that cannot prove to be idle is updated too; a busy one never",
        "等同强制：无法证明空闲的终端也更新；忙碌的终端除外",
    ),
    "opt.health": (
        "command inside the release that says whether it works: 'bin/health -x'",
        "版本自带的健康检查命令，如 'bin/health -x'",
    ),
    "opt.revoke": ("an older version that this one takes back (may be repeated)", "本版本所撤回的旧版本（可重复）"),
    "opt.path": ("the file or folder; a .tar.gz or .tar.zst is taken as it is", "文件或文件夹；.tar.gz 或 .tar.zst 原样采用"),
    "opt.archive": (
        "how files are packed (tar.gz); tar.zst is smaller, large files unpack faster; file: one file as it is",
        "打包格式（默认 tar.gz）；tar.zst 更小，大文件解包更快；file：单个文件，原样发布",
    ),
    "opt.expires": (
        "validity of the timestamp, as 90s, 12h or 7d (7d)",
        "timestamp 有效期，如 90s、12h、7d（默认 7d）",
    ),
    "opt.management": ("address of hawkBit's Management API", "hawkBit 管理接口地址"),
    "opt.user": ("user there", "该接口的用户名"),
    "opt.password": ("password there ($POSRELEASE_PASSWORD)", "该接口的密码（$POSRELEASE_PASSWORD）"),
    "opt.terminal": ("tills to assign to", "要派发的终端"),
    "opt.type": ("how it is assigned (forced)", "派发方式（默认 forced）"),
    "opt.set": ("name of the set of several components", "多组件集合的名称"),
    "opt.set_version": ("version of that set", "该集合的版本"),
    "opt.ca": ("PEM file of the CA of your own", "自建 CA 的 PEM 文件"),
    "opt.http": ("allow plain http to other machines", "允许以明文 http 访问其他机器"),
    "opt.role": ("the vendor's role that signs (targets)", "签署该版本的厂商角色（默认 targets）"),
    "opt.bundle_expires": ("how long USB sticks of this state count (90d)", "U 盘升级包的有效期（默认 90d）"),
    "opt.vendor": ("name of the vendor", "厂商名称"),
    "opt.vendor_component": ("component that only this vendor provides (may be repeated)", "仅由该厂商提供的组件（可重复）"),
    "opt.vendor_path": ("what it may sign (printer/NAME/*)", "允许签署的路径（默认 printer/NAME/*）"),
    "opt.public": ("public key in PEM (may be repeated)", "PEM 公钥文件（可重复）"),
    "opt.new_keys": ("make the vendor's keys in this folder", "在此文件夹生成厂商密钥"),
    "opt.vendor_threshold": ("signatures that the vendor's role needs (1)", "厂商角色所需签名数（默认 1）"),
    "opt.export": ("write what is staged to a file for another holder", "把待签内容写入文件，交给其他持钥人"),
    "opt.request": ("sign such a file with the keys here; needs no repository", "用本机密钥签署该文件，无需仓库"),
    "opt.import": ("take the signatures of such a file in", "导入该文件中的签名"),
    "opt.rotate": ("the role", "角色"),
    "opt.replace": (
        "key to replace: its file's name or its id (all; may be repeated)",
        "要替换的密钥：文件名或编号（默认全部，可重复）",
    ),
    "opt.new_threshold": ("signatures that the role will need", "该角色今后所需签名数"),
    "opt.renew": ("change no key, only sign anew for longer", "不换密钥，仅重新签名以延长有效期"),
    "opt.out": ("the file to write", "输出文件"),
    "ask.new": ("New passphrase for the keys: ", "请输入新的密钥口令："),
    "ask.again": ("The same again: ", "请再输入一次："),
    "ask.old": ("Passphrase of the keys: ", "请输入密钥口令："),
    "done.init": (
        "{repo}: made, {threshold} of {holders} holders sign. Tills are delivered with {root}.",
        "{repo}：已建立，{holders} 人中须 {threshold} 人签名。终端出厂时装入 {root}。",
    ),
    "done.init_keys": (
        "The keys lie in {keys}; keep root and targets keys away from this machine.",
        "密钥位于 {keys}；请将 root 和 targets 密钥离线保管。",
    ),
    "warn.clear": ("warning: the keys are not encrypted", "警告：密钥未加密"),
    "done.add": (
        "{component} {version} added (release {counter}, {length} bytes). Next: posrelease publish",
        "已添加 {component} {version}（发布序号 {counter}，{length} 字节）。下一步：posrelease publish",
    ),
    "done.add_waits": (
        "{component} {version} added (release {counter}, {length} bytes).",
        "已添加 {component} {version}（发布序号 {counter}，{length} 字节）。",
    ),
    "warn.member": ("warning: tills will refuse {name} in this archive", "警告：终端会拒绝此包中的 {name}"),
    "done.publish": (
        "Published: root {root}, targets {targets}, snapshot {snapshot}, timestamp {timestamp}.",
        "已发布：root {root}，targets {targets}，snapshot {snapshot}，timestamp {timestamp}。",
    ),
    "done.push": ("{terminal}: assigned, action {action}", "{terminal}：已派发，任务 {action}"),
    "done.push_open": ("{terminal}: was assigned already, action {action}", "{terminal}：先前已派发，任务 {action}"),
    "done.push_none": ("{terminal}: was assigned already, nothing to do", "{terminal}：先前已派发，无需操作"),
    "done.delegate": ("{name} may sign {path}: {components}", "已授权 {name} 签署 {path}：{components}"),
    "done.export": (
        "Written to {file}; the next holder: posrelease sign --request FILE --keys DIR",
        "已写入 {file}；下一位持钥人：posrelease sign --request FILE --keys DIR",
    ),
    "done.request": (
        "Signed: {file}. Send it back for: posrelease sign --import FILE",
        "已签名：{file}。请寄回并执行：posrelease sign --import FILE",
    ),
    "done.import": ("Signatures taken in from {file}", "已导入 {file} 中的签名"),
    "done.sign": ("Signed what is staged in {file}", "已签署 {file} 中的待发布内容"),
    "sign.role": ("{role} version {version}", "{role} 版本 {version}"),
    "sign.lists": ("  lists {name}", "  列出 {name}"),
    "standing.complete": (
        "  {role}: {signed} of {threshold} signatures, enough. Next: posrelease publish",
        "  {role}：已有 {signed}/{threshold} 个签名，足够。下一步：posrelease publish",
    ),
    "standing.missing": (
        "  {role}: {signed} of {threshold} signatures. Next: posrelease sign, with key {may}",
        "  {role}：已有 {signed}/{threshold} 个签名。下一步：用密钥 {may} 执行 posrelease sign",
    ),
    "standing.old": (" (keys until now)", "（原密钥）"),
    "standing.new": (" (new keys)", "（新密钥）"),
    "show.will": (" (once published: {roles})", "（发布后：{roles}）"),
    "done.rotate": ("Staged: a change of {role}", "已暂存：{role} 的变更"),
    "done.new_key": (
        "New key: {keys}/{name}.pem; keep the old one until this is published",
        "新密钥：{keys}/{name}.pem；发布之前请保留旧密钥",
    ),
    "done.refresh": (
        "Refreshed: snapshot {snapshot}, timestamp {timestamp}.",
        "已续签：snapshot {snapshot}，timestamp {timestamp}。",
    ),
    "done.bundle": (
        "{file}: {component} {version}, {length} bytes, counts until {until}",
        "{file}：{component} {version}，{length} 字节，有效期至 {until}",
    ),
    "done.set": ("Set {name} {version}: {order}", "集合 {name} {version}：{order}"),
    "show.vendor": ("{role:<10} may sign {paths}: {components}", "{role:<10} 可签署 {paths}：{components}"),
    "show.key": ("key {keyid} may sign {roles}  {file}", "密钥 {keyid} 可签署 {roles}  {file}"),
    "show.nothing": ("nothing", "无"),
    "show.waiting": ("{role} version {version} waits to be published", "{role} 版本 {version} 等待发布"),
    "show.bundle": ("bundles for USB sticks count until {until}", "U 盘升级包有效期至 {until}"),
    "show.set": ("set {name}", "集合 {name}"),
    "show.never": ("never signed", "尚未签名"),
    "show.role": (
        "{role:<10} version {version:<4} expires {expires}{mark}  {threshold} of {keys} keys",
        "{role:<10} 版本 {version:<4} 到期 {expires}{mark}  {keys} 个密钥中须 {threshold} 个",
    ),
    "show.expired": (" (EXPIRED)", "（已过期）"),
    "show.release": (
        "{component} {version}  release {counter}{mark}",
        "{component} {version}  发布序号 {counter}{mark}",
    ),
    "show.staged": (" (not published yet)", "（尚未发布）"),
    "error": ("posrelease: {message}", "posrelease：{message}"),
    "remedy": ("  what to do: {remedy}", "  处理方法：{remedy}"),
    "say.usage": ("{detail}", "用法不对：{detail}"),
    "say.no_set": ("{detail}", "这些版本没有签名集合（{detail}）"),
    "do.no_set": ("posrelease set, sign and publish; then push again", "先 posrelease set、sign、publish，再 push"),
    "say.no_passphrase": ("the keys need a passphrase, and there is nobody to ask", "密钥需要口令，但无人可问"),
    "do.no_passphrase": (
        "set $POSRELEASE_PASSPHRASE, or type the command on a terminal",
        "设置 $POSRELEASE_PASSPHRASE，或在终端上执行",
    ),
    "say.no_passphrase_new": ("new keys need a passphrase, and there is nobody to ask", "新密钥需要口令，但无人可问"),
    "do.no_passphrase_new": (
        "set $POSRELEASE_PASSPHRASE, or give --clear-keys for tests",
        "设置 $POSRELEASE_PASSPHRASE；测试时可用 --clear-keys",
    ),
    "say.passphrases_differ": ("the two passphrases differ", "两次输入的口令不一致"),
    "do.passphrases_differ": ("type the command again", "请重新执行"),
    "say.bad_passphrase": ("{detail}", "口令不正确（{detail}）"),
    "do.bad_passphrase": ("use the passphrase that the keys were made with", "请使用生成密钥时的口令"),
    "say.keys_missing": ("{detail}", "密钥不足（{detail}）"),
    "do.keys_missing": ("put the missing holders' keys into the folder of --keys", "把缺少的密钥放入 --keys 文件夹"),
    "say.keys_exist": ("{detail}", "该文件夹已有密钥，绝不覆盖（{detail}）"),
    "say.bad_key": ("{detail}", "密钥文件不可用（{detail}）"),
    "say.repo_exists": ("{detail}", "该文件夹已有仓库（{detail}）"),
    "do.repo_exists": ("choose another folder", "请换一个文件夹"),
    "say.no_repo": ("{detail}", "不是仓库（{detail}）"),
    "do.no_repo": ("posrelease init --repo DIR --keys DIR", "posrelease init --repo DIR --keys DIR"),
    "say.repo_damaged": ("{detail}", "仓库已损坏（{detail}）"),
    "do.repo_damaged": ("restore the repository from a backup", "请从备份恢复仓库"),
    "say.bad_threshold": ("{detail}", "签名数与人数不符（{detail}）"),
    "say.version_exists": ("{detail}", "该版本已存在（{detail}）"),
    "do.version_exists": ("give it a new version", "请使用新的版本号"),
    "say.unknown_release": ("{detail}", "没有已发布的该版本（{detail}）"),
    "do.unknown_release": ("posrelease add, then posrelease publish", "先 posrelease add，再 posrelease publish"),
    "say.role_expired": ("{detail}", "签名角色已过期（{detail}）"),
    "say.signatures_missing": ("{detail}", "签名不足（{detail}）"),
    "do.role_expired": (
        "posrelease rotate --role ROLE --renew by its holders, then publish",
        "由持钥人执行 posrelease rotate --role ROLE --renew，再发布",
    ),
    "do.signatures_missing": (
        "posrelease sign by the missing holders, then publish",
        "请缺少的持钥人执行 posrelease sign，再发布",
    ),
    "say.wrong_role": ("{detail}", "密钥与角色不符（{detail}）"),
    "do.wrong_role": ("posrelease show tells what each key may sign", "posrelease show 可查看各密钥的权限"),
    "say.unknown_role": ("{detail}", "没有该角色（{detail}）"),
    "say.unknown_key": ("{detail}", "没有该密钥（{detail}）"),
    "do.unknown_key": ("posrelease show lists the keys of each role", "posrelease show 会列出各角色的密钥"),
    "say.component_taken": ("{detail}", "该组件或路径已有归属（{detail}）"),
    "say.nothing_staged": ("{detail}", "没有待签名的内容（{detail}）"),
    "say.other_content": ("{detail}", "文件与待签内容不符（{detail}）"),
    "do.other_content": ("export a new request and have that signed", "请重新导出并交由签名"),
    "say.files_missing": ("{detail}", "缺少厂商的文件（{detail}）"),
    "do.files_missing": ("copy the vendor's targets folder into the repository's", "请把厂商的 targets 文件夹复制到仓库中"),
    "say.bad_request": ("{detail}", "签名请求文件不可用（{detail}）"),
    "say.bundle_expired": ("{detail}", "升级包有效期已过（{detail}）"),
    "do.bundle_expired": (
        "posrelease rotate --role targets --renew, then publish",
        "执行 posrelease rotate --role targets --renew，再发布",
    ),
    "say.bad_source": ("{detail}", "内容不可发布（{detail}）"),
    "say.bad_name": ("{detail}", "名称不可用（{detail}）"),
    "say.bad_manifest": ("{detail}", "发布清单不合规（{detail}）"),
    "say.card_data": ("{detail}", "名称疑似卡号，终端会拒绝（{detail}）"),
    "do.card_data": ("choose another name", "请换一个名称"),
    "say.bad_option": ("{detail}", "选项不可用（{detail}）"),
    "say.busy": ("{detail}", "另一个 posrelease 正在使用该仓库（{detail}）"),
    "say.module_differs": ("{detail}", "hawkBit 上已有内容不同的同一版本（{detail}）"),
    "say.set_differs": ("{detail}", "hawkBit 上已有内容不同的同名集合（{detail}）"),
    "say.disk_full": ("{detail}", "磁盘已满（{detail}）"),
    "say.disk_denied": ("{detail}", "无权写入（{detail}）"),
    "say.network": ("{detail}", "网络或服务器出错（{detail}）"),
    "do.network": (
        "check the address, the user and the network, then repeat: nothing is done twice",
        "检查地址、用户和网络后重试：不会重复执行",
    ),
    "say.internal": ("an error of posrelease itself: {detail}", "posrelease 自身出错：{detail}"),
    "do.internal": ("report it with the command that you typed", "请连同所用命令一起上报"),
    "say.other": ("{detail}", "无法完成（{detail}）"),
}


class Text:
    """The sentences of one language; anything but zh_CN is English."""

    def __init__(self, lang: str) -> None:
        self._column = 1 if lang == "zh_CN" else 0

    def t(self, key: str, /, **values: object) -> str:
        """The sentence ``key`` with its names filled in. Raises KeyError for a key that is not in the table."""
        return TEXTS[key][self._column].format_map(values)

    def has(self, key: str) -> bool:
        """Whether there is such a sentence."""
        return key in TEXTS


def pick_language(option: str | None, environment: Mapping[str, str]) -> str:
    """``--lang`` first, then the locale, then English."""
    if option in LANGUAGES:
        return option
    wish = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return "zh_CN" if wish.lower().startswith("zh") else "en"
