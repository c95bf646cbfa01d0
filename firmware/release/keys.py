"""The service centre's signing keys: Ed25519 in PKCS#8 PEM files, mode 0600, encrypted with one passphrase.

A file is named for the role and its holder: ``root-1.pem``, ``targets-2.pem``, ``snapshot.pem``, ``timestamp.pem``. The
name is for people only; which key may sign what is decided by the key ids in the repository's root role.
"""

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, Key, SSlibKey  # type: ignore[attr-defined]  # re-exported the old way

from firmware.errors import UsageError, one_line
from firmware.files import make_folder, read_bounded, write_durably

_KEY_MAX_BYTES = 1 << 14
_ENCRYPTED = b"BEGIN ENCRYPTED PRIVATE KEY"


class KeyRing:
    """The private keys that are present, by TUF key id. They live in memory only as long as this object."""

    def __init__(self, signers: dict[str, CryptoSigner], holders: dict[str, str]) -> None:
        self._signers = signers
        self.holders = holders

    def signers(self, keyids: Iterable[str]) -> list[CryptoSigner]:
        """Those of ``keyids`` that are present, in that order."""
        return [self._signers[keyid] for keyid in keyids if keyid in self._signers]

    def by_holder(self, name: str) -> CryptoSigner:
        """The key in the file ``<name>.pem``. Raises UsageError (keys_missing)."""
        for keyid, holder in self.holders.items():
            if holder == name:
                return self._signers[keyid]
        raise UsageError(f"the key {name}.pem is not there", code="keys_missing")

    def take(self, other: "KeyRing") -> None:
        """Have the keys of ``other`` too."""
        self._signers.update(other._signers)
        self.holders.update(other.holders)


def key_names(holders: int) -> list[str]:
    """Names of all keys of a repository whose root and targets roles have ``holders`` holders each."""
    numbered = [f"{role}-{number}" for role in ("root", "targets") for number in range(1, holders + 1)]
    return [*numbered, "snapshot", "timestamp"]


def create(folder: Path, names: Iterable[str], passphrase: str | None) -> KeyRing:
    """Make new keys in ``folder``; ``passphrase`` None leaves them in clear.

    Raises UsageError (keys_exist) rather than touch any key that is there, InstallFailed for the disk.
    """
    if folder.exists() and any(folder.glob("*.pem")):
        raise UsageError(f"{folder} holds keys already: they are never overwritten; choose another folder", code="keys_exist")
    make_folder(folder, 0o700)
    return _make(folder, names, passphrase)


def _make(folder: Path, names: Iterable[str], passphrase: str | None) -> KeyRing:
    signers, holders = {}, {}
    for name in names:
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        write_durably(folder / f"{name}.pem", _pem(private, passphrase), mode=0o600)
        signers[signer.public_key.keyid], holders[signer.public_key.keyid] = signer, name
    return KeyRing(signers, holders)


def add(folder: Path, names: Iterable[str], passphrase: str | None) -> KeyRing:
    """Make more keys beside those that are in ``folder``. Raises UsageError (keys_exist) for a name that is taken."""
    wanted = list(names)
    for name in wanted:
        if (folder / f"{name}.pem").exists():
            raise UsageError(f"{folder / name}.pem is there already: keys are never overwritten", code="keys_exist")
    return _make(folder, wanted, passphrase)


def read_public(path: Path) -> Key:
    """Read another holder's public Ed25519 key from PEM (``openssl pkey -in key.pem -pubout``). Raises UsageError."""
    try:
        public = serialization.load_pem_public_key(_read(path))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is no public key in PEM", code="bad_key") from error
    if not isinstance(public, Ed25519PublicKey):
        raise UsageError(f"{path} is no Ed25519 key", code="bad_key")
    return SSlibKey.from_crypto(public)


def needs_passphrase(folder: Path) -> bool:
    """Tell whether any key in ``folder`` is encrypted. Raises UsageError (keys_missing, bad_key)."""
    return any(_ENCRYPTED in _read(path) for path in _key_files(folder))


def load(folder: Path, passphrase: str | None) -> KeyRing:
    """Read all keys of ``folder``. Raises UsageError (keys_missing, no_passphrase, bad_passphrase, bad_key)."""
    signers, holders = {}, {}
    for path in _key_files(folder):
        signer = CryptoSigner(_private(path, passphrase))
        signers[signer.public_key.keyid], holders[signer.public_key.keyid] = signer, path.stem
    return KeyRing(signers, holders)


def _key_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.pem"))
    if not files:
        raise UsageError(f"{folder} holds no keys (*.pem): make them with `posrelease init`", code="keys_missing")
    return files


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _KEY_MAX_BYTES)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {one_line(error)}", code="bad_key") from error


def _pem(private: Ed25519PrivateKey, passphrase: str | None) -> bytes:
    protection: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def _private(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    raw = _read(path)
    password = None
    if _ENCRYPTED in raw:
        if not passphrase:
            raise UsageError(f"the key {path} is encrypted: set $POSRELEASE_PASSPHRASE", code="no_passphrase")
        password = passphrase.encode()
    try:
        private = serialization.load_pem_private_key(raw, password)
    except (ValueError, TypeError) as error:
        if password:
            raise UsageError(f"the passphrase does not open the key {path}", code="bad_passphrase") from error
        raise UsageError(f"{path} is no private key in PEM", code="bad_key") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{path} is no Ed25519 key", code="bad_key")
    return private
