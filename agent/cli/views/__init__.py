"""The contract's JSON documents drawn for a person: functions from a document to text, in the language of ``text``."""

from agent.cli.views.configuration import config_result, mistakes_document
from agent.cli.views.enrolment import enrolled
from agent.cli.views.failure import failure, failure_document
from agent.cli.views.record import journal_records, journal_verdict
from agent.cli.views.selftest import enrich_selftest, selftest
from agent.cli.views.status import enrich, status
from agent.cli.views.support import bundle_listing, bundle_written, journal_exported
from agent.cli.views.updates import update_held, update_history, update_plans, update_status

__all__ = [
    "bundle_listing",
    "bundle_written",
    "config_result",
    "enrich",
    "enrich_selftest",
    "enrolled",
    "failure",
    "failure_document",
    "journal_exported",
    "journal_records",
    "journal_verdict",
    "mistakes_document",
    "selftest",
    "status",
    "update_held",
    "update_history",
    "update_plans",
    "update_status",
]
