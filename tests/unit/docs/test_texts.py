"""All pages: links lead somewhere, decisions are listed, and nothing tells of one machine."""

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.unit.docs.pages import PAGES, ROOT, anchors, links, read

PLACES = re.compile(r"/(?:root|home/\w+|work|tmp/(?:design|play|v))/")
REGISTRIES = re.compile("|".join(("pypi" + r"\.org", "pythonhosted" + r"\.org", "index" + "-url", "npmjs" + r"\.(?:com|org)")))
TEXT = {".py", ".md", ".cfg", ".toml", ".json", ".txt", ".svg", ".yml", ".yaml", ".html", ".sh", ""}


def _ours() -> list[Path]:
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=False, timeout=30)
    if done.returncode:
        pytest.skip("this is no clone: what is tracked is not known")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and Path(name).suffix in TEXT]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target) if target else page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link


def test_pictures_can_be_drawn() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page.read_text("utf-8")) if link.endswith(".svg")}
    assert ROOT / "docs/architecture.svg" in shown
    for path in shown:
        root = ET.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg", path


def test_nothing_tells_of_one_machine() -> None:
    for path in _ours():
        if path.is_file() and path != Path(__file__):
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not REGISTRIES.search(text), path
            found = PLACES.search(text)
            assert found is None, f"{path}: {found.group()}"


def test_decisions_are_numbered_listed_and_whole() -> None:
    found = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    index = read("docs/decisions/README.md")
    assert [int(p.name[:4]) for p in found] == list(range(1, len(found) + 1))
    for path in found:
        text = path.read_text(encoding="utf-8")
        title, *parts = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Why", "Consequences"], path.name
        assert f"[{title}]({path.name})" in index


def test_the_changelog_has_its_form() -> None:
    text = read("CHANGELOG.md")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "[Unreleased]"
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_programs_that_are_named_exist(page: Path) -> None:
    scripts = set(re.findall(r"^    (\w+) = [\w.]+:main$", read("setup.cfg"), re.MULTILINE))
    assert set(re.findall(r"`(pos[a-z]+) ", page.read_text(encoding="utf-8"))) <= scripts
