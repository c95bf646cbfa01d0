"""Error counters of a port that is not opened, from what the kernel's serial driver shows."""

from pathlib import Path

import pytest

from agent.ports.kernelcounts import kernel_counts

SHOWN = """serinfo:1.0 driver revision:
0: uart:16550A port:000003F8 irq:4 tx:7222 rx:12 RTS|CTS|DTR
1: uart:16550A port:000002F8 irq:3 tx:10 rx:90 fe:3 pe:1 brk:2 oe:7 DTR
2: uart:unknown port:000003E8 irq:4
"""


@pytest.mark.parametrize(
    ("port", "counts"),
    [
        ("/dev/ttyS0", {"frame": 0, "parity": 0, "break": 0, "overrun": 0}),
        ("/dev/ttyS1", {"frame": 3, "parity": 1, "break": 2, "overrun": 7}),
        ("/dev/ttyS2", None),
        ("/dev/ttyS11", None),
        ("/dev/ttyUSB0", None),
        ("/dev/pts/3", None),
        ("socket://host:1", None),
    ],
)
def test_what_the_kernel_shows(tmp_path: Path, port: str, counts: dict[str, int] | None) -> None:
    (tmp_path / "serial").write_text(SHOWN)
    assert kernel_counts(port, tmp_path) == counts


@pytest.mark.parametrize("content", [b"", b"\xff\xfe0: uart:16550A fe:", b"0: uart:16550A fe:x\n"])
def test_what_makes_no_sense_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "serial").write_bytes(content)
    assert kernel_counts("/dev/ttyS0", tmp_path) in (None, {"frame": 0, "parity": 0, "break": 0, "overrun": 0})


def test_a_file_that_may_not_be_read_is_not_known(tmp_path: Path) -> None:
    assert kernel_counts("/dev/ttyS0", tmp_path / "none") is None
