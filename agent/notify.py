"""sd_notify(3) without libsystemd: one datagram to $NOTIFY_SOCKET, nothing where systemd did not ask."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Tell the service manager ``state``, for example READY=1, STOPPING=1 or WATCHDOG=1."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)


def watchdog_s() -> float | None:
    """How often WATCHDOG=1 is due (half of systemd's limit, as sd_watchdog_enabled(3) advises); None: not asked for."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdigit() or int(limit) == 0 or meant_for != str(os.getpid()):
        return None
    return int(limit) / 2_000_000
