"""Messages of CCID as far as a diagnosis needs them (USB CCID 1.1 section 6; facts devices.md 2.2): types, errors, questions."""

from dataclasses import dataclass, field

from protocols.readers.atr import Atr

POWER_ON, POWER_OFF, GET_SLOT_STATUS, ESCAPE = 0x62, 0x63, 0x65, 0x6B
GET_PARAMETERS, RESET_PARAMETERS, SET_PARAMETERS, TRANSFER, ABORT = 0x6C, 0x6D, 0x61, 0x6F, 0x72
DATA_BLOCK, SLOT_STATUS, PARAMETERS, ESCAPE_ANSWER = 0x80, 0x81, 0x82, 0x83
SLOT_COMMANDS = frozenset((POWER_ON, POWER_OFF, GET_SLOT_STATUS, TRANSFER))
"""those that a busy slot refuses"""
VOLTAGES = (0x01, 0x02, 0x03)
"""bPowerSelect: 5 V, 3 V, 1.8 V"""
CARD = ("powered", "present", "absent")
"""by bStatus bits 1-0"""
FAILED, TIME_EXTENSION = 0x40, 0x80
MUTE = 0xFE
OTHER_VOLTAGE = frozenset((MUTE, 0xF8, 0xF7, 0xFD, 0x07))
"""errors that another voltage may cure: mute, bad TS, bad TCK, parity, and 07 = "bPowerSelect is not supported\""""
HARDWARE = {0xFB: "error", 0xFC: "overrun"}
"""errors of the reader itself"""
BUSY = frozenset((0xE0, 0xF2))
"""errors of a slot that somebody else keeps busy"""
CARD_FAULTS = {0xA2: "short", 0xA3: "bad_atr", 0xF7: "bad_atr", 0xF8: "bad_atr", 0xFD: "bad_atr"}
"""what an error of a reset says about the card (parity: its ATR came damaged)"""
ERRORS = {
    0x00: "not_supported",
    0x05: "bad_slot",
    0xA2: "short_circuit",
    0xA3: "atr_too_long",
    0xAB: "no_data",
    0xB0: "emv_mode",
    0xBB: "emv_mode",
    0xBD: "t1_error",
    0xE0: "slot_busy",
    0xEF: "pin_cancelled",
    0xF0: "pin_timeout",
    0xF2: "busy_with_auto_sequence",
    0xF3: "deactivated_protocol",
    0xF4: "procedure_byte_conflict",
    0xF5: "class_not_supported",
    0xF6: "protocol_not_supported",
    0xF7: "bad_atr_tck",
    0xF8: "bad_atr_ts",
    0xFB: "hardware_error",
    0xFC: "overrun",
    0xFD: "parity_error",
    0xFE: "mute",
    0xFF: "aborted",
}


def error_name(code: int) -> str:
    """The bError ``code`` in words (libccid ccid.c); 01 to 7F without a name are the index of the byte it rejects."""
    return ERRORS.get(code) or (f"bad_byte_{code}" if code < 0x80 else f"error_{code:02x}")


@dataclass(frozen=True, slots=True)
class Query:
    """A question: the message's type and data, the type of its answer, and how long that may take."""

    message_type: int
    answer_type: int
    timeout_s: float
    data: bytes = b""

    @property
    def reaches_card(self) -> bool:
        """The card itself is talked to: it may ask for time, and may be pulled out meanwhile."""
        return self.message_type in (POWER_ON, TRANSFER)


QUERIES = {
    "firmware": Query(ESCAPE, ESCAPE_ANSWER, 2.0, b"\x02"),
    "card_notices": Query(ESCAPE, ESCAPE_ANSWER, 2.0, b"\x01\x01\x01"),
    "slot_status": Query(GET_SLOT_STATUS, SLOT_STATUS, 1.0),
    "power_on": Query(POWER_ON, DATA_BLOCK, 5.0),
    "power_off": Query(POWER_OFF, SLOT_STATUS, 2.0),
    "abort": Query(ABORT, SLOT_STATUS, 2.0),
    "parameters": Query(GET_PARAMETERS, PARAMETERS, 2.0),
    "reset_parameters": Query(RESET_PARAMETERS, PARAMETERS, 2.0),
    "set_parameters": Query(SET_PARAMETERS, PARAMETERS, 2.0),
    # Both change nothing on a card. They go to a test card only, when a technician has asked for it.
    "select_mf": Query(TRANSFER, DATA_BLOCK, 3.0, bytes.fromhex("00 A4 00 00 02 3F 00")),
    "challenge": Query(TRANSFER, DATA_BLOCK, 3.0, bytes.fromhex("00 84 00 00 08")),
}


def t0_parameters(atr: Atr | None) -> bytes:
    """Set-parameters data for T=0, fitting a card that said ``atr``.

    Without PPS a card talks at TA1's speed in specific mode only (ISO/IEC 7816-3 section 8.3).
    """
    if atr is None:
        return bytes.fromhex("11 00 00 0A 00")
    speed = atr.ta1 if atr.specific_mode is not None else 0x11
    return bytes((speed, 0x02 if atr.convention == "inverse" else 0x00, atr.extra_guard_time, atr.waiting_integer, 0x00))


@dataclass(frozen=True, slots=True)
class Answer:
    """The fields of an answer that count (facts 2.2): bStatus, bError, the tenth byte of the header and the data."""

    status: int
    error: int
    extra: int
    data: bytes = field(repr=False)

    @property
    def failed(self) -> bool:
        """The command was not done; ``error`` says why."""
        return bool(self.status & FAILED)

    @property
    def card(self) -> dict[str, str]:
        """The reading of the slot; empty for the reserved value."""
        found = self.status & 0x03
        return {"card": CARD[found]} if found < len(CARD) else {}
