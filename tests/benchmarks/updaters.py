"""Debian's `mender install` and `rauc install`, on a place of their own: nothing of this machine's configuration is touched.

Mender reads /etc/mender/artifact_info under that name only, so a folder of ours is mounted over it in a mount namespace of its
process. RAUC's service gets a D-Bus of its own and plain files as slots; its boot loader is `noop`. Both verify a signature,
as ours does.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from firmware.unpack import sync_tree
from tests.benchmarks import house
from tests.benchmarks.web import Web

Subject = Callable[[], tuple[float, float]]
MENDER_NEEDS = ("mender", "mender-artifact", "unshare", "openssl", "tar")
RAUC_NEEDS = ("rauc", "mksquashfs", "dbus-daemon", "openssl")
MODULES = Path("/usr/share/mender/modules/v3")
LIMIT_S = 120.0
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>
"""
_SYSTEM = """[system]
compatible=bench
bootloader=noop
statusfile={0}/status
mountprefix={0}/mnt
max-bundle-download-size=2147483648
bundle-formats=plain
[keyring]
path={0}/cert.pem
[slot.rootfs.0]
device={0}/slot0
type=raw
bootname=A
[slot.rootfs.1]
device={0}/slot1
type=raw
bootname=B
"""
_MANIFEST = "[update]\ncompatible=bench\nversion=1\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n"


def mender_file(running: ExitStack, folder: Path, place: Path, file: Path, server: Web) -> Subject | str:
    """One file by its module ``single-file``; or why not."""
    if why := _missing(MENDER_NEEDS, "mender-client and mender-artifact"):
        return why
    home = _mender_home(running, folder / "mender-file")
    words = {"dest_dir": str(place / "installed"), "filename": "subject.bin", "permissions": "644"}
    _mender_artifact(home, "single-file", words, file, folder / "served" / "file.mender")
    return lambda: _mender_install(home, place, server, "file.mender", place / "installed" / "subject.bin")


def mender_tree(running: ExitStack, folder: Path, place: Path, tree: Path, server: Web, *, synced: bool = False) -> Subject | str:
    """A tree by its module ``directory``; ``synced``: and then one syncfs, since that module makes nothing durable."""
    if why := _missing(MENDER_NEEDS, "mender-client and mender-artifact"):
        return why
    home = _mender_home(running, folder / f"mender-tree{'-synced' if synced else ''}")
    packed, installed = home / "update.tar", place / "installed"
    _run(["tar", "-cf", packed, "-C", tree, "."])
    name = f"{home.name}.mender"
    _mender_artifact(home, "directory", {"dest_dir": str(installed)}, packed, folder / "served" / name)
    first = min(path for path in tree.rglob("*") if path.is_file()).relative_to(tree)
    return lambda: _mender_install(home, place, server, name, installed / first, installed if synced else None)


def _mender_home(running: ExitStack, home: Path) -> Path:
    home.mkdir()
    running.callback(shutil.rmtree, home, ignore_errors=True)
    (home / "etc").mkdir()
    (home / "etc" / "artifact_info").write_text("artifact_name=before\n")
    _run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", home / "key.pem"])
    _run(["openssl", "ec", "-in", home / "key.pem", "-pubout", "-out", home / "pub.pem"])
    key = str(home / "pub.pem")
    (home / "mender.conf").write_text(f'{{"ServerURL": "https://127.0.0.1:9", "ArtifactVerifyKey": "{key}"}}')
    return home


def _mender_artifact(home: Path, module: str, words: dict[str, str], file: Path, artifact: Path) -> None:
    names = []
    for name, text in words.items():
        (home / name).write_text(text)
        names += ["-f", home / name]
    more = ["-T", module, "-n", "after", "-t", "bench", "-o", artifact, "-k", home / "key.pem", "--software-name", "bench"]
    compression = "none" if module == "single-file" else "gzip"
    _run(["mender-artifact", "write", "module-image", *more, "--compression", compression, *names, "-f", file])


def _mender_install(
    home: Path, place: Path, server: Web, name: str, proof: Path, synced: Path | None = None
) -> tuple[float, float]:
    data = place / "data"
    data.mkdir()
    (data / "device_type").write_text("device_type=bench\n")
    config = home / "mender.conf"
    mount = 'mount --bind "$1" /etc/mender && shift && exec "$@"'
    mender = ["mender", "--no-syslog", "--log-level", "error", "--config", config, "--fallback-config", config, "--data", data]
    _run(["unshare", "-m", "sh", "-c", mount, "sh", home / "etc", *mender, "install", f"{server.url}/{name}"])
    if synced is not None:
        sync_tree(synced)
    end = time.monotonic()
    if not proof.is_file():
        raise RuntimeError(f"mender ended well and installed nothing at {proof}")
    return end - server.first_byte(name), 0.0


def rauc(running: ExitStack, folder: Path, file: Path, server: Web) -> Subject | str:
    """The file as the image of a raw slot; or why not."""
    if why := _missing(RAUC_NEEDS, "rauc, squashfs-tools and dbus-daemon"):
        return why
    home = folder / "rauc"
    (home / "in").mkdir(parents=True)
    running.callback(shutil.rmtree, home, ignore_errors=True)
    (home / "in" / "manifest.raucm").write_text(_MANIFEST)
    os.link(file, home / "in" / "rootfs.img")
    (home / "system.conf").write_text(_SYSTEM.format(home))
    made = ["-keyout", home / "key.pem", "-out", home / "cert.pem", "-subj", "/CN=bench", "-days", "90"]
    _run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made])
    bundle = folder / "served" / "subject.raucb"
    keys = [f"--cert={home}/cert.pem", f"--key={home}/key.pem"]
    _run(["rauc", "-c", home / "system.conf", "bundle", *keys, home / "in", bundle])
    (home / "bus.conf").write_text(_BUS.format(path=home / "bus"))
    running.enter_context(house.process(["dbus-daemon", f"--config-file={home}/bus.conf", "--nofork"], home / "bus.log"))
    house.wait_for((home / "bus").exists, "no D-Bus")
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={home}/bus"}
    service = ["rauc", "-c", home / "system.conf", "--override-boot-slot=A", "service"]
    running.enter_context(house.process(service, home / "service.log", env=env, stdout=subprocess.DEVNULL))
    house.wait_for(lambda: _answers(env), f"no RAUC service: see {home}/service.log")
    return lambda: _rauc_install(home, server, env, file.stat().st_size)


def _answers(env: dict[str, str]) -> bool:
    return subprocess.run(["rauc", "status"], env=env, capture_output=True, timeout=LIMIT_S, check=False).returncode == 0


def _rauc_install(home: Path, server: Web, env: dict[str, str], size: int) -> tuple[float, float]:
    (home / "status").unlink(missing_ok=True)
    for slot in ("slot0", "slot1"):
        (home / slot).unlink(missing_ok=True)
        with (home / slot).open("wb") as file:
            file.truncate(size + (1 << 20))
    os.sync()
    _run(["rauc", "install", f"{server.url}/subject.raucb"], env=env)
    return time.monotonic() - server.first_byte("subject.raucb"), 0.0


def _missing(programs: Sequence[str], packages: str) -> str:
    """Why these cannot be run here; empty when they can."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian: {packages})"
    return "" if os.geteuid() == 0 else "it needs root (a mount namespace, loop devices)"


def _run(command: Sequence[str | Path], **more: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, timeout=LIMIT_S, check=False, **more)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {(done.stdout + done.stderr)[-2000:].decode('utf-8', 'replace')}")
