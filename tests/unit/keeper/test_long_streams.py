"""Much of everything: 64 MiB of valid ESC/POS with status questions between, and a gibibyte in `make long`."""

import pytest

from tests.unit.keeper.test_shared_line import check_stream

MIB = 1 << 20


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixty_four_mebibytes() -> None:
    asked, parts = check_stream(64, 64 * MIB, most=4095)
    assert asked > parts / 100


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_gibibyte() -> None:
    for seed in range(16):
        check_stream(1000 + seed, 64 * MIB)
