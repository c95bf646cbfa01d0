"""Models of serial CCID readers, as libccid tells them apart (devices.md section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """``echoes``: what the host sent comes back before the answer. ``firmware`` answers Escape 02. Slots beyond 0 stay empty."""

    echoes: bool
    firmware: bytes
    slots: int


MODELS = {
    "twin": Model(echoes=True, firmware=b"GemTwin-V2.00-PS01", slots=1),
    "gemcore": Model(echoes=False, firmware=b"GemCore-POS-Pro-V1.00", slots=5),
}
