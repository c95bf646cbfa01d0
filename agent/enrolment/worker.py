"""The process that handles keys and certificates, so that the daemon imports no cryptography: one job from stdin, one answer.

``python -m agent.enrolment.worker VERB``. The key never leaves its store, the token never comes here. Answers are those of
`firmware.worker`, so that `firmware.child.Child` starts it. The daemon's half is in `agent.enrolment.crypto`.
"""

import base64
import ctypes
import json
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

from agent.enrolment import certificates
from agent.enrolment.keys import FILE, KeyStore, open_store
from firmware.child import described
from firmware.errors import FirmwareError, InstallFailed
from firmware.files import PKCS11, make_folder, names_token_key
from protocols.center import est
from protocols.errors import RemoteProtocolError

JOB_MAX: Final = 4 << 20
ANCHOR_LIMIT_S: Final = 20.0
_PR_SET_PDEATHSIG: Final = 1

Job = Mapping[str, Any]


def request(job: Job) -> dict[str, Any]:
    """A request for a certificate with the key ``key``, which is made where there is none: ``{"csr"}`` in base64."""
    path = Path(job["key"])
    make_folder(path.parent)
    like = job["like"]
    name, uris = (job["host"], []) if like is None else certificates.names_for_renewal(Path(like).read_text("ascii"))
    csr = _store_of(job).request(path, name, uris)
    return {"csr": base64.b64encode(csr).decode("ascii")}


def anchor(job: Job) -> dict[str, Any]:
    """The centre's CA that has the fingerprint: ``{"pem"}`` (RFC 7030 section 4.1.1).

    The connection proves nothing, so nothing secret goes over it, and of the answer only that one certificate is used.
    """
    from firmware.transport import Transport  # half a second that the other verbs need not pay

    warnings.simplefilter("ignore")  # urllib3 warns of what is intended here
    with (
        Transport(unproven=True, redirects=0, timeout_s=ANCHOR_LIMIT_S) as transport,
        transport.stream(job["url"] + est.CACERTS, max_bytes=est.MAX_BODY) as body,
    ):
        der = est.parse_certs(body.content_type, body.read())
    return {"pem": certificates.with_fingerprint(certificates.certificates(der), job["fingerprint"])}


def accept(job: Job) -> dict[str, Any]:
    """Prove the certificate that came: ``{"chain", "anchors", "facts"}``; ``anchors`` is None where the system's are trusted."""
    served = certificates.certificates(base64.b64decode(job["served"]))
    answer = certificates.certificates(base64.b64decode(job["answer"]))
    public = _store_of(job).public(Path(job["key"]))
    found = certificates.proven(answer, served, public, job["host"], datetime.fromisoformat(job["now"]))
    pinned = job["pinned"]
    anchors = None if pinned is None else certificates.anchors(Path(pinned).read_text("ascii"), served)
    return {"chain": found.chain, "anchors": anchors, "facts": found.facts}


def forget(job: Job) -> dict[str, Any]:
    """The key is needed no more: it goes from its token, too."""
    _store_of(job).forget(Path(job["key"]))
    return {}


def _store_of(job: Job) -> KeyStore:
    """The store that a key lies in already, whatever is configured for the next one."""
    path = Path(job["key"])
    if not path.exists():
        return open_store(job["store"])
    return open_store(PKCS11 if names_token_key(path) else FILE)


_VERBS: Final = {"request": request, "anchor": anchor, "accept": accept, "forget": forget}


def main(verb: str, source: TextIO, sink: TextIO) -> int:
    """0 with an ``ok`` line, 1 with any other."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.umask(0o077)
    said: dict[str, Any]
    try:
        job = json.loads(source.read(JOB_MAX))
        if os.getppid() != job["parent"]:
            raise InstallFailed("the daemon has ended", code="stopped")
        said = {"ok": _VERBS[verb](job)}
    except FirmwareError as error:
        said = described(error)
    except RemoteProtocolError as error:
        said = {"refused": {"code": "bad_answer", "message": str(error)}}
    except (KeyError, TypeError, ValueError, OSError) as error:
        said = described(InstallFailed(f"the {verb} worker made a mistake: {type(error).__name__}", code="internal"))
    sink.write(json.dumps(said) + "\n")
    sink.flush()
    return 0 if "ok" in said else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin, sys.stdout))
