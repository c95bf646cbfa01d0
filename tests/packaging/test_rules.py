"""udev's and polkit's rules, read by the real udev and the real polkitd: simulated devices, real decisions.

Everything is done in a mount namespace that ends with the test: /dev, /run and the rules' folders are its own there.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEM = Path(__file__).parents[2] / "packaging/system"
LIMIT_S = 60.0
POLKITD = next((path for path in map(Path, ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd")) if path.exists()), None)

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="a mount namespace needs root and util-linux"),
]

OWN = """
set -e
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/udev/rules.d /run/dbus "$1/dev"
mount -t tmpfs -o mode=755 dev "$1/dev"
for name in null zero urandom tty; do touch "$1/dev/$name"; mount --bind "/dev/$name" "$1/dev/$name"; done
mkdir "$1/dev/pts" "$1/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
ln -s pts/ptmx "$1/dev/ptmx"
mount --move "$1/dev" /dev
"""


def apart(script: str, folder: Path, *words: str) -> str:
    """Run ``script`` in namespaces of its own; what it printed. Skipped where this machine allows none."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "sh", "-c", OWN + script, "sh", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if "Operation not permitted" in done.stderr and not done.stdout:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()[-200:]}")
    return done.stdout + done.stderr


# -- udev ----------------------------------------------------------------------------------------------------------------

needs_udev = pytest.mark.skipif(
    not (shutil.which("udevadm") and shutil.which("umockdev-run")), reason="udev or umockdev is not here (.ci/run installs them)"
)
BUS = "/devices/pci0000:00/0000:00:14.0"
TESTED = (
    'cp "$2" "$3" /run/udev/rules.d/\nexec umockdev-run "--device=$1/machine.umockdev" -- udevadm test --action=add "/sys$4"\n'
)
OTHERS = """# what brltty's rules say of these adapters
ENV{ID_VENDOR_ID}=="0403", ENV{ID_MODEL_ID}=="6001", ENV{BRLTTY_BRAILLE_DRIVER}="generic", ENV{SYSTEMD_WANTS}="brltty@x.service"
ENV{ID_VENDOR_ID}=="12d1", ENV{BRLTTY_BRAILLE_DRIVER}="generic"
"""


def machine(folder: Path, vendor: str) -> None:
    """A bus with one adapter of that vendor at socket 2, and COM1 on the board, as umockdev describes them."""
    usb = f"{BUS}/usb1/1-2"
    (folder / "machine.umockdev").write_text(
        f"P: {BUS}\nE: SUBSYSTEM=pci\nE: PCI_SLOT_NAME=0000:00:14.0\n\n"
        f"P: {BUS}/usb1\nN: bus/usb/001/001\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: DEVNAME=/dev/bus/usb/001/001\n"
        "A: idVendor=1d6b\\n\nA: idProduct=0002\\n\nA: busnum=1\\n\nA: devnum=1\\n\n\n"
        f"P: {usb}\nN: bus/usb/001/004\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: DEVNAME=/dev/bus/usb/001/004\n"
        f"A: idVendor={vendor}\\n\nA: idProduct=6001\\n\nA: serial=A1\\n\nA: product=Adapter\\n\nA: manufacturer=Maker\\n\n"
        "A: busnum=1\\n\nA: devnum=4\\n\n\n"
        f"P: {usb}/1-2:1.0\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\nE: DRIVER=ftdi_sio\nA: bInterfaceNumber=00\\n\n"
        "A: bInterfaceClass=ff\\n\nA: bInterfaceSubClass=ff\\n\nA: bInterfaceProtocol=ff\\n\n\n"
        f"P: {usb}/1-2:1.0/ttyUSB0\nE: SUBSYSTEM=usb-serial\nE: DRIVER=ftdi_sio\nA: port_number=0\\n\n\n"
        f"P: {usb}/1-2:1.0/ttyUSB0/tty/ttyUSB0\nN: ttyUSB0\nE: SUBSYSTEM=tty\nE: DEVNAME=/dev/ttyUSB0\n"
        "E: MAJOR=188\nE: MINOR=0\n\n"
        "P: /devices/platform/serial8250\nE: SUBSYSTEM=platform\n\n"
        "P: /devices/platform/serial8250/tty/ttyS0\nN: ttyS0\nE: SUBSYSTEM=tty\nE: DEVNAME=/dev/ttyS0\nE: MAJOR=4\nE: MINOR=64\n"
    )


def udev(folder: Path, device: str, vendor: str = "0403") -> dict[str, str]:
    """What udev makes of the device when it comes, all of this machine's own rules included."""
    machine(folder, vendor)
    (folder / "85-others.rules").write_text(OTHERS)
    said = apart(TESTED, folder, str(SYSTEM / "91-posagent.rules"), str(folder / "85-others.rules"), device)
    assert "Invalid" not in said, said
    found = dict(re.findall(r"^([A-Z_.]+)=(.*)$", said, re.MULTILINE))
    assert found.get("ACTION") == "add", said
    return found


