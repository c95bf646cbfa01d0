"""How many bytes of a printer the classifier takes in a second of processor time, in reads of 4096 and byte by byte."""

import random
import time
from dataclasses import dataclass

from protocols.printers._escpos_classifier import Classifier

SIZE = 400_000
READ = 4096
ROUNDS = 5
_ASB = tuple(bytes.fromhex(text) for text in ("10 00 00 0F", "38 00 00 0F", "10 08 00 0F"))
"""idle, cover open, cutter error (facts devices.md 1.3)"""


@dataclass(frozen=True, slots=True)
class Throughput:
    """MB/s, the best of ROUNDS."""

    name: str
    whole: float
    bytewise: float


def streams(size: int = SIZE) -> dict[str, bytes]:
    """What may come: what a printer says, and what a bad line makes of it."""
    choose = random.Random(1)
    mixed = b"".join(choose.choice(_ASB) for _ in range(size // 4))
    return {
        "automatic status (ASB), changing": mixed,
        "identity blocks": b"\x5fTM-T88VI\0" * (size // 10),
        "wrong speed: 00, 80, FF": bytes(choose.choice(b"\x80\xff\xf8\xe0") for _ in range(size)),
        "an endless 5F block": b"\x5f" * size,
        "answers, ASB and flow control in turns": bytes.fromhex("12 12 12 12 10 00 00 0F 11 13") * (size // 10),
        "random bytes": choose.randbytes(size),
    }


def measure(size: int = SIZE, rounds: int = ROUNDS) -> list[Throughput]:
    """Each stream; the memory is bounded whatever comes, so only time is measured."""
    found = []
    for name, data in streams(size).items():
        pieces = [data[at : at + READ] for at in range(0, len(data), READ)]
        single = [data[at : at + 1] for at in range(len(data))]
        whole, bytewise = (max(_rate(cut, len(data)) for _ in range(rounds)) for cut in (pieces, single))
        found.append(Throughput(name, whole, bytewise))
    return found


def _rate(pieces: list[bytes], size: int) -> float:
    classifier = Classifier()
    begun = time.thread_time()
    for piece in pieces:
        classifier.feed(piece, 1.0)
    return size / (time.thread_time() - begun) / 1e6
