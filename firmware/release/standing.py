"""How far the signatures of a role are, and what is refused because of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # re-exported the old way

from firmware.errors import UsageError
from firmware.release.keys import KeyRing


@dataclass(frozen=True, slots=True)
class Standing:
    """Signatures of one document by the keys of one role: how many must be, who has signed, who could."""

    role: str
    threshold: int
    signed: tuple[str, ...]
    unsigned: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether the threshold is met."""
        return len(self.signed) >= self.threshold

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"role": self.role, "threshold": self.threshold, "signed": len(self.signed), "complete": self.complete} | {
            "may_sign": list(self.unsigned)
        }


def require_complete(role: str, standings: Sequence[Standing]) -> None:
    """Raise UsageError (signatures_missing) for the first that is below its threshold."""
    for standing in standings:
        if not standing.complete:
            raise UsageError(
                f"the {role} role is not signed by enough holders: {len(standing.signed)} of {standing.threshold}",
                code="signatures_missing",
            )


def require_signable(role: str, keyids: Iterable[str], ring: KeyRing) -> list[CryptoSigner]:
    """The keys that are here and may sign ``role``.

    Raises UsageError: wrong_role when keys are here that sign something else only. A key never signs outside its role.
    """
    wanted = list(keyids)
    signers = ring.signers(wanted)
    if not signers:
        here = ", ".join(f"{name}.pem" for name in sorted(ring.holders.values()))
        named = ", ".join(keyid[:8] for keyid in wanted)
        raise UsageError(f"none of the keys here may sign the {role} role (here: {here}; wanted: {named})", code="wrong_role")
    return signers


def signer_names(standing: Standing, holders: Mapping[str, str]) -> str:
    """Who has signed, by the names of the keys that are here, else by the beginning of the key id."""
    return ", ".join(holders.get(keyid, keyid[:8]) for keyid in standing.signed)
