"""Signatures from other machines: a request file goes to the next holder, comes back signed, and is taken in.

The file is JSON: ``{"schema": 1, "kind": "posagent-signing-request", "documents": [{"role", "metadata", "above":
[…]}]}``. ``above`` holds the roles that decide whose key counts, so that a holder needs nothing but the file and a key;
whoever takes it in believes none of that, only signatures over exactly what is staged there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.errors import UsageError, one_line
from firmware.files import read_bounded, write_durably
from firmware.manifest import Target, check_target_name
from firmware.release import keys
from firmware.release.repository import Document, Repository, parse_document, standing_of
from firmware.release.shelf import customs_of
from firmware.release.standing import Standing, require_complete

KIND = "posagent-signing-request"
REQUEST_MAX_BYTES = 20_000_000
_MAX_DOCUMENTS = 40


@dataclass(frozen=True, slots=True)
class Signed:
    """One document: its role and version, what it lists, and how far its signatures are."""

    role: str
    version: int
    listed: tuple[str, ...]
    standing: tuple[Standing, ...]


def export(repo: Repository, file: Path) -> list[Signed]:
    """Write what is staged and may want signatures to ``file``. Raises UsageError (nothing_staged)."""
    documents, told = [], []
    for role in repo.staged_roles():
        document = repo.staged(role)
        if document is None:
            continue
        above = [repo.published("root") if role == "root" else _above(repo, role)]
        documents.append({"role": role, "metadata": document.to_dict(), "above": [one.to_dict() for one in above]})
        told.append(_told(role, document, repo.standing(role, document)))
    if not documents:
        raise UsageError("nothing is staged that could be signed", code="nothing_staged")
    _store(file, documents)
    return told


def sign_file(file: Path, folder: Path, passphrase: str | None) -> list[Signed]:
    """Sign all documents of a request that the keys in ``folder`` may sign. Raises UsageError (wrong_role: none)."""
    ring = keys.load(folder, passphrase)
    helper = Repository(file.parent, ring)
    documents, told, refusals = _load(file), [], []
    for entry in documents:
        role, document, above = _open(entry, file)
        try:
            helper.sign(role, document, above)
        except UsageError as error:
            refusals.append(error)
        entry["metadata"] = document.to_dict()
        told.append(_told(role, document, standing_of(role, document, above)))
    if len(refusals) == len(documents):
        raise refusals[0]
    _store(file, documents)
    return told


def sign_staged(repo: Repository) -> list[Signed]:
    """Sign what is staged with the keys that are here. Raises UsageError (nothing_staged, wrong_role)."""
    told, refusals = [], []
    with repo.locked():
        for role in repo.staged_roles():
            document = repo.staged(role)
            if document is None:
                continue
            try:
                repo.sign(role, document)
            except UsageError as error:
                refusals.append(error)
            write_durably(repo.staged_path(role), document.to_bytes(), mode=0o644)
            told.append(_told(role, document, repo.standing(role, document)))
    if not told:
        raise UsageError("nothing is staged that could be signed", code="nothing_staged")
    if len(refusals) == len(told):
        raise refusals[0]
    return told


def take_in(repo: Repository, file: Path) -> list[Signed]:
    """Add the valid signatures in ``file`` to what is staged; a vendor's own new document is taken as a whole.

    Raises UsageError: other_content when the file signs something else than what is staged; for a vendor's document that
    is new here signatures_missing and files_missing, and ReleaseRefused (bad_name) for a target name that is a path.
    """
    told = []
    with repo.locked():
        for entry in _load(file):
            role, document, _ = _open(entry, file)
            if role not in ("root", "targets", *repo.delegations()):
                raise UsageError(f"{file} signs a role that is not known here: {one_line(role, 60)}", code="other_content")
            staged = repo.staged(role)
            if staged is None or (staged.signed_bytes != document.signed_bytes and role in repo.delegations()):
                staged = _vendors_own(repo, role, document)
            elif staged.signed_bytes != document.signed_bytes:
                raise UsageError(f"{file} signs another {role} than the one that is staged here", code="other_content")
            _merge(repo, role, staged, document)
            write_durably(repo.staged_path(role), staged.to_bytes(), mode=0o644)
            told.append(_told(role, staged, repo.standing(role, staged)))
    return told


def _vendors_own(repo: Repository, role: str, document: Document) -> Document:
    if role not in repo.delegations():
        raise UsageError(f"no change of {role} is staged here", code="other_content")
    require_complete(role, repo.standing(role, document))
    if not repo.is_unsigned(role) and document.signed.version <= repo.published(role).signed.version:
        raise UsageError(f"that {role} is not newer than what is published", code="other_content")
    for name, record in document.signed.targets.items():
        check_target_name(name)
        path = repo.targets / Target(name, record.length, "", prefix=next(iter(record.hashes.values()))).path
        if not path.is_file() or path.stat().st_size != record.length:
            raise UsageError(
                f"{one_line(name, 100)} is not in {repo.targets}: copy the vendor's files first", code="files_missing"
            )
    return document


def _merge(repo: Repository, role: str, staged: Document, signed: Document) -> None:
    """Only signatures that verify are taken."""
    good = {keyid for one in standing_of(role, signed, repo.delegators(role, staged)) for keyid in one.signed}
    if not good:
        raise UsageError(f"no signature there counts for {role}", code="signatures_missing")
    for keyid in good:
        staged.signatures[keyid] = signed.signatures[keyid]


def _above(repo: Repository, role: str) -> Document:
    above = "root" if role == "targets" else "targets"
    return repo.staged(above) or repo.published(above)


def _told(role: str, document: Document, standing: list[Standing]) -> Signed:
    listed = () if role == "root" else tuple(sorted(customs_of(document.signed)))
    return Signed(role, document.signed.version, listed, tuple(standing))


def _open(entry: Mapping[str, Any], file: Path) -> tuple[str, Document, list[Any]]:
    role, above = entry.get("role"), entry.get("above")
    if not isinstance(role, str) or not role.isprintable() or not isinstance(above, list) or len(above) != 1:
        raise UsageError(f"{file} is no signing request", code="bad_request")
    document = parse_document(json.dumps(entry.get("metadata")).encode(), str(file))
    deciding = [parse_document(json.dumps(one).encode(), str(file)).signed for one in above]
    if role == "root":
        deciding.append(document.signed)
    return role, document, deciding


def _load(file: Path) -> list[dict[str, Any]]:
    try:
        request = json.loads(read_bounded(file, REQUEST_MAX_BYTES))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", code="bad_request") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no signing request", code="bad_request") from error
    documents = request.get("documents") if isinstance(request, dict) and request.get("kind") == KIND else None
    if not isinstance(documents, list) or not 1 <= len(documents) <= _MAX_DOCUMENTS:
        raise UsageError(f"{file} is no signing request", code="bad_request")
    if not all(isinstance(entry, dict) for entry in documents):
        raise UsageError(f"{file} is no signing request", code="bad_request")
    return documents


def _store(file: Path, documents: list[dict[str, Any]]) -> None:
    request = {"schema": 1, "kind": KIND, "documents": documents}
    write_durably(file, (json.dumps(request, ensure_ascii=False, indent=1) + "\n").encode(), mode=0o644)
