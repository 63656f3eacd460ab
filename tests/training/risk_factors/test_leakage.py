"""The leaky steps reach what notebooks report; the honest one does not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.patients.vocabulary import RISK_FACTORS

pytestmark = [pytest.mark.training, pytest.mark.slow]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.cli import main  # noqa: E402
from training.data.splits import EventError, require_events  # noqa: E402
from training.data.uci import load_risk_table  # noqa: E402
from training.risk_factors import leakage  # noqa: E402
from training.risk_factors.cross_validation import cross_validation_table, logistic  # noqa: E402
from training.risk_factors.leakage import leakage_table  # noqa: E402

RECIPE = {"seed": 20261122, "evaluation": {"folds": 5}}


@pytest.fixture(scope="module")
def table_csv(data_dir: Path) -> Path:
    return data_dir / "tables/uci_risk_factors_cervical_cancer.csv"


@pytest.fixture(scope="module")
def steps(table_csv: Path) -> pd.DataFrame:
    return leakage_table(table_csv, RECIPE, str)


def auroc(row: pd.Series) -> float:
    return float(row["AUROC"].split()[0])


def test_copies_before_the_split_make_0_99_out_of_chance(steps: pd.DataFrame) -> None:
    honest, leaky = auroc(steps.iloc[0]), auroc(steps.iloc[-1])
    assert honest < 0.75
    assert leaky > 0.985
    assert auroc(steps.iloc[3]) > 0.95, "copies alone do it, without the other tests"


def test_every_leaked_row_says_so_and_what_it_counts(steps: pd.DataFrame) -> None:
    assert list(steps["leaked"]) == ["no", "no", "LEAKED", "LEAKED", "LEAKED"]
    assert list(steps["n"].str.contains("copies counted as cases")) == [False, False, False, True, True]
    assert all("always no" in column or steps[column].notna().all() for column in steps)


def test_the_leaky_protocol_writes_the_table_alone(table_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage, "TREES", 10)
    assert main(["risk-factors", "--protocol", "leaky", "--table", str(table_csv), "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["leakage.csv"]


def test_repeated_folds_hold_out_every_row_and_compare_on_the_same(table_csv: Path) -> None:
    table = load_risk_table(table_csv, [column.name for column in RISK_FACTORS])
    features = table.frame.iloc[:, :10].to_numpy(np.float32)[:, None]
    masks = []

    class Regression:
        """Stands in for the network: the same regression, so every difference must be 0."""

        def __init__(self, train: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
            self._fitted = logistic().fit(features[train, 0], table.positive[train])

        def predict(self, rows: "np.ndarray[tuple[int, int, int], np.dtype[np.float32]]", verbose: int) -> object:
            del verbose
            return self._fitted.decision_function(rows[:, 0])[:, None]

    def fit(train: object, stop: object) -> Regression:
        masks.append((train, stop))
        return Regression(train)  # type: ignore[arg-type]

    found = cross_validation_table(features, table, fit, folds=3, repeats=2, seed=1)  # type: ignore[arg-type]
    assert len(masks) == 6
    assert not any((train & stop).any() for train, stop in masks)  # type: ignore[operator]
    rows = found.set_index("classifier")
    assert rows.loc["LSTM", "AUROC"] == rows.loc["Logistic regression", "AUROC"]
    assert rows.loc["LSTM minus regression", "AUROC"].startswith("+0.000 (+0.000")
    assert rows.loc["Always no", "AUROC"] == "–"


@pytest.mark.parametrize(
    ("events", "n", "reason"), [(0, 500, "one outcome"), (500, 500, "one outcome"), (49, 500, "at least 50")]
)
def test_too_few_events_stop_training_with_the_reason(events: int, n: int, reason: str) -> None:
    with pytest.raises(EventError, match=reason):
        require_events(np.arange(n) < events)


def test_50_events_are_enough() -> None:
    require_events(np.arange(500) < 50)
