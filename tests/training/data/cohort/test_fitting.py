"""Bayes' rule gives back the published risks that it started from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("optuna", reason="fitting needs Optuna, which the app's environment has not")

from training.data.cohort import fitting  # noqa: E402
from training.data.cohort.published import read_published  # noqa: E402
from training.data.cohort.screening import CIN2, CIN3, GLANDULAR_CIN3, SEEN, SMEARS  # noqa: E402

SHARES = np.array([0.9126, 0.0656, 0.0052, 0.00616, 0.00416, 2e-5, 0.00102, 0.00041, 0.005])
"""Of screened women; CIN2 and CIN3 as the published tables have them."""


@pytest.fixture(scope="module")
def published(data_dir: Path) -> pd.DataFrame:
    return read_published(data_dir / "tables/asccp_2019_risks.csv")


def test_every_row_is_a_distribution(published: pd.DataFrame) -> None:
    table = fitting.tests_together(published, SHARES, fitting.Sensitivity(0.83, 0.9, 0.92))
    assert set(table) == set(SEEN)
    for row in table.values():
        assert len(row) == 2 * len(SMEARS)
        assert min(row) >= 0
        assert sum(row) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("smear", "hpv", "risk"), [("NILM", 1, 0.0213), ("ASC-US", 1, 0.0445), ("HSIL", 1, 0.489)])
def test_the_risk_of_a_result_is_the_published_one(published: pd.DataFrame, smear: str, hpv: int, risk: float) -> None:
    table = fitting.tests_together(published, SHARES, fitting.Sensitivity(0.83, 0.9, 0.92))
    at = hpv * len(SMEARS) + SMEARS.index(smear)
    joint = np.array([SHARES[index] * table[name][at] for index, name in enumerate(SEEN)])
    assert joint[[CIN3, GLANDULAR_CIN3]].sum() / joint.sum() == pytest.approx(risk, rel=0.15)
    assert joint[CIN2] > 0
