"""Each source has its own figures, and the one with most accepted and wrong comes first."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle.manifest import DerivedTask
from tests.bundle.made import SHIPPED_CLASSES
from training.slide.checks.sources import NONE, sources_table
from training.slide.slide_level import Calling

CALLING = Calling(SHIPPED_CLASSES, called_at=0.5, novelty_limit=10.0)
TASKS = [
    DerivedTask(id="cancerous", title="Cancerous or benign", positive=["scc", "ac"], negative=["benign", "other"]),
    DerivedTask(id="type", title="SCC or AC", positive=["scc"], negative=["ac"]),
]
THRESHOLDS = {"cancerous": 0.5, "type": 0.5}
ROWS = {
    "benign": (0.9, 0.05, 0.03, 0.02),
    "scc": (0.1, 0.7, 0.1, 0.1),
    "ac": (0.1, 0.1, 0.7, 0.1),
    "other": (0.2, 0.1, 0.1, 0.6),
}


def tiles(source: str, truth: str, shown: str, count: int, *, novelty: float = 1.0, each: int = 1) -> pd.DataFrame:
    """``count`` groups of ``each`` tiles that are one thing and look like another; rivals know nothing or all."""
    frame = pd.DataFrame({"group": [f"{source}-{truth}-{shown}-{at}" for at in range(count) for _ in range(each)]})
    frame = frame.assign(by_source=source, label=truth, novelty=novelty)
    for prefix, row in (("", ROWS[shown]), ("colour__", ROWS["benign"]), ("logistic__", ROWS[truth])):
        frame[[f"{prefix}p_{name}" for name in ROWS]] = row
    return frame


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    parts = [
        tiles("good", "benign", "benign", 20), tiles("good", "scc", "scc", 20),
        tiles("bad", "benign", "benign", 12), tiles("bad", "benign", "scc", 4), tiles("bad", "benign", "scc", 4, novelty=99.0),
        tiles("bad", "ac", "ac", 15), tiles("bad", "ac", "scc", 5),
        tiles("lone", "other", "other", 6, each=2), tiles("lone", "other", "scc", 2, each=2),
        tiles("few", "benign", "benign", 3), tiles("few", "scc", "scc", 3),
    ]  # fmt: skip
    return sources_table(pd.concat(parts, ignore_index=True), CALLING, TASKS, THRESHOLDS).set_index("source")


def test_the_source_with_most_accepted_and_wrong_comes_first(table: pd.DataFrame) -> None:
    assert table.index.tolist()[:2] == ["lone", "bad"]
    assert table["accepted and wrong"].str.split(" ").str[0].tolist()[:2] == ["25.0", "10.0"]


def test_refused_tiles_are_wrong_of_no_account_but_count_in_balanced_accuracy(table: pd.DataFrame) -> None:
    bad = table.loc["bad"]
    assert bad["accepted"].startswith("90.0 %")
    assert bad["balanced accuracy"].startswith("80.0 %")
    assert bad["SCC or AC: right"].startswith("75.0 %")
    assert bad["n"] == "40 tiles, 36 groups"


def test_the_baselines_stand_beside_it(table: pd.DataFrame) -> None:
    assert table.loc["bad", "… by colour alone"].startswith("50.0 %")
    assert table.loc["bad", "… by frozen features"].startswith("100.0 %")


def test_other_tissue_is_beside_the_question_and_its_groups_make_the_interval(table: pd.DataFrame) -> None:
    lone = table.loc["lone"]
    assert {lone[name] for name in ("AUROC, cancerous or benign", "balanced accuracy", "SCC or AC: right")} == {NONE}
    assert lone["other tissue accepted and called carcinoma"] == "25.0 % (7.1–59.1)"
    assert table.loc["good", "other tissue accepted and called carcinoma"] == NONE


def test_a_source_of_few_groups_has_no_auroc(table: pd.DataFrame) -> None:
    assert table.loc["few", "AUROC, cancerous or benign"] == NONE
    assert table.loc["good", "AUROC, cancerous or benign"].startswith("1.000 (")


def test_calibration_counts_what_the_score_claims(table: pd.DataFrame) -> None:
    assert float(table.loc["good", "calibration error (ECE)"].split()[0]) == pytest.approx((0.08 + 0.2) / 2, abs=1e-3)
    assert np.char.startswith(table.loc[["lone"], "calibration error (ECE)"].to_numpy(str), NONE).all()
