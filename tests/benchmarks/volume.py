"""A fresh file system for a run: an ext4 image on a loop device, mounted where only this process and its children see it.

ext4 does not take an inode again within seconds of its release (``recently_deleted`` in fs/ext4/ialloc.c), so where thousands of
files were just removed, by an earlier run or by anybody, each new one waits for a long search. Measured on this project's
machine: 5,000 files took 0.2 s on a fresh file system and 8 s on the aged one.
"""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

_CLONE_NEWNS = 0x00020000


def mounted(image: Path, folder: Path, size: int) -> str:
    """Mount a fresh ext4 of ``size`` bytes at ``folder``; it goes when this process ends. Returns why not, or nothing."""
    if os.geteuid() or shutil.which("mkfs.ext4") is None:
        return "a file system of its own needs root and mkfs.ext4"
    with image.open("wb") as file:
        file.truncate(size)
    folder.mkdir(exist_ok=True)
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "--make-rprivate", "/"], ["mount", "-o", "loop", image, folder]):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{command[0]}: {done.stderr.strip()}"
    return ""


def unmount(folder: Path) -> None:
    """Before the image is removed."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
