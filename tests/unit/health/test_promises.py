"""What the table promises to have walked from healthy to the fault and back is walked, and nothing else."""

from agent.health import catalogue
from tests.unit.health import test_every_neo_row, test_every_reader_row, test_every_row, test_every_stripe_row

ROWS = (test_every_row, test_every_reader_row, test_every_neo_row, test_every_stripe_row)
WALKED = {fault for one in ROWS for fault in one.WALKED}


def test_the_table_promises_this_walk_for_these_faults_and_no_others() -> None:
    promised = {fault for fault, entry in catalogue.table().items() if entry.get("proof") == "walk"}
    assert promised == WALKED
