"""A root folder of our own: this machine's system below, a layer in memory above, in namespaces that end with the test.

``boot`` lets systemd run in it; what it would change of the kernel (sysctl, modules, device nodes) it may not.

What a package leaves behind is then exactly what lies in the layer.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

LIMIT_S: Final = 120.0
APART: Final = """
for place in /sys/fs/cgroup/*/cgroup.procs; do
  [ -e "$place" ] || continue
  mkdir -p "${place%/*}/$2" && echo 0 >"${place%/*}/$2/cgroup.procs"
done 2>/dev/null
mkdir "$1.cgroup2" && mount -t cgroup2 cgroup "$1.cgroup2" && mkdir -p "$1.cgroup2/$2" && echo 0 >"$1.cgroup2/$2/cgroup.procs"
umount "$1.cgroup2" 2>/dev/null
rmdir "$1.cgroup2" 2>/dev/null
exec unshare --cgroup sh -c "$3" sh "$1"
"""
"""Into groups of our own first: the systemd of two roots would take each other's ``posagent.service`` for its own."""
MAKE: Final = """
set -e
umask 022
mount -t tmpfs -o mode=755 posagent-test "$1"
mkdir "$1/upper" "$1/work" "$1/system"
mount -t overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" overlay "$1/system"
mount -t proc proc "$1/system/proc"
mount -t tmpfs -o mode=755 run "$1/system/run"
mount -t tmpfs -o mode=1777 shm "$1/system/dev/shm" 2>/dev/null || true
mount --bind /dev "$1/system/dev"
touch "$1/ready"
until [ -e "$1/boot" ]; do sleep 0.1; done
mount -t sysfs -o ro sys "$1/system/sys"
mount --bind "$1/system/proc/sys" "$1/system/proc/sys"
mount -o remount,bind,ro "$1/system/proc/sys"
for name in sysctl modules-load random-seed remount-fs tmpfiles-setup-dev update-utmp udevd udev-trigger logind; do
  ln -sf /dev/null "$1/system/etc/systemd/system/systemd-$name.service"
done
mount -t cgroup2 cgroup "$1/system/sys/fs/cgroup"
if ! grep -q memory "$1/system/sys/fs/cgroup/cgroup.controllers" && grep -q '^memory.[1-9]' /proc/cgroups; then
  umount "$1/system/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 cgroup "$1/system/sys/fs/cgroup"
  for name in memory pids devices; do
    mkdir "$1/system/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" cgroup "$1/system/sys/fs/cgroup/$name"
  done
  mkdir "$1/system/sys/fs/cgroup/systemd"
  mount -t cgroup -o none,name=systemd cgroup "$1/system/sys/fs/cgroup/systemd"
  mount -o remount,ro "$1/system/sys/fs/cgroup"
fi
exec chroot "$1/system" env -i container=posagent-test /lib/systemd/systemd --unit=posagent.service --show-status=no
"""


class PrivateRoot:
    """Commands in the root; ``upper`` is the layer as seen from outside."""

    def __init__(self, holder: int, folder: Path) -> None:
        self._holder, self._folder = holder, folder
        self._booted: Path | None = None
        self.seen = Path("/proc", str(holder), "root", *folder.parts[1:])

    @property
    def path(self) -> Path:
        """The root as this process sees it."""
        return self.seen / "system" if self._booted is None else self._booted

    def share_ptys(self) -> bool:
        """Show this machine's pseudo-terminals in the root; False where that cannot be."""
        mount = ["nsenter", "-t", str(self._holder), "-m", "mount", "--bind", "/dev/pts"]
        done = subprocess.run([*mount, str(self._folder / "system/dev/pts")], capture_output=True, timeout=LIMIT_S, check=False)
        return done.returncode == 0

    def boot(self) -> None:
        """Let systemd run here, with posagent.service for its goal. From now on there is no ``left``."""
        (self.seen / "boot").touch()
        root = Path("/proc", str(self._holder), "root")
        end = time.monotonic() + 20.0
        while not (root / "run/systemd/system").exists():
            if time.monotonic() > end or not root.exists():
                raise OSError("systemd does not start in a private root here")
            time.sleep(0.05)
        self._booted = root

    def command(self, words: Sequence[str], user: str = "") -> list[str]:
        """What runs ``words`` in there, as ``user`` with its groups where one is named."""
        inside = ["nsenter", "-t", str(self._holder), "-m", "-p", "-C", f"--root={self.path}", f"--wd={self.path}"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"] if user else []
        return [*inside, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *become, *words]

    def run(self, *words: str, user: str = "", check: bool = True, env: Mapping[str, str] | None = None) -> str:
        """Run to the end; what it printed, both streams."""
        given = ["env", *(f"{name}={value}" for name, value in (env or {}).items())] if env else []
        done = subprocess.run(
            self.command([*given, *words], user),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def left(self) -> dict[str, str]:
        """What the layer holds: path to ``file``, ``link``, ``folder`` or ``gone``."""
        upper = self.seen / "upper"
        found = {}
        for path in sorted(upper.rglob("*")):
            kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
            found[str(path.relative_to(upper))] = "gone" if path.is_char_device() else kind
        return found


@contextlib.contextmanager
def private_root() -> Iterator[PrivateRoot]:
    """Make one, and end all that runs in it. Raises OSError where this machine allows none."""
    if os.geteuid() != 0 or not shutil.which("nsenter"):
        raise OSError("a private root needs root and util-linux")
    folder = Path(tempfile.mkdtemp(prefix="posagent-root-"))
    apart = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child=KILL"]
    command = [*apart, "sh", "-c", APART, "sh", str(folder), folder.name, MAKE]
    holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield PrivateRoot(_inner(holder, folder), folder)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait(LIMIT_S)
        if holder.stderr is not None:
            holder.stderr.close()
        folder.rmdir()
        _forget_groups(folder)


def _forget_groups(folder: Path) -> None:
    """The groups of a root that has ended; those of a hierarchy that this machine does not show go with the machine."""
    end = time.monotonic() + 5.0  # what was killed leaves its group a moment later
    while (left := list(Path("/sys/fs/cgroup").glob(f"*/{folder.name}"))) and time.monotonic() < end:
        for own in left:
            for below in (*sorted(own.rglob("*/"), reverse=True), own):
                with contextlib.suppress(OSError):
                    below.rmdir()
        time.sleep(0.05)


def _inner(holder: "subprocess.Popen[bytes]", folder: Path) -> int:
    """The process in the namespaces, once everything is mounted."""
    end = time.monotonic() + 20.0
    while time.monotonic() < end and holder.poll() is None:
        with contextlib.suppress(OSError, LookupError):
            inner = int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text("ascii").split()[0])
            if Path("/proc", str(inner), "root", *folder.parts[1:], "ready").exists():
                return inner
        time.sleep(0.02)
    holder.kill()
    said = holder.stderr.read().decode("utf-8", "replace") if holder.stderr is not None else ""
    raise OSError(f"no private root here: {said.strip()[-200:]}")
