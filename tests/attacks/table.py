"""The table of attacks, from the tests' names and docstrings: ``python tests/attacks/table.py > docs/attacks.md``."""

import ast
import sys
from pathlib import Path

SUBJECTS = {
    "metadata": "Signed metadata",
    "targets": "Releases and their manifests",
    "archives": "Archives",
    "transport": "On the way",
    "mirrors": "By mirrors",
    "stick": "By USB stick",
    "server": "By the update server",
    "enrolment": "On the enrolment",
    "local": "On the till itself",
}
HEAD = """# Attacks that are tried at every test run

Made by `python tests/attacks/table.py > docs/attacks.md` from the tests in `tests/attacks`; a test holds this page against
them. Each attack goes through the path that the agent uses: the engine, its effects and the worker's own verbs, against a
really signed repository over loopback. After each one the pointer still names the old release, the floor has not fallen,
nothing is left on the disk, and the next honest update is installed. The worker's verbs run in the test's own process here;
what a killed, hanging or lying worker process does is held by `tests/unit/firmware_flow/test_child.py`. Were an attack known
and not mended yet, it would be marked **open**, and its test would have to fail.
"""


def attacks(file: Path) -> list[tuple[str, str]]:
    """(name, why) of every test in ``file``, in its order."""
    functions = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    tests = [node for node in functions if node.name.startswith("test_")]
    return [(_name(node), ast.get_docstring(node) or "") for node in tests]


def _name(node: ast.FunctionDef) -> str:
    known = any("xfail" in ast.unparse(decorator) for decorator in node.decorator_list)
    return node.name.removeprefix("test_").replace("_", " ") + (" (**open**)" if known else "")


def table() -> str:
    """The whole page."""
    folder, parts, count = Path(__file__).parent, [], 0
    for subject, title in SUBJECTS.items():
        rows = attacks(folder / f"test_{subject}.py")
        count += len(rows)
        lines = [f"| {name} | {' '.join(why.split())} |" for name, why in rows]
        parts.append("\n".join([f"## {title}", "", "| attack | why |", "|---|---|", *lines]))
    return "\n\n".join([HEAD + f"\n{count} attacks, many of them in several forms.", *parts]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
