"""Scenes 1 to 3: the tills come up, paper runs out, a card comes and goes."""

from __future__ import annotations

from simulator.demo.desk import Desk, Report
from simulator.demo.releases import COMPONENT, HEALTH_CHECK
from simulator.demo.updates import await_signed, install
from simulator.demo.world import HOST, TILLS, SceneError, World, can_take_money, known_fault

_HEAD = """\
[host]
id = "{host}"

[center]
ddi = "{ddi}"
gateway_token = "{gateway_token}"
otlp = "{otlp}"

[update]
metadata = "{metadata}"
targets = "{targets}"
trusted_root = "root.json"
probation_s = 1
idle_s = 1
components = {{ {component} = {{ handler = "app_slots", health_check = ["{health}"] }} }}
"""
_TILL = """
[[terminal]]
id = "{till}"
[terminal.printer]
port = "{folder}/printer"
[terminal.reader]
port = "{folder}/reader"
mode = "owned"
"""


def come_up(world: World) -> None:
    """Everything is started; every device says who it is; the till application is installed for the first time."""
    world.begin("tills")
    world.wait_for(world.words("wait.start"))
    root_made = world.releases.found(world.releases.repository)
    first_made = world.releases.make("1.0")
    center = world.cast.start("center", "possim", "center", "--dir", world.folder / "center")
    terminals = [
        world.cast.start(till, "possim", "terminal", "--dir", world.folder / till, "--seed", str(number))
        for number, till in enumerate(TILLS, 1)
    ]
    world.desk = Desk(world.cast.ready(center))
    for terminal in terminals:
        world.cast.ready(terminal)
    world.say("step", "tills.center", url=world.desk.ready["url"])
    _configure(world)
    agent = world.cast.start("agent", "posagent", "--root", world.root, "run")
    for till in TILLS:
        for kind in ("printer", "reader"):
            _introduce(world, till, kind)
    verdicts = [world.verdict(till, "yes", agent.started) for till in TILLS]
    journal, seen = (max(at) - agent.started for at in zip(*map(_moments, verdicts), strict=True))
    world.say("good", "tills.up", time=world.words.time(journal))
    world.figure("up", journal, seen)
    await_signed(world, root_made)
    (world.root / "etc/posagent/root.json").write_bytes((world.releases.repository / "metadata/1.root.json").read_bytes())
    await_signed(world, first_made)
    install(world, "1.0", "committed")
    world.say("good", "tills.first")
    world.beat()


def paper_out(world: World) -> None:
    """The one till cannot take money and says why; the other one goes on."""
    world.begin("paper")
    fault_id = "printer.paper_end"
    since = world.set("pos-1", "printer.paper", "end")
    world.say("step", "paper.out")
    raised = world.fault("fault.raised", "pos-1", fault_id, since)
    world.verdict("pos-1", "no", since)
    status = world.status()
    fault = known_fault(status, "pos-1", fault_id)
    if fault is None or can_take_money(status, "pos-1") != "no" or can_take_money(status, "pos-2") != "yes":
        raise SceneError(f"posagent status: {[(t['id'], t['can_take_money']) for t in status['terminals']]}")
    world.say("warn", "paper.no", title=fault["title"], fault=fault_id)
    _times(world, "paper_end", raised, since)
    world.say("", "paper.remedy", remedy=fault["remedy"])
    world.say("good", "paper.other")
    world.beat()
    since = world.set("pos-1", "printer.paper", "ok")
    cleared = world.fault("fault.cleared", "pos-1", fault_id, since)
    world.verdict("pos-1", "yes", since)
    world.say("good", "paper.refilled")
    _times(world, "paper_back", cleared, since)
    world.beat()


def card(world: World) -> None:
    """In and out."""
    world.begin("card")
    for value, moved, key in (("ok", "inserted", "in"), ("none", "removed", "out")):
        since = world.set("pos-2", "reader.card", value)
        world.wait_for(f"card.moved {moved}")
        seen = world.report(f"pos-2: card {moved}", lambda r, s=since, m=moved: _moved(r, m, s))  # type: ignore[misc]
        if value == "ok":
            world.report("pos-2: the card's ATR", lambda r, s=since: _moved(r, "answered", s))  # type: ignore[misc]
        world.say("good", f"card.{key}")
        _times(world, f"card_{key}", seen, since)
    world.beat()


def _configure(world: World) -> None:
    folder = world.root / "etc/posagent"
    folder.mkdir(parents=True)
    text = _HEAD.format(host=HOST, component=COMPONENT, health=HEALTH_CHECK, **world.desk.ready)
    text += "".join(_TILL.format(till=till, folder=world.folder / till) for till in TILLS)
    (folder / "agent.toml").write_text(text, "utf-8")


def _introduce(world: World, till: str, kind: str) -> None:
    subject = f"{till}/{kind}"
    world.wait_for(f"device.identified {subject}")
    report = world.report(subject, lambda r: r.kind == "device.identified" and r.subject == subject)
    names = (report.body.get(name) for name in ("maker", "model", "serial", "firmware"))
    identity = " ".join(str(name) for name in names if name)
    world.say("good", "tills.device", till=till, kind=world.words(f"kind.{kind}"), identity=identity)


def _moments(report: Report) -> tuple[float, float]:
    return report.journal_at, report.center_at


def _moved(report: Report, what: str, since: float) -> bool:
    is_it = report.kind == "card.moved" and report.subject == "pos-2/reader" and report.body.get("what") == what
    return is_it and report.journal_at >= since


def _times(world: World, figure: str, report: Report, since: float) -> None:
    journal, center = report.journal_at - since, report.center_at - since
    world.say("", "times", journal=world.words.time(journal), center=world.words.time(center))
    world.figure(figure, journal, center)
