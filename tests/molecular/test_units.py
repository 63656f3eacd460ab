"""Reads per million, counts, shares and logarithms are told apart by sums and highest values."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.molecular.units import COUNTS, LOGS, PER_CENT, RPM, SHARES, UNCLEAR, WHOLE_PROFILE, units_of


def profile(total: float, markers: int = WHOLE_PROFILE) -> NDArray[np.float64]:
    shares = np.arange(1, markers + 1) ** 3.0 + 0.5
    return total * shares[None] / shares.sum()


@pytest.mark.parametrize(
    ("total", "kind"),
    [
        (1e6, RPM), (0.91e6, RPM), (1.09e6, RPM), (0.89e6, UNCLEAR), (1.11e6, UNCLEAR),
        (100.0, PER_CENT), (1.0, SHARES), (500.0, LOGS), (5e6, UNCLEAR),
    ],
)  # fmt: skip
def test_the_sum_of_a_whole_profile_says_what_its_numbers_are(total: float, kind: str) -> None:
    assert units_of(profile(total), profile(total)[:, :5]).kinds[0] == kind


@pytest.mark.parametrize(("kind", "total"), [(RPM, 1e6), (PER_CENT, 100.0), (SHARES, 1.0)])
def test_what_is_made_of_a_profile_sums_to_a_million(kind: str, total: float) -> None:
    given = profile(total)
    assert (given * units_of(given, given[:, :5]).factors[:, None]).sum() == pytest.approx(1e6), kind


@pytest.mark.parametrize(("reads", "kind"), [(2_000_000, COUNTS), (100_500, COUNTS), (99_000, UNCLEAR)])
def test_whole_numbers_that_sum_to_enough_reads_are_counts(reads: int, kind: str) -> None:
    counts = np.floor(profile(reads))
    found = units_of(counts, counts[:, :5])
    assert found.kinds[0] == kind
    if kind == COUNTS:
        assert (counts * found.factors[:, None]).sum() == pytest.approx(1e6)


def test_one_marker_less_than_a_whole_profile_is_read_as_it_is() -> None:
    part = profile(2e6, WHOLE_PROFILE - 1)
    assert units_of(part, part[:, -5:]).kinds[0] == RPM


@pytest.mark.parametrize(("highest", "measured", "kind"), [(25.0, 3, LOGS), (25.1, 3, RPM), (25.0, 2, RPM)])
def test_a_part_whose_reference_markers_all_lie_low_holds_logarithms(highest: float, measured: int, kind: str) -> None:
    reference = np.full((1, 5), np.nan)
    reference[0, :measured] = np.linspace(9.0, highest, measured)
    assert units_of(reference, reference).kinds[0] == kind
