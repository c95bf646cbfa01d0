"""Signs heads of the journal with the terminal's Ed25519 key (RFC 8032), in a process that lives for one signature.

The daemon imports only the first half of this file; cryptography is loaded in the worker, ``python -m agent.signer``,
which reads one JSON job from stdin and answers with one JSON line. The key is made at first use:
``keys/journal.key`` (32 bytes as hex, 0600) and ``keys/journal.pub`` beside it.
"""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.journal.prune import Signed, Signer
from agent.journal.record import Head, canonical
from agent.journal.store import Checkpoint
from agent.journal.verify import CheckSignature
from firmware.errors import FirmwareError
from firmware.files import make_folder, write_durably

TIMEOUT_S = 20.0
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger(__name__)


def signed_text(chain: str, head: Head, wall: str) -> str:
    """What is signed: canonical JSON of the chain's id, the head, and the wall time of the signature."""
    return canonical({"chain": chain, "hash": head.hash, "schema": 1, "seq": head.seq, "wall": wall})


def signer(keys: Path, *, timeout_s: float = TIMEOUT_S) -> Signer:
    """A signer for `Journal`: blocks for a process start, at most ``timeout_s`` seconds; None where it fails."""

    def sign(chain: str, head: Head, wall: str) -> Signed | None:
        answer = _ask({"do": "sign", "keys": str(keys), "text": signed_text(chain, head, wall)}, timeout_s)
        if answer is None:
            return None
        return Signed(str(answer["public"]), str(answer["signature"]))

    return sign


def checker(keys: Path, *, timeout_s: float = TIMEOUT_S) -> CheckSignature:
    """A judge for `verify`: good is a signature by the key in ``keys``, whatever key the journal itself names."""

    def check(chain: str, point: Checkpoint) -> bool:
        text = signed_text(chain, Head(point.seq, point.hash), point.wall)
        job = {"do": "check", "keys": str(keys), "text": text, "signature": point.signature}
        answer = _ask(job, timeout_s)
        return answer is not None and answer.get("good") is True

    return check


def signature(keys: Path, text: str, *, timeout_s: float = TIMEOUT_S) -> Signed | None:
    """Sign any text that tells what it is for. Blocks for a process start; None where it fails."""
    answer = _ask({"do": "sign", "keys": str(keys), "text": text}, timeout_s)
    return None if answer is None else Signed(str(answer["public"]), str(answer["signature"]))


def _ask(job: Mapping[str, str], timeout_s: float) -> Mapping[str, Any] | None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "agent.signer"],  # -P: nothing is imported from the current folder
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _log.warning("the journal's head cannot be signed: %s", error)
        return None
    if not isinstance(answer, dict):
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        _log.warning("the journal's head cannot be signed: %s", lines[-1] if lines else f"exit {done.returncode}")
        return None
    return answer


# -- the worker


def main() -> int:
    """One job from stdin, one JSON line to stdout; exit 1 with one line on stderr where it cannot be done."""
    import ctypes  # in the worker alone

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        job = json.loads(sys.stdin.buffer.read(65536))
        answer = {"sign": _sign, "check": _check}[job["do"]](Path(job["keys"]), job)
    except (OSError, ValueError, KeyError, ImportError, FirmwareError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _sign(keys: Path, job: Mapping[str, str]) -> dict[str, object]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(_private(keys))
    return {"public": key.public_key().public_bytes_raw().hex(), "signature": key.sign(job["text"].encode()).hex()}


def _check(keys: Path, job: Mapping[str, str]) -> dict[str, object]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = bytes.fromhex((keys / "journal.pub").read_text(encoding="ascii"))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(job["signature"]), job["text"].encode())
    except InvalidSignature:
        return {"good": False}
    return {"good": True}


def _private(keys: Path) -> bytes:
    """The 32 private bytes; made, and durable with their public half, where there are none yet."""
    path = keys / "journal.key"
    if not path.exists():
        _make(keys, path)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} may be read by others: chmod 600 it, or replace it")
    return bytes.fromhex(path.read_text(encoding="ascii"))


def _make(keys: Path, path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    make_folder(keys)
    folder = os.open(keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two signatures at once must not make halves of two pairs
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            write_durably(keys / "journal.pub", key.public_key().public_bytes_raw().hex().encode(), 0o644)
            write_durably(path, key.private_bytes_raw().hex().encode(), 0o600)  # last: with it the pair is whole
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main())
