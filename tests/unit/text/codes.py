"""Every code and every sentence that an update can end, wait or be refused with, read from the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import agent
import firmware

FIRMWARE, AGENT = Path(firmware.__file__).parent, Path(agent.__file__).parent
TOOL = FIRMWARE / "release"
"""posrelease has texts of its own."""
_PLACES = {"_refuse": 0, "_because": 1, "_refusal": 1, "Verdict": 2}
"""Functions that take a code without its name, and where."""
_NAMES = {"code", "CLOCK_WRONG"}


def trees(*folders: Path) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            if TOOL not in path.parents:
                yield path, ast.parse(path.read_text("utf-8"))


def codes() -> dict[str, str]:
    """Code → the file that raises it."""
    found: dict[str, str] = {}
    for path, tree in trees(FIRMWARE, *AGENT.glob("*.py"), AGENT / "cli", AGENT / "journal"):
        for code in _codes_of(tree):
            found.setdefault(code, path.name)
    for node in ast.walk(ast.parse((FIRMWARE / "trust.py").read_text("utf-8"))):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "_LINES":
            assert isinstance(node.value, ast.Dict)
            found |= dict.fromkeys(map(_text, node.value.keys), "trust.py")
    checks = _outcomes()
    assert {"exit", "killed", "timeout", "missing"} <= checks
    found |= {f"health_check_{code}": "probation.py" for code in sorted(checks - {"healthy", "no_check"})}
    return {code: file for code, file in found.items() if code}


def _outcomes() -> set[str]:
    tree = ast.parse((FIRMWARE / "confirm.py").read_text("utf-8")), ast.parse((FIRMWARE / "effects.py").read_text("utf-8"))
    calls = [node for one in tree for node in ast.walk(one) if isinstance(node, ast.Call)]
    return {_text(call.args[1]) for call in calls if _name(call) == "Outcome" and len(call.args) > 1} - {""}


def _codes_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _NAMES:
                yield _text(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if name in _NAMES:
                yield _text(value)
            case ast.Assign(targets=[ast.Tuple(elts=[ast.Attribute(attr="code"), *_])], value=ast.Tuple(elts=[value, *_])):
                yield _text(value)
            case ast.FunctionDef(args=args):
                named = zip(reversed(args.args), reversed(args.defaults), strict=False)
                yield from (_text(default) for arg, default in named if arg.arg == "code")
            case ast.Call():
                yield from (_text(word.value) for word in node.keywords if word.arg == "code")
                place = _PLACES.get(_name(node))
                if place is not None and len(node.args) > place:
                    yield _text(node.args[place])


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
    return ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
