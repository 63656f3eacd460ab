"""A table of published risks is read with its types, and a table of something else is refused with what was expected."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.bundle.published_risks import KINDS, published_risks_in
from cervix.errors import BundleError
from cervix.patients.golden import prove_bundle
from tests.bundle.published import NAME, published_row, published_table

Change = Callable[[pd.DataFrame], pd.DataFrame]


def read(table: pd.DataFrame) -> pd.DataFrame:
    return published_risks_in(table.to_csv(index=False).encode(), "risks.csv")


def test_every_published_history_is_read_with_its_figures(data_dir: Path) -> None:
    found = read(published_table(data_dir))
    raw = pd.read_csv(data_dir / "tables/asccp_2019_risks.csv")
    assert len(found) == len(raw) == 168
    assert set(found["kind"]) == set(KINDS)
    for ours, theirs in (
        ("published_cin3_0", "cin3_im"),
        ("published_cin2_5_high", "cin2_5_hi"),
        ("published_cin3_3", "cin3_3"),
    ):
        assert np.allclose(found[ours], (raw[theirs] / 100).clip(0, 1), equal_nan=True)
    assert found["women"].tolist() == raw["N"].tolist()
    assert found["management"].tolist() == raw["management"].fillna("").tolist()


def test_texts_that_are_not_there_are_empty_and_risks_that_are_not_there_are_not_numbers() -> None:
    row = published_row(guides="yes", cytology="", published_cin3_5=np.nan, published_cin3_5_low=np.nan, boosting_cin3_5=0.02)
    found = read(pd.DataFrame([row])).iloc[0]
    assert (found["cytology"], found["guides"], found["boosting_cin3_5"]) == ("", True, 0.02)
    assert np.isnan(found["published_cin3_5"])
    assert "logistic_cin3_5" not in found


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda table: table.drop(columns="model_cin2_1"), "expected the columns table, .*; found none named model_cin2_1"),
        (lambda table: table.assign(women="many"), "expected numbers in the columns of risks and women"),
        (lambda table: table.assign(women=0.0), "expected a number of women in every row"),
        (lambda table: table.assign(women=""), "expected numbers in the columns of risks and women"),
        (lambda table: table.assign(model_cin3_5=4.8), "expected risks from 0 to 1; found .* to 4.8"),
        (lambda table: table.assign(model_cin3_5=-0.1), "expected risks from 0 to 1; found -0.1"),
        (lambda table: table.assign(published_cin3_5_low=0.9), "expected every published risk within its own interval"),
        (lambda table: table.assign(published_cin3_5_high=0.0), "expected every published risk within its own interval"),
        (lambda table: table.assign(kind="cervical"), "expected kinds current test, .*; found cervical"),
        (lambda table: table.assign(guides="perhaps"), "expected yes or no under guides; found perhaps"),
        (lambda table: table.assign(history="<a href='https://x'>y</a>"), "expected histories of letters.*; found .* in row 1"),
        (lambda table: table.iloc[:0], "expected one row a history; found no row"),
    ],
)  # fmt: skip
def test_a_table_of_something_else_is_refused(change: Change, complaint: str) -> None:
    with pytest.raises(BundleError, match=rf"risks.csv is not a table of published risks: {complaint}"):
        read(change(pd.DataFrame([published_row()])))


def test_a_bundle_with_the_table_proves_itself_and_lists_it_among_its_models_files(published_bundle: Bundle) -> None:
    model = published_bundle.manifest.model("history")
    assert model.measured.published_risks == NAME
    assert NAME in model.files
    assert prove_bundle(published_bundle.root, device="cpu").sha256 == published_bundle.sha256
