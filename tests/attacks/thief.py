"""A copy of the centre's folder in the hands of somebody with some of its keys."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile

from .till import Till

ONLINE = {"snapshot": ("snapshot",), "timestamp": ("timestamp",)}
HOLDERS = {"root": ("root-1", "root-2"), "targets": ("targets-1", "targets-2"), **ONLINE}
"""Role → all who must sign it."""
Document = Metadata[Any]


class Thief:
    """What he signs lies in a folder of his own, which the till is shown from now on."""

    def __init__(self, till: Till, source: Path | None = None) -> None:
        self.till = till
        self.folder = Path(shutil.copytree(source or till.repo.folder, till.folder / f"evil-{len(list(till.folder.iterdir()))}"))
        self.metadata = self.folder / "metadata"
        till.web.folder = self.folder

    def path(self, role: str, number: int | None = None) -> Path:
        """The newest file of a role, or the one with that number."""
        if role == "timestamp":
            return self.metadata / "timestamp.json"
        if number is not None:
            return self.metadata / f"{number}.{role}.json"
        return max(self.metadata.glob(f"[0-9]*.{role}.json"), key=lambda path: int(path.name.partition(".")[0]))

    def load(self, role: str, number: int | None = None) -> Document:
        return Metadata.from_bytes(self.path(role, number).read_bytes())

    def signed(self, document: Document, holders: Sequence[str]) -> bytes:
        """Signed by those holders' keys and by nobody else."""
        document.signatures.clear()
        for name in holders:
            document.sign(self.till.repo.ring.by_holder(name), append=True)
        return document.to_bytes()

    def change(
        self, role: str, edit: Callable[[Any], object], holders: Sequence[str] | None = None, number: int | None = None
    ) -> None:
        """Edit the newest document of ``role``, sign it with ``holders`` (all who should) and write it where it goes."""
        document = self.load(role)
        edit(document.signed)
        raw = self.signed(document, HOLDERS[role] if holders is None else holders)
        self.path(role, document.signed.version if number is None else number).write_bytes(raw)

    def chain(self, *, bump: int = 1, snapshot: Callable[[Any], object] = lambda _signed: None) -> None:
        """Snapshot and timestamp anew, with the online keys, so that they fit whatever lies in the folder."""
        self.till.stolen = True

        def fit(signed: Any) -> None:
            signed.version += bump
            for name in signed.meta:
                raw = self.path(name.removesuffix(".json")).read_bytes()
                signed.meta[name] = _meta(raw)
            snapshot(signed)

        self.change("snapshot", fit)
        raw = self.path("snapshot").read_bytes()

        def stamp(signed: Any) -> None:
            signed.version += bump
            signed.snapshot_meta = _meta(raw)

        self.change("timestamp", stamp)

    def write(self, name: str, raw: bytes) -> None:
        (self.metadata / name).write_bytes(raw)


def _meta(raw: bytes) -> MetaFile:
    # Read as plain JSON: what he made need not be metadata that tuf would take.
    return MetaFile.from_data(json.loads(raw)["signed"]["version"], raw, ["sha256"])


def newer(signed: Any) -> None:
    signed.version += 1


def expires(moment: datetime) -> Callable[[Any], None]:
    """The next version, which has ended already."""

    def edit(signed: Any) -> None:
        signed.version += 1
        signed.expires = moment.replace(microsecond=0)

    return edit


def own_key() -> CryptoSigner:
    """The attacker's."""
    return CryptoSigner(Ed25519PrivateKey.generate())


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def reordered(raw: bytes, extra: str) -> bytes:
    """The same JSON with another text in front of its last brace: what one reader skips, another may take."""
    text = json.dumps(json.loads(raw))
    return (text[:-1] + extra + "}").encode()
