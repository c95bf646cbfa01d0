"""Builds the Debian package (``make deb``): the same sources and lock give the same bytes, on any machine and in any folder.

Nothing of the target is executed, so any architecture of lock.PLATFORMS is built anywhere. Needs this interpreter to be of the
target's Python (the bytecode), pip, and dpkg-deb; no debhelper: what it would do here stands in debian/.
"""

import argparse
import compileall
import gzip
import hashlib
import json
import os
import py_compile
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE.parent
sys.path.insert(0, str(HERE))

from lock import LOCK, PYTHON, wheel_options  # noqa: E402 (a script's neighbour)

PACKAGES: Final = ("agent", "firmware", "protocols")
NOT_ON_A_TILL: Final = ("firmware/release",)
DATA: Final = (".py", ".typed", ".toml", ".json", ".bin", ".txt")
SYSTEM_FILES: Final = {
    "launcher": ("usr/lib/posagent/launcher", 0o755),
    "system/posagent.service": ("lib/systemd/system/posagent.service", 0o644),
    "system/posagent-installer.socket": ("lib/systemd/system/posagent-installer.socket", 0o644),
    "system/posagent-installer@.service": ("lib/systemd/system/posagent-installer@.service", 0o644),
    "system/posagent-line@.service": ("lib/systemd/system/posagent-line@.service", 0o644),
    "system/posagent.sysusers": ("usr/lib/sysusers.d/posagent.conf", 0o644),
    "system/posagent.tmpfiles": ("usr/lib/tmpfiles.d/posagent.conf", 0o644),
    "system/91-posagent.rules": ("lib/udev/rules.d/91-posagent.rules", 0o644),
    "system/50-posagent.rules": ("usr/share/polkit-1/rules.d/50-posagent.rules", 0o644),
    "debian/copyright": ("usr/share/doc/posagent/copyright", 0o644),
    "debian/lintian-overrides": ("usr/share/lintian/overrides/posagent", 0o644),
    "../docs/deployment.md": ("usr/share/doc/posagent/deployment.md", 0o644),
}
PACKED: Final = {
    "debian/changelog": "usr/share/doc/posagent/changelog.gz",
    "debian/posagent.1": "usr/share/man/man1/posagent.1.gz",
}
UNWANTED: Final = (
    *(f"*.dist-info/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")),
    "**/.gitignore",
    "**/*.sh",
)
"""What pip notes for itself, and what is no part of a library."""
SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm")
TIGHT: Final = ("-Zxz", "-z6")
QUICK: Final = ("-Zgzip", "-z1")
SITE: Final = f"lib/python{PYTHON}/site-packages"
START: Final = """#!/bin/sh
# This release's program. It finds itself, so that a copy of the release runs as well as the release.
exec "${0%/*}/python" -I -m agent "$@"
"""


def version_of(source: Path) -> str:
    """``agent.__version__``, read and not imported."""
    found = re.search(r'^__version__ = "([^"]+)"$', (source / "agent/__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        sys.exit("agent/__init__.py names no version")
    return found[1]


def debian_version(version: str) -> str:
    """PEP 440's order in dpkg's: what comes before a release sorts before it."""
    return re.sub(r"(\.dev|rc|a|b)(\d+)$", r"~\1\2", version).replace("~.", "~")


def epoch(source: Path) -> int:
    """The moment that all files get: $SOURCE_DATE_EPOCH, else that of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command: list[str | Path] = ["git", "-C", source, "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def release(folder: Path, version: str, architecture: str) -> None:
    """Lay one release out in ``folder`` (docs/decisions/0015). Raises subprocess.CalledProcessError."""
    site = folder / SITE
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--require-hashes", *wheel_options(architecture), "--target", str(site), "-r", str(LOCK)], check=True)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for unwanted in UNWANTED:
        for found in list(site.glob(unwanted)):
            found.unlink()
    for path in own_files():
        target = site / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    metadata = site / f"posagent-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: posagent\nVersion: {version}\n", "utf-8")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to("/usr/bin/python3")
    (folder / "bin/posagent").write_text(START, "utf-8")
    (folder / "bin/posagent").chmod(0o755)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n", "utf-8")
    told = {"version": version, "python": PYTHON, "architecture": architecture}
    (folder / "release.json").write_text(json.dumps(told) + "\n", "utf-8")


def own_files() -> Iterator[Path]:
    """What of our own code goes onto a till."""
    left_out = tuple(SOURCE / name for name in NOT_ON_A_TILL)
    for package in PACKAGES:
        for path in sorted((SOURCE / package).rglob("*")):
            if path.suffix in DATA and path.is_file() and not any(path.is_relative_to(one) for one in left_out):
                yield path


def compile_all(site: Path, installed: str) -> None:
    """Bytecode that is never looked at again: no time of a file matters, and nothing is written on the till.

    A process of its own with a fixed hash seed, one file after the other: the bytes depend on the sources alone.
    """
    command = [sys.executable, __file__, "--compile", str(site), "--installed", installed]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


def compile_here(site: Path, installed: str) -> None:
    """The child's part of compile_all."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(site, maxlevels=40, quiet=1, ddir=installed, invalidation_mode=mode, force=True):
        sys.exit("a file cannot be compiled")


def list_files(folder: Path, version: str) -> None:
    """The list that the till holds this release against every day; modes must be settled by now."""
    sys.path.insert(0, str(SOURCE))
    from firmware.inventory import PACKAGED, Listing

    head = {"component": "posagent", "version": version, "handler": "agent_self", "release_counter": 0, "health_check": []}
    listing = Listing(folder / PACKAGED, head)
    for path in sorted(found for found in folder.rglob("*") if PACKAGED not in found.name):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            listing.link(name, str(path.readlink()))
        elif path.is_dir():
            listing.folder(name, stat.S_IMODE(path.stat().st_mode))
        else:
            data = path.read_bytes()
            listing.file(name, stat.S_IMODE(path.stat().st_mode), len(data), hashlib.sha256(data).hexdigest())
    listing.finish()


def glibc_needed(site: Path) -> str:
    """The glibc that all wheels can live with: each names the oldest that it needs; Debian's newest Python needs more anyway."""
    texts = [wheel.read_text("utf-8") for wheel in site.glob("*.dist-info/WHEEL")]
    needs = [min(map(int, found)) for text in texts if (found := re.findall(r"manylinux_2_(\d+)_", text))]
    return f"2.{max([*needs, 28])}"


def control(tree: Path, version: str, architecture: str, glibc: str) -> None:
    """Write DEBIAN/ of ``tree``."""
    folder = tree / "DEBIAN"
    folder.mkdir()
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink() and folder not in path.parents)
    size = sum((path.lstat().st_size + 1023) // 1024 if path.is_file() else 1 for path in tree.rglob("*"))
    major, minor = PYTHON.split(".")
    words = {
        "VERSION": debian_version(version),
        "ARCHITECTURE": architecture,
        "SIZE": str(size),
        "PYTHON": PYTHON,
        "NEXT_PYTHON": f"{major}.{int(minor) + 1}",
        "GLIBC": glibc,
        "RELEASE": version,
    }
    for name in ("control", *SCRIPTS):
        text = re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], (HERE / "debian" / name).read_text("utf-8"))
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o644 if name == "control" else 0o755)
    sums = [f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}\n" for path in files]
    (folder / "md5sums").write_text("".join(sums), "utf-8")


