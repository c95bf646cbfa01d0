"""Holds what every side says at the end against the others: the hosts' disks, the centre's store, the simulators, the logs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

from tests.soak.story import Story, Told
from tests.soak.watch import tree
from tests.soak.world import Box, Centre
from tests.system.harness import run
from tests.system.releases import COMPONENT

RSS_MAX_MIB, THREADS_MAX, FILES_MAX = 60.0, 40, 80
STATE_FILES_MAX = 80
FINAL_ROWS = {"committed": "finished", "rolled_back": "error", "refused": "error", "failed": "error", "canceled": "canceled"}
FAULT_OF = {
    ("printer", "cover", "open"): "printer.cover_open",
    ("printer", "paper", "end"): "printer.paper_end",
    ("printer", "paper", "near_end"): "printer.paper_near_end",
    ("printer", "plugged", "no"): "link.unplugged",
    ("reader", "plugged", "no"): "link.unplugged",
}
"""What a till's simulator calls it, and what the host has to call it."""


def judge(centre: Centre, stories: list[Story]) -> Iterator[str]:
    """Everything that is not as it must be."""
    actions = centre.actions()
    for story in stories:
        box = story.box
        records = journal(box)
        yield from outcomes(story)
        yield from reports(box, [a for a in actions if a["target"] == box.name], records)
        yield from versions(box, centre, story)
        yield from history(box, story, records)
        yield from faults(box)
        yield from health(box)


def journal(box: Box) -> list[dict[str, Any]]:
    done = run("posagent", "--root", box.host.root, "journal", "show", "--limit", "10000", "--json")
    return sorted(done.document["records"], key=lambda r: r["seq"])


def outcomes(story: Story) -> Iterator[str]:
    for told in story.told:
        if not told.fits:
            allowed = told.expected + told.excused
            yield f"{told.box}: {told.kind} {told.pairs} ended {told.outcome} ({told.code}), expected {allowed}"


class Named(Protocol):
    """Whose reports are looked at."""

    name: str


def reports(box: Named, actions: list[dict[str, Any]], records: list[dict[str, Any]]) -> Iterator[str]:
    """Each action has one final report, the journal's, and everything came in the journal's order."""
    steps = [r["body"] for r in records if r["kind"].startswith("update.") and r["body"].get("key")]
    keys = Counter(body["key"] for body in steps)
    yield from (f"{box.name}: {key} stands {count} times in the journal" for key, count in keys.items() if count > 1)
    finals: dict[str, list[str]] = {}
    for body in steps:
        if body["final"] and body["action_id"]:
            finals.setdefault(body["action_id"], []).append(body["state"])
    for action in actions:
        name = f"{box.name}: action {action['id']} ({action['status']})"
        yield from (f"{name} {what}" for what in one_end(action, finals.get(str(action["id"]), [])))
    heard = [
        (row["received"]["mono"], int(text.split()[1]))
        for action in actions
        for row in action["rows"]
        for text in row["messages"]
        if text.startswith("record: ")
    ]
    in_order = [seq for _, seq in sorted(heard)]
    if in_order != sorted(in_order):
        yield f"{box.name}: reported out of order: {in_order}"


def one_end(action: dict[str, Any], ours: list[str]) -> Iterator[str]:
    """``ours``: the final states that the till's journal has for it."""
    if action["active"]:
        yield "is still open"
    if len(ours) > 1:
        yield f"has the final records {ours}"
    # an answer to a cancellation that came too late is an error of the cancellation, and closes nothing
    closed = [
        row["type"] for row in action["rows"] if row["type"] in ("finished", "error") and not said(row, "code: cancel_too_late")
    ]
    if len(closed) > 1:
        yield f"has the final reports {closed}"
    if ours and FINAL_ROWS[ours[0]] != action["status"]:
        yield f"ended {ours[0]} on the till"
    by_hand = any(said(row, "offline deployment") for row in action["rows"])  # the centre's own note of a stick or a way back
    if action["status"] in ("finished", "error") and not ours and not by_hand:
        yield "has no final record on the till"


def said(row: dict[str, Any], words: str) -> bool:
    return any(words in text for text in row["messages"])


