"""Builds the package as ``make deb`` does, from a copy of the sources."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
NEEDED = ("agent", "firmware", "protocols", "packaging", "docs", "setup.cfg")
LIMIT_S = 400.0


def build(source: Path, out: Path, *words: str, **environment: str) -> Path:
    """``make deb`` of a copy; the package."""
    command = [sys.executable, str(source / "packaging/build.py"), "--out", str(out), *words]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000", **environment}
    done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode and re.search(r"No matching distribution|Connection|Temporary failure|Max retries", done.stderr):
        pytest.skip(f"the wheels cannot be had: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.deb"))


def copied(target: Path) -> Path:
    """The sources in another folder, with other times."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in NEEDED:
        found = SOURCE / name
        if found.is_dir():
            shutil.copytree(found, target / name, ignore=ignore)
        else:
            shutil.copyfile(found, target / name)
    return target
