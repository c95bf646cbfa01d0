"""Card data that is planted, and the search for it in everything that comes out."""

import base64
import json
import os
import re
import select
import tarfile
import threading
import tty
from collections.abc import Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any, Final

from tests.system.harness import Host

PAN: Final = "4111111111111111"
"""The card schemes' own number for tests; it passes Luhn and belongs to nobody."""
AMEX: Final = "378282246310005"
"""Another one, of 15 digits: it fits where 16 do not."""
TRACK1: Final = f"%B{PAN}^TEST/CARD^25121011000000000000?"
TRACK2: Final = f";{PAN}=25121011"
TRACK3: Final = f";01{PAN}=72497803000000000000?"
PIN_BLOCK: Final = bytes.fromhex("0412AC89ABCDEF67")
"""An encrypted-looking block of eight bytes (ISO 9564-1 format 0 has this shape): searched for as it stands and as hex."""
COMMANDS: Final = (
    ("status",),
    ("selftest",),
    ("doctor",),
    ("update", "status"),
    ("update", "history"),
    ("journal", "show"),
    ("config", "check"),
)
_RUN: Final = re.compile(rb"(?<![0-9A-Fa-f])\d{13,19}(?![0-9A-Fa-f])")
_TRACKS: Final = re.compile(rb"%B\d|;\d{8,}=")


def disguises(text: str) -> Iterator[bytes]:
    """The bytes of ``text`` as they might lie in a file."""
    raw = text.encode()
    yield from (raw, text.encode("utf-16-le"), text.encode("utf-16-be"))
    for hexed in (raw.hex(), raw.hex(" "), raw.hex(":"), bytes.fromhex(PAN).hex(" ")):
        yield from (hexed.encode(), hexed.upper().encode())
    yield bytes.fromhex(PAN)  # two digits a byte
    yield f"{PAN[:4]} {PAN[4:8]} {PAN[8:12]} {PAN[12:]}".encode()
    for shift in range(3):  # base64 of it in the middle of something: the characters that depend on it alone
        coded = base64.b64encode(b"\0" * shift + raw)
        yield coded[4 * (shift > 0) : len(coded) - 4]


_BLOCKS: Final = (PIN_BLOCK, PIN_BLOCK.hex().encode(), PIN_BLOCK.hex().upper().encode(), PIN_BLOCK.hex(" ").encode())
NEEDLES: Final = (*disguises(PAN), *_BLOCKS)


def holds(data: bytes) -> bool:
    """Whether the planted number or block is in ``data``, in any disguise, lines folded."""
    return any(needle in data or needle in data.replace(b"\n", b"") for needle in NEEDLES)


def looks_like_card_data(text: bytes) -> bool:
    """Of text that people read: any run of digits that passes Luhn, any beginning of a track."""
    return bool(_TRACKS.search(text)) or any(_luhn(run.decode()) for run in _RUN.findall(text))


def _luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0 and digits.strip("0") != ""


def sweep(host: Host, *, but: tuple[Path, ...] = ()) -> list[str]:
    """Every file under the root (the configuration, which a person wrote, aside), and the log."""
    files = [p for p in [host.log, *host.root.rglob("*")] if p.is_file() and not p.is_relative_to(host.etc) and p not in but]
    assert len(files) > 3
    return [str(path) for path in files if holds(path.read_bytes())]


def printed(host: Host) -> list[str]:
    """What the commands print, and what lies in a support bundle."""
    found = []
    for words in COMMANDS:
        for json_ in (True, False):
            done = host.command(*words, json_=json_)
            if holds(done.out.encode()) or holds(done.err.encode()):
                found.append(" ".join(words))
    return found + [f"bundle: {name}" for name, text in bundled(host).items() if holds(text)]


def bundled(host: Host) -> dict[str, bytes]:
    """The members of a fresh support bundle."""
    out = host.root / "bundle.tar.gz"
    done = host.command("bundle", "--out", str(out))
    assert done.code == 0, done.err
    with tarfile.open(out) as bundle:
        files = {member.name: bundle.extractfile(member) for member in bundle.getmembers()}
        found = {name: file.read() for name, file in files.items() if file is not None}
    out.unlink()
    return found


def told(center: Any) -> bool:
    """Whether the centre heard it."""
    heard = json.dumps(center.intake.records(), default=str)
    heard += str([t.attributes for t in center.store.targets.values()])
    heard += str([[row.messages for row in a.rows] for a in center.store.actions.values()])
    return holds(heard.encode())


class HostileReader:
    """A pseudo-terminal whose other end sends card data whatever it is asked; CCID gets well-formed answers full of it."""

    def __init__(self, link: Path) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        link.symlink_to(os.ttyname(slave))
        self._slave = slave  # held open: a host that closes its end must not hang this one up
        self._ends = threading.Event()
        self.frames = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._ends.set()
        self._thread.join(5.0)
        os.close(self._slave)
        os.close(self._master)

    def _run(self) -> None:
        heard = bytearray()
        while not self._ends.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.2)
            with suppress(OSError):
                if not ready:
                    os.write(self._master, f"{TRACK1}\r\n{TRACK2}\r\n{TRACK3}\r\n".encode() + PIN_BLOCK + bytes.fromhex(PAN))
                    continue
                heard += os.read(self._master, 4096)
                while answer := self._answer(heard):
                    self.frames += 1
                    os.write(self._master, answer)
            del heard[:-600]

    def _answer(self, heard: bytearray) -> bytes:
        """The echo and an answer to the first whole CCID frame (GemPC Twin: 03 06, ten bytes, data, XOR over all)."""
        start = heard.find(b"\x03\x06")
        if start < 0 or len(heard) < start + 13:
            return b""
        length = int.from_bytes(heard[start + 3 : start + 7], "little")
        end = start + 13 + length
        if length > 300 or len(heard) < end:
            return b""
        frame = bytes(heard[start:end])
        del heard[:end]
        return frame + self._reply(frame[2], frame[8], frame[7])

    def _reply(self, kind: int, number: int, slot: int) -> bytes:
        number_bcd = bytes.fromhex(PAN)
        atr = b"\x3b\x0f" + number_bcd + PIN_BLOCK[:7]
        what, data = {
            0x6B: (0x83, PAN.encode()),
            0x62: (0x80, atr),
            0x65: (0x81, b""),
            0x63: (0x81, b""),
            0x6C: (0x82, b"\x11\x00\x00\x0a\x00"),
            0x6D: (0x82, b"\x11\x00\x00\x0a\x00"),
        }.get(kind, (0x80, TRACK2.encode() + number_bcd + PIN_BLOCK + b"\x90\x00"))
        head = bytes([what]) + len(data).to_bytes(4, "little") + bytes([slot, number, 1, 0, 0])
        body = b"\x03\x06" + head + data
        return body + bytes([reduce(lambda a, b: a ^ b, body)])