def versions(box: Box, centre: Centre, story: Story) -> Iterator[str]:
    """What runs is what the centre has as installed, what the till says, and what the last committed deployment brought."""
    runs, believed = box.runs(), centre.installed(box.name)
    for component, version in believed.items():
        if runs.get(component) != version:
            yield f"{box.name}: the centre believes {component} {version}, there runs {runs.get(component)}"
    status = box.host.command("update", "status").document["components"]
    for component, version in runs.items():
        if status[component]["version"] != version:
            yield f"{box.name}: it says that {component} {status[component]['version']} runs, there runs {version}"
    last = {component: version for told in story.told if told.outcome == "committed" for component, version in told.pairs}
    if last and not believed:
        yield f"{box.name}: the centre knows of no installed version"
    if last != runs:
        yield f"{box.name}: {last} was committed last, there runs {runs}"
    for component in runs:
        folder = box.host.state / "releases" / component
        kept = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
        if len(kept) > 2:
            yield f"{box.name}: the releases {kept} of {component} are kept"


def history(box: Box, story: Story, records: list[dict[str, Any]]) -> Iterator[str]:
    """`posagent update history` names each deployment with its outcome, and why where it is no success."""
    done = run("posagent", "--root", box.host.root, "update", "history", "--json")
    text = run("posagent", "--root", box.host.root, "--lang", "en", "update", "history").out
    shown = done.document["records"]
    for told in story.told:
        mine = [r for r in shown if r["body"].get("final") and _is(told, r)]
        if not mine and told.outcome not in FINAL_ROWS:
            continue  # closed by the server before the till heard of it
        if told.outcome == "canceled" and not any(_is(told, r) for r in shown):
            continue  # taken back before the till had asked for it: it has nothing to tell
        if not any(r["body"]["state"] == told.outcome for r in mine):
            yield f"{box.name}: the history does not tell of {told.kind} {told.pairs} ({told.outcome})"
        elif told.outcome != "committed" and not mine[-1]["body"]["reason"]:
            yield f"{box.name}: the history gives no reason for {told.kind} {told.pairs}"
        for _, version in told.pairs[-1:]:
            if version not in text:
                yield f"{box.name}: {told.kind} {version} is not in what a person reads"
    told_of = {r["seq"] for r in shown if r["body"].get("final")}
    ends = [r["seq"] for r in records if r["kind"].startswith("update.") and r["body"].get("final")]
    missing = [seq for seq in ends if seq not in told_of]
    if missing:
        yield f"{box.name}: the history leaves out the records {missing}"


def _is(told: Told, record: dict[str, Any]) -> bool:
    body = record["body"]
    if told.action is not None:
        return bool(body["action_id"] == str(told.action))
    return not body["action_id"] and (body["component"], body["version"]) in told.pairs


def faults(box: Box) -> Iterator[str]:
    """The faults of every device are those that its simulator has, and the host has none."""
    document = box.host.ask("status")
    tills = {till["id"]: till for till in document["terminals"]}
    for till in box.tills:
        truth = till.truth()
        for device in ("printer", "reader"):
            state = truth[device]["state"]
            wanted = sorted({FAULT_OF[key] for key in FAULT_OF if key[0] == device and str(state.get(key[1])) == key[2]})
            told = sorted(fault["id"] for fault in tills[till.name]["devices"][device]["faults"])
            if told != wanted:
                yield f"{box.name}: {till.name}/{device} has {wanted}, told is {told}"
    if document["host"]["faults"]:
        yield f"{box.name}: the host has faults: {[(f['id'], f['evidence']) for f in document['host']['faults']]}"
    if document["host"]["center"]["backlog"]:
        yield f"{box.name}: {document['host']['center']['backlog']} records are not reported"


def health(box: Box) -> Iterator[str]:
    """The journal verifies, the floor never fell, nothing grew, nothing crashed."""
    verified = run("posagent", "--root", box.host.root, "journal", "verify", "--json")
    if verified.code:
        yield f"{box.name}: the journal does not verify: {verified.out}"
    yield from (f"{box.name}: the floor fell: {what}" for what in box.watch.fell)
    if box.runs() and COMPONENT not in " ".join(box.watch.floor):
        yield f"{box.name}: there is no floor: {box.watch.floor}"
    most = box.watch.most
    if most.rss > RSS_MAX_MIB or most.threads > THREADS_MAX or most.files > FILES_MAX:
        yield f"{box.name}: the daemon took {most}"
    files, size = tree(box.host.state)
    if files > STATE_FILES_MAX:
        yield f"{box.name}: {files} files ({size} bytes) lie in the state folder"
    log = box.host.log_text()
    if "Traceback" in log:
        yield f"{box.name}: a traceback in its log: {log[log.index('Traceback') - 300 :][:3000]}"
