"""The single durable record of what happened: SQLite, one writing thread, every record chained to the one before."""

from agent.journal.desk import JournalState
from agent.journal.owner import Journal, Receipt
from agent.journal.prune import Signed, Signer
from agent.journal.record import Entry, Head, Record
from agent.journal.store import Checkpoint
from agent.journal.verify import Verdict, verify

__all__ = [
    "Checkpoint",
    "Entry",
    "Head",
    "Journal",
    "JournalState",
    "Receipt",
    "Record",
    "Signed",
    "Signer",
    "Verdict",
    "verify",
]
