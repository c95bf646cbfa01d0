"""Marks by which a machine is known again: serial numbers and hardware addresses, kept as salted hashes only.

A copy of the disk in another machine shares none of them; a machine with one part replaced still shares the others.
Where nothing can be read (a container), nothing is said.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from firmware.files import read_bounded

MAX_BYTES = 4096
MAX_MARKS = 32
_SERIALS = (
    "/sys/class/dmi/id/product_uuid",
    "/sys/class/dmi/id/board_serial",
    "/sys/firmware/devicetree/base/serial-number",
    "/sys/block/*/device/serial",
    "/sys/block/*/device/wwid",
    "/sys/block/*/device/cid",
)
_CARDS = "/sys/class/net"
_PERMANENT = "0"
"""addr_assign_type: the address is burnt in (Linux Documentation/ABI/testing/sysfs-class-net)."""
_MEANINGLESS = frozenset({"", "0", "none", "default string", "to be filled by o.e.m.", "not specified", "system serial number"})


def marks(salt: str, files: Sequence[str] = ()) -> tuple[str, ...]:
    """Salted SHA-256 of each mark, sorted. ``files`` (paths or patterns) take the place of what is looked at by default."""
    texts = set(_from_files(files)) if files else {*_from_files(_SERIALS), *_built_in_cards(Path(_CARDS))}
    return tuple(sorted(hashlib.sha256(f"{salt}:{text}".encode()).hexdigest() for text in texts)[:MAX_MARKS])


def another(before: Sequence[str], now: Sequence[str]) -> bool:
    """Whether this is another machine: both sides have marks, and none in common."""
    return bool(before) and bool(now) and not set(before) & set(now)


def _from_files(patterns: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        if not pattern.startswith("/"):
            continue
        for path in sorted(Path("/").glob(pattern[1:]))[:MAX_MARKS]:
            text = _text(path)
            if text.lower() not in _MEANINGLESS:
                yield f"{pattern}={text}"


def _built_in_cards(folder: Path) -> Iterator[str]:
    """Cards on the machine's own bus. One that hangs at USB moves from till to till."""
    for card in sorted(folder.glob("*"))[:MAX_MARKS]:
        device = card / "device"
        address = _text(card / "address")
        if not device.exists() or "/usb" in str(device.resolve()) or _text(card / "addr_assign_type") != _PERMANENT:
            continue
        if address.strip("0:"):
            yield f"mac={address}"


def _text(path: Path) -> str:
    try:
        return read_bounded(path, MAX_BYTES).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""