def system_files(tree: Path) -> None:
    """Everything outside the release."""
    for name, (target, mode) in SYSTEM_FILES.items():
        (tree / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / name, tree / target)
        (tree / target).chmod(mode)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/posagent").symlink_to("../lib/posagent/launcher")
    (tree / "usr/share/man/man1").mkdir(parents=True)
    for name, target in PACKED.items():
        (tree / target).write_bytes(gzip.compress((HERE / name).read_bytes(), 9, mtime=0))


def settle(tree: Path, moment: int) -> None:
    """One time and plain modes for everything."""
    for path in sorted(tree.rglob("*"), reverse=True):
        if path.is_symlink():
            os.utime(path, (moment, moment), follow_symlinks=False)
            continue
        runs = path.is_dir() or (bool(path.stat().st_mode & 0o100) and path.suffix != ".so" and "site-packages" not in path.parts)
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (moment, moment))
    tree.chmod(0o755)
    os.utime(tree, (moment, moment))


def build(out: Path, architecture: str, version: str | None, *, quick: bool = False) -> Path:
    """Build the package into the folder ``out``; its path. Raises subprocess.CalledProcessError."""
    version, moment = version or version_of(SOURCE), epoch(SOURCE)
    with tempfile.TemporaryDirectory(prefix="posagent-deb-") as scratch:
        tree = Path(scratch, "tree")
        installed = f"opt/posagent/releases/{version}"
        release(tree / installed, version, architecture)
        compile_all(tree / installed / SITE, f"/{installed}/{SITE}")
        system_files(tree)
        settle(tree, moment)
        list_files(tree / installed, version)
        control(tree, version, architecture, glibc_needed(tree / installed / SITE))
        settle(tree, moment)
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"posagent_{debian_version(version)}_{architecture}.deb"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(moment), "DPKG_DEB_THREADS_MAX": "1"}
        packing: list[str | Path] = ["dpkg-deb", "--root-owner-group", *(QUICK if quick else TIGHT), "--build", tree, package]
        subprocess.run(packing, check=True, env=environment, stdout=subprocess.DEVNULL)
    return package


def main() -> None:
    """``build.py [--out DIR] [--architecture amd64|arm64] [--version V]``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SOURCE / "dist")
    parser.add_argument("--architecture", default=None)
    parser.add_argument("--version", help="another version than agent.__version__, for tests of upgrades")
    parser.add_argument("--quick", action="store_true", help="pack loosely: a large package, soon")
    parser.add_argument("--compile", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--installed", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        sys.exit(f"the bytecode must be made by Python {PYTHON}, this is {sys.version.split()[0]}")
    if words.compile:
        compile_here(words.compile, words.installed)
        return
    architecture = words.architecture or subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    begun = time.monotonic()
    package = build(words.out, architecture, words.version, quick=words.quick)
    sys.stdout.write(f"{package} {package.stat().st_size} bytes, {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    main()
