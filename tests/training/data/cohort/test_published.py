"""Published histories as made-up women: every row is reached, weights add up, whole blocks guide or report."""

from pathlib import Path

import pandas as pd
import pytest

from cervix.patients.sequences import EPISODE_DAYS
from cervix.patients.visits import read_visits

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.data.cohort.published import guides, read_published, synthetic_visits, variants  # noqa: E402


@pytest.fixture(scope="module")
def table(data_dir: Path) -> pd.DataFrame:
    return read_published(data_dir / "tables/asccp_2019_risks.csv")


def test_shares_are_read_from_percent(table: pd.DataFrame) -> None:
    first = table.iloc[7]
    assert (first["history"], first["hpv"], first["cytology"]) == ("NO HISTORY", "HPV-positive", "NILM")
    assert first["published_cin3_0"] == pytest.approx(0.0213187)
    assert first["published_cin3_5_high"] == pytest.approx(0.0502912)
    assert (table.filter(like="published_") >= 0).sum().sum() == table.filter(like="published_").notna().sum().sum()


def test_every_row_has_histories_whose_weights_add_up_to_one(table: pd.DataFrame) -> None:
    cells, mixture = synthetic_visits(table)
    assert mixture.groupby("row")["weight"].sum().to_numpy() == pytest.approx(1.0)
    assert set(mixture["row"]) == set(range(len(table)))
    read = read_visits(cells.to_csv(index=False).encode())
    assert not read.problems
    assert len(read.frame) == len(cells)
    assert read.frame.groupby("patient_id")["time_years"].diff().min() * 365.25 > EPISODE_DAYS, "every row is an episode"


def test_rounds_follow_the_words_of_the_history(table: pd.DataFrame) -> None:
    def of(history: str, hpv: str, cytology: str = "") -> pd.Series:
        rows = table[(table["history"] == history) & (table["hpv"] == hpv)]
        return (rows[rows["cytology"] == cytology] if cytology else rows).iloc[0]

    (only,) = variants(of("NO HISTORY", "HPV16+", "NILM"))
    assert [dict(one.results) for one in only.rounds] == [
        {"hpv_result": "positive", "hpv_16": "positive", "hpv_18": "negative", "cytology": "NILM"}
    ]
    treated = variants(of("CIN 2 or 3", "Cotest-negative x2"))
    assert {one.results["histology"] for variant in treated for one in variant.rounds[:1]} == {"CIN2", "CIN3"}
    assert [len(variant.rounds) for variant in treated] == [3, 3]
    assert [round(one.years_before, 1) for one in treated[0].rounds] == [1.6, 1.0, 0.0]
    twice = variants(of("HPV-positive/NILM |  Cotest-negative x2", "HPV-negative", "NILM"))
    assert [[one.results["hpv_result"] for one in variant.rounds] for variant in twice] == [
        ["positive", "negative", "negative", "negative"]
    ]
    after = variants(of("High Grade", "HPV-negative", "NILM"))
    assert {one.results["histology"] for variant in after for one in variant.rounds[:1]} == {"benign", "CIN1"}


def test_whole_blocks_guide_and_none_that_holds_the_women_of_another(table: pd.DataFrame) -> None:
    assert (table.loc[table["history"] == "NO HISTORY", "guides"] == "yes").all()
    assert (table.loc[table["kind"] == "after treatment", "guides"] == "no").all()
    assert (table.loc[table["kind"] == "after a negative round", "guides"] == "no").all()
    assert (table.groupby(["table", "history"])["guides"].nunique() == 1).all()
    for number, history in table.loc[table["table"].isin([2, 4]), ["table", "history"]].itertuples(index=False):
        assert guides(number, history) == guides(number, history.replace("Cotest-negative", "HPV-negative"))
    among = table[table["table"].isin([2, 4])].drop_duplicates("history")["guides"].value_counts()
    assert among.min() >= 5
