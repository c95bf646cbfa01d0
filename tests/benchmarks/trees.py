"""What is installed: one file that cannot be packed any smaller, and a tree of many small files as an application has."""

import random
from pathlib import Path

FOLDERS = 100
SEED = 20261123
_PIECE = 1 << 20
_WORDS = [f"word{number:04d} ".encode() for number in range(2000)]


def one_file(path: Path, size: int) -> Path:
    """``size`` random bytes."""
    dice = random.Random(SEED)
    with path.open("wb") as file:
        for done in range(0, size, _PIECE):
            file.write(dice.randbytes(min(_PIECE, size - done)))
    return path


def tree(folder: Path, count: int) -> Path:
    """``count`` files in up to FOLDERS folders, 100 bytes to 16 KiB (mostly small), half of each can be packed to a third."""
    dice = random.Random(SEED)
    for number in range(count):
        place = folder / f"part-{number % FOLDERS:02d}"
        if number < FOLDERS:
            place.mkdir(parents=True)
        size = int(100 * 160 ** dice.random())
        text = b"".join(dice.choices(_WORDS, k=size // 18 + 1))[: size // 2]
        (place / f"file-{number:05d}").write_bytes(text + dice.randbytes(size - len(text)))
    return folder


def contents(folder: Path) -> tuple[int, int]:
    """Number of files below ``folder``, and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)
