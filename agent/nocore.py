"""No core file of ours. Alone in its module, for the line keeper is small and loads nothing that it does not need."""

import contextlib
import os
import resource


def leave_no_core() -> None:
    """A core file would hold keys, tokens, bytes of devices.

    The kernel does not ask for the limit where it hands cores to a program (core(5)); such a one then gets no memory of ours.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        descriptor = os.open("/proc/self/coredump_filter", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)
    except OSError:
        return
