"""Who a certificate says that we are, held against the configuration.

The certificate's common name is the host; each till, with its site and merchant, is an URI in its subjectAltName. A
certificate without such URIs binds the host alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.redact import redact
from protocols.center.est import TillName

SHOWN = 8
"""Ids that evidence names at most."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Host and tills as the centre bound them."""

    host: str
    tills: tuple[TillName, ...] = ()

    def strangers(self, host: str, tills: Iterable[str]) -> list[str]:
        """The ids of the configuration that the certificate does not know, the host's first."""
        wrong = [host] if host != self.host else []
        known = {till.till for till in self.tills}
        return wrong + ([till for till in tills if till not in known] if known else [])

    def merchants(self) -> list[str]:
        """Each merchant once, in the certificate's order."""
        return list(dict.fromkeys(till.merchant for till in self.tills))

    def sites(self) -> list[str]:
        """Each site once, in the certificate's order."""
        return list(dict.fromkeys(till.site for till in self.tills))

    def to_json(self) -> dict[str, Any]:
        """For the state file."""
        return {"host": self.host, "tills": [[t.merchant, t.site, t.till] for t in self.tills]}


def binding_from(data: Mapping[str, Any]) -> Binding:
    """What ``to_json`` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    return Binding(str(data["host"]), tuple(TillName(*map(str, till)) for till in data["tills"]))


def evidence(binding: Binding, strangers: list[str]) -> dict[str, str]:
    """What the fault shows: whose certificate it is, and who is not in it."""
    known = [till.till for till in binding.tills] or [binding.host]
    shown, strange = (", ".join(map(redact, ids[:SHOWN])) for ids in (known, strangers))
    return {"why": "wrong_till", "certificate": shown, "configured": strange}
