"""The fixed bits by which a printer's bytes are told apart (Epson TM-T88III specification Appendix G; facts devices.md 1.1)."""

XON, XOFF = 0x11, 0x13
ASB_SIZE = 4


def is_real_time(byte: int) -> bool:
    """An answer to DLE EOT: 0xx1xx10."""
    return byte & 0x93 == 0x12


def is_asb_first(byte: int) -> bool:
    """The first of four automatic status bytes: 0xx1xx00."""
    return byte & 0x93 == 0x10


def is_plain(byte: int) -> bool:
    """Second to fourth ASB byte, or a one-byte answer: 0xx0xxxx; only the context tells which."""
    return byte & 0x90 == 0