@needs_udev
def test_an_adapter_has_a_name_by_its_socket_and_nobody_else_touches_it(tmp_path: Path) -> None:
    found = udev(tmp_path, f"{BUS}/usb1/1-2/1-2:1.0/ttyUSB0/tty/ttyUSB0")
    assert "/dev/posagent/pci-0000:00:14.0-usb-0:2:1.0-port0" in found["DEVLINKS"].split()
    assert (found["ID_MM_DEVICE_IGNORE"], found["ID_MM_PORT_IGNORE"]) == ("1", "1")
    assert not found.get("BRLTTY_BRAILLE_DRIVER")
    assert not found.get("SYSTEMD_WANTS")


@needs_udev
def test_the_adapter_itself_is_kept_from_modem_manager(tmp_path: Path) -> None:
    """ModemManager asks for the word at the device as well as at its port."""
    assert udev(tmp_path, f"{BUS}/usb1/1-2")["ID_MM_DEVICE_IGNORE"] == "1"


@needs_udev
def test_a_port_on_the_board_is_named_as_on_the_till(tmp_path: Path) -> None:
    found = udev(tmp_path, "/devices/platform/serial8250/tty/ttyS0")
    assert found["DEVLINKS"] == "/dev/posagent/com1"
    assert found["ID_MM_PORT_IGNORE"] == "1"


@needs_udev
def test_a_modem_stays_a_modem(tmp_path: Path) -> None:
    found = udev(tmp_path, f"{BUS}/usb1/1-2/1-2:1.0/ttyUSB0/tty/ttyUSB0", vendor="12d1")
    assert not {"ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE"} & set(found)
    assert found["BRLTTY_BRAILLE_DRIVER"] == "generic"
    assert "/dev/posagent/" in found["DEVLINKS"]  # a name does nobody harm


# -- polkit --------------------------------------------------------------------------------------------------------------

ACTIONS = ("org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card")
POLICY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1.0/policyconfig.dtd">
<policyconfig>
  <action id="org.debian.pcsc-lite.access_pcsc"><message>m</message><defaults><allow_any>no</allow_any></defaults></action>
  <action id="org.debian.pcsc-lite.access_card"><message>m</message><defaults><allow_any>no</allow_any></defaults></action>
  <action id="org.example.other"><message>m</message><defaults><allow_any>no</allow_any></defaults></action>
</policyconfig>
"""
"""pcsc-lite's actions with their defaults for a service without a seat."""
ASKED = """
mount -t proc proc /proc
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/rules.d" /usr/share/polkit-1/rules.d
mount --bind "$1/actions" /usr/share/polkit-1/actions
[ ! -d /etc/polkit-1/rules.d ] || mount -t tmpfs none /etc/polkit-1/rules.d
dbus-daemon --system --fork
"$2" --no-debug >/dev/null 2>&1 &
set +e
for user in posagent daemon; do
  setpriv --reuid=$user --clear-groups sleep 60 &
  asker=$!
  until grep -q sleep /proc/$asker/comm; do sleep 0.05; done
  for action in org.debian.pcsc-lite.access_pcsc org.debian.pcsc-lite.access_card org.example.other; do
    for try in 1 2 3 4 5 6 7 8 9 10; do
      pkcheck --action-id $action --process $asker >/dev/null 2>"$1/why"
      code=$?
      [ $code -ge 127 ] || break
      sleep 0.5
    done
    echo "$user $action $code"
  done
done
"""


@pytest.mark.skipif(
    POLKITD is None or not (shutil.which("pkcheck") and shutil.which("dbus-daemon")), reason="no polkitd and D-Bus daemon here"
)
def test_polkit_lets_the_daemon_at_readers_and_nobody_else(tmp_path: Path) -> None:
    for name in ("rules.d", "actions"):
        (tmp_path / name).mkdir(mode=0o755)
    shutil.copyfile(SYSTEM / "50-posagent.rules", tmp_path / "rules.d/50-posagent.rules")
    (tmp_path / "actions/some.policy").write_text(POLICY)
    (tmp_path / "passwd").write_text(Path("/etc/passwd").read_text() + "posagent:x:61234:61234::/nonexistent:/usr/sbin/nologin\n")
    for path in [*tmp_path.parents[:3], tmp_path, *tmp_path.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))  # polkitd reads them as a user of its own
    said = apart(ASKED, tmp_path, str(POLKITD))
    answers = dict(line.rsplit(" ", 1) for line in said.splitlines() if re.fullmatch(r"(posagent|daemon) \S+ \d+", line))
    assert answers == {
        **{f"posagent {action}": "0" for action in ACTIONS},
        **{f"daemon {action}": "1" for action in ACTIONS},
        "posagent org.example.other": "1",
        "daemon org.example.other": "1",
    }, said
