"""What a port hangs on: the USB hubs above it, as the kernel or the port's stable name tells. Reads sysfs; opens no port.

/sys/class/tty/ttyUSB0/device → /sys/devices/pci…/usb1/1-2/1-2.3/1-2.3:1.0/ttyUSB0     1-2.3 is the adapter, 1-2 its hub
/dev/serial/by-path/pci-0000:00:14.0-usb-0:2.3:1.0-port0                               the same, also while it is away
"""

import os
import re
from pathlib import Path

_USB = re.compile(r"usb\d+|\d+-\d+(?:\.\d+)*")
"""a root hub, or a device by the chain of ports that lead to it (kernel documentation, ABI/stable/sysfs-bus-usb)"""
_BY_PATH = re.compile(r"(.*-usb(?:v2)?-\d+):(\d+(?:\.\d+)*):\d+\.\d+(?:-port\d+)?")
"""systemd's path_id: the controller, then the chain of ports, configuration and interface"""

Chain = tuple[str, ...]


def chain_of(path: str, sys: Path = Path("/sys")) -> Chain:
    """The USB device behind ``path`` and the hubs above it, nearest first; empty where there is none, or nobody knows."""
    name = _BY_PATH.fullmatch(Path(path).name)
    if name is not None:
        ports = name[2].split(".")
        return (*(f"{name[1]}:{'.'.join(ports[:n])}" for n in range(len(ports), 0, -1)), name[1])
    if "://" in path:
        return ()
    device = os.path.realpath(sys / "class" / "tty" / Path(os.path.realpath(path)).name / "device")
    return tuple(part for part in reversed(device.split("/")) if _USB.fullmatch(part))
