"""Where the private key lies, behind one interface. Used in the worker only.

``file`` is PKCS#8 in a file of mode 0600; ``pkcs11:…`` (RFC 7512) a key that is made in a token, and never leaves it
(`agent.enrolment.tokens`). Why so: docs/decisions/0014-enrolment-over-est.md.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firmware.errors import InstallFailed
from firmware.files import PKCS11, read_bounded, write_durably

MAX_BYTES: Final = 1 << 16
FILE: Final = "file"


class KeyStore(Protocol):
    """Makes a key and requests with it. Everything may be asked twice; the second time the same key is used."""

    def request(self, path: Path, name: str, uris: Sequence[str]) -> bytes:
        """PKCS#10 (DER), signed by the key at ``path``, which is made, and durable, where there is none.

        Raises InstallFailed (disk; no_key_store, key_unusable).
        """

    def public(self, path: Path) -> bytes:
        """SubjectPublicKeyInfo (DER) of the key at ``path``. Raises InstallFailed (key_unusable)."""

    def forget(self, path: Path) -> None:
        """Take away what lies elsewhere than in the file ``path``; the file itself is the caller's. May be asked twice."""


def open_store(kind: str) -> KeyStore:
    """The store of that name. Raises InstallFailed (no_key_store)."""
    if kind.startswith(PKCS11):
        from agent.enrolment.tokens import TokenKeys  # few tills have a token

        return TokenKeys(kind)
    if kind != FILE:
        raise InstallFailed(f"{kind[:40]!r} is no key store of this version", code="no_key_store")
    return FileKeys()


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class FileKeys:
    """EC P-256 in a file that only we may read."""

    def request(self, path: Path, name: str, uris: Sequence[str]) -> bytes:
        """See KeyStore."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
        if uris:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
            builder = builder.add_extension(names, critical=False)
        key = self._key(path) if path.exists() else self._make(path)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def public(self, path: Path) -> bytes:
        """See KeyStore."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key(path).public_key().public_bytes(serialization.Encoding.DER, form)

    def forget(self, path: Path) -> None:
        """See KeyStore."""

    def _make(self, path: Path) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        write_durably(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), 0o600)
        return key

    def _key(self, path: Path) -> ec.EllipticCurvePrivateKey:
        try:
            if path.stat().st_mode & 0o077:
                raise InstallFailed(f"{path} may be read by others: chmod 600 it, or enrol anew", code="unsafe_mode")
            key = serialization.load_pem_private_key(read_bounded(path, MAX_BYTES), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InstallFailed(f"the key {path} cannot be used: {type(error).__name__}", code="key_unusable") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InstallFailed(f"the key {path} is not of the kind that we make", code="key_unusable")
        return key
