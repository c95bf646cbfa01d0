"""A TUF repository that can be made wrong on purpose, in a folder for a web server (specification 1.0.34 section 4)."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAFE = NOW + timedelta(days=30)
TOP = ("root", "timestamp", "snapshot", "targets")


@dataclass
class Centre:
    """Roles are plain tuf objects that a test changes; ``publish`` signs and writes all that is not root."""

    folder: Path
    consistent: bool = True
    hashed: bool = False
    make_key: Callable[[], CryptoSigner] = CryptoSigner.generate_ed25519
    signers: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    delegates: dict[str, tuple[str, Targets]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "metadata").mkdir(parents=True)
        (self.folder / "targets").mkdir()
        self.root = Root(1, expires=SAFE, consistent_snapshot=self.consistent)
        self.timestamp = Timestamp(1, expires=SAFE)
        self.snapshot = Snapshot(1, expires=SAFE)
        self.targets = Targets(1, expires=SAFE)
        for role in TOP:
            self.add_key(role)
        self.publish_root()
        self.publish()

    @property
    def first_root(self) -> bytes:
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    def add_key(self, role: str) -> CryptoSigner:
        signer = self.make_key()
        self.signers.setdefault(role, []).append(signer)
        self.root.add_key(signer.public_key, role)
        return signer

    def rotate(self, role: str) -> None:
        """All keys of a role anew; the old ones of root still sign once, as the next root needs."""
        for signer in self.signers.pop(role):
            self.root.revoke_key(signer.public_key.keyid, role)
        self.add_key(role)

    def publish_root(self, also: Iterable[CryptoSigner] = (), *, sign: bool = True) -> None:
        signers = [*also, *self.signers["root"]] if sign else []
        self.write(f"{self.root.version}.root.json", self.signed(self.root, signers))

    def next_root(self, also: Iterable[CryptoSigner] = ()) -> None:
        self.root.version += 1
        self.publish_root(also)

    def signed(self, role: Any, signers: Iterable[CryptoSigner]) -> bytes:
        metadata = Metadata(deepcopy(role))
        for signer in signers:
            metadata.sign(signer, append=True)
        return bytes(metadata.to_bytes())

    def write(self, name: str, raw: bytes) -> None:
        (self.folder / "metadata" / name).write_bytes(raw)

    def publish(self, **instead: bytes) -> None:
        """Sign and write targets, delegates, snapshot and timestamp; ``instead`` replaces a role's bytes as written."""
        for name, role in [("targets", self.targets), *((name, role) for name, (_, role) in self.delegates.items())]:
            raw = self.signed(role, self.signers[name])
            self.snapshot.meta[f"{name}.json"] = self.entry(role.version, instead.get(name, raw))
            self.put(name, role.version, instead.get(name, raw))
        raw = self.signed(self.snapshot, self.signers["snapshot"])
        self.timestamp.snapshot_meta = self.entry(self.snapshot.version, instead.get("snapshot", raw))
        self.put("snapshot", self.snapshot.version, instead.get("snapshot", raw))
        raw = self.signed(self.timestamp, self.signers["timestamp"])
        self.write("timestamp.json", instead.get("timestamp", raw))

    def put(self, name: str, version: int, raw: bytes) -> None:
        quoted = quote(name, "")
        self.write(f"{version}.{quoted}.json" if self.root.consistent_snapshot else f"{quoted}.json", raw)

    def entry(self, version: int, raw: bytes) -> MetaFile:
        return MetaFile.from_data(version, raw, ["sha256"]) if self.hashed else MetaFile(version)

    def bump(self, *roles: str) -> None:
        """Higher versions of ``roles``, and of snapshot and timestamp in any case."""
        for role in {*roles, "snapshot", "timestamp"}:
            signed = self.delegates[role][1] if role in self.delegates else getattr(self, role)
            signed.version += 1
        self.publish()

    def add_target(self, name: str, data: bytes, role: str = "targets") -> None:
        record = TargetFile.from_data(name, data, ["sha256"])
        holder = self.targets if role == "targets" else self.delegates[role][1]
        holder.targets[name] = record
        folder, slash, base = name.rpartition("/")
        prefix = f"{record.hashes['sha256']}." if self.root.consistent_snapshot else ""
        path = self.folder / "targets" / f"{folder}{slash}{prefix}{base}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delegate(self, parent: str, name: str, paths: list[str], *, terminating: bool = False, threshold: int = 1) -> Targets:
        holder = self.targets if parent == "targets" else self.delegates[parent][1]
        if holder.delegations is None:
            holder.delegations = Delegations({}, roles={})
        assert holder.delegations.roles is not None
        holder.delegations.roles[name] = DelegatedRole(name, [], threshold, terminating, paths=paths)
        signers = self.signers.setdefault(name, [self.make_key()])
        for signer in signers:
            holder.add_key(signer.public_key, name)
        if name not in self.delegates:
            self.delegates[name] = (parent, Targets(1, expires=SAFE))
        return self.delegates[name][1]

    def hash_bins(self, bits: int, prefix: str) -> None:
        signer = self.make_key()
        bins = SuccinctRoles([], 1, bits, prefix)
        self.targets.delegations = Delegations({}, succinct_roles=bins)
        self.targets.add_key(signer.public_key)
        for name in bins.get_roles():
            self.signers[name] = [signer]
            self.delegates[name] = ("targets", Targets(1, expires=SAFE))
