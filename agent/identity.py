"""Who works here: the daemon's user, the installer, or (without the package) one user for everything. See docs/decisions/0015."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.paths import Paths
from firmware.child import Child
from firmware.effects import MachineEffects

_PR_SET_KEEPCAPS: Final = 8
_CAP_DAC_READ_SEARCH: Final = 2
_CAP_SYS_PTRACE: Final = 19
_CAPABILITY_VERSION_3: Final = 0x20080522


def delegated(paths: Paths) -> bool:
    """Whether another user installs for us."""
    try:
        return (paths.state / "installer").stat().st_uid != os.geteuid()
    except OSError:
        return False


def effects_of(paths: Paths) -> tuple[Callable[..., MachineEffects], Callable[[], Child]]:
    """The effects that this user has, and what makes a runner of their jobs."""
    if not delegated(paths):
        return MachineEffects, Child
    from firmware.remote import DelegatedEffects, RemoteChild

    return DelegatedEffects, lambda: RemoteChild(paths.installer_socket)


def become_owner(state: Path) -> None:
    """Root goes on as the user whose state it is, for good: nothing in it may belong to root afterwards.

    The owner of ``keys`` tells who that is; where there is none, or it is root's, nothing happens. Of root's rights two
    are kept for this command: to see who holds a port (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH). A self-test that could not see
    the payment program would take its reader away. In the main thread, before others start: rights are handed on to them.
    Raises OSError.
    """
    if os.geteuid() != 0:
        return
    try:
        seen = (state / "keys").stat()
    except OSError:
        return
    if seen.st_uid != 0:
        try:
            groups = os.getgrouplist(pwd.getpwuid(seen.st_uid).pw_name, seen.st_gid)
        except KeyError:
            groups = [seen.st_gid]
        _change_user(seen.st_uid, seen.st_gid, groups)


def _change_user(uid: int, gid: int, groups: list[int]) -> None:
    """prctl(2), capget(2): version 3 of the header, two words of each set."""
    import ctypes  # only where root works by hand

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kept = 1 << _CAP_SYS_PTRACE | 1 << _CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "root's rights cannot be laid down")
