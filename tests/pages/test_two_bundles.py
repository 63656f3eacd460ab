"""A second bundle beside the one at work, on the page Patient; on the page Slide a browser looks (tests/browser)."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle.loading import read_manifest
from tests.bundle.made import women, write_risk_bundle
from tests.bundle.made.whole import write_manifest
from tests.pages.opening import open_page, texts


@pytest.fixture
def bundle_of_women(home: Path) -> str:
    """A bundle on this server that reads no histories; its hash."""
    return read_manifest(write_risk_bundle(home / "bundles/women"))[1]


@pytest.fixture
def higher(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bundle with a history model alone, whose odds are e times those of the made one; its hash."""
    monkeypatch.setattr(women, "LOG_ODDS_OF_NOTHING_KNOWN", women.LOG_ODDS_OF_NOTHING_KNOWN + 1)
    folder = home / "bundles/higher"
    return read_manifest(write_manifest(folder, [women.write_history_model(folder, "rival")]))[1]


@pytest.mark.slow
def test_a_list_of_women_has_columns_of_the_second_bundle_and_the_difference(
    higher: str,
    bundle_of_women: str,  # noqa: ARG001 - it lies there, and is not offered
) -> None:
    app = open_page("patient")
    app.query_params["case"] = "list"
    app.run()
    assert "B" not in worklist(app)
    choice = app.selectbox(key="patients_other_bundle")
    assert len(choice.options) == 1
    assert "cannot be compared here: it has no model that reads such a list." in texts(app)
    choice.set_value(higher).run()
    assert not app.exception
    listed = worklist(app)
    first, second = listed["CIN2+ in 3 years"].dropna(), listed["B"].dropna()
    assert list(second - first) == pytest.approx(list(listed["B − A"].dropna()), abs=1e-4)
    odds = (second / (100 - second)) / (first / (100 - first))
    assert odds.between(2.2, 2.8).all(), "e times, but for the mean over the networks"
    said = texts(app)
    assert "not the active bundle" in said
    assert f"**A {first.iloc[0]:.1f} % · B {second.iloc[0]:.1f} %**" in said, "the woman who is open"
    app.selectbox(key=next(box.key for box in app.selectbox if box.label == "Order")).set_value(
        "Bundles widest apart first"
    ).run()
    gaps = worklist(app)["B − A"].abs().dropna()
    assert list(gaps) == sorted(gaps, reverse=True)


def worklist(app: AppTest) -> pd.DataFrame:
    return next(table.value for table in app.dataframe if "Flag" in table.value)
