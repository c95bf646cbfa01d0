"""Writes requirements.lock anew: what goes into the package beside our own code, every version and hash (``make lock``).

The wheels of all architectures are asked for, so one file serves them all; what has no wheel for one of them stops here.
"""

import configparser
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "requirements.lock"
PYTHON: Final = "3.11"
"""The python3 of Debian 12, for which the package is made."""
PLATFORMS: Final = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC: Final = (36, 35, 34, 28, 26, 17, 12, 5)
"""Minor versions of glibc 2 that Debian 12 can run wheels of, as manylinux numbers them."""


def wheel_options(architecture: str) -> list[str]:
    """What makes pip choose the wheels of a Debian architecture, whatever machine it runs on."""
    machine = PLATFORMS[architecture]
    names = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}"]
    platforms = [word for name in names for word in ("--platform", name)]
    return [*platforms, "--python-version", PYTHON, "--implementation", "cp", "--only-binary", ":all:"]


def required() -> list[str]:
    """What setup.cfg asks for."""
    config = configparser.ConfigParser()
    config.read(HERE.parent / "setup.cfg", encoding="utf-8")
    return config["options"]["install_requires"].split("\n")[1:]


def resolved(architecture: str) -> dict[str, tuple[str, str]]:
    """Name to version and SHA-256 of the wheel. Raises subprocess.CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--target", folder]
        subprocess.run([*command, "--report", report, *wheel_options(architecture), *required()], check=True)
        installs: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["install"]
    return {
        one["metadata"]["name"].lower(): (one["metadata"]["version"], one["download_info"]["archive_info"]["hashes"]["sha256"])
        for one in installs
    }


def main() -> None:
    """Write the file."""
    found = {architecture: resolved(architecture) for architecture in PLATFORMS}
    lines = ["# Made by `make lock`. What the package holds beside our own code; wheels of amd64 and arm64."]
    for name in sorted({name for wheels in found.values() for name in wheels}):
        versions = {wheels[name][0] for wheels in found.values() if name in wheels}
        if len(versions) != 1:
            sys.exit(f"{name} has no one version for all architectures: {sorted(versions)}")
        hashes = sorted({wheels[name][1] for wheels in found.values() if name in wheels})
        lines.append(" \\\n    ".join([f"{name}=={versions.pop()}", *(f"--hash=sha256:{one}" for one in hashes)]))
    LOCK.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
